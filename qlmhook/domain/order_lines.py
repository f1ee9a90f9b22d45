"""Which license a fact is about: a line is known again in every message about its order, and in its renewals.

A vendor names a line within a message. The same line may stand elsewhere in the next message, come without its
subscription reference, or with another one; two lines of an order may carry one reference. All of that is settled
here, from all facts at once.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from qlmhook.domain.events import Event, EventKind, Item
from qlmhook.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What one license, or one for each unit, is about: a subscription, or a line of an order that has none.

    `order_ref` and `line` are those of the purchase that began it; empty while no order of a subscription is known.
    `group_ref` is set where that is all that is known.
    """

    vendor: str
    subscription_ref: str
    group_ref: str = ""
    order_ref: str = ""
    line: str = ""


@dataclass(kw_only=True)
class _Line:
    """One line of an order: its facts in the order of their arrival, and its name in the first of them."""

    name: str
    facts: list[Fact] = field(default_factory=list)
    references: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)

    def add(self, fact: Fact, item: Item) -> None:
        self.facts.append(replace(fact, item=replace(item, line=self.name)))
        self.references |= {item.subscription_ref} - {""}
        self.names.append(item.line)

    @property
    def order_ref(self) -> str:
        return self.facts[0].event.order_ref

    @property
    def newest(self) -> Item:
        # what is told of a refund need not say what it is of
        named = [fact for fact in self.facts if fact.item and fact.item.product_id] or self.facts
        item = max(named, key=lambda fact: fact.age).item
        assert item is not None
        return item

    @property
    def reference(self) -> str:
        """The subscription that it belongs to: the newest that was told."""
        told = sorted(self.facts, key=lambda fact: fact.age, reverse=True)
        return next((fact.item.subscription_ref for fact in told if fact.item and fact.item.subscription_ref), "")

    @property
    def placed_at(self) -> datetime:
        return min(fact.event.placed_at for fact in self.facts)


def sort_out(vendor: str, facts: Iterable[Fact]) -> dict[Subject, list[Fact]]:
    """Part facts by what they are about, the name of their line being the same in all facts about a line.

    A fact about a whole order counts for each of its lines, one about a subscription for each of its licenses, one
    about a group for each subscription of it, one about a customer for whatever names the customer.
    """
    every = sorted((fact for fact in facts if not fact.event.unclear), key=lambda fact: fact.arrival)
    of_orders: dict[str, list[Fact]] = {}
    of_subscriptions: dict[str, list[Fact]] = {}
    of_groups: dict[str, list[Fact]] = {}
    for fact in every:
        if fact.event.kind is EventKind.SUBSCRIPTION and fact.item is not None:
            reference, group = fact.item.subscription_ref, fact.item.group_ref
            (of_subscriptions if reference else of_groups).setdefault(reference or group, []).append(fact)
        elif fact.event.kind is not EventKind.CUSTOMER:
            of_orders.setdefault(fact.event.order_ref, []).append(fact)
    lines = [line for told in of_orders.values() for line in _lines_of_order(told)]

    parted: dict[Subject, list[Fact]] = {}
    for threads in _threads(lines):
        first, told = threads[0], [fact for line in threads for fact in line.facts]
        reference = first.reference
        subject = Subject(vendor=vendor, subscription_ref=reference, order_ref=first.order_ref, line=first.name)
        parted[subject] = told + of_subscriptions.get(reference, [])
    known = {subject.subscription_ref for subject in parted}
    for reference, told in of_subscriptions.items():
        if reference not in known:
            parted[Subject(vendor=vendor, subscription_ref=reference)] = list(told)
    members = {group for told in parted.values() for group in _groups(told)}
    for told in parted.values():
        told += [fact for group in sorted(_groups(told)) for fact in of_groups.get(group, [])]
    for group, told in of_groups.items():
        if group not in members:
            parted[Subject(vendor=vendor, subscription_ref="", group_ref=group)] = list(told)
    of_customers = [fact for fact in every if fact.event.kind is EventKind.CUSTOMER]
    for told in parted.values():
        told += [fact for fact in of_customers if _is_about_the_customer_of(told, fact.event)]
    return parted


def _groups(facts: Iterable[Fact]) -> set[str]:
    return {fact.item.group_ref for fact in facts if fact.item is not None} - {""}


def _is_about_the_customer_of(facts: Sequence[Fact], told: Event) -> bool:
    by_reference = told.customer_ref and any(fact.event.customer_ref == told.customer_ref for fact in facts)
    by_order = told.order_ref and any(fact.event.order_ref == told.order_ref for fact in facts)
    return bool(by_reference or by_order)


def _lines_of_order(facts: Sequence[Fact]) -> list[_Line]:
    """Tell the lines of one order apart, message after message, by reference first and by name then."""
    lines: list[_Line] = []
    about_a_line = [fact for fact in facts if fact.item is not None]
    for _, message in itertools.groupby(about_a_line, key=lambda fact: (fact.told_by, fact.event.kind, fact.event.at)):
        left, free = list(message), list(lines)
        names = {name for line in lines for name in line.names}
        for is_same in _SIGNS:
            for fact in list(left):
                assert fact.item is not None
                line = next((line for line in free if is_same(line, fact, fact.item, names)), None)
                if line is not None:
                    line.add(fact, fact.item)
                    left.remove(fact)
                    free.remove(line)
        for fact in left:
            assert fact.item is not None
            lines.append(_Line(name=_free_name(lines, fact.item.line)))
            lines[-1].add(fact, fact.item)
    for fact in facts:
        if fact.item is None:
            for line in lines:
                line.facts.append(replace(fact, item=replace(line.newest, undone_quantity=None)))
    return lines


_SIGNS: Sequence[Callable[[_Line, Fact, Item, Collection[str]], bool]] = (
    lambda line, _, item, __: item.subscription_ref in line.references and item.line == line.names[-1],
    lambda line, _, item, __: item.subscription_ref in line.references and item.product_id == line.newest.product_id,
    lambda line, _, item, __: item.subscription_ref in line.references,
    lambda line, _, item, __: item.line == line.names[-1] and _is_alike(line, item),
    lambda line, _, item, names: item.line in names and _is_alike(line, item),
    lambda line, fact, item, _: _is_told_elsewhere(line, fact) and _is_alike(line, item),
    lambda line, _, item, __: item.line == line.names[-1],
    lambda line, _, item, __: item.line in line.names,
    lambda line, fact, item, _: _is_told_elsewhere(line, fact) and item.product_id == line.newest.product_id,
)
"""What a line is known again by, the surest sign first; `names` are those of all lines before."""


def _is_alike(line: _Line, item: Item) -> bool:
    """Lines without references may change places, too; a part that is taken back has a quantity of its own."""
    known = line.newest
    return item.undone_quantity is None and (item.product_id, item.quantity, item.options) == (
        known.product_id,
        known.quantity,
        known.options,
    )


def _is_told_elsewhere(line: _Line, fact: Fact) -> bool:
    """A vendor who speaks of an order by another name may have other names for its lines, too."""
    return fact.place[0] not in {known.place[0] for known in line.facts}


def _free_name(lines: Sequence[_Line], name: str) -> str:
    """A line that was not in the first message can come under a name that another one had there."""
    taken = {line.name for line in lines}
    numbered = (f"{name[:60]}~{number}" for number in itertools.count(2))
    return next(free for free in itertools.chain([name], numbered) if free not in taken)


def _threads(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Join the lines that one license stands for: those of one subscription, in different orders.

    Two lines of one order are two licenses, even if they carry one reference. A renewal of both renews each by its
    product, else by its place.
    """
    by_reference: dict[str, list[_Line]] = {}
    for line in lines:
        if line.reference:
            by_reference.setdefault(line.reference, []).append(line)
        else:
            yield [line]
    for of_subscription in by_reference.values():
        yield from _threads_of_subscription(of_subscription)


def _threads_of_subscription(lines: list[_Line]) -> list[list[_Line]]:
    orders: dict[str, list[_Line]] = {}
    for line in lines:
        orders.setdefault(line.order_ref, []).append(line)
    threads: list[list[_Line]] = []
    for order_ref in sorted(orders, key=lambda ref: (min(line.placed_at for line in orders[ref]), len(ref), ref)):
        left, free = sorted(orders[order_ref], key=lambda line: line.name), list(threads)
        for same_product in (True, False):
            for line in list(left):
                renewed = next(
                    (
                        thread
                        for thread in free
                        if not same_product or thread[-1].newest.product_id == line.newest.product_id
                    ),
                    None,
                )
                if renewed is not None:
                    renewed.append(line)
                    left.remove(line)
                    free.remove(renewed)
        threads += [[line] for line in left]
    return threads
