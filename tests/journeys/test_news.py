"""What is news and what was known: messages that are sent again, come late, or were made in one second."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations

import pytest

from tests.conftest import Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.life import FIRST, FIRST_END, RENEWAL, RENEWED_END, Message, decide, dismiss, pick, post
from tests.support.looking import alerts, waiting

LATER = "20260301000000"
"""When an order is sent again, after everything else has happened."""

STOPPED = Subscription(disabled="1")
SHORTENED = Subscription(expires="2026-06-01 00:00:00")
SHORTENED_END = "2026-05-31T21:00:00Z"
MOVED = Subscription(email="new@example.com")
AUTHORIZED = FIRST.changed(status="PAYMENT_AUTHORIZED")


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """A shop with one product."""
    shop.map("101")
    return shop


def outcome(shop: Shop) -> list[tuple[str, str, str]]:
    """The status, the end and the customer's address of each license."""
    return [
        (status, end, customer["email"]) for status, end, customer in pick(shop, "status", "expires_at", "customer")
    ]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (STOPPED, ("suspended", FIRST_END, "a@example.com")),
        (SHORTENED, ("active", SHORTENED_END, "a@example.com")),
        (MOVED, ("active", FIRST_END, "new@example.com")),
    ],
    ids=["stopped", "shortened", "moved"],
)
def test_a_payment_is_news_once(shop: Shop, since: Subscription, expected: tuple[str, str, str]) -> None:
    """Each re-send has a date of its own; whatever the shop said of the subscription since stands."""
    post(shop, AUTHORIZED, since, FIRST.changed(ipn_date=LATER))

    assert outcome(shop) == [expected]


def test_a_transfer_that_arrives_after_the_shop_spoke_is_news(shop: Shop) -> None:
    """It was placed before, and paid after."""
    post(shop, STOPPED, FIRST.changed(status="PAYMENT_RECEIVED", ipn_date=LATER))

    assert pick(shop, "status") == [("active",)]


def test_another_address_in_a_later_message_about_an_order_is_news(shop: Shop) -> None:
    """A merchant corrected it and had the order sent again; the mail that waits goes there."""
    post(shop, FIRST, FIRST.changed(ipn_date=LATER, email="right@example.com"))

    assert outcome(shop) == [("active", FIRST_END, "right@example.com")]
    assert [row["to"] for row in waiting(shop, "mail")] == ["right@example.com"]


@pytest.mark.parametrize("again", [{"first_name": "Anne"}, {"email": "A@Example.com"}, {"extra": [("PHONE", "+1 5")]}])
def test_another_name_brings_no_earlier_address_back(shop: Shop, again: dict[str, object]) -> None:
    """The order has named this address before, in whatever letters."""
    post(shop, AUTHORIZED, MOVED, FIRST.changed(ipn_date=LATER, **again))

    assert outcome(shop) == [("active", FIRST_END, "new@example.com")]


def test_a_name_that_is_told_again_is_no_news(shop: Shop) -> None:
    """What the subscription's message said of the customer since counts."""
    post(shop, FIRST, Subscription(last_name="Jones"), FIRST.changed(ipn_date=LATER))

    assert [customer["last_name"] for (customer,) in pick(shop, "customer")] == ["Jones"]


class TestOneSecond:
    """Messages that the shop dates to the same second."""

    @pytest.mark.parametrize("words", list(permutations(["ACTIVE", "DISABLED", "PAUSED"])))
    def test_the_last_one_to_arrive_counts(self, shop: Shop, words: Sequence[str]) -> None:
        post(shop, FIRST, *(Subscription(status=word) for word in words))

        assert pick(shop, "status") == [("active" if words[-1] == "ACTIVE" else "suspended",)]
        assert {why for (why,) in pick(shop, "barred_why")} == {
            {"ACTIVE": "", "DISABLED": "The subscription is stopped.", "PAUSED": "The subscription is paused."}[
                words[-1]
            ]
        }

    @pytest.mark.parametrize("arrival", list(permutations([("7", "x@example.com"), ("8", "y@example.com")])))
    def test_the_shops_own_sequence_decides(self, shop: Shop, arrival: Sequence[tuple[str, str]]) -> None:
        """Whichever arrives first."""
        post(shop, *(FIRST.changed(email=email, extra=[("MESSAGE_ID", number)]) for number, email in arrival))

        assert outcome(shop) == [("active", FIRST_END, "y@example.com")]


@pytest.mark.parametrize("since", ["reinstate", "renewal"])
def test_what_an_undated_message_says_again_is_news_after_something_happened(shop: Shop, since: str) -> None:
    """An operator's decision, or a payment; to the byte the same message."""
    undated = Subscription(status="DISABLED", without=["DATE_UPDATED"])
    post(shop, FIRST, undated)
    if since == "reinstate":
        decide(shop, "reinstate")
    else:
        post(shop, RENEWAL)
    between = pick(shop, "status")
    shop.clock.now += timedelta(days=400)

    post(shop, undated)

    assert (between, pick(shop, "status")) == ([("active",)], [("suspended",)])


class TestDismissed:
    """What an operator closed without applying it."""

    @pytest.fixture
    def unmapped(self, shop: Shop) -> Shop:
        """A shop with an order of a product without a property, which the operator dismissed."""
        post(shop, FIRST.changed(lines=[Line(pid="404")]))
        dismiss(shop, 1)
        shop.map("404")
        return shop

    @pytest.mark.parametrize("later", [Subscription(pid="404"), Order(refno="900000009", lines=[Line(ref="OTHER")])])
    def test_it_takes_no_effect_later(self, unmapped: Shop, later: Message) -> None:
        """Neither when the subscription changes nor with another order."""
        post(unmapped, later)

        assert [ref for (ref,) in pick(unmapped, "subscription_ref") if ref == "AAAAAAAAAA"] == []

    def test_its_own_next_message_does_not_bring_it_back(self, unmapped: Shop) -> None:
        """The operator is told once, with the command that applies it all the same."""
        again = [FIRST.changed(lines=[Line(pid="404")], ipn_date=f"2026010{day}000000") for day in (2, 3)]

        post(unmapped, *again)
        before = pick(unmapped, "key")
        [text] = [text for text in alerts(unmapped) if "dismissed" in text]
        unmapped.service.intake.replay(1)

        assert before == []
        assert "`qlmhook notification replay 1`" in text
        assert pick(unmapped, "status") == [("active",)]

    def test_what_took_effect_before_stays(self, shop: Shop) -> None:
        """One line was licensed, the other was held: the license of the first goes on."""
        post(shop, FIRST.changed(lines=[Line(), Line(pid="404", ref="BBBBBBBBBB")]))
        dismiss(shop, 1)
        shop.map("404")

        post(shop, RENEWAL, Subscription(ref="BBBBBBBBBB", pid="404"))

        assert pick(shop, "subscription_ref", "expires_at") == [("AAAAAAAAAA", RENEWED_END)]
