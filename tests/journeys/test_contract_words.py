"""What 2Checkout has no words for, from another shop's message to licenses, mails, alerts and receipts.

What becomes of a license in each case is told in tests/domain.
"""

import json
from decimal import Decimal
from typing import Any

import pytest
from werkzeug.test import TestResponse

from qlmhook.domain.events import Customer, EventKind, Item, Standing
from qlmhook.inbox import fact_store
from qlmhook.reports import listings
from tests.conftest import MAPPING, OpenPlainShop, PlainShop
from tests.support.looking import waiting
from tests.support.made import LINE, day, line
from tests.support.shop import event

PAID, REFUNDED = EventKind.PAID, EventKind.REFUNDED
OPENED, WON, LOST = EventKind.CHARGEBACK_OPENED, EventKind.CHARGEBACK_WON, EventKind.CHARGEBACK_LOST
SUBSCRIPTION, CUSTOMER = EventKind.SUBSCRIPTION, EventKind.CUSTOMER
SEATS = f"{MAPPING}&is_usemultipleactivationskey=false"


@pytest.fixture
def shop(open_plain_shop: OpenPlainShop) -> PlainShop:
    """A shop whose product 101 is mapped, and whose refunds revoke."""
    shop = open_plain_shop(vendors__plain__revoke_on_refund="true")
    shop.map("101")
    return shop


def licenses(shop: PlainShop, order: str = "") -> list[dict[str, Any]]:
    with shop.service.database.reading():
        return listings.licenses(now=shop.clock(), order=order)


def statuses(shop: PlainShop) -> list[str]:
    return [row["status"] for row in licenses(shop)]


def notifications(shop: PlainShop, order: str = "") -> list[dict[str, Any]]:
    with shop.service.database.reading():
        return listings.notifications(order=order)


def states(shop: PlainShop) -> list[str]:
    return [row["state"] for row in notifications(shop)]


def outbox(shop: PlainShop, kind: str) -> list[dict[str, Any]]:
    with shop.service.database.reading():
        return [row for row in listings.outbox_rows() if row["kind"] == kind]


def mails(shop: PlainShop) -> list[tuple[str, str]]:
    return [(row["order_ref"], row["to"]) for row in outbox(shop, "mail")]


def alerts(shop: PlainShop) -> list[str]:
    return [row["subject"] for row in outbox(shop, "alert")]


class TestWholeOrders:
    """A refund or dispute that names no line is about all of them."""

    def test_a_refund_revokes_every_license_of_the_order(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line("a"), line("b")))

        shop.tell(event(REFUNDED, on=2, whole_order=True))

        assert statuses(shop) == ["revoked", "revoked"]
        assert states(shop) == ["done", "done"]

    @pytest.mark.parametrize("kind", [REFUNDED, OPENED, LOST])
    def test_what_comes_before_its_order_is_held_until_it_comes(self, shop: PlainShop, kind: EventKind) -> None:
        shop.tell(event(kind, on=2, whole_order=True))
        waiting = states(shop)

        shop.tell(event(PAID, line()))

        assert waiting == ["held"]
        assert "held" not in states(shop)
        assert "active" not in statuses(shop)

    @pytest.mark.parametrize(
        "told",
        [
            event(REFUNDED),
            event(REFUNDED, line(), whole_order=True),
            event(PAID),
            event(PAID, line(), order=""),
            event(REFUNDED, line(), line()),
            event(EventKind.UNDER_REVIEW, whole_order=True),
            event(SUBSCRIPTION, line(), order=""),
            event(CUSTOMER, order=""),
        ],
        ids=[
            "no line",
            "both",
            "paid nothing",
            "no order",
            "a line twice",
            "a review of nothing",
            "no subscription",
            "nobody",
        ],
    )
    def test_an_event_that_says_nothing_usable_is_refused(self, shop: PlainShop, told: Any) -> None:
        """With a sentence for the plugin's author; the notification is kept."""
        answer = shop.tell(told)

        assert answer.status_code == 400
        assert "plugin's" in answer.text
        assert states(shop) == ["held"]

    def test_a_refund_of_a_line_that_was_not_sold_is_held(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line("1")))

        shop.tell(event(REFUNDED, line("9", product="303"), on=1))

        assert (states(shop), statuses(shop)) == (["done", "held"], ["active"])
        assert notifications(shop)[1]["reason"].startswith("Order 1 has no paid line 9; ")

    def test_the_older_word_of_a_dispute_is_no_news(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line()))
        shop.tell(event(WON, on=5, whole_order=True))
        told = alerts(shop)

        shop.tell(event(OPENED, on=2, whole_order=True))

        assert (alerts(shop), statuses(shop)) == (told, ["active"])


class TestNames:
    """One sale under several names."""

    def test_a_refund_by_another_name_is_the_orders(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(), order="in_1", also_known_as=("pi_1",)))

        shop.tell(event(REFUNDED, order="ch_1", also_known_as=("pi_1",), on=1, whole_order=True))

        assert statuses(shop) == ["revoked"]
        assert states(shop) == ["done", "done"]

    def test_names_join_in_any_order_of_arrival(self, shop: PlainShop) -> None:
        shop.tell(event(REFUNDED, order="ch_1", on=3, whole_order=True))
        shop.tell(event(PAID, line(), order="in_1"))
        before = statuses(shop)

        shop.tell(event(EventKind.UNDER_REVIEW, line(), order="pi_1", also_known_as=("in_1", "ch_1")))

        assert before == ["active"]
        assert statuses(shop) == ["revoked"]
        assert "held" not in states(shop)

    def test_one_sale_told_under_two_names_is_one_license(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(), order="cs_1"))

        shop.tell(event(PAID, line("other"), order="in_1", also_known_as=("cs_1",), on=1))

        assert [(row["order_ref"], row["status"]) for row in licenses(shop)] == [("cs_1", "active")]
        assert len(mails(shop)) == 1

    def test_two_licenses_that_turn_out_to_be_of_one_sale_become_one(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(), order="cs_1"))
        shop.tell(event(PAID, line("other"), order="in_1"))

        shop.tell(event(OPENED, order="ch_1", also_known_as=("cs_1", "in_1"), on=1, whole_order=True))

        assert sorted(statuses(shop)) == ["revoked", "suspended"]
        assert "Order in_1: two licenses were one" in alerts(shop)

    def test_a_license_is_found_by_every_name(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(), order="in_1", also_known_as=("pi_1", "ch_1")))

        found = {name: [row["order_ref"] for row in licenses(shop, order=name)] for name in ("in_1", "pi_1", "ch_1")}

        assert found == {"in_1": ["in_1"], "pi_1": ["in_1"], "ch_1": ["in_1"]}


class TestBatches:
    """Several orders in one request."""

    def test_each_order_is_licensed_and_found_by_itself(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(), order="1"), event(PAID, line(), order="2"))

        assert [row["order_ref"] for row in licenses(shop)] == ["1", "2"]
        assert len(notifications(shop, order="2")) == 1

    def test_an_ignored_test_order_takes_no_live_one_with_it(self, open_plain_shop: OpenPlainShop) -> None:
        shop = open_plain_shop(vendors__plain__test_orders="ignore")
        shop.map("101")

        shop.tell(event(PAID, line(), order="1", test=True), event(PAID, line(), order="2"))

        assert [row["order_ref"] for row in licenses(shop)] == ["2"]

    def test_a_hold_is_filed_under_its_own_order(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(), order="1"), event(PAID, line(product="999"), order="2"))

        assert [row["order_ref"] for row in licenses(shop)] == ["1"]
        assert "Held: order 2" in alerts(shop)

    def test_the_operator_is_told_which_subscription_is_unclear(self, shop: PlainShop) -> None:
        shop.tell(event(SUBSCRIPTION, line("S9", ref="S9"), order="", unclear="Its state is unknown."))

        assert [row["subject"] for row in waiting(shop, "alert")] == ["Held: subscription S9"]

    def test_an_unclear_order_is_held_alone(self, shop: PlainShop) -> None:
        unclear = event(REFUNDED, order="2", unclear="Look the order up in the shop.")

        shop.tell(event(PAID, line(), order="1"), unclear)

        [row] = notifications(shop, order="2")
        assert (row["state"], row["reason"]) == ("held", "Look the order up in the shop.")
        assert statuses(shop) == ["active"]
        assert "Held: order 2" in alerts(shop)


class TestPlans:
    """Another plan, without an order."""

    def test_a_subscription_gets_fewer_keys_without_an_order(self, shop: PlainShop) -> None:
        shop.map("101", SEATS)
        shop.tell(event(PAID, line(quantity=3, ref="S", ends=30)))

        shop.tell(changed(line("S", ref="S", quantity=1, ends=30)))

        assert statuses(shop) == ["active", "revoked", "revoked"]

    def test_a_subscription_changes_its_product_without_an_order(self, shop: PlainShop) -> None:
        shop.map("202", MAPPING.replace("is_productid=1", "is_productid=2"))
        shop.tell(event(PAID, line(ref="S", ends=30)))

        shop.tell(changed(line("S", product="202", ref="S", ends=30)))

        assert [(row["product_id"], row["vendor_product_id"]) for row in licenses(shop)] == [(2, "202")]

    def test_what_a_plan_was_sold_by_outlasts_its_mapping(self, shop: PlainShop) -> None:
        shop.map("202", MAPPING.replace("is_productid=1", "is_productid=2"))
        shop.tell(event(PAID, line(ref="S", ends=30)))
        shop.tell(changed(line("S", product="202", ref="S", ends=30)))
        shop.map("202", MAPPING.replace("is_productid=1", "is_productid=3"))

        shop.tell(event(SUBSCRIPTION, line("S", ref="S", ends=60), order="", on=9, standing=Standing()))

        assert [row["product_id"] for row in licenses(shop)] == [2]

    def test_a_plan_without_a_mapping_waits_for_it(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(ref="S", ends=30)))

        shop.tell(changed(line("S", product="202", ref="S", ends=30)))

        assert [row["vendor_product_id"] for row in licenses(shop)] == ["101"]
        assert states(shop) == ["done", "held"]

    def test_a_plan_that_is_mapped_late_is_sold_by_its_own_terms(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(ref="S", ends=30)))
        shop.tell(changed(line("S", product="202", ref="S", ends=30)))

        shop.map("202", MAPPING.replace("is_productid=1", "is_productid=2"))
        shop.service.intake.replay(2)

        assert [(row["product_id"], row["vendor_product_id"]) for row in licenses(shop)] == [(2, "202")]
        assert states(shop) == ["done", "done"]

    def test_a_plan_of_two_lines_changes_both(self, shop: PlainShop) -> None:
        shop.map("202", MAPPING.replace("is_productid=1", "is_productid=2"))
        shop.tell(event(PAID, line("a", ref="S", ends=30), line("b", ref="S", ends=30)))

        answer = shop.tell(changed(line("S", product="202", ref="S", ends=30)))

        assert answer.status_code == 200
        assert [row["product_id"] for row in licenses(shop)] == [2, 2]

    def test_a_plan_that_comes_before_its_sale_is_sold_by_both(self, shop: PlainShop) -> None:
        """The line by its own terms, for what comes after the plan; the plan by those of its product."""
        shop.map("202", MAPPING.replace("is_productid=1", "is_productid=2"))
        shop.tell(changed(line("S", product="202", ref="S", ends=30)))
        shop.tell(event(PAID, line(ref="S", ends=30)))
        shop.map("101", MAPPING.replace("is_productid=1", "is_productid=9"))
        changed_only = [row["product_id"] for row in licenses(shop)]

        back = event(SUBSCRIPTION, line("S", ref="S", ends=30), order="", on=8, standing=Standing(replaces=True))
        shop.tell(back)

        assert (changed_only, [row["product_id"] for row in licenses(shop)]) == ([2], [1])


def changed(item: Item) -> Any:
    return event(SUBSCRIPTION, item, order="", on=5, standing=Standing(replaces=True))


class TestSubscriptions:
    """The end for good, and groups."""

    def test_what_is_over_for_good_is_not_revived_by_a_late_invoice(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(ref="S", ends=300)))
        shop.tell(over())

        shop.tell(event(PAID, line(ref="S", ends=600), order="2", on=9))

        assert statuses(shop) == ["expired"]
        assert "Order 2 pays for a license that is over" in alerts(shop)
        assert [order for order, _ in mails(shop)] == ["1"]

    def test_what_is_said_of_a_group_is_said_of_each_of_its_subscriptions(self, shop: PlainShop) -> None:
        items = (member("a", "si_1"), member("b", "si_2"))
        shop.tell(event(PAID, *items), event(PAID, line(), order="2"))

        shop.tell(of_group(Standing(stopped=True)))

        assert {row["line"]: row["status"] for row in licenses(shop)} == {
            "a": "suspended",
            "b": "suspended",
            LINE: "active",
        }

    def test_a_group_that_is_not_known_yet_waits(self, shop: PlainShop) -> None:
        shop.tell(of_group(Standing(stopped=True)))
        waiting = states(shop)

        shop.tell(event(PAID, member("a", "si_1")))

        assert (waiting, states(shop), statuses(shop)) == (["held"], ["done", "done"], ["suspended"])


def over() -> Any:
    return event(SUBSCRIPTION, line("S", ref="S", ends=300), order="", on=5, standing=Standing(final=True))


def member(name: str, reference: str) -> Item:
    return Item(line=name, product_id="101", subscription_ref=reference, group_ref="sub_1", expires_at=day(30))


def of_group(standing: Standing) -> Any:
    item = Item(line="sub_1", product_id="", group_ref="sub_1")
    return event(SUBSCRIPTION, item, order="", on=5, standing=standing)


class TestDisputes:
    """Two disputes of one order have names."""

    def test_one_that_is_won_leaves_the_other_open(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line()))
        for case in ("dp_1", "dp_2"):
            shop.tell(event(OPENED, on=1, whole_order=True, case_ref=case))
        shop.tell(event(WON, on=2, whole_order=True, case_ref="dp_1"))
        one_open = statuses(shop)

        shop.tell(event(WON, on=3, whole_order=True, case_ref="dp_2"))

        assert (one_open, statuses(shop)) == (["suspended"], ["active"])


class TestCustomers:
    """Who bought is said in another message than what was bought."""

    def test_the_mail_waits_for_the_customer(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(), customer=Customer(), customer_ref="cus_1"))
        before = statuses(shop), states(shop), mails(shop), alerts(shop)

        shop.tell(event(CUSTOMER, order="", customer_ref="cus_1", customer=Customer(email="bea@example.com"), on=1))

        assert before == (["active"], ["held"], [], [])
        assert mails(shop) == [("1", "bea@example.com")]
        assert states(shop) == ["done", "done"]

    def test_a_customer_who_was_told_of_before_is_known(self, shop: PlainShop) -> None:
        shop.tell(event(CUSTOMER, order="", customer_ref="cus_1", customer=Customer(email="bea@example.com")))

        shop.tell(event(PAID, line(), customer=Customer(), customer_ref="cus_1", on=1))

        assert mails(shop) == [("1", "bea@example.com")]
        assert states(shop) == ["ignored", "done"]

    def test_a_customer_without_an_address_is_told_to_the_operator(self, shop: PlainShop) -> None:
        """The mail does not wait for what has come: it cannot go out."""
        shop.tell(event(PAID, line(), customer=Customer(), customer_ref="cus_1"))

        shop.tell(event(CUSTOMER, order="", customer_ref="cus_1", customer=Customer(first_name="Bea"), on=1))

        assert alerts(shop) == ["Order 1: the license is issued, but not mailed"]
        assert states(shop) == ["done", "done"]

    def test_a_customer_named_by_the_order_joins_by_it(self, shop: PlainShop) -> None:
        shop.tell(event(PAID, line(), customer=Customer()))

        shop.tell(event(CUSTOMER, order="1", customer=Customer(email="bea@example.com"), on=1))

        assert mails(shop) == [("1", "bea@example.com")]


class TestAmounts:
    def test_amount_and_currency_are_kept_to_the_digit(self, shop: PlainShop) -> None:
        paid = Item(line="a", product_id="101", amount=Decimal("29.90"), currency="EUR")

        shop.tell(event(PAID, paid))

        with shop.service.database.reading():
            [fact] = fact_store.of_order("plain", "1")
        assert fact.item == paid

    def test_an_amount_without_a_currency_is_refused(self, shop: PlainShop) -> None:
        answer = shop.tell(event(PAID, Item(line="a", product_id="101", amount=Decimal(1))))

        assert answer.status_code == 400


def told_by(answer: TestResponse) -> list[dict[str, Any]]:
    """The licenses that a receipt names."""
    told: list[dict[str, Any]] = json.loads(answer.text)["licenses"]
    return told


class TestReceipts:
    def test_a_receipt_knows_the_licenses_just_issued(self, shop: PlainShop) -> None:
        shop.map("101", SEATS)

        answer = shop.tell(event(PAID, line("a", quantity=2)))

        told = [(each["key"], each["order_ref"], each["line"], each["unit"]) for each in told_by(answer)]
        assert told == [(row["key"], "1", "a", row["unit"]) for row in licenses(shop)]

    def test_a_repeat_is_answered_with_the_same_keys(self, shop: PlainShop) -> None:
        first = shop.tell(event(PAID, line()))

        second = shop.tell(event(PAID, line()))

        assert told_by(first) == told_by(second) != []

    def test_no_license_that_may_not_be_used_is_told(self, shop: PlainShop) -> None:
        shop.tell(event(REFUNDED, on=1, whole_order=True))

        answer = shop.tell(event(PAID, line()))

        assert told_by(answer) == []

    def test_another_status_than_200(self, open_plain_shop: OpenPlainShop) -> None:
        shop = open_plain_shop(vendors__plain__receipt_status="202")
        shop.map("101")

        assert shop.tell(event(PAID, line())).status_code == 202
