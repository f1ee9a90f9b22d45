"""Which license a fact is about: lines that are known again, and the licenses that they stand for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from qlmhook.domain.events import EventKind
from qlmhook.domain.facts import Fact
from qlmhook.domain.order_lines import Subject, sort_out
from tests.support.made import line, paid, refund, subscription, told

ONE, TWO = line("101#1"), line("102#1", product="102")


def message(*items: object, number: int, order: str = "1", on: float = 0, placed: float = 0) -> list[Fact]:
    """One message about lines of an order that was placed on day 0."""
    return [
        told(EventKind.PAID, item, order=order, on=on, placed=placed, told_by=number)  # type: ignore[arg-type]
        for item in items
    ]


def parted(facts: Sequence[Fact]) -> dict[tuple[str, str, str], list[str]]:
    """By reference, order and line of a license, what is told of it: the kind, and the product as it was sent."""
    return {
        (subject.subscription_ref, subject.order_ref, subject.line): [
            f"{fact.event.kind} {fact.item.product_id if fact.item else ''}{fact.event.order_ref}@{fact.event.at.day}"
            for fact in told
        ]
        for subject, told in sort_out("avangate", facts).items()
    }


def lines_of(facts: Sequence[Fact]) -> dict[str, list[tuple[str, int]]]:
    """By a license's line, the references and quantities that its facts tell."""
    return {
        subject.line: [(fact.item.subscription_ref, fact.item.quantity) for fact in told if fact.item]
        for subject, told in sort_out("avangate", facts).items()
    }


def places(facts: Sequence[Fact]) -> dict[str, list[str]]:
    """By the name of a line, under which names its facts came."""
    names = {fact.arrival: fact.item.line for fact in facts if fact.item}
    return {
        subject.line: [names[fact.arrival] for fact in told] for subject, told in sort_out("avangate", facts).items()
    }


class TestOneOrder:
    def test_a_line_without_a_reference_is_a_license_of_its_own(self) -> None:
        assert set(sort_out("avangate", message(ONE, TWO, number=1))) == {
            Subject(vendor="avangate", subscription_ref="", order_ref="1", line="101#1"),
            Subject(vendor="avangate", subscription_ref="", order_ref="1", line="102#1"),
        }

    def test_a_line_is_known_again_by_its_name(self) -> None:
        facts = message(ONE, TWO, number=1) + message(TWO, ONE, number=2, on=1)

        assert parted(facts) == {
            ("", "1", "101#1"): ["paid 1011@1", "paid 1011@2"],
            ("", "1", "102#1"): ["paid 1021@1", "paid 1021@2"],
        }

    def test_a_name_that_a_line_had_before_is_a_sign_too(self) -> None:
        """Its reference told that the second message was about it."""
        first = message(line("a", ref="S", quantity=1), number=1)
        moved = message(line("b", ref="S", quantity=2), number=2, on=1)
        back = message(line("a", quantity=3), number=3, on=2)

        assert lines_of(first + moved + back) == {"a": [("S", 1), ("S", 2), ("", 3)]}

    def test_the_newest_name_is_a_surer_sign_than_an_older_one(self) -> None:
        """Two lines changed places; what comes without references is told by the places of today."""
        first = message(line("a", ref="S", quantity=1), line("b", ref="T", quantity=2), number=1)
        changed = message(line("b", ref="S", quantity=1), line("a", ref="T", quantity=2), number=2, on=1)
        bare = message(line("a", quantity=2), line("b", quantity=1), number=3, on=2)

        assert lines_of(first + changed + bare) == {
            "a": [("S", 1), ("S", 1), ("", 1)],
            "b": [("T", 2), ("T", 2), ("", 2)],
        }

    def test_a_reference_is_a_surer_sign_than_a_name(self) -> None:
        first = message(line("a", ref="S", quantity=1), line("b", ref="T", quantity=2), number=1)
        changed = message(line("a", ref="T", quantity=2), line("b", ref="S", quantity=1), number=2, on=1)

        assert lines_of(first + changed) == {"a": [("S", 1), ("S", 1)], "b": [("T", 2), ("T", 2)]}

    def test_lines_of_one_reference_are_told_by_their_names(self) -> None:
        first = message(line("a", ref="S", quantity=1), line("b", ref="S", quantity=2), number=1)
        again = message(line("b", ref="S", quantity=2), line("a", ref="S", quantity=1), number=2, on=1)

        assert lines_of(first + again) == {"a": [("S", 1), ("S", 1)], "b": [("S", 2), ("S", 2)]}

    def test_lines_of_one_reference_and_new_names_are_told_by_their_products(self) -> None:
        first = message(line("a", ref="S", quantity=1), line("b", product="102", ref="S", quantity=2), number=1)
        again = message(line("x", product="102", ref="S", quantity=2), line("y", ref="S", quantity=1), number=2, on=1)

        assert lines_of(first + again) == {"a": [("S", 1), ("S", 1)], "b": [("S", 2), ("S", 2)]}

    def test_of_the_products_that_were_told_of_a_line_the_newest_counts(self) -> None:
        """An order was corrected: its lines have the products of each other now."""
        first = message(line("a", ref="S", quantity=1), line("b", product="102", ref="S", quantity=2), number=1)
        corrected = message(
            line("a", product="102", ref="S", quantity=1), line("b", ref="S", quantity=2), number=2, on=1
        )
        renamed = message(line("x", ref="S", quantity=2), line("y", product="102", ref="S", quantity=1), number=3, on=2)

        assert lines_of(first + corrected + renamed) == {
            "a": [("S", 1), ("S", 1), ("S", 1)],
            "b": [("S", 2), ("S", 2), ("S", 2)],
        }

    def test_a_reference_alone_is_a_sign(self) -> None:
        first = message(line("a", ref="S"), number=1)
        again = message(line("x", product="102", ref="S"), number=2, on=1)

        assert lines_of(first + again) == {"a": [("S", 1), ("S", 1)]}

    def test_that_two_lines_have_no_reference_is_no_sign(self) -> None:
        facts = message(line("a"), number=1) + message(line("b"), number=2, on=1)

        assert set(lines_of(facts)) == {"a", "b"}

    def test_lines_of_one_message_are_different_lines(self) -> None:
        """Even under one reference."""
        facts = message(line("a", ref="S", quantity=1), line("b", ref="S", quantity=2), number=1)

        assert lines_of(facts) == {"a": [("S", 1)], "b": [("S", 2)]}

    def test_messages_differ_by_who_told_them_by_kind_and_by_time(self) -> None:
        """One notification may tell several things about a line."""
        facts = [
            told(EventKind.PAID, ONE, told_by=1),
            told(EventKind.REFUNDED, ONE, told_by=1),
            told(EventKind.REFUNDED, ONE, told_by=1, on=1),
            told(EventKind.REFUNDED, ONE, told_by=2, on=1),
        ]

        assert [len(told) for told in sort_out("avangate", facts).values()] == [4]

    def test_an_unknown_line_of_a_known_name_gets_a_number(self) -> None:
        """The first message had another line under it, which is gone by its reference and its place."""
        first = message(line("a", ref="S", quantity=1), number=1)
        second = message(line("b", ref="S", quantity=1), line("a", ref="T", quantity=2), number=2, on=1)
        third = message(
            line("b", ref="S", quantity=1),
            line("a", ref="T", quantity=2),
            line("a", ref="U", quantity=3),
            number=3,
            on=2,
        )

        assert lines_of(first + second + third) == {
            "a": [("S", 1), ("S", 1), ("S", 1)],
            "a~2": [("T", 2), ("T", 2)],
            "a~3": [("U", 3)],
        }

    def test_a_numbered_name_stays_short(self) -> None:
        """A name fills its column, and a number must fit behind it."""
        name = "n" * 80
        facts = message(line(name), line(name), number=1)

        assert list(lines_of(facts)) == [name, "n" * 60 + "~2"]

    def test_all_facts_of_a_line_name_it_alike(self) -> None:
        facts = message(line("a", ref="S"), number=1) + message(line("b", ref="S"), number=2, on=1)

        [told] = sort_out("avangate", facts).values()

        assert {fact.item.line for fact in told if fact.item} == {"a"}

    def test_a_fact_about_a_whole_order_is_about_each_of_its_lines(self) -> None:
        """As the newest message tells them."""
        facts = message(ONE, TWO, number=1) + message(replace(ONE, quantity=5), number=2, on=1)
        whole = told(EventKind.CHARGEBACK_OPENED, on=2)
        other = told(EventKind.CHARGEBACK_OPENED, order="2", on=2)

        parts = {
            subject.line: [(fact.event.kind, fact.item) for fact in told][-1]
            for subject, told in sort_out("avangate", [*facts, whole, other]).items()
        }

        assert parts == {
            "101#1": (EventKind.CHARGEBACK_OPENED, replace(ONE, quantity=5)),
            "102#1": (EventKind.CHARGEBACK_OPENED, TWO),
        }


class TestSubscriptions:
    def test_the_newest_reference_of_a_line_counts(self) -> None:
        facts = message(line(ref="S"), number=1) + message(line(ref="T"), number=2, on=2)
        late = message(line(ref="R"), number=3, on=1)

        assert set(parted(facts + late)) == {("T", "1", "101#1")}

    def test_a_message_without_the_reference_takes_it_not_away(self) -> None:
        facts = message(line(ref="S"), number=1) + message(line(), number=2, on=2)

        assert set(parted(facts)) == {("S", "1", "101#1")}

    def test_what_is_told_of_a_subscription_is_told_of_each_of_its_licenses(self) -> None:
        facts = [*message(line("a", ref="S"), line("b", ref="S"), number=1), subscription(ref="S")]

        assert parted(facts) == {
            ("S", "1", "a"): ["paid 1011@1", "subscription 101@6"],
            ("S", "1", "b"): ["paid 1011@1", "subscription 101@6"],
        }

    def test_a_subscription_without_an_order_is_known_by_its_reference(self) -> None:
        facts = [*message(line(ref="S"), number=1), subscription(ref="S"), subscription(ref="T")]

        assert sort_out("avangate", facts)[Subject(vendor="avangate", subscription_ref="T", order_ref="", line="")] == [
            facts[-1]
        ]
        assert len(sort_out("avangate", facts)) == 2

    def test_a_subscriptions_fact_without_a_line_is_about_nothing(self) -> None:
        assert sort_out("avangate", [told(EventKind.SUBSCRIPTION, order="")]) == {}

    def test_a_renewal_is_the_license_that_the_first_order_began(self) -> None:
        """Whichever arrives first: the one placed first began it."""
        first = message(line("a", ref="S"), number=2, on=1, placed=1)
        renewal = message(line("x", ref="S"), number=1, order="0", on=9, placed=9)

        assert parted(renewal + first) == {("S", "1", "a"): ["paid 1011@2", "paid 1010@10"]}
        assert parted(first + renewal) == {("S", "1", "a"): ["paid 1011@2", "paid 1010@10"]}

    def test_the_first_word_of_when_an_order_was_placed_counts(self) -> None:
        """A repeat may be dated to its own day."""
        first = message(line("a", ref="S"), number=1, placed=1) + message(line("a", ref="S"), number=3, on=2, placed=20)
        renewal = message(line("x", ref="S"), number=2, order="0", on=9, placed=9)

        assert set(parted(first + renewal)) == {("S", "1", "a")}

    @pytest.mark.parametrize(("refs", "first"), [(["2", "10"], "2"), (["10", "9"], "9"), (["8", "7"], "7")])
    def test_of_orders_of_one_time_the_lower_number_is_the_first(self, refs: Sequence[str], first: str) -> None:
        facts = [fact for ref in refs for fact in message(line(ref="S"), number=int(ref), order=ref)]

        assert set(parted(facts)) == {("S", first, "101#1")}

    def test_an_order_is_as_old_as_its_oldest_line(self) -> None:
        first = message(line("a", ref="S"), number=1, placed=1)
        first += message(line("a", ref="S"), line("b", ref="S"), number=2, on=5, placed=20)
        renewal = message(line("x", ref="S"), number=3, order="0", on=9, placed=9)

        assert ("S", "1", "a") in parted(first + renewal)

    @pytest.mark.parametrize("turned", [False, True])
    def test_two_lines_of_one_reference_are_renewed_each_by_its_product(self, turned: bool) -> None:
        first = message(line("a", ref="S"), line("b", product="102", ref="S"), number=1)
        items = [line("x", product="102", ref="S"), line("y", ref="S")]
        renewal = message(*(reversed(items) if turned else items), number=2, order="2", on=9, placed=9)

        assert parted(first + renewal) == {
            ("S", "1", "a"): ["paid 1011@1", "paid 1012@10"],
            ("S", "1", "b"): ["paid 1021@1", "paid 1022@10"],
        }

    def test_of_several_renewals_the_last_one_tells_the_product(self) -> None:
        """The first license was upgraded, and the upgrade is renewed."""
        first = message(line("a", ref="S"), line("b", product="102", ref="S"), number=1)
        upgrade = message(
            line("a", product="103", ref="S"), line("b", product="102", ref="S"), number=2, order="2", placed=5
        )
        renewal = message(
            line("a", product="102", ref="S"), line("b", product="103", ref="S"), number=3, order="3", placed=9
        )

        assert parted(first + upgrade + renewal) == {
            ("S", "1", "a"): ["paid 1011@1", "paid 1032@1", "paid 1033@1"],
            ("S", "1", "b"): ["paid 1021@1", "paid 1022@1", "paid 1023@1"],
        }

    def test_lines_of_unknown_products_take_the_places_that_are_left(self) -> None:
        first = message(line("a", ref="S"), line("b", product="102", ref="S"), number=1)
        renewal = message(
            line("a", product="104", ref="S"),
            line("b", product="103", ref="S"),
            line("c", ref="S"),
            number=2,
            order="2",
            placed=9,
        )

        assert parted(first + renewal) == {
            ("S", "1", "a"): ["paid 1011@1", "paid 1012@1"],
            ("S", "1", "b"): ["paid 1021@1", "paid 1042@1"],
            ("S", "2", "b"): ["paid 1032@1"],
        }

    def test_lines_of_two_references_are_two_licenses(self) -> None:
        first = message(line("a", ref="S"), number=1)
        other = message(line("a", ref="T"), number=2, order="2", placed=9)

        assert set(parted(first + other)) == {("S", "1", "a"), ("T", "2", "a")}


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
    @pytest.mark.parametrize("refs", [("", ""), ("S", "T")], ids=["without references", "with their first ones"])
    def test_by_quantity_options_and_product(
        self, one: dict[str, Any], two: dict[str, Any], refs: tuple[str, str]
    ) -> None:
        before = [told(EventKind.PAID, line(name, **what), told_by=1) for name, what in (("a", one), ("b", two))]
        after = [
            told(EventKind.PAID, line(name, ref=ref, **what), told_by=2, on=1)
            for name, ref, what in (("a", refs[0], two), ("b", refs[1], one))
        ]

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


class TestGroups:
    """What is said of a group of subscriptions is said of each of them."""

    SAID = told(EventKind.SUBSCRIPTION, line("G", product="", group="G"), order="", on=5)

    def test_each_of_its_subscriptions_is_told(self) -> None:
        first = line("a", ref="S", group="G"), line("b", ref="T", group="G"), line("c", ref="U", group="H")

        found = sort_out("avangate", [*message(*first, number=1), self.SAID])

        assert {subject.subscription_ref: told[1:] for subject, told in found.items()} == {
            "S": [self.SAID],
            "T": [self.SAID],
            "U": [],
        }

    def test_a_group_without_an_order_is_known_by_its_name(self) -> None:
        found = sort_out("avangate", [*message(line(ref="S"), number=1), self.SAID])

        assert [(subject.subscription_ref, subject.group_ref) for subject in found] == [("S", ""), ("", "G")]
        assert found[Subject(vendor="avangate", subscription_ref="", group_ref="G")] == [self.SAID]


class TestCustomers:
    def test_what_is_said_of_a_customer_is_said_of_what_names_the_customer(self) -> None:
        """By the customer's reference, or by an order."""
        by_reference = told(EventKind.CUSTOMER, order="", customer_ref="C", on=7)
        by_order = told(EventKind.CUSTOMER, order="2", on=8)
        facts = [
            told(EventKind.PAID, line(), customer_ref="C"),
            refund(line()),
            paid(line(ref="S"), order="2"),
            paid(line(ref="S"), order="3", on=1),
            subscription(ref="S"),
            paid(order="4"),
        ]

        found = sort_out("avangate", [*facts, by_reference, by_order])

        assert {
            subject.order_ref: [fact for fact in told if fact.event.kind is EventKind.CUSTOMER]
            for subject, told in found.items()
        } == {"1": [by_reference], "2": [by_order], "4": []}


class TestWhatDoesNotSayWhatItIsOf:
    """A shop may tell of a refund without the product."""

    def test_the_line_is_of_what_was_bought(self) -> None:
        told_of_it = [paid(ONE), refund(line(product="")), told(EventKind.CHARGEBACK_OPENED, on=20)]

        [facts] = sort_out("avangate", told_of_it).values()

        assert [fact.item.product_id for fact in facts if fact.item] == ["101", "", "101"]

    def test_where_nothing_says_so_it_is_of_nothing(self) -> None:
        told_of_it = [refund(line(product="")), told(EventKind.CHARGEBACK_OPENED, on=20)]

        [facts] = sort_out("avangate", told_of_it).values()

        assert [fact.item.product_id for fact in facts if fact.item] == ["", ""]


def test_a_refund_of_a_line_goes_with_it() -> None:
    assert parted([paid(ONE), refund(ONE), paid(TWO, order="2")]) == {
        ("", "1", "101#1"): ["paid 1011@1", "refunded 1011@10"],
        ("", "2", "102#1"): ["paid 1022@1"],
    }


def test_facts_are_sorted_by_their_arrival_whatever_the_order_they_are_given_in() -> None:
    facts = message(line("a", ref="S"), number=1) + message(line("b", ref="S"), number=2, on=1)

    assert parted(facts[::-1]) == parted(facts) == {("S", "1", "a"): ["paid 1011@1", "paid 1011@2"]}


def test_what_is_told_of_a_whole_order_takes_back_the_whole() -> None:
    """Also after a part of it."""
    told_of_it = [paid(line(quantity=5)), refund(line(quantity=5, undone=2)), told(EventKind.REFUNDED, on=20)]

    [facts] = sort_out("avangate", told_of_it).values()

    assert [fact.item.undone_quantity for fact in facts if fact.item] == [None, 2, None]


def test_an_order_that_is_unclear_is_about_nothing() -> None:
    unclear = paid(order="2")

    assert sort_out("avangate", [replace(unclear, event=replace(unclear.event, unclear="Look it up."))]) == {}
