"""The names of an order: a vendor may speak of one sale as a session, an invoice, a payment and a charge."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from qlmhook.domain.events import Event, EventKind
from qlmhook.domain.facts import Fact


def names_of(event: Event) -> set[str]:
    """Return every name of an event's order that is known; none if it is about no order."""
    return {event.order_ref, *event.also_known_as} - {""}


def joined(pairs: Iterable[tuple[str, str]]) -> list[frozenset[str]]:
    """Return the groups of names that mean one order each, from any two that were told together."""
    groups: list[set[str]] = []
    for pair in pairs:
        touched = [group for group in groups if not group.isdisjoint(pair)]
        groups = [group for group in groups if group not in touched]
        groups.append(set(pair).union(*touched))
    return [frozenset(group) for group in groups]


def under_one_name(facts: Sequence[Fact], groups: Iterable[Collection[str]]) -> list[Fact]:
    """Return facts in which each order has one name, whatever names it was told under.

    It is the name under which the order was first paid for, else under which it was first told: once something is
    sold by a name, later messages do not change it. The others become `also_known_as`.
    """
    group_of = {name: frozenset(group) for group in groups for name in group}
    chosen: dict[frozenset[str], str] = {}
    for fact in sorted(facts, key=lambda fact: (fact.event.kind is not EventKind.PAID, fact.arrival)):
        if fact.event.order_ref in group_of:
            chosen.setdefault(group_of[fact.event.order_ref], fact.event.order_ref)
    return [_renamed(fact, group_of, chosen) for fact in facts]


def _renamed(fact: Fact, group_of: dict[str, frozenset[str]], chosen: dict[frozenset[str], str]) -> Fact:
    group = group_of.get(fact.event.order_ref)
    if group is None:
        return fact
    name = chosen[group]
    return replace(fact, event=replace(fact.event, order_ref=name, also_known_as=tuple(sorted(group - {name}))))
