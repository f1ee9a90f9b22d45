"""How a product of several ids is named in what is held for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlmhook.domain.events import Item
from qlmhook.domain.products import LONGEST_CAUSE, hold_cause, ids_in, ids_of


def product(*ids: str) -> Item:
    return Item(line="1", product_id=ids[0], general_ids=ids[1:])


def test_the_ids_of_a_product_begin_with_the_most_specific() -> None:
    assert ids_of(product("price", "prod", "family")) == ("price", "prod", "family")


def test_a_general_id_that_is_empty_is_none() -> None:
    assert ids_of(product("price", "")) == ("price",)


def test_the_subject_of_a_hold_has_every_id() -> None:
    assert hold_cause(product("price", "prod")) == "product price prod"


@given(st.lists(st.text(st.sampled_from("a %20é"), min_size=1, max_size=10), min_size=1, max_size=4))
def test_the_ids_are_read_back_from_the_subject_whatever_is_in_them(ids: list[str]) -> None:
    kind, _, about = hold_cause(product(*ids)).partition(" ")

    assert (kind, ids_in(about)) == ("product", tuple(ids))


@pytest.mark.parametrize(("length", "kept"), [(60, 3), (61, 2), (64, 2)])
def test_a_subject_is_no_longer_than_the_database_keeps(length: int, kept: int) -> None:
    ids = [letter * length for letter in "abc"]
    cause = hold_cause(product(*ids))

    assert len(cause) <= LONGEST_CAUSE
    assert cause == " ".join(["product", *ids[:kept]])
