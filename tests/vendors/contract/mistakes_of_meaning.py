"""Mistakes in `parse` that one message shows."""

import socket
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from qlmhook.vendors import Customer, Event, EventKind, MalformedNotification, Message, Notification, Standing
from tests.vendors.contract.kiosk import Kiosk
from tests.vendors.contract.mistakes import fails

Data = Mapping[str, Any]


@fails("test_every_message_is_understood")
class KnowsNoRefunds(Kiosk):
    """It stumbles over refunds alone."""

    def parse(self, notification: Notification) -> Message:
        if b"refunded" in notification.body:
            raise KeyError("refund")
        return super().parse(notification)


@fails("test_every_value_is_of_its_type")
class NumbersForTexts(Kiosk):
    """It passes the number of a line on as it is in JSON."""

    def line(self, place: int, data: Data, event: Data) -> str:
        number: Any = int(data["line"]) if data["line"].isdigit() else data["line"]
        return number  # type: ignore[no-any-return]


@fails("test_every_value_is_of_its_type")
class FloatingMoney(Kiosk):
    """It keeps money in a float."""

    def amount(self, data: Data) -> Decimal | None:
        amount: Any = float(data["amount"]) if "amount" in data else None
        return amount  # type: ignore[no-any-return]


@fails("test_every_time_is_aware")
class NaiveRefunds(Kiosk):
    """It forgets the zone of a refund's time."""

    def at(self, data: Data, notification: Notification) -> datetime:
        at = super().at(data, notification)
        return at.replace(tzinfo=None) if data["kind"] == "refunded" else at


@fails("test_what_is_returned_fits_the_database")
class LongNamesOfRefunds(Kiosk):
    """It calls a refund by more than the service keeps."""

    def also_known_as(self, data: Data) -> tuple[str, ...]:
        return ("refund of " + "P" * 64,) if data["kind"] == "refunded" else super().also_known_as(data)


@fails("test_what_is_returned_fits_the_database")
class LongEndpoint(Kiosk):
    """It takes the whole URL for the endpoint's name."""

    def endpoint(self) -> str:
        return "https://" + "kiosk." * 30


@fails("test_every_event_says_what_it_is_about")
class DisputesOfNothing(Kiosk):
    """Its disputes name neither lines nor the order."""

    def whole_order(self, data: Data) -> bool:
        return super().whole_order(data) and not data["kind"].startswith("chargeback")


@fails("test_every_event_says_what_it_is_about")
class WholeOrderAndLines(Kiosk):
    """Its cancellations name the lines and the order."""

    def whole_order(self, data: Data) -> bool:
        return super().whole_order(data) or data["kind"] == "canceled"


@fails("test_every_event_says_what_it_is_about")
class NothingStands(Kiosk):
    """It says nothing of a subscription that goes on."""

    def event(self, data: Data, notification: Notification) -> Event:
        event = super().event(data, notification)
        return replace(event, standing=None) if event.standing == Standing() else event


@fails("test_every_event_says_what_it_is_about")
class SaysNothing(Kiosk):
    """It has asked, and says nothing of what it was answered."""

    def parts(self, data: Data) -> list[Data]:
        return [part for part in super().parts(data) if part.get("order") != "A-6"]


@fails("test_the_lines_of_an_order_are_distinct")
class OneLineForAll(Kiosk):
    """It calls all lines of an order in a batch the same."""

    def line(self, place: int, data: Data, event: Data) -> str:
        return "1" if event.get("order") == "A-3" else super().line(place, data, event)


@fails("test_every_product_can_be_mapped")
class ProductWithASlash(Kiosk):
    """Its product ids cannot stand in a property's name."""

    def product_id(self, data: Data) -> str:
        return f"kiosk/{super().product_id(data)}"


@fails("test_an_amount_has_its_currency")
class CurrencySign(Kiosk):
    """It names a currency by its sign."""

    def currency(self, data: Data) -> str:
        return "€"


@fails("test_nothing_is_kept_between_calls")
class RemembersCustomers(Kiosk):
    """It fills in the address that it read before."""

    def customer(self, data: Data) -> Customer:
        known: dict[str, Customer] = self.__dict__.setdefault("known", {})
        found = super().customer(data)
        if found.email:
            known["last"] = found
        return known.get("last", found)


@fails("test_no_clock_is_read")
class AsksTheTime(Kiosk):
    """It looks at a clock, which shows what it does only much later."""

    def at(self, data: Data, notification: Notification) -> datetime:
        return max(super().at(data, notification), datetime.now(UTC) - timedelta(days=36_500))


@fails("test_times_are_those_of_the_message")
class DatedWhenItCame(Kiosk):
    """It dates a message by when it came, which is another time when it is sent again."""

    def at(self, data: Data, notification: Notification) -> datetime:
        return notification.received_at


@fails("test_the_zone_of_the_server_has_no_part")
class ZoneOfTheServer(Kiosk):
    """It takes a time without a zone for one of the server's."""

    def at(self, data: Data, notification: Notification) -> datetime:
        return super().at(data, notification).replace(tzinfo=None).astimezone(UTC)


@fails("test_nothing_is_opened")
class ReadsItsOwnFile(Kiosk):
    """It looks a word up in a file."""

    def read(self, notification: Notification) -> Message:
        Path(__file__).read_text("utf-8")
        return super().read(notification)


@fails("test_nothing_is_opened")
class AsksTheShop(Kiosk):
    """It asks another machine while the shop waits."""

    def receipt_status(self, notification: Notification) -> int:
        with socket.socket() as asking:
            asking.connect_ex(("127.0.0.1", 0))
        return super().receipt_status(notification)


@fails("test_nothing_is_told_twice")
class TellsRefundsTwice(Kiosk):
    """It reads a refund of all lines once for each."""

    def parts(self, data: Data) -> list[Data]:
        parts = super().parts(data)
        return [*parts, *(part for part in parts if part["kind"] == "refunded")]


@fails("test_parsing_needs_neither_headers_nor_arguments")
class ReadsAHeader(Kiosk):
    """It reads the kind of a message in a header, which is not stored."""

    def read(self, notification: Notification) -> Message:
        return replace(super().read(notification), order_status=notification.headers["X-Kiosk-Signature"][:10])


@fails("test_an_unknown_kind_of_message_is_noted_and_does_nothing")
class RefusesTheUnknown(Kiosk):
    """It refuses what it has never heard of."""

    def note(self, data: Data) -> Message:
        raise MalformedNotification("This is unknown.")


@fails("test_an_unknown_kind_of_message_is_noted_and_does_nothing")
class SaysNotWhy(Kiosk):
    """It does not say why it does nothing."""

    def note(self, data: Data) -> Message:
        return self.message(data)


@fails("test_an_unreadable_message_is_malformed")
class TakesAnythingForAReference(Kiosk):
    """It makes a text of whatever stands in place of the order's reference."""

    def order_ref(self, data: Data) -> str:
        return str(data.get("order", ""))


@fails("test_a_message_of_another_shape_is_malformed_or_understood")
class ExpectsItsShape(Kiosk):
    """It lets an exception of Python's out when an amount is none."""

    def parse(self, notification: Notification) -> Message:
        try:
            return self.read(notification)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise MalformedNotification("The body is no message of Kiosk's.") from error


@fails("test_json_that_is_nested_deeply_is_malformed")
class NestsAsDeepAsPython(Kiosk):
    """It takes ValueError for all that the reader of JSON raises."""

    def parse(self, notification: Notification) -> Message:
        try:
            return self.read(notification)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            raise MalformedNotification("The body is no message of Kiosk's.") from error


@fails("test_a_time_without_utc_is_malformed_or_understood")
class TellsEveryTimeInUtc(Kiosk):
    """It does not expect that a time has no UTC."""

    def parse(self, notification: Notification) -> Message:
        try:
            return self.read(notification)
        except OverflowError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
            raise MalformedNotification("The body is no message of Kiosk's.") from error

    def at(self, data: Data, notification: Notification) -> datetime:
        return super().at(data, notification).astimezone(UTC)


@fails("test_every_message_is_told_as_what_it_is")
class LostIsWon(Kiosk):
    """It takes a lost dispute for a won one."""

    kinds: ClassVar[Mapping[str, EventKind]] = {**Kiosk.kinds, "chargeback_lost": EventKind.CHARGEBACK_WON}


@fails("test_every_message_is_told_as_what_it_is")
class ReviewIsPaid(Kiosk):
    """It takes a payment for good that is still looked at."""

    kinds: ClassVar[Mapping[str, EventKind]] = {**Kiosk.kinds, "under_review": EventKind.PAID}


@fails("test_a_paid_order_has_its_lines")
class NoStatus(Kiosk):
    """It says nothing for listings."""

    def message(self, data: Data, **told: Any) -> Message:
        return replace(super().message(data, **told), order_status="")


@fails("test_a_paid_order_has_its_lines")
class DoubtsEveryLine(Kiosk):
    """It has a problem with what is a sale."""

    def event(self, data: Data, notification: Notification) -> Event:
        event = super().event(data, notification)
        doubted = tuple(replace(item, problem="What is this?") for item in event.items)
        return replace(event, items=doubted) if event.kind is EventKind.PAID else event


@fails("test_a_paid_order_has_its_lines")
class ListedAsAnother(Kiosk):
    """It names the message where the order is meant, in listings."""

    def message(self, data: Data, **told: Any) -> Message:
        return replace(super().message(data, **told), order_ref="message 7")
