"""How a license stands by its facts: disputes, repeats, customers, pauses, ends."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from qlmhook.domain import restrictions
from qlmhook.domain.events import Customer, EventKind, Item, Standing
from qlmhook.domain.facts import Fact
from qlmhook.domain.restrictions import Bar
from qlmhook.domain.terms import FOREVER
from tests.support.made import ANN, day, line, paid, subscription, told

OPENED, WON, LOST = EventKind.CHARGEBACK_OPENED, EventKind.CHARGEBACK_WON, EventKind.CHARGEBACK_LOST
BOB = Customer(email="bob@example.com")


def by_age(facts: Sequence[Fact]) -> list[Fact]:
    return sorted(facts, key=lambda fact: fact.age)


class TestAge:
    """Which of two facts the vendor told later."""

    def test_the_vendors_date_counts_first(self) -> None:
        late = told(EventKind.PAID, on=2, sequence=0)
        early = told(EventKind.SUBSCRIPTION, on=1, sequence=9)

        assert by_age([late, early]) == [early, late]

    def test_of_one_second_the_vendors_sequence_counts(self) -> None:
        late = told(EventKind.PAID, sequence=2)
        early = told(EventKind.SUBSCRIPTION, sequence=1)

        assert by_age([late, early]) == [early, late]

    def test_of_one_second_a_payment_is_before_its_refund(self) -> None:
        """An order's life has one direction, whatever arrived first."""
        told_in_order = [told(kind) for kind in reversed(EventKind)]

        assert [fact.event.kind for fact in by_age(told_in_order)] == list(EventKind)

    def test_what_is_alike_counts_as_it_came(self) -> None:
        first, second = told(EventKind.PAID), told(EventKind.PAID)

        assert by_age([second, first]) == [first, second]

    def test_a_fact_is_applied_unless_it_was_dismissed(self) -> None:
        """One about no line has no place."""
        fact = Fact(event=paid().event, item=None, arrival=1, told_by=1, learned_at=day(0))

        assert (fact.dismissed, fact.place) == (False, ("", ""))


class TestDisputes:
    def test_the_newest_word_of_each_order_counts(self) -> None:
        facts = [told(OPENED, on=1), told(OPENED, order="2", on=2), told(WON, on=3), paid(on=4)]

        found = [(dispute.order_ref, dispute.is_open, dispute.is_lost) for dispute in restrictions.disputes(facts)]

        assert found == [("1", False, False), ("2", True, False)]

    @pytest.mark.parametrize("before", [OPENED, WON, LOST])
    @pytest.mark.parametrize(
        ("word", "stands"), [(OPENED, (True, False)), (WON, (False, False)), (LOST, (False, True))]
    )
    def test_a_dispute_is_open_or_lost_or_neither(
        self, before: EventKind, word: EventKind, stands: tuple[bool, bool]
    ) -> None:
        """Whatever was said of it before: banks decide twice."""
        [dispute] = restrictions.disputes([told(before, on=1), told(word, on=2)])

        assert (dispute.is_open, dispute.is_lost) == stands

    def test_two_disputes_of_one_order_have_names(self) -> None:
        """What is said of one is not said of the other."""
        facts = [told(OPENED, on=1, case="a"), told(OPENED, on=2, case="b"), told(WON, on=3, case="a")]

        assert [(one.told.event.case_ref, one.is_open) for one in restrictions.disputes(facts)] == [
            ("a", False),
            ("b", True),
        ]

    def test_a_repeat_is_no_news(self) -> None:
        """It was learned when it was told first, in whatever order the two arrived."""
        first = told(OPENED, on=1, learned=5)
        again = told(OPENED, on=2, learned=7)
        learned_late = replace(first, learned_at=day(9))

        assert [one.learned_at for one in restrictions.disputes([first, again])] == [day(5)]
        assert [one.learned_at for one in restrictions.disputes([learned_late, again])] == [day(7)]
        assert [one.told for one in restrictions.disputes([first, again])] == [again]

    def test_a_dispute_that_is_opened_again_is_news(self) -> None:
        facts = [told(OPENED, on=1), told(WON, on=2), told(OPENED, on=3)]

        assert [one.learned_at for one in restrictions.disputes(facts)] == [day(3)]

    @pytest.mark.parametrize(
        ("later", "old"),
        [
            (told(WON, on=5), True),
            (told(WON, on=2), False),
            (told(WON, on=5, case="b"), False),
            (told(EventKind.REFUNDED, on=5), False),
        ],
        ids=["later", "at once", "of another dispute", "no dispute"],
    )
    def test_a_word_is_old_when_a_later_one_of_its_dispute_is_known(self, later: Fact, old: bool) -> None:
        opened = told(OPENED, on=2)

        assert restrictions.is_old_word(opened.event, [opened, later]) is old

    def test_no_other_event_is_an_old_word(self) -> None:
        assert not restrictions.is_old_word(told(EventKind.REFUNDED, on=2).event, [told(WON, on=5)])

    def test_an_open_one_bars_the_license_and_says_why(self) -> None:
        facts = [told(OPENED, on=1), told(OPENED, order="2", on=1), told(WON, order="2", on=2)]

        assert restrictions.open_disputes(facts) == [Bar(why="The chargeback of order 1 is open.", learned_at=day(1))]


class TestRepeats:
    """Whether an event says of its order only what was said before."""

    @pytest.mark.parametrize("kind", [OPENED, WON, LOST])
    def test_a_dispute_that_stands_as_it_did(self, kind: EventKind) -> None:
        again = told(kind, on=2)

        assert restrictions.is_repeat(again.event, [told(kind, on=1), again])

    @pytest.mark.parametrize("kind", [OPENED, WON, LOST])
    def test_the_first_word_of_a_dispute_is_none(self, kind: EventKind) -> None:
        first = told(kind, on=2)

        assert not restrictions.is_repeat(first.event, [paid(), first])

    def test_a_dispute_that_is_opened_again_is_none(self) -> None:
        again = told(OPENED, on=3)

        assert not restrictions.is_repeat(again.event, [told(OPENED, on=1), told(WON, on=2), again])

    def test_what_is_told_of_a_dispute_later_does_not_count(self) -> None:
        event = told(OPENED, on=2)

        assert not restrictions.is_repeat(event.event, [told(WON, on=1), event, told(OPENED, on=3)])

    def test_what_is_told_of_another_dispute_is_none(self) -> None:
        assert not restrictions.is_repeat(told(OPENED, on=2, case="b").event, [told(OPENED, on=1, case="a")])

    def test_another_refund_by_its_name_is_none(self) -> None:
        facts = [told(EventKind.REFUNDED, line(undone=1), on=1, case="a")]

        assert restrictions.is_repeat(told(EventKind.REFUNDED, line(undone=1), on=2, case="a").event, facts)
        assert not restrictions.is_repeat(told(EventKind.REFUNDED, line(undone=1), on=2, case="b").event, facts)

    def test_other_events_of_the_same_time_count(self) -> None:
        """A dispute is opened and won in one second, and won again later."""
        won = told(WON, on=1)

        assert not restrictions.is_repeat(won.event, [told(OPENED, on=1), won])
        assert restrictions.is_repeat(told(WON, on=2).event, [told(OPENED, on=1), won])

    def test_what_is_not_about_the_dispute_does_not_count(self) -> None:
        facts = [told(OPENED, on=1), paid(on=2)]

        assert restrictions.is_repeat(told(OPENED, on=3).event, facts)

    def test_what_was_told_in_the_same_second_counts(self) -> None:
        """The dispute was opened again and won again."""
        facts = [told(WON, on=1), told(OPENED, on=2)]

        assert not restrictions.is_repeat(told(WON, on=2).event, facts)

    @pytest.mark.parametrize("arrival", list(permutations([0, 1])))
    def test_of_several_words_the_newest_counts(self, arrival: Sequence[int]) -> None:
        before = [told(OPENED, on=1), told(WON, on=2)]

        assert restrictions.is_repeat(told(WON, on=3).event, [before[index] for index in arrival])

    @pytest.mark.parametrize(
        ("items", "detail", "repeat"),
        [
            ([line(undone=1), line("102#1")], "9.00 EUR", True),
            ([line(undone=1)], "9.00 EUR", False),
            ([line("101#2", undone=1), line("102#1")], "9.00 EUR", False),
            ([line(undone=2), line("102#1")], "9.00 EUR", False),
            ([line(undone=1), line("102#1")], "5.00 EUR", False),
        ],
        ids=["the same", "a line less", "another line", "other units", "another amount"],
    )
    def test_a_refund_of_the_same_lines_and_units_in_the_same_words(
        self, items: Sequence[Item], detail: str, repeat: bool
    ) -> None:
        """It may be kept as one fact for each line."""
        known = [
            told(EventKind.REFUNDED, item, on=1, items=[item], detail="9.00 EUR")
            for item in (line(undone=1), line("102#1"))
        ]

        assert restrictions.is_repeat(told(EventKind.REFUNDED, on=2, items=items, detail=detail).event, known) is repeat

    def test_two_refunds_of_half_an_order_are_none_of_the_whole(self) -> None:
        one, other = line(), line("102#1")
        known = [
            told(EventKind.REFUNDED, one, on=1, items=[one]),
            told(EventKind.REFUNDED, other, on=2, items=[other]),
        ]

        assert not restrictions.is_repeat(told(EventKind.REFUNDED, on=3, items=[one, other]).event, known)

    def test_an_event_is_no_repeat_of_itself_nor_of_another_kind(self) -> None:
        event = told(EventKind.REFUNDED, line(), on=2)

        assert not restrictions.is_repeat(event.event, [event])
        assert not restrictions.is_repeat(event.event, [event, told(EventKind.CANCELED, line(), on=1)])

    def test_what_is_of_another_kind_at_the_same_time_is_no_part_of_it(self) -> None:
        event = told(EventKind.CANCELED, line(), on=2)

        assert not restrictions.is_repeat(event.event, [told(EventKind.REFUNDED, line(), on=2), event])


class TestNamings:
    """Who is named as the customer, the newest last."""

    def test_what_is_said_of_the_subscription_later_counts(self) -> None:
        facts = [subscription(on=5, customer=BOB), paid(on=1)]

        assert restrictions.namings(facts) == [ANN, BOB]

    def test_what_is_said_of_the_customer_alone_counts_too(self) -> None:
        facts = [told(EventKind.CUSTOMER, order="", on=5, customer=BOB), paid(on=1)]

        assert restrictions.namings(facts) == [ANN, BOB]

    def test_an_order_names_its_customer_when_it_is_paid(self) -> None:
        """Not when that is told, which may be a re-sent message."""
        assert restrictions.namings([subscription(on=5, customer=BOB), paid(on=9, paid=1)]) == [ANN, BOB]
        assert restrictions.namings([subscription(on=5, customer=BOB), paid(on=9)]) == [BOB, ANN]

    def test_the_same_name_of_an_order_again_is_no_news(self) -> None:
        facts = [paid(on=1), subscription(on=5, customer=BOB), paid(on=9)]

        assert restrictions.namings(facts) == [ANN, BOB]

    def test_another_name_in_a_later_message_is_news_of_that_day(self) -> None:
        corrected = told(EventKind.PAID, line(), on=9, paid=1, customer=BOB)

        assert restrictions.namings([paid(on=1, paid=1), subscription(on=5), corrected]) == [ANN, ANN, BOB]

    def test_the_same_name_in_another_order_is_news(self) -> None:
        facts = [paid(on=1), subscription(on=5, customer=BOB), paid(order="2", on=9)]

        assert restrictions.namings(facts) == [ANN, BOB, ANN]

    def test_the_clerk_of_a_refund_is_no_customer(self) -> None:
        assert restrictions.namings([paid(), told(EventKind.REFUNDED, line(), on=2, customer=BOB)]) == [ANN]

    def test_of_one_time_the_later_fact_counts(self) -> None:
        facts = [subscription(on=5, customer=BOB), subscription(on=5)]

        assert restrictions.namings(facts) == [BOB, ANN]


class TestSubscriptions:
    def test_the_newest_fact_of_a_kind(self) -> None:
        facts = [subscription(on=1), subscription(on=2), paid(on=3)]

        assert restrictions.newest(facts, EventKind.SUBSCRIPTION) is facts[1]
        assert restrictions.newest(facts, EventKind.REFUNDED) is None

    def test_what_ends_it_for_good_counts_before_what_is_said_later(self) -> None:
        over = [subscription(on=on, standing=Standing(final=True)) for on in (2, 3)]

        assert restrictions.subscription([*over, subscription(on=4)]) is over[1]
        assert restrictions.subscription([paid(), subscription(on=4)]).event.at == day(4)  # type: ignore[union-attr]
        assert restrictions.subscription([paid()]) is None

    @pytest.mark.parametrize(
        ("fact", "end"),
        [
            (None, None),
            (subscription(), None),
            (subscription(ends=7), day(7)),
            (subscription(ends=7, lifetime=True), FOREVER),
            (told(EventKind.SUBSCRIPTION), None),
        ],
    )
    def test_its_end_is_a_date_or_never(self, fact: Fact | None, end: object) -> None:
        assert restrictions.subscription_end(fact) == end

    @pytest.mark.parametrize("said", [None, Standing(), Standing(expired=True, grace_days=3)])
    def test_what_is_neither_stopped_nor_paused_is_not_barred(self, said: Standing | None) -> None:
        assert restrictions.stops_and_pauses(subscription(standing=said)) == []
        assert restrictions.stops_and_pauses(None) == []

    def test_a_stop_bars_without_end_and_a_pause_between_its_dates(self) -> None:
        said = Standing(stopped=True, paused=True, paused_from=day(6), paused_until=day(8))

        assert restrictions.stops_and_pauses(subscription(on=5, standing=said)) == [
            Bar(why="The subscription is stopped.", learned_at=day(5)),
            Bar(why="The subscription is paused.", learned_at=day(5), begins_at=day(6), ends_at=day(8)),
        ]

    @pytest.mark.parametrize("said", [None, Standing(stopped=True, paused=True)])
    def test_without_a_word_of_its_end_or_grace_there_is_none(self, said: Standing | None) -> None:
        fact = subscription(standing=said)

        assert (restrictions.ended_at(fact), restrictions.grace_days(fact)) == (None, 0)
        assert (restrictions.ended_at(None), restrictions.grace_days(None)) == (None, 0)

    def test_it_ended_when_the_vendor_said_so_whatever_its_date(self) -> None:
        """Or that it is over for good."""
        for said in (Standing(expired=True), Standing(final=True)):
            assert restrictions.ended_at(subscription(on=5, ends=30, standing=said)) == day(5)

    def test_the_use_goes_on_for_the_days_of_grace(self) -> None:
        assert restrictions.grace_days(subscription(standing=Standing(grace_days=3))) == 3
