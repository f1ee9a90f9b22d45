"""An order that was taken back takes its part of the end that the shop told of the subscription with it."""

from datetime import datetime

import pytest

from qlmhook.domain import entitlement
from qlmhook.domain.events import EventKind, Item
from qlmhook.domain.facts import Fact, Place
from qlmhook.domain.holds import Hold
from qlmhook.domain.purchases import Circumstances
from qlmhook.domain.rules import Policy
from qlmhook.domain.terms import Terms
from tests.support.made import TERMS, circumstances, day, derived, issued, line, paid, refund, subscription, told

FIRST = paid(line(ends=30))
TOLD = subscription(on=5, ends=90)
TAKES_ONE, TAKES_TWO = line(quantity=1, undone=1), line(quantity=2, undone=2)
OF_SECOND = line(quantity=2, ends=90)


def end(*facts: Fact) -> datetime | None:
    """The end of the license of the first order, which is all that took effect."""
    return derived(facts, circumstances(fulfilled=issued("1"))).grants[0].expires_at


class TestWhatTookEffect:
    BOUGHT = (paid(line(ends=30)), paid(line(ends=60), order="2", on=2))

    @staticmethod
    def end(*facts: Fact, judged_by: Circumstances | None = None) -> datetime | None:
        return derived(facts, judged_by).grants[0].expires_at

    def test_the_part_goes_with_the_purchase(self) -> None:
        assert self.end(*self.BOUGHT, subscription(on=5, ends=60), refund(order="2")) == day(30)

    def test_what_the_shop_said_after_the_refund_stands(self) -> None:
        assert self.end(*self.BOUGHT, refund(order="2", on=4), subscription(on=5, ends=60)) == day(60)

    def test_an_earlier_end_stands(self) -> None:
        assert self.end(*self.BOUGHT, subscription(on=5, ends=20), refund(order="2")) == day(20)

    def test_all_that_is_left_counts(self) -> None:
        """The longest of it."""
        bought = [*self.BOUGHT, paid(line(ends=90), order="3", on=3), subscription(on=5, ends=90)]

        assert self.end(*bought, refund(order="3")) == day(60)
        assert self.end(*bought, refund(order="2")) == day(90)

    def test_a_refund_of_some_units_leaves_the_end(self) -> None:
        facts = [paid(line(quantity=2, ends=30)), subscription(on=5, ends=60), refund(line(undone=1))]

        assert self.end(*facts) == day(60)

    def test_a_refund_that_is_only_recorded_leaves_the_end(self) -> None:
        recorded = circumstances(fulfilled=issued("1", "2"), policy=Policy())

        assert self.end(*self.BOUGHT, subscription(on=5, ends=60), refund(order="2"), judged_by=recorded) == day(60)

    def test_of_two_causes_one_that_came_afterwards_is_enough(self) -> None:
        facts = [*self.BOUGHT, refund(order="2", on=4), subscription(on=5, ends=60)]

        assert self.end(*facts, told(EventKind.CANCELED, line(), order="2", on=9)) == day(30)

    def test_where_nothing_is_left_the_told_end_stands(self) -> None:
        assert self.end(paid(line(ends=30)), subscription(on=5, ends=60), refund()) == day(60)


class TestWhatNeverTookEffect:
    """It was in the end that the shop told all the same."""

    @pytest.mark.parametrize("kind", [EventKind.REFUNDED, EventKind.REVERSED, EventKind.CANCELED])
    def test_an_order_that_is_known_to_be_paid(self, kind: EventKind) -> None:
        second = paid(OF_SECOND, order="2", on=3)

        assert end(FIRST, second, TOLD, told(kind, line(), order="2", on=9)) == day(30)

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            (EventKind.REFUNDED, day(30)),
            (EventKind.CHARGEBACK_LOST, day(30)),
            (EventKind.CANCELED, day(90)),
            (EventKind.REVERSED, day(90)),
        ],
    )
    def test_an_order_that_nothing_tells_to_be_paid(self, kind: EventKind, expected: datetime) -> None:
        """What is refunded or lost was paid; what is canceled may have been a cart."""
        assert end(FIRST, TOLD, told(kind, line(), order="2", on=9)) == expected

    @pytest.mark.parametrize(
        ("taken", "expected"), [(TAKES_ONE, day(90)), (TAKES_TWO, day(30)), (line(undone=3), day(30))]
    )
    def test_some_units_take_it_only_when_they_are_all(self, taken: Item, expected: datetime) -> None:
        """Of two units that were bought, told in two messages; one of which told of one."""
        second = [paid(line(quantity=1, ends=90), order="2", on=2), paid(OF_SECOND, order="2", on=3)]
        back = refund(taken, order="2")

        found = derived([FIRST, *second, TOLD, back], circumstances(fulfilled=issued("1")))

        assert found.grants[0].expires_at == expected

    @pytest.mark.parametrize(("taken", "expected"), [(TAKES_ONE, day(90)), (TAKES_TWO, day(30))])
    def test_of_an_order_that_is_held_all_units_must_be_taken_too(self, taken: Item, expected: datetime) -> None:
        """The most that any message told were bought."""

        def terms(place: Place, item: Item) -> Terms | Hold:
            if place[0] == "2":
                return Hold(reason="no mapping", cause="product 101")
            return TERMS

        second = [paid(line(quantity=units, ends=90), order="2", on=units) for units in (1, 2)]
        facts = [FIRST, *second, TOLD, refund(taken, order="2")]

        found, _ = entitlement.derive(facts, circumstances(terms, fulfilled=issued("1")))

        assert found is not None
        assert found.grants[0].expires_at == expected

    def test_some_units_of_an_order_that_is_not_known_take_nothing(self) -> None:
        """Nobody knows how many there were."""
        assert end(FIRST, TOLD, refund(TAKES_ONE, order="2")) == day(90)

    def test_an_open_dispute_takes_nothing(self) -> None:
        assert end(FIRST, TOLD, told(EventKind.CHARGEBACK_OPENED, line(), order="2", on=9)) == day(90)

    def test_what_was_taken_back_before_the_shop_spoke_takes_nothing(self) -> None:
        assert end(FIRST, refund(order="2", on=4), TOLD) == day(90)
