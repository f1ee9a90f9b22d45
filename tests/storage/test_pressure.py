"""What a message costs does not grow with what waits, nor with the square of what it sells."""

import logging
from collections.abc import Callable, Sequence

import pytest

from tests.conftest import Shop
from tests.plugins.avangate.orders import Line
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.life import FIRST, ONE_KEY_PER_UNIT, Message, pick, post, renewed
from tests.support.looking import states

pytestmark = pytest.mark.sqlite
"""Statements are the same on every engine, near enough."""


Count = Callable[[Sequence[Message]], int]


@pytest.fixture
def count(shop: Shop, caplog: pytest.LogCaptureFixture) -> Count:
    """How many statements messages need, as peewee logs them."""

    def count(messages: Sequence[Message]) -> int:
        with caplog.at_level(logging.DEBUG, logger="peewee"):
            caplog.clear()
            post(shop, *messages)
            return sum(record.name == "peewee" for record in caplog.records)

    return count


def told(number: int) -> Subscription:
    """What the shop says of the subscription at a minute of its own."""
    return Subscription(updated=f"2026-01-10 {number // 60:02}:{number % 60:02}:00")


def test_a_subscription_whose_order_is_missing_costs_the_same_with_each_message(shop: Shop, count: Count) -> None:
    few = count([told(1), told(2)])
    post(shop, *(told(number) for number in range(3, 60)))

    assert count([told(61), told(62)]) <= few + 2
    assert set(states(shop)) == {"held"}


def test_what_waited_for_an_order_is_settled_with_it_at_once(shop: Shop, count: Count) -> None:
    """A handful of statements for each, to write down that it is done."""
    shop.map("101")
    waiting = 60
    post(shop, *(told(number) for number in range(waiting)))

    assert count([FIRST]) < 60 + 8 * waiting
    assert set(states(shop)) == {"done"}


@pytest.mark.parametrize("quantity", [300, 1000])
def test_a_line_of_many_keys_is_written_in_batches(shop: Shop, count: Count, quantity: int) -> None:
    """Issued, repeated and renewed: the statements hardly grow with the keys."""
    shop.map("101", ONE_KEY_PER_UNIT)
    order = FIRST.changed(lines=[Line(quantity=str(quantity))])
    renewal = order.changed(refno="900000002", sale_date="2026-12-01 10:00:00", lines=[renewed(quantity=str(quantity))])

    statements = [count([message]) for message in (order, order.changed(ipn_date="20260102000000"), renewal)]

    assert max(statements) < 60 + quantity // 10
    assert len(pick(shop, "key")) == quantity
    assert len({end for (end,) in pick(shop, "expires_at")}) == 1
