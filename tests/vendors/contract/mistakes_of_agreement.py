"""Mistakes that show when two messages of one sale are laid side by side, and those in what is answered."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from qlmhook.vendors import Answer, Customer, Get, Item, Message, Notification, Outcome, Verified
from tests.vendors.contract.kiosk import Kiosk
from tests.vendors.contract.mistakes import fails

Data = Mapping[str, Any]


@fails("test_what_is_told_of_the_sale_names_its_order")
class RefundsByTheirOwnName(Kiosk):
    """It names a refund where the order is meant."""

    def order_ref(self, data: Data) -> str:
        return f"refund of {super().order_ref(data)}" if data["kind"] == "refunded" else super().order_ref(data)


@fails("test_what_is_told_of_the_sale_names_its_order")
class DisputesByTheirOwnName(Kiosk):
    """It names a dispute where the order is meant."""

    def order_ref(self, data: Data) -> str:
        return data["case"] if "case" in data else super().order_ref(data)


@fails("test_what_is_told_of_the_sale_names_its_lines")
class LinesOfTheRefund(Kiosk):
    """It numbers the lines of a refund, not those of the order."""

    def line(self, place: int, data: Data, event: Data) -> str:
        line = super().line(place, data, event)
        return f"refunded {line}" if event["kind"] == "refunded" else line


@fails("test_what_is_told_of_the_sale_names_its_lines")
class LinesByTheirPlace(Kiosk):
    """It numbers the lines as they stand in a message, of which a refund has fewer."""

    def line(self, place: int, data: Data, event: Data) -> str:
        return str(place)


@fails("test_what_is_told_of_the_sale_names_its_lines")
class NextProduct(Kiosk):
    """It takes the product of another line."""

    def item(self, place: int, data: Data, event: Data) -> Item:
        item = super().item(place, data, event)
        return replace(item, product_id="beta") if event["kind"] == "reversed" else item


@fails("test_what_is_told_of_the_sale_names_its_lines")
class NextSubscription(Kiosk):
    """It takes the subscription of another line."""

    def item(self, place: int, data: Data, event: Data) -> Item:
        item = super().item(place, data, event)
        return replace(item, subscription_ref="S-2") if event["kind"] == "reversed" else item


@fails("test_a_test_order_is_told_as_one")
class NoTests(Kiosk):
    """It forgets that an order may be a test."""

    def test(self, data: Data) -> bool:
        return False


@fails("test_an_order_that_is_sent_again_is_the_same")
class PaidWhenSent(Kiosk):
    """It takes the time of a message for that of the payment."""

    def paid_at(self, data: Data) -> datetime | None:
        return None


@fails("test_a_customer_is_joined_to_the_sale")
class CustomersByAnotherName(Kiosk):
    """It calls a customer otherwise than orders do."""

    def customer_ref(self, data: Data) -> str:
        return "Ann" if data["kind"] == "customer" else super().customer_ref(data)


@fails("test_a_customer_is_joined_to_the_sale")
class CustomersWithoutAddress(Kiosk):
    """It leaves out what mails need."""

    def customer(self, data: Data) -> Customer:
        return Customer(first_name="Ann") if data["kind"] == "customer" else super().customer(data)


@fails("test_every_message_is_of_one_merchant")
class MerchantsByTheirOrders(Kiosk):
    """It takes what counts a message's orders for a part of the merchant's name."""

    def merchant(self, data: Data) -> str:
        return f"{super().merchant(data)}/{len(data.get('events', ()))}"


@fails("test_a_batch_has_an_event_for_each_order")
class FirstOrderAlone(Kiosk):
    """It reads one order where there are several."""

    def parts(self, data: Data) -> list[Data]:
        return super().parts(data)[:1]


@fails("test_every_message_gets_a_receipt")
class NoReceiptForRefunds(Kiosk):
    """It stumbles over refunds alone, when all is stored."""

    def receipt_text(self, notification: Notification, verified: Verified, outcome: Outcome) -> str:
        if b"refunded" in notification.body:
            raise KeyError("refund")
        return super().receipt_text(notification, verified, outcome)


@fails("test_every_message_gets_a_receipt")
class ReceiptNeedsAnEnd(Kiosk):
    """It dates every license that it answers with, also one that never ends."""

    def receipt_text(self, notification: Notification, verified: Verified, outcome: Outcome) -> str:
        return " ".join(f"{license.key} {license.expires_at:%Y}" for license in outcome.licenses) or "taken"


@fails("test_a_message_that_lacks_a_part_gets_a_receipt")
class ReceiptNeedsMore(Kiosk):
    """Its receipt needs what its messages may lack."""

    def receipt_text(self, notification: Notification, verified: Verified, outcome: Outcome) -> str:
        data = json.loads(notification.body)
        about = data["about"] if data["type"] == "events" else data["type"]
        return f"{about} {super().receipt_text(notification, verified, outcome)}"


@fails("test_the_receipt_has_a_status_of_success")
class AnswersWithAnError(Kiosk):
    """It answers a refund with an error of the server's."""

    def receipt_status(self, notification: Notification) -> int:
        return 501 if b"refunded" in notification.body else 200


@fails("test_the_receipt_is_the_same_at_the_same_time")
class NumbersItsReceipts(Kiosk):
    """It gives each receipt a number of its own."""

    def receipt_text(self, notification: Notification, verified: Verified, outcome: Outcome) -> str:
        return str(uuid.uuid4())


@fails("test_the_receipt_tells_no_secret")
class AnswersWithTheSecret(Kiosk):
    """It sends the key instead of signing with it."""

    def receipt_text(self, notification: Notification, verified: Verified, outcome: Outcome) -> str:
        return verified.key.decode()


@fails("test_what_is_logged_tells_no_secret")
class ShowsItsSecrets(Kiosk):
    """Its text has all that it holds."""

    def __repr__(self) -> str:
        return f"Kiosk({self.secrets})"


@fails("test_asking_is_for_what_is_incomplete")
class BelievesEveryAnswer(Kiosk):
    """It stumbles over an answer that is none."""

    def enrichment(self, answer: Answer) -> bytes:
        return json.dumps({"events": json.loads(answer.body)["events"]}).encode()


@fails("test_what_is_incomplete_says_nothing_yet")
class SaysHalf(Kiosk):
    """It returns half of what is to be said before it has asked for the rest."""

    def message(self, data: Data, **told: Any) -> Message:
        message = super().message(data, **told)
        half = {"kind": "paid", "order": "A-6", "at": "2026-01-01T12:00Z", "placed": "2026-01-01T12:00Z"}
        line = Item(line="1", product_id="alpha")
        events = (replace(self.event(half, NOTHING), items=(line,)),)
        return replace(message, events=events) if message.incomplete else message


@fails("test_asking_tells_no_secret_of_the_signatures")
class AsksWithTheSecret(Kiosk):
    """It asks with the key that signatures are made with."""

    def enrich(self, notification: Notification, get: Get) -> bytes:
        url = f"https://kiosk.example/events?secret={self.secrets[0].decode()}"
        return self.enrichment(get(url))


NOTHING: Any = None
