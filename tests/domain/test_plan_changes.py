"""What a subscription is of, where the vendor changes that without an order."""

from dataclasses import replace
from typing import Any

import pytest

from qlmhook.domain import entitlement, plan_changes
from qlmhook.domain.events import Item, Standing
from qlmhook.domain.facts import Fact, Place
from qlmhook.domain.holds import Hold
from qlmhook.domain.terms import Terms
from tests.support.made import KEYS, TERMS, circumstances, derived, line, paid, refund, subscription

OTHER = replace(TERMS, product_id=2, source="other")
FIRST = paid(line(quantity=3, ref="S", ends=30))
JUDGED = circumstances({"101": TERMS, "202": OTHER}, fulfilled=[("1", "101#1")])


def change(*, quantity: int = 3, product: str = "101", on: float = 5) -> Fact:
    """The vendor says what the subscription is of from now on."""
    told = subscription(on=on, ends=30, standing=Standing(replaces=True))
    item = line("S", product=product, quantity=quantity, ref="S", ends=30)
    return replace(told, item=item, event=replace(told.event, items=(item,)))


def quantities(*facts: Fact) -> list[int]:
    return [purchase.quantity for purchase in derived(facts, JUDGED).every]


def test_more_units_are_bought_by_a_word() -> None:
    assert quantities(FIRST, change(quantity=5)) == [5]


def test_fewer_units_are_left_by_a_word() -> None:
    assert quantities(FIRST, change(quantity=1)) == [1]


def test_as_many_units_as_before_are_the_same_purchase() -> None:
    [purchase] = derived([FIRST, change(quantity=3)], JUDGED).every

    assert (purchase.quantity, purchase.undone) == (3, ())


def test_what_was_paid_in_the_same_second_was_known() -> None:
    assert quantities(FIRST, change(quantity=7, on=0)) == [7]
    assert quantities(FIRST, change(quantity=7, on=0, product="202")) == [7]


def test_a_word_from_before_the_sale_changes_nothing() -> None:
    assert quantities(FIRST, change(quantity=7, on=-1)) == [3]


def test_a_word_on_how_it_stands_is_none_on_what_it_is_of() -> None:
    assert quantities(FIRST, change(quantity=7), subscription(on=6, standing=Standing(stopped=True))) == [7]


def test_the_last_word_counts() -> None:
    assert quantities(FIRST, change(quantity=7, on=6), change(quantity=5)) == [7]


def test_a_word_that_names_no_product_leaves_the_product_that_was_named_last() -> None:
    found = derived([FIRST, change(product="202"), change(product="", quantity=4, on=6)], JUDGED)

    assert [(one.item.product_id, one.quantity) for one in found.every] == [("202", 4)]


def test_what_a_later_purchase_named_is_named_last() -> None:
    renewal = paid(line(quantity=3, ref="S", ends=60), order="2", on=6)
    found = derived([FIRST, change(product="202"), renewal, change(product="", quantity=4, on=7)], JUDGED)

    assert found.last.item.product_id == "101"


@pytest.mark.parametrize("quantity", [1, 2, 3, 5])
def test_units_that_were_taken_back_before_are_not_in_the_number(quantity: int) -> None:
    assert quantities(FIRST, refund(line(undone=2), on=2), change(quantity=quantity)) == [quantity]


def test_units_that_are_taken_back_afterwards_are() -> None:
    assert quantities(FIRST, change(quantity=5), refund(line(undone=2), on=6)) == [3]


def test_an_order_that_was_taken_back_as_a_whole_stays_so() -> None:
    [purchase] = derived([FIRST, refund(on=2), change(quantity=5)], JUDGED).every

    assert not purchase.counts


def test_a_purchase_that_was_paid_later_says_its_own() -> None:
    renewal = paid(line(quantity=2, ref="S", ends=60), order="2", on=30)

    assert quantities(FIRST, change(quantity=7), renewal) == [7, 2]
    assert quantities(FIRST, change(quantity=7, product="202"), renewal) == [7, 2]


def test_another_product_has_its_own_terms() -> None:
    found = derived([FIRST, change(product="202")], JUDGED)

    assert [grant.terms for grant in found.grants] == [OTHER]
    assert found.first.item.product_id == "202"
    assert found.sold_by_plan == (("S", "plan 202"), OTHER)


def test_the_same_product_is_not_sold_again() -> None:
    assert derived([FIRST, change(quantity=5)], JUDGED).sold_by_plan is None


def test_all_that_says_what_the_product_is_is_the_new_ones() -> None:
    product: dict[str, Any] = {
        "product_id": "202",
        "product_name": "Other",
        "general_ids": ("family",),
        "options": ("gold",),
    }
    word = change(product="202")
    assert word.item is not None
    item = replace(word.item, **product)

    [purchase] = derived([FIRST, replace(word, item=item, event=replace(word.event, items=(item,)))], JUDGED).every

    assert {name: getattr(purchase.item, name) for name in product} == product


def test_a_renewal_of_the_new_product_is_no_upgrade() -> None:
    renewal = paid(line(product="202", quantity=3, ref="S", ends=60), order="2", on=30)
    again = replace(OTHER, source="today")
    judged = circumstances({"101": TERMS, "202": again}, fulfilled=[("1", "101#1")])

    assert derived([FIRST, change(product="202"), renewal], judged).last.terms == again


def test_a_product_without_a_mapping_is_held_and_changes_nothing() -> None:
    def terms(place: Place, item: Item) -> Terms | Hold:
        return TERMS if item.product_id == "101" else Hold(reason="no mapping", cause="product 202")

    judged = circumstances(terms, fulfilled=[("1", "101#1")])

    _, [hold] = entitlement.derive([FIRST, change(product="202")], judged)

    assert hold == Hold(reason="no mapping", cause="product 202", subscription_ref="S")


def test_a_product_that_gets_no_license_changes_nothing() -> None:
    judged = circumstances({"101": TERMS, "202": None}, fulfilled=[("1", "101#1")])

    assert [grant.terms for grant in derived([FIRST, change(product="202")], judged).grants] == [TERMS]


def test_keys_that_are_one_too_many_are_revoked() -> None:
    judged = circumstances(KEYS, fulfilled=[("1", "101#1")])

    grants = derived([FIRST, change(quantity=2)], judged).grants

    assert [bool(grant.revoked) for grant in grants] == [False, False, True]
    assert grants[2].revoked[0].why == "The subscription has fewer units since then."


def test_a_word_without_a_product_is_about_the_quantity_alone() -> None:
    assert quantities(FIRST, change(quantity=4, product="")) == [4]


def test_terms_of_a_plan_have_a_place_of_their_own() -> None:
    """By the subscription, or by the group that was spoken of; a long name is cut to what the database keeps."""
    word = change(product="p" * 100)
    assert word.item is not None
    of_group = replace(word, item=replace(word.item, subscription_ref="", group_ref="G"))

    assert plan_changes.place_of(word) == ("S", f"plan {'p' * 75}")
    assert plan_changes.place_of(of_group)[0] == "G"


def test_a_word_that_leaves_the_rest_unchanged_is_none_on_how_it_stands() -> None:
    stopped = subscription(on=4, ends=40, standing=Standing(stopped=True))
    told = change(quantity=5)
    rest = replace(told, event=replace(told.event, standing=Standing(replaces=True, unchanged=True)))

    found = derived([FIRST, stopped, rest], JUDGED)

    assert [purchase.quantity for purchase in found.every] == [5]
    assert [bar.why for bar in found.suspended] == ["The subscription is stopped."]
    assert derived([FIRST, stopped, told], JUDGED).suspended == ()
