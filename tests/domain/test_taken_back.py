"""What was taken back before it took effect, was dismissed, or changed its place: the corners that meet."""

from datetime import datetime

import pytest

from qlmhook.domain import entitlement
from qlmhook.domain.events import EventKind, Item
from qlmhook.domain.facts import Fact, Place
from qlmhook.domain.holds import Hold
from qlmhook.domain.order_lines import sort_out
from qlmhook.domain.terms import Terms
from tests.support.made import TERMS, circumstances, day, derived, issued, line, paid, refund, subscription, told

FIRST = paid(line(ends=30))
TOLD = subscription(on=5, ends=90)
TAKES_ONE, TAKES_TWO = line(quantity=1, undone=1), line(quantity=2, undone=2)
OF_SECOND = line(quantity=2, ends=90)


def end(*facts: Fact) -> datetime | None:
    """The end of the license of the first order, which is all that took effect."""
    return derived(facts, circumstances(fulfilled=issued("1"))).grants[0].expires_at


class TestTheEndThatTheShopTold:
    """An order that was taken back takes its part of that end with it, whether it took effect or not."""

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
                return Hold(reason="no mapping", subject="product 101")
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


class TestDismissed:
    def test_a_payment_that_is_told_again_stays_dismissed(self) -> None:
        facts = [told(EventKind.PAID, line(), dismissed=True), paid(on=1)]

        assert entitlement.derive(facts, circumstances()) == (None, [])

    def test_what_took_effect_stays(self) -> None:
        facts = [told(EventKind.PAID, line(), dismissed=True), paid(on=1)]

        assert derived(facts).purchases

    def test_a_review_that_is_dismissed_may_still_be_approved(self) -> None:
        facts = [told(EventKind.UNDER_REVIEW, line(), dismissed=True), paid(on=1)]

        assert derived(facts, circumstances()).purchases

    def test_another_order_is_not_dismissed_with_it(self) -> None:
        facts = [told(EventKind.PAID, line(), dismissed=True), paid(order="2", on=1)]

        assert [purchase.order_ref for purchase in derived(facts, circumstances()).purchases] == ["2"]

    def test_a_refund_of_what_was_dismissed_is_still_a_refund(self) -> None:
        facts = [told(EventKind.PAID, line(), dismissed=True), refund(dismissed=True)]

        assert derived(facts, circumstances(fulfilled=issued("1"))).grants[0].revoked != ()


class TestPlaces:
    """Lines without references that change places are told apart by what was bought of each."""

    @pytest.mark.parametrize(
        ("one", "two"),
        [
            ({"quantity": 2}, {"quantity": 3}),
            ({"options": ["gold"]}, {"options": ["blue"]}),
            ({"product": "101"}, {"product": "102"}),
        ],
        ids=["quantities", "options", "products"],
    )
    def test_by_quantity_options_and_product(self, one: dict[str, object], two: dict[str, object]) -> None:
        before = [told(EventKind.PAID, line(name, **what), told_by=1) for name, what in (("a", one), ("b", two))]  # type: ignore[arg-type]
        after = [told(EventKind.PAID, line(name, **what), told_by=2, on=1) for name, what in (("a", two), ("b", one))]  # type: ignore[arg-type]

        assert places([*before, *after]) == {"a": ["a", "b"], "b": ["b", "a"]}

    def test_lines_that_are_alike_keep_their_names(self) -> None:
        before = [told(EventKind.PAID, line(name), told_by=1) for name in "ab"]
        after = [told(EventKind.PAID, line(name), told_by=2, on=1) for name in "ba"]

        assert places([*before, *after]) == {"a": ["a", "a"], "b": ["b", "b"]}

    def test_a_quantity_that_is_new_to_both_leaves_the_names(self) -> None:
        before = [told(EventKind.PAID, line(name, quantity=2), told_by=1) for name in "ab"]
        after = [told(EventKind.PAID, line(name, quantity=5), told_by=2, on=1) for name in "ab"]

        assert places([*before, *after]) == {"a": ["a", "a"], "b": ["b", "b"]}

    def test_the_quantity_of_a_part_that_is_taken_back_is_no_sign(self) -> None:
        """Two of the five of the first line, beside a second line of two."""
        before = [told(EventKind.PAID, line(name, quantity=units), told_by=1) for name, units in (("a", 5), ("b", 2))]
        part = refund(line("a", quantity=2, undone=2))

        assert places([*before, part]) == {"a": ["a", "a"], "b": ["b"]}


def places(facts: list[Fact]) -> dict[str, list[str]]:
    """By the name of a line, under which names its facts came."""
    names = {fact.arrival: fact.item.line for fact in facts if fact.item}
    return {
        subject.line: [names[fact.arrival] for fact in told] for subject, told in sort_out("avangate", facts).items()
    }
