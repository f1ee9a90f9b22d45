"""The names of an order: which mean the same one, and under which it is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlmhook.domain.events import EventKind
from qlmhook.domain.order_lines import sort_out
from qlmhook.domain.order_names import joined, names_of, under_one_name
from tests.support.made import line, paid, refund, told

NAMES = st.sampled_from("abcdefgh")
PAIRS = st.lists(st.tuples(NAMES, NAMES), max_size=8)


def test_names_that_were_told_together_mean_one_order() -> None:
    assert joined([("in_1", "pi_1"), ("ch_1", "pi_1"), ("in_2", "ch_2")]) == [
        frozenset({"in_1", "pi_1", "ch_1"}),
        frozenset({"in_2", "ch_2"}),
    ]


@given(PAIRS, st.randoms())
def test_the_order_in_which_names_are_told_does_not_matter(pairs: list[tuple[str, str]], random: st.DataObject) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert set(joined(shuffled)) == set(joined(pairs))


@given(PAIRS)
def test_every_name_is_in_one_group(pairs: list[tuple[str, str]]) -> None:
    names = [name for group in joined(pairs) for name in group]

    assert sorted(names) == sorted({name for pair in pairs for name in pair})


def test_an_order_is_known_by_the_name_it_was_paid_under() -> None:
    """Also if something was told of it by another name before."""
    facts = [refund(order="ch_1"), paid(order="in_1")]

    renamed = under_one_name(facts, [{"ch_1", "in_1"}])

    assert {fact.event.order_ref for fact in renamed} == {"in_1"}
    assert {fact.place[0] for fact in renamed} == {"ch_1", "in_1"}
    assert names_of(renamed[0].event) == {"ch_1", "in_1"}


def test_its_other_names_are_sorted() -> None:
    [renamed] = under_one_name([paid(order="x")], [{"d", "b", "x", "e", "a", "c"}])

    assert renamed.event.also_known_as == ("a", "b", "c", "d", "e")


def test_of_two_names_that_were_paid_the_first_that_came_stays() -> None:
    first, second = paid(order="z"), paid(order="a", on=-5)

    assert [fact.event.order_ref for fact in under_one_name([second, first], [{"a", "z"}])] == ["z", "z"]


def test_an_order_without_other_names_is_left_alone() -> None:
    facts = [paid(order="1")]

    assert under_one_name(facts, [{"2", "3"}]) == facts


def test_an_event_about_no_order_has_no_names() -> None:
    assert names_of(told(EventKind.CUSTOMER, order="").event) == set()


@pytest.mark.parametrize(("first", "second", "quantity"), [("1", "2", 1), ("x", "y", 1), ("x", "y", 2)])
def test_lines_are_known_again_under_the_orders_other_name(first: str, second: str, quantity: int) -> None:
    """By what they are of, for the vendor may name them otherwise there, too."""
    facts = [
        paid(line("1", product="101"), order="a"),
        paid(line("2", product="202"), order="a"),
        paid(line(first, product="202", quantity=quantity), order="b"),
        paid(line(second, product="101", quantity=quantity), order="b"),
    ]

    subjects = sort_out("shop", under_one_name(facts, [{"a", "b"}]))

    assert [(subject.line, [fact.place for fact in told_of]) for subject, told_of in subjects.items()] == [
        ("1", [("a", "1"), ("b", second)]),
        ("2", [("a", "2"), ("b", first)]),
    ]


def test_of_one_product_they_are_known_again_by_their_quantities() -> None:
    before = [paid(line(name, quantity=quantity), order="a") for name, quantity in (("1", 1), ("2", 2))]
    after = [paid(line(name, quantity=quantity), order="b") for name, quantity in (("x", 2), ("y", 1))]

    subjects = sort_out("shop", under_one_name([*before, *after], [{"a", "b"}]))

    assert [(subject.line, [fact.place for fact in told_of]) for subject, told_of in subjects.items()] == [
        ("1", [("a", "1"), ("b", "y")]),
        ("2", [("a", "2"), ("b", "x")]),
    ]
