"""Money that goes back: from the shop's message to the license, the mails and what the operator is told.

What becomes of a license in each case is told in tests/domain, what 2Checkout's messages mean in
tests/plugins/avangate/test_ipn.py.
"""

from pathlib import Path

import pytest

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
from tests.support.looking import alerts, notifications, states, waiting
from tests.support.server import command

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


class TestSettings:
    """`revoke_on_refund` and `revoke_on_cancel`: what becomes of a license, and what the operator is told."""

    @pytest.mark.parametrize(
        ("on", "status", "told"),
        [
            pytest.param(True, "revoked", "The purchase counts no more.", id="on"),
            pytest.param(False, "active", "Shown and alerted", id="off"),
        ],
    )
    @pytest.mark.parametrize(
        ("word", "setting"),
        [("REFUND", "revoke_on_refund"), ("REVERSED", "revoke_on_refund"), ("CANCELED", "revoke_on_cancel")],
    )
    def test_each_word_has_its_setting(
        self, open_shop: OpenShop, word: str, setting: str, on: bool, status: str, told: str
    ) -> None:
        """The other one is the other way; nobody is mailed again."""
        settings = {name: str(on is (name == setting)).lower() for name in ("revoke_on_refund", "revoke_on_cancel")}
        shop = open_shop(**{f"vendors__avangate__{name}": value for name, value in settings.items()})
        shop.map("101")

        post(shop, FIRST, refund(FIRST, status=word))

        assert pick(shop, "status", "expires_at") == [(status, FIRST_END)]
        [alert] = alerts(shop)
        assert alert.startswith(told)
        assert len(waiting(shop, "mail")) == 1

    def test_what_is_only_recorded_leaves_every_order_that_took_effect(self, open_shop: OpenShop) -> None:
        """Two that waited for one mapping took effect at once."""
        shop = open_shop()
        post(shop, FIRST, RENEWAL)
        shop.map("101")
        shop.service.intake.replay(1)

        post(shop, refund(RENEWAL))

        assert pick(shop, "status", "expires_at") == [("active", RENEWED_END)]


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


class TestAlerts:
    """The operator is told of each thing once, and of another thing again."""

    @pytest.mark.parametrize(("units", "told"), [("2", 1), ("3", 2)], ids=["the same again", "more units"])
    def test_a_second_refund(self, shop: Shop, units: str, told: int) -> None:
        second = in_part(units, ipn_date="20261224100500")

        post(shop, FIVE, in_part("2"), second)

        assert subjects(shop) == ["Order 900000001 of avangate: refunded"] * told

    def test_a_dispute_that_is_opened_again(self, shop: Shop) -> None:
        """And not that it is still open; each with what it does."""
        words = ["OPEN", "OPEN", "WON", "WON", "OPEN", "LOST", "LOST"]
        opened = "The license is suspended until the dispute ends."

        post(shop, FIRST, *(chargeback(word, day + 1) for day, word in enumerate(words)))

        told = [subject.removeprefix("Order 900000001 of avangate: chargeback ") for subject in subjects(shop)]
        assert told == ["opened", "won", "opened", "lost"]
        for text, what in zip(
            alerts(shop),
            [opened, "The suspension by the dispute ends.", opened, "The license is revoked, unless"],
            strict=True,
        ):
            assert text.startswith(what)

    @pytest.mark.parametrize("status", ["CANCELED", "REVERSED"])
    def test_a_cart_that_was_left_is_no_news(self, shop: Shop, status: str) -> None:
        post(shop, FIRST.changed(status="PENDING"), FIRST.changed(status=status))

        assert alerts(shop) == []

    def test_what_is_usual_is_no_news(self, shop: Shop) -> None:
        post(shop, FIRST, Subscription(disabled="1"), RENEWAL)

        assert alerts(shop) == []

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
    def test_a_lost_renewal_leaves_the_first_order(self, shop: Shop) -> None:
        """Whose end the license has then."""
        post(shop, FIRST, RENEWAL, chargeback("LOST", order=RENEWAL))

        assert pick(shop, "status", "expires_at") == [("active", FIRST_END)]

    def test_a_license_that_is_disputed_before_it_is_issued_is_mailed_once_it_is_won(self, shop: Shop) -> None:
        post(shop, chargeback("OPEN"), FIRST)

        assert pick(shop, "status") == [("suspended",)]
        assert waiting(shop, "mail") == []

        post(shop, chargeback("WON", 3))

        assert pick(shop, "status") == [("active",)]
        assert [row["order_ref"] for row in waiting(shop, "mail")] == [FIRST.refno]

    def test_one_of_an_unknown_order_waits_for_that_order_alone(self, shop: Shop) -> None:
        """That its subscription is unknown, too, is the matter of what was told of the subscription."""
        post(shop, Subscription(), chargeback("OPEN"))

        reasons = {row["kind"]: row["reason"] for row in notifications(shop)}
        assert reasons["lcn"].startswith("No paid order of subscription AAAAAAAAAA is known yet;")
        assert "subscription" not in reasons["ipn"]
        assert states(shop) == ["held", "held"]

    def test_the_renewal_of_a_revoked_license_is_mailed_and_makes_it_active(self, shop: Shop) -> None:
        """With the key that the customer has."""
        post(shop, FIRST, chargeback("LOST"))
        [(key, before)] = pick(shop, "key", "status")

        post(shop, RENEWAL)

        assert before == "revoked"
        assert pick(shop, "key", "status", "expires_at") == [(key, "active", RENEWED_END)]
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


def test_a_refunded_renewal_takes_the_end_that_the_shop_told_of_it(shop: Shop) -> None:
    """What the shop said of the subscription since was of both orders."""
    renewed = Subscription(updated="2026-12-02 00:00:00", expires="2028-01-01 00:00:00")

    post(shop, FIRST, RENEWAL, renewed, refund(RENEWAL))

    assert pick(shop, "expires_at") == [(FIRST_END,)]


UNCLEAR = refund(FIRST, extra=[("REFUND_TYPE", "PARTIAL"), ("IPN_TOTAL[]", "-5.00")])


def test_a_refund_that_does_not_say_what_it_is_for_is_held(shop: Shop) -> None:
    """A part of the price is no reason to take the license away; a person is told once, and looks."""
    post(shop, FIRST, UNCLEAR, UNCLEAR)

    assert pick(shop, "status") == [("active",)]
    assert states(shop) == ["done", "held"]
    [alert] = alerts(shop)
    assert alert.startswith("A refund of the type 'PARTIAL' does not say which lines it is for.")


def test_what_was_looked_at_is_dismissed(shop: Shop, tmp_path: Path) -> None:
    """The license is left alone, and the reason is kept."""
    post(shop, FIRST, UNCLEAR)

    finished = command(tmp_path / "qlmhook.toml", "notification", "dismiss", "2", "--why", "a discount")

    assert (finished.returncode, finished.stdout) == (0, "Dismissed 2.\n")
    assert [(row["state"], row["reason"]) for row in notifications(shop)] == [
        ("done", ""),
        ("ignored", "Dismissed: a discount"),
    ]
    assert pick(shop, "status") == [("active",)]
