"""Refunds, disputes and cancellations, where they meet renewals, units, decisions and each other."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from qlmhook.domain.events import Message
from tests.conftest import OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.life import (
    FIRST,
    FIRST_END,
    ONE_KEY_PER_UNIT,
    RENEWAL,
    RENEWED_END,
    REVOKING,
    chargeback,
    decide,
    pick,
    post,
)
from tests.support.life import refund_of as refund
from tests.support.looking import alerts, states, waiting

pytestmark = pytest.mark.sqlite
"""What happens to a license is worked out before the database is asked."""


FIVE = FIRST.changed(lines=[Line(quantity="5"), Line(pid="102", name="Beta", ref="BBBBBBBBBB")])


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    """A shop that revokes what is refunded, with two products."""
    shop = open_shop(**REVOKING)
    shop.map("101")
    shop.map("102")
    return shop


def in_part(units: str, total: str = "-10.00", **changes: object) -> Order:
    """A refund of some units of the first line beside a second one that is not refunded."""
    lines = [Line(quantity=units), Line(pid="102", name="Beta", ref="BBBBBBBBBB")]
    amounts = [("REFUND_TYPE", "PARTIAL"), ("IPN_TOTAL[]", total), ("IPN_TOTAL[]", "0.00")]
    return refund(FIVE, lines=lines, extra=amounts, **changes)


def subjects(shop: Shop) -> list[str]:
    return [row["subject"] for row in waiting(shop, "alert")]


class TestUnits:
    """A refund of some units takes those, and no more."""

    def test_one_key_loses_activations(self, shop: Shop) -> None:
        post(shop, FIVE, in_part("2"))

        assert pick(shop, "vendor_product_id", "status", "activations", "quantity") == [
            ("101", "active", 3, 3),
            ("102", "active", 1, 1),
        ]

    def test_the_last_of_several_keys_are_revoked(self, shop: Shop) -> None:
        shop.map("101", ONE_KEY_PER_UNIT)

        post(shop, FIVE, in_part("2"))

        assert pick(shop, "vendor_product_id", "unit", "status") == [
            *(("101", unit, "active" if unit <= 3 else "revoked") for unit in range(1, 6)),
            ("102", 1, "active"),
        ]

    def test_before_the_order_it_is_issued_without_them(self, shop: Shop) -> None:
        post(shop, in_part("2"), FIVE)

        assert pick(shop, "vendor_product_id", "activations") == [("101", 3), ("102", 1)]

    @pytest.mark.parametrize(("told", "left"), [(["2", "2"], 3), (["2", "3"], 2), (["3", "2"], 2), (["-2"], 3)])
    def test_the_same_part_may_be_told_again(self, shop: Shop, told: Sequence[str], left: int) -> None:
        """Of several the largest counts."""
        post(shop, FIVE, *(in_part(units, ipn_date=f"2026122{day}100500") for day, units in enumerate(told)))

        assert pick(shop, "activations") == [(left,), (1,)]

    @pytest.mark.parametrize("told", [["5"], ["2", "5"], ["7"]])
    def test_all_units_are_the_line(self, shop: Shop, told: Sequence[str]) -> None:
        post(shop, FIVE, *(in_part(units, ipn_date=f"2026122{day}100500") for day, units in enumerate(told)))

        assert pick(shop, "vendor_product_id", "status") == [("101", "revoked"), ("102", "active")]

    def test_a_total_refund_takes_all_whatever_its_quantity(self, shop: Shop) -> None:
        post(shop, FIVE, refund(FIVE, extra=[("REFUND_TYPE", "TOTAL"), ("IPN_QTY[]", "1"), ("IPN_QTY[]", "1")]))

        assert pick(shop, "status") == [("revoked",), ("revoked",)]

    def test_without_the_setting_the_license_stays(self, open_shop: OpenShop) -> None:
        """Issued before or after, and the operator is told."""
        shop = open_shop()
        shop.map("101")
        shop.map("102")

        post(shop, in_part("2"), FIVE, FIVE.changed(ipn_date="20261230000000"))

        assert pick(shop, "vendor_product_id", "activations") == [("101", 5), ("102", 1)]
        assert len(alerts(shop)) == 1


class TestAlerts:
    """The operator is told of each thing once, and of another thing again."""

    @pytest.mark.parametrize(
        ("second", "told"),
        [
            pytest.param(in_part("2", ipn_date="20261224100500"), 1, id="the same again"),
            pytest.param(in_part("3", ipn_date="20261224100500"), 2, id="more units"),
            pytest.param(in_part("2", "-15.00", ipn_date="20261224100500"), 2, id="another amount"),
            pytest.param(refund(FIVE, ipn_date="20261224100500"), 2, id="all of it"),
        ],
    )
    def test_a_second_refund(self, shop: Shop, second: Order, told: int) -> None:
        post(shop, FIVE, in_part("2"), second)

        assert subjects(shop) == ["Order 900000001 of avangate: refunded"] * told

    def test_a_dispute_that_is_opened_again(self, shop: Shop) -> None:
        """And not that it is still open."""
        words = ["OPEN", "OPEN", "WON", "WON", "OPEN", "LOST", "LOST"]

        post(shop, FIRST, *(chargeback(word, day + 1) for day, word in enumerate(words)))

        told = [subject.removeprefix("Order 900000001 of avangate: chargeback ") for subject in subjects(shop)]
        assert told == ["opened", "won", "opened", "lost"]

    def test_a_payment_of_what_was_canceled(self, shop: Shop) -> None:
        """Nothing is issued, and somebody is told, once; or that it was canceled, if the payment was only late."""
        canceled = FIRST.changed(status="CANCELED", ipn_date="20260102100500")

        post(shop, canceled, FIRST)
        told_of_late = subjects(shop)
        post(shop, *(FIRST.changed(ipn_date=f"2026010{day}100500") for day in (3, 4)))

        assert told_of_late == ["Order 900000001 of avangate: canceled"]
        assert pick(shop, "key") == []
        assert subjects(shop) == [*told_of_late, "Order 900000001 of avangate is paid after it was canceled"]
        assert set(states(shop)) == {"ignored"}


class TestDisputes:
    """A lost dispute is about its own order."""

    @pytest.mark.parametrize("messages", list(permutations([FIRST, RENEWAL, chargeback("LOST")])))
    def test_a_lost_first_order_leaves_the_renewal(self, shop: Shop, messages: Sequence[Order]) -> None:
        post(shop, *messages)

        assert pick(shop, "status", "expires_at") == [("active", RENEWED_END)]

    @pytest.mark.parametrize("messages", list(permutations([FIRST, RENEWAL, chargeback("LOST", order=RENEWAL)])))
    def test_a_lost_renewal_leaves_the_first_order(self, shop: Shop, messages: Sequence[Order]) -> None:
        post(shop, *messages)

        assert pick(shop, "status", "expires_at") == [("active", FIRST_END)]

    def test_with_all_lost_the_license_is_revoked(self, shop: Shop) -> None:
        post(shop, FIRST, RENEWAL, chargeback("LOST"), chargeback("LOST", order=RENEWAL))

        assert pick(shop, "status", "barred_why") == [("revoked", "The chargeback of order 900000002 is lost.")]

    @pytest.mark.parametrize(
        ("words", "status"),
        [
            (["LOST", "WON"], "active"),
            (["OPEN", "LOST", "WON"], "active"),
            (["WON", "LOST"], "revoked"),
            (["LOST", "OPEN"], "suspended"),
        ],
    )
    def test_the_newest_word_counts(self, shop: Shop, words: Sequence[str], status: str) -> None:
        """Also of a dispute that was lost: banks decide twice."""
        post(shop, FIRST, *(chargeback(word, day + 1) for day, word in enumerate(words)))

        assert pick(shop, "status") == [(status,)]

    def test_the_renewal_of_a_revoked_license_is_mailed_and_makes_it_active(self, shop: Shop) -> None:
        post(shop, FIRST, chargeback("LOST"))
        before = pick(shop, "status")

        post(shop, RENEWAL)

        assert (before, pick(shop, "status", "expires_at")) == ([("revoked",)], [("active", RENEWED_END)])
        assert RENEWAL.refno in [row["order_ref"] for row in waiting(shop, "mail")]


@pytest.mark.parametrize("action", ["revoke", "suspend"])
def test_a_payment_for_a_license_that_the_operator_barred_is_told(shop: Shop, action: str) -> None:
    """Once, with the command that gives it back; then it is mailed."""
    post(shop, FIRST)
    decide(shop, action)

    post(shop, RENEWAL, RENEWAL.changed(ipn_date="20261202100500"))
    [text] = alerts(shop)
    mailed_before = [row["order_ref"] for row in waiting(shop, "mail")]
    decide(shop, "reinstate")

    [(key, status)] = pick(shop, "key", "status")
    assert f"`qlmhook license reinstate {key}`" in text
    assert mailed_before == [FIRST.refno]
    assert status == "active"
    assert [row["order_ref"] for row in waiting(shop, "mail")] == [FIRST.refno, RENEWAL.refno]


class TestEnds:
    """Where a refund meets what the shop says of the subscription."""

    RENEWED = Subscription(updated="2026-12-02 00:00:00", expires="2028-01-01 00:00:00")

    @pytest.mark.parametrize("messages", list(permutations([RENEWED, refund(RENEWAL)])))
    def test_a_refunded_renewal_takes_the_end_that_the_shop_told_of_it(
        self, shop: Shop, messages: Sequence[Order | Subscription]
    ) -> None:
        post(shop, FIRST, RENEWAL, *messages)

        assert pick(shop, "expires_at") == [(FIRST_END,)]

    @pytest.mark.parametrize(
        "taken",
        [refund(RENEWAL, extra=[("REFUND_TYPE", "TOTAL")]), chargeback("LOST", 20, RENEWAL)],
        ids=["refunded", "lost"],
    )
    @pytest.mark.parametrize("renewed_at", [1, 2, 3, None])
    def test_it_does_so_whatever_arrives_first(self, shop: Shop, taken: Order, renewed_at: int | None) -> None:
        """Also when the renewal is told last, or nothing tells that it was paid."""
        messages: list[Order | Subscription] = [FIRST, self.RENEWED, taken]
        if renewed_at is not None:
            messages.insert(renewed_at, RENEWAL)

        post(shop, *messages)

        assert pick(shop, "expires_at") == [(FIRST_END,)]

    def test_a_refund_of_all_units_takes_it_before_the_renewal_is_known(self, shop: Shop) -> None:
        """Though it names their number."""
        post(shop, FIRST, self.RENEWED, refund(RENEWAL), RENEWAL)

        assert pick(shop, "expires_at") == [(FIRST_END,)]

    def test_a_cart_that_was_left_takes_no_end(self, shop: Shop) -> None:
        """What is canceled without a payment was never in the end that the shop told."""
        later = Subscription(updated="2026-12-02 00:00:00", expires="2027-06-01 00:00:00")

        post(shop, FIRST, later, RENEWAL.changed(status="CANCELED", ipn_date="20261220100500"))

        assert pick(shop, "expires_at") == [("2027-05-31T21:00:00Z",)]

    def test_what_the_shop_says_after_the_refund_counts(self, shop: Shop) -> None:
        after = Subscription(updated="2026-12-30 00:00:00", expires="2027-06-01 00:00:00")

        post(shop, FIRST, RENEWAL, self.RENEWED, refund(RENEWAL), after)

        assert pick(shop, "expires_at") == [("2027-05-31T21:00:00Z",)]

    def test_an_end_that_was_shortened_before_stays(self, shop: Shop) -> None:
        shortened = Subscription(updated="2026-12-02 00:00:00", expires="2026-12-10 00:00:00")

        post(shop, FIRST, RENEWAL, shortened, refund(RENEWAL))

        assert pick(shop, "expires_at") == [("2026-12-09T22:00:00Z",)]


def test_of_two_lines_of_one_product_each_has_its_own_options(shop: Shop) -> None:
    """2Checkout lists the options of a product one line after the other."""
    shop.map("101_gold", "&is_features=0:1")
    shop.map("101_blue", "&is_features=0:2")
    lines = [Line(ref="G"), Line(ref="B")]
    chosen = [("IPN_PRODUCT_OPTIONS_101_VALUE[]", value) for value in ("gold", "blue")]

    post(shop, FIRST.changed(lines=lines, extra=chosen))

    assert pick(shop, "subscription_ref", "features") == [("G", "0:1"), ("B", "0:2")]


def test_options_that_cannot_be_shared_out_are_for_a_person(shop: Shop) -> None:
    lines = [Line(ref="G"), Line(ref="B")]
    chosen = [("IPN_PRODUCT_OPTIONS_101_VALUE[]", value) for value in ("gold", "blue", "teal")]

    post(shop, FIRST.changed(lines=lines, extra=chosen))

    assert states(shop) == ["held"]
    assert "its options do not tell which line they are for" in alerts(shop)[0]


class TestTestOrders:
    """`test_orders = "ignore"` is about test orders."""

    @pytest.fixture
    def shop(self, open_shop: OpenShop) -> Shop:
        shop = open_shop(vendors__avangate__test_orders="ignore")
        shop.map("101")
        return shop

    def test_a_live_order_beside_a_test_order_is_licensed(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a shop tells of several orders in one message."""
        [account] = shop.service.accounts
        parse = account.vendor.parse

        def parse_two(notification: object) -> Message:
            message = parse(notification)  # type: ignore[arg-type]
            [live] = message.events
            items = tuple(replace(item, subscription_ref="TEST") for item in live.items)
            return Message(
                kind=message.kind,
                order_ref=message.order_ref,
                order_status=message.order_status,
                events=(replace(live, order_ref="T1", test=True, items=items), live),
            )

        monkeypatch.setattr(account.vendor, "parse", parse_two)

        post(shop, FIRST)

        assert pick(shop, "order_ref") == [(FIRST.refno,)]


def test_every_order_that_took_effect_is_remembered(open_shop: OpenShop) -> None:
    """Two that waited for one mapping took effect at once: a refund that is recorded leaves both."""
    shop = open_shop()
    post(shop, FIRST, RENEWAL)
    shop.map("101")
    shop.service.intake.replay(1)

    post(shop, refund(RENEWAL))

    assert pick(shop, "status", "expires_at") == [("active", RENEWED_END)]
