"""What was bought: a line put together from every message about it, and what took it back."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from qlmhook.domain import purchases
from qlmhook.domain.events import EventKind, Item
from qlmhook.domain.facts import Fact
from qlmhook.domain.holds import Hold
from qlmhook.domain.purchases import MAX_KEYS, MAX_QUANTITY, Circumstances, Purchase
from qlmhook.domain.rules import Policy
from qlmhook.domain.terms import FOREVER, Terms
from qlmhook.domain.undoings import Undoing, take_all
from tests.support.made import KEYS, LINE, MONTH, STRICT, TERMS, circumstances, day, issued, line, paid, refund, told

PLACE = ("1", LINE)


def bought(facts: Sequence[Fact], judged_by: Circumstances | None = None) -> list[Purchase]:
    """The purchases, none of them held."""
    found, holds = worked_out(facts, judged_by or circumstances(fulfilled=issued("1", "2", "3")))
    assert holds == []
    return found


def worked_out(facts: Sequence[Fact], judged_by: Circumstances) -> tuple[list[Purchase], list[Hold]]:
    by_age = sorted(facts, key=lambda fact: fact.age)
    return purchases.of(by_age, purchases.undone(by_age, judged_by), judged_by)


def the(facts: Sequence[Fact], judged_by: Circumstances | None = None) -> Purchase:
    [purchase] = bought(facts, judged_by)
    return purchase


class TestMessagesAboutOneLine:
    def test_one_message_tells_all_of_a_purchase(self) -> None:
        item = line(quantity=2, ends=30)

        assert the([told(EventKind.PAID, item, on=2, placed=1, paid=1.5, learned=3, test=True)]) == Purchase(
            order_ref="1",
            line=LINE,
            placed_at=day(1),
            paid_at=day(1.5),
            learned_at=day(3),
            test=True,
            item=item,
            expires_at=day(30),
            terms=TERMS,
            product_terms=TERMS,
        )

    def test_a_payment_that_is_not_dated_was_made_when_it_was_told(self) -> None:
        assert the([paid(on=2, placed=1)]).paid_at == day(2)

    @pytest.mark.parametrize("arrival", list(permutations([0, 1, 2])))
    def test_times_are_the_first_that_were_told(self, arrival: Sequence[int]) -> None:
        """Repeats are no news."""
        messages = [
            told(EventKind.PAID, line(), on=4, placed=1, learned=4),
            told(EventKind.PAID, line(), on=5, placed=3, paid=2, learned=9),
            told(EventKind.PAID, line(), on=6, placed=2, paid=3, learned=6),
        ]
        purchase = the([messages[index] for index in arrival])

        assert (purchase.placed_at, purchase.paid_at, purchase.learned_at) == (day(1), day(2), day(4))

    @pytest.mark.parametrize("dates", [(10, 20), (20, 10), (None, 20), (20, None)])
    def test_the_end_only_grows(self, dates: tuple[int | None, int | None]) -> None:
        facts = [paid(line(ends=ends), on=on) for on, ends in enumerate(dates)]

        assert the(facts).expires_at == day(20)

    def test_what_nobody_dates_has_no_end(self) -> None:
        assert the([paid()]).expires_at is None

    def test_what_was_once_sold_for_a_lifetime_stays_so(self) -> None:
        assert the([paid(line(lifetime=True)), paid(line(ends=5), on=1)]).expires_at == FOREVER

    @pytest.mark.parametrize("quantities", [(3, 1), (1, 3)])
    def test_the_quantity_only_grows(self, quantities: tuple[int, int]) -> None:
        purchase = the([paid(line(quantity=quantity), on=on) for on, quantity in enumerate(quantities)])

        assert (purchase.quantity, purchase.item.quantity) == (3, 3)

    @pytest.mark.parametrize("tests", [(True, False), (False, True)])
    def test_the_last_message_says_whether_it_is_a_test(self, tests: tuple[bool, bool]) -> None:
        facts = [told(EventKind.PAID, line(), on=on, test=test) for on, test in enumerate(tests)]

        assert the(facts).test is tests[-1]

    def test_the_newest_message_that_could_be_read_says_what_was_bought(self) -> None:
        items = [line(options=["a"]), line(options=["b"]), line(options=["c"], problem="The date is no date.")]

        assert the([paid(item, on=on) for on, item in enumerate(items)]).item.options == ("b",)

    def test_a_line_that_could_never_be_read_is_held_with_the_last_reason(self) -> None:
        facts = [paid(line(problem=problem), on=on) for on, problem in enumerate(["No date.", "No quantity."])]

        found, [hold] = worked_out(facts, circumstances())

        assert (found, hold.reason, hold.cause, hold.order_ref) == ([], f"Line {LINE}: No quantity.", "order 1", "1")

    def test_only_payments_of_lines_are_purchases(self) -> None:
        facts = [told(EventKind.UNDER_REVIEW, line()), told(EventKind.PAID), told(EventKind.SUBSCRIPTION, line())]

        assert bought(facts) == []


class TestQuantities:
    @pytest.mark.parametrize(("terms", "limit"), [(TERMS, MAX_QUANTITY), (KEYS, MAX_KEYS)])
    def test_more_than_the_limit_is_looked_at_by_a_person(self, terms: Terms, limit: int) -> None:
        """A key for each unit makes for a lower limit."""
        judged_by = circumstances(terms)

        assert the([paid(line(quantity=limit))], judged_by).quantity == limit

        found, [hold] = worked_out([paid(line(quantity=limit + 1))], judged_by)

        assert (found, hold.cause, hold.order_ref) == ([], "order 1", "1")
        assert hold.reason == f"Line {LINE}: the quantity {limit + 1} is over {limit}."

    def test_the_limits(self) -> None:
        assert (MAX_QUANTITY, MAX_KEYS) == (10_000, 1_000)

    def test_one_held_line_does_not_hold_the_others(self) -> None:
        facts = [paid(line("a", quantity=20_000)), paid(line("b"), on=1)]

        found, holds = worked_out(facts, circumstances())

        assert ([purchase.line for purchase in found], len(holds)) == (["b"], 1)

    @pytest.mark.parametrize(("terms", "keys"), [(TERMS, 1), (KEYS, 3)])
    def test_a_purchase_stands_for_one_key_or_one_for_each_unit(self, terms: Terms, keys: int) -> None:
        purchase = the([paid(line(quantity=3))], circumstances(terms))

        assert (purchase.units, purchase.sold_units, purchase.quantity) == (keys, keys, 3)

    @pytest.mark.parametrize(("terms", "keys", "sold"), [(TERMS, 1, 1), (KEYS, 2, 5)])
    def test_units_that_were_taken_back_count_no_more(self, terms: Terms, keys: int, sold: int) -> None:
        """Of two words about a part the larger counts: a shop may mean the same units."""
        facts = [paid(line(quantity=5)), refund(line(undone=3)), refund(line(undone=1), on=10)]

        purchase = the(facts, circumstances(terms))

        assert (purchase.quantity, purchase.units, purchase.sold_units, purchase.counts) == (2, keys, sold, True)

    def test_a_refund_of_no_units_takes_none(self) -> None:
        """Of the price alone."""
        assert the([paid(line(quantity=5)), refund(line(undone=0))]).quantity == 5

    def test_a_purchase_that_was_taken_back_whole_still_says_how_many_it_was(self) -> None:
        purchase = the([paid(line(quantity=5)), refund(line(undone=2)), refund(line(), on=10)])

        assert (purchase.counts, purchase.quantity) == (False, 5)


class TestOrder:
    """Purchases are sorted by when they were placed."""

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (paid(order="9", on=1), paid(order="1", on=2)),
            (paid(order="2"), paid(order="10")),
            (paid(order="11"), paid(order="12")),
            (paid(line("a")), paid(line("b"))),
        ],
        ids=["by time", "by the length of the number", "by number", "by line"],
    )
    def test_the_older_one_is_first(self, first: Fact, second: Fact) -> None:
        expected = [(fact.event.order_ref, fact.item.line) for fact in (first, second) if fact.item]
        later, earlier = replace(first, arrival=2), replace(second, arrival=1)

        assert [purchase.place for purchase in bought([first, second])] == expected
        assert [purchase.place for purchase in bought([earlier, later])] == expected

    def test_an_order_that_is_sent_again_with_a_later_date_keeps_its_place(self) -> None:
        facts = [paid(order="1", on=1), paid(order="2", on=2), paid(order="1", on=3)]

        assert [purchase.order_ref for purchase in bought(facts)] == ["1", "2"]


class TestTerms:
    """By which terms a renewal was sold, and which its product keeps."""

    ALPHA, BETA = replace(TERMS, product_name="Alpha"), replace(TERMS, product_name="Beta")

    def by_order(self, place: tuple[str, str], item: Item) -> Terms | None:
        return {"1": self.ALPHA, "2": self.BETA, "3": TERMS}[place[0]]

    def test_a_renewal_keeps_the_terms_of_its_product(self) -> None:
        facts = [paid(order=str(number), on=number) for number in (1, 2, 3)]

        found = bought(facts, circumstances(self.by_order))

        assert [purchase.terms for purchase in found] == [self.ALPHA, self.BETA, TERMS]
        assert [purchase.product_terms for purchase in found] == [self.ALPHA] * 3

    @pytest.mark.parametrize("other", [line(product="102"), line(options=["pro"])])
    def test_another_product_or_other_options_bring_their_own(self, other: Item) -> None:
        """Back to the first product, it is bought anew."""
        facts = [paid(order="1", on=1), paid(other, order="2", on=2), paid(order="3", on=3)]

        found = bought(facts, circumstances(self.by_order))

        assert [purchase.product_terms for purchase in found] == [self.ALPHA, self.BETA, TERMS]

    def test_a_product_that_gets_no_license_is_no_purchase(self) -> None:
        assert bought([paid()], circumstances({"101": None})) == []

    def test_a_product_that_is_ignored_since_is_renewed_by_its_last_terms(self) -> None:
        """For those who have it."""
        facts = [
            paid(order="1", on=1),
            paid(order="2", on=2),
            paid(line(product="102"), order="3", on=3),
            paid(order="4", on=4),
        ]
        terms = {("1", "101"): self.ALPHA, ("2", "101"): self.BETA, ("3", "102"): TERMS}

        found = bought(facts, circumstances(lambda place, item: terms.get((place[0], item.product_id))))

        assert [purchase.terms for purchase in found] == [self.ALPHA, self.BETA, TERMS, self.BETA]

    def test_a_product_that_is_ignored_is_no_renewal_of_another(self) -> None:
        facts = [paid(order="1", on=1), paid(line(product="102"), order="2", on=2)]

        assert [purchase.order_ref for purchase in bought(facts, circumstances({"101": TERMS, "102": None}))] == ["1"]

    def test_a_line_that_cannot_be_understood_says_so_also_without_a_mapping(self) -> None:
        def none_is_usable(place: tuple[str, str], item: Item) -> Hold:
            return Hold(reason="There is no mapping.", cause="product 101")

        _, [hold] = worked_out([paid(line(problem="Its product has no id."), order="7")], circumstances(none_is_usable))

        assert hold.reason == f"Line {LINE}: Its product has no id."

    def test_a_line_without_a_usable_mapping_is_held_for_its_order(self) -> None:
        def none_is_usable(place: tuple[str, str], item: Item) -> Hold:
            return Hold(reason="There is no mapping.", cause="product 101")

        found, [hold] = worked_out([paid(order="7")], circumstances(none_is_usable))

        assert (found, hold.reason, hold.cause, hold.order_ref) == ([], "There is no mapping.", "product 101", "7")

    def test_an_unreadable_line_of_an_ignored_product_is_not_held(self) -> None:
        assert bought([paid(line(problem="No date."))], circumstances({"101": None})) == []

    def test_the_mapping_is_asked_for_the_line_and_what_was_bought(self) -> None:
        asked = []

        def terms_for(place: tuple[str, str], item: Item) -> Terms:
            asked.append((place, item.options))
            return MONTH

        assert the([paid(line(options=["pro"]))], circumstances(terms_for)).terms == MONTH
        assert asked == [(PLACE, ("pro",))]


class TestUndone:
    """What takes a purchase back."""

    def test_a_refund_by_the_operators_choice(self) -> None:
        """Without it the refund is recorded, and not binding."""
        fact = refund(line(undone=2))
        undoing = Undoing(fact=fact, units=2, learned_at=day(9))

        assert purchases.undone([fact], circumstances()) == {PLACE: (undoing,)}
        assert purchases.undone([fact], circumstances(policy=Policy())) == {PLACE: (replace(undoing, binding=False),)}

    @pytest.mark.parametrize(
        "kind", [EventKind.PAID, EventKind.UNDER_REVIEW, EventKind.CHARGEBACK_OPENED, EventKind.CHARGEBACK_WON]
    )
    def test_nothing_else(self, kind: EventKind) -> None:
        assert purchases.undone([told(kind, line())], circumstances()) == {}

    def test_without_a_line_nothing_is_taken_back(self) -> None:
        assert purchases.undone([told(EventKind.REFUNDED), refund()], circumstances()).keys() == {PLACE}

    @pytest.mark.parametrize(("learned", "first"), [((8, 9), 8), ((9, 8), 8)])
    def test_a_repeat_is_no_news(self, learned: tuple[int, int], first: int) -> None:
        facts = [
            told(EventKind.REFUNDED, line(), on=on, learned=when) for on, when in zip((5, 6), learned, strict=True)
        ]

        [undoing] = purchases.undone(facts, circumstances())[PLACE]

        assert (undoing.fact, undoing.learned_at) == (facts[0], day(first))

    def test_other_units_and_other_kinds_are(self) -> None:
        facts = [refund(line(undone=1)), refund(line(undone=2)), told(EventKind.CANCELED, line(undone=1))]

        found = purchases.undone(facts, circumstances())[PLACE]

        assert [(undoing.units, undoing.fact) for undoing in found] == [(1, facts[0]), (2, facts[1]), (1, facts[2])]

    def test_a_lost_dispute_takes_every_line_of_its_order_back(self) -> None:
        """Of its own order, and whole."""
        lost = told(EventKind.CHARGEBACK_LOST, line(), on=8)
        facts = [paid(), paid(line("b")), paid(order="2"), lost]
        undoing = Undoing(fact=lost, units=None, learned_at=day(8))

        assert purchases.undone(facts, circumstances(policy=Policy())) == {PLACE: (undoing,), ("1", "b"): (undoing,)}

    def test_a_dispute_that_was_won_after_all_takes_nothing_back(self) -> None:
        facts = [paid(), told(EventKind.CHARGEBACK_LOST, line(), on=8), told(EventKind.CHARGEBACK_WON, line(), on=9)]

        assert purchases.undone(facts, circumstances()) == {}

    def test_a_lost_dispute_was_learned_when_it_was_told_first(self) -> None:
        facts = [told(EventKind.CHARGEBACK_LOST, line(), on=on) for on in (7, 8)]

        [undoing] = purchases.undone(facts, circumstances())[PLACE]

        assert (undoing.fact, undoing.learned_at) == (facts[1], day(7))

    @pytest.mark.parametrize(("units", "whole"), [(None, True), (2, False), (3, True), (4, True)])
    def test_whether_it_took_all(self, units: int | None, whole: bool) -> None:
        assert take_all([Undoing(fact=refund(), units=units, learned_at=day(9))], 3) is whole

    @pytest.mark.parametrize(
        ("kind", "why"),
        [
            (EventKind.REFUNDED, "Order 1 is refunded."),
            (EventKind.CANCELED, "Order 1 is canceled."),
            (EventKind.CHARGEBACK_LOST, "The chargeback of order 1 is lost."),
        ],
    )
    def test_it_says_why(self, kind: EventKind, why: str) -> None:
        assert Undoing(fact=told(kind), units=None, learned_at=day(9)).why == why

    @pytest.mark.parametrize("policy", [Policy(), STRICT])
    @pytest.mark.parametrize(
        "kind", [EventKind.REFUNDED, EventKind.REVERSED, EventKind.CANCELED, EventKind.CHARGEBACK_LOST]
    )
    def test_what_was_undone_before_it_took_effect_never_does(self, kind: EventKind, policy: Policy) -> None:
        """Whatever the setting, which is about what is issued."""
        assert bought([paid(), told(kind, line(), on=9)], circumstances(policy=policy)) == []

    def test_an_order_that_was_undone_leaves_the_others(self) -> None:
        facts = [paid(order="1"), paid(order="2", on=1), refund(order="1")]

        assert [purchase.order_ref for purchase in bought(facts, circumstances())] == ["2"]

    def test_a_part_that_was_undone_before_leaves_the_rest(self) -> None:
        """A part of as many units as were ever sold is the whole."""
        assert the([paid(line(quantity=3)), refund(line(undone=2))], circumstances()).quantity == 1
        assert bought([paid(line(quantity=2)), refund(line(undone=2))], circumstances()) == []
        assert the([paid(line(quantity=3)), paid(line(), on=1), refund(line(undone=2))], circumstances()).quantity == 1

    def test_a_part_that_is_only_recorded_takes_none(self) -> None:
        assert the([paid(line(quantity=3)), refund(line(undone=2))], circumstances(policy=Policy())).quantity == 3

    def test_refunds_that_have_names_are_each_one(self) -> None:
        parts = [told(EventKind.REFUNDED, line(undone=2), on=on, case=case) for on, case in ((8, "a"), (9, "b"))]

        assert the([paid(line(quantity=5)), *parts]).quantity == 1

    def test_what_took_effect_remembers_what_undid_it_where_that_is_binding(self) -> None:
        facts = [paid(), refund()]

        assert [undoing.fact for undoing in the(facts).undone] == facts[1:]
        assert the(facts, circumstances(policy=Policy(), fulfilled=issued("1"))).undone == ()

    def test_what_is_undone_is_binding_unless_it_is_said(self) -> None:
        assert Undoing(fact=refund(), units=None, learned_at=day(9)).binding is True


def test_without_an_operators_extension_there_is_none() -> None:
    judged_by = circumstances()

    assert Circumstances(
        terms_for=judged_by.terms_for, zone=judged_by.zone, policy=judged_by.policy, fulfilled={}
    ) == replace(judged_by, extensions={})
