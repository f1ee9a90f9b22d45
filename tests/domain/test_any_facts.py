"""What holds of any facts, in any order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qlmhook.domain import entitlement
from qlmhook.domain.events import EventKind, Standing
from qlmhook.domain.facts import Fact
from qlmhook.domain.order_lines import sort_out
from qlmhook.domain.rules import Policy
from qlmhook.domain.terms import FOREVER
from tests.support.made import KEYS, MONTH, TERMS, circumstances, day, issued, line, paid, subscription, told

DAYS = st.integers(0, 40)
ENDS = st.none() | st.integers(1, 90)
MONEY = [kind for kind in EventKind if kind is not EventKind.SUBSCRIPTION]
TERMS_OF_ANY = st.sampled_from([TERMS, KEYS, MONTH])


@st.composite
def about_orders(draw: st.DrawFn) -> Fact:
    """Anything about the one line of one of three orders."""
    item = line(quantity=draw(st.integers(1, 3)), ref="S", ends=draw(ENDS), undone=draw(st.none() | st.integers(1, 3)))
    return told(
        draw(st.sampled_from(MONEY)), item, order=draw(st.sampled_from("123")), on=draw(DAYS), placed=0, reason="Wait."
    )


@st.composite
def about_subscriptions(draw: st.DrawFn) -> Fact:
    """Anything about the subscription."""
    said = draw(st.none() | st.builds(Standing, stopped=st.booleans(), expired=st.booleans()))
    return subscription(on=draw(DAYS), ends=draw(ENDS), standing=said)


FACTS = st.lists(about_orders() | about_subscriptions(), max_size=8)
FACTS_APART = st.lists(about_orders() | about_subscriptions(), max_size=8, unique_by=lambda fact: fact.event.at)
PAYMENTS = st.lists(st.tuples(st.sampled_from("123"), st.integers(1, 90), st.integers(1, 3)), min_size=1, max_size=5)


def everything(facts: Sequence[Fact], **judged_by: Any) -> Any:
    """All that comes of facts, the holds as they are told."""
    found, holds = entitlement.derive(facts, circumstances(**judged_by))
    return found, [(str(hold), hold.cause, hold.order_ref) for hold in holds]


def end_of_any(facts: Sequence[Fact]) -> datetime:
    found, _ = entitlement.derive(facts, circumstances(fulfilled=issued("1", "2", "3")))
    assert found is not None
    return found.grants[0].expires_at or FOREVER


@given(facts=FACTS, data=st.data(), terms=TERMS_OF_ANY, fulfilled=st.sets(st.sampled_from("123")))
def test_the_order_of_the_facts_that_are_given_does_not_matter(
    facts: list[Fact], data: st.DataObject, terms: Any, fulfilled: set[str]
) -> None:
    turned = data.draw(st.permutations(facts))
    judged_by = {"terms": terms, "fulfilled": issued(*fulfilled)}

    assert everything(turned, **judged_by) == everything(facts, **judged_by)


@given(facts=FACTS, data=st.data())
def test_the_order_in_which_facts_are_parted_does_not_matter(facts: list[Fact], data: st.DataObject) -> None:
    assert sort_out("avangate", data.draw(st.permutations(facts))) == sort_out("avangate", facts)


# of two messages of one time the one that arrived later counts
@given(facts=FACTS_APART, data=st.data(), policy=st.builds(Policy, revoke_on_refund=st.booleans()))
def test_a_fact_that_is_repeated_changes_nothing(facts: list[Fact], data: st.DataObject, policy: Policy) -> None:
    """It is told again by another notification, and learned later."""
    again = [
        replace(fact, arrival=fact.arrival + 1_000_000, learned_at=day(99))
        for fact in data.draw(st.lists(st.sampled_from(facts)) if facts else st.just([]))
    ]
    judged_by = {"policy": policy, "fulfilled": issued("1", "2")}
    before, after = everything(facts, **judged_by), everything([*facts, *again], **judged_by)

    assert outcome(after[0]) == outcome(before[0])
    assert after[1] == before[1]


def outcome(found: Any) -> Any:
    """What a license is, without the facts that say so."""
    return found and (
        [
            (grant.unit, grant.expires_at, grant.activations, [bar.why for bar in grant.revoked])
            for grant in found.grants
        ],
        [bar.why for bar in found.suspended],
        (found.customer, found.ended_at, found.grace_days),
    )


@given(payments=PAYMENTS, on=st.integers(-50, 0), ends=st.integers(1, 90))
def test_an_older_message_never_shortens_what_was_paid(
    payments: list[tuple[str, int, int]], on: int, ends: int
) -> None:
    known = [paid(line(ends=end), order=order, on=1) for order, end, _ in payments]

    assert end_of_any([*known, paid(line(ends=ends), order=payments[0][0], on=on)]) >= end_of_any(known)


@given(payments=PAYMENTS)
def test_a_license_lasts_as_long_as_its_longest_purchase(payments: list[tuple[str, int, int]]) -> None:
    known = [paid(line(ends=end), order=order, on=number) for number, (order, end, _) in enumerate(payments)]

    assert end_of_any(known) == day(max(end for _, end, _ in payments))


@given(quantity=st.integers(1, 9), per_unit=st.integers(1, 5), additional=st.integers(0, 5), one_key=st.booleans())
def test_units_add_up(quantity: int, per_unit: int, additional: int, one_key: bool) -> None:
    """Whether in one key or in many, each unit brings its activations."""
    terms = replace(TERMS, one_key=one_key, activations_per_unit=per_unit, additional_activations=additional)
    found, _ = entitlement.derive([paid(line(quantity=quantity))], circumstances(terms))

    assert found is not None
    assert len(found.grants) == (1 if one_key else quantity)
    assert sum(grant.activations for grant in found.grants) == quantity * per_unit + (additional if one_key else 0)


@given(quantity=st.integers(1, 9), taken=st.lists(st.integers(1, 9), max_size=3))
def test_units_that_are_taken_back_and_those_that_are_left_are_all(quantity: int, taken: list[int]) -> None:
    """A shop that tells twice of a part may mean the same one: the larger counts."""
    refunds = [told(EventKind.REFUNDED, line(undone=units), on=5) for units in taken]
    found, _ = entitlement.derive([paid(line(quantity=quantity)), *refunds], circumstances(KEYS, fulfilled=issued("1")))

    assert found is not None
    revoked = [bool(grant.revoked) for grant in found.grants]
    assert revoked == sorted(revoked)
    assert revoked.count(True) == min(max(taken, default=0), quantity)
