"""What a subscription is of, where the vendor changes that without an order: another product, or another quantity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from qlmhook.domain.events import Item
from qlmhook.domain.facts import Fact, Place
from qlmhook.domain.holds import Hold
from qlmhook.domain.purchases import Purchase, TermsFor
from qlmhook.domain.terms import Terms
from qlmhook.domain.undoings import Undoing

LONGEST_LINE = 80
"""Characters of a place's line."""


def told(facts: Sequence[Fact]) -> list[Fact]:
    """Return the words of the vendor on what a subscription is of; `facts` are sorted by age, and so are these."""
    return [fact for fact in facts if fact.item and fact.event.standing and fact.event.standing.replaces]


def place_of(change: Fact) -> Place:
    """Return where the terms of a change are kept, as if it were a line of an order."""
    assert change.item is not None
    reference = change.item.subscription_ref or change.item.group_ref
    return reference, f"plan {change.item.product_id}"[:LONGEST_LINE]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """The purchases as they are after a change of plan; by which terms its product was sold, or what holds it."""

    purchases: tuple[Purchase, ...]
    sold: tuple[Place, Terms] | None = None
    hold: Hold | None = None


def applied(changes: Sequence[Fact], purchases: Sequence[Purchase], terms_for: TermsFor) -> Planned:
    """Apply the last change of plan to what was paid before it was told; the product may have been named before.

    A product that has no usable mapping, or that gets no license, leaves the purchases as they are.
    """
    every = tuple(purchases)
    before = [purchase for purchase in every if changes and purchase.paid_at <= changes[-1].event.at]
    if not before:
        return Planned(purchases=every)
    last = before[-1]
    change = _with_product([one for one in changes if one.event.at >= last.paid_at])
    item = change.item
    assert item is not None
    if not item.product_id or item.product_id == last.item.product_id:
        return Planned(purchases=tuple(_with_quantity(each, change) if each in before else each for each in every))
    terms = terms_for(place_of(change), item)
    if isinstance(terms, Hold):
        return Planned(purchases=every, hold=replace(terms, subscription_ref=place_of(change)[0]))
    if terms is None:
        return Planned(purchases=every)
    changed = replace(last, item=replace(last.item, **_product_of(item)), product_terms=terms)
    after = [changed if each is last else each for each in every]
    return Planned(
        purchases=tuple(_with_quantity(each, change) if each.paid_at <= change.event.at else each for each in after),
        sold=(place_of(change), terms),
    )


def _with_product(changes: Sequence[Fact]) -> Fact:
    """Return the last of these changes with the product that was named last."""
    last, named = changes[-1], [one.item for one in changes if one.item and one.item.product_id]
    if not named or last.item is None:
        return last
    return replace(last, item=replace(last.item, **_product_of(named[-1])))


def _product_of(item: Item) -> dict[str, Any]:
    return {name: getattr(item, name) for name in ("product_id", "general_ids", "product_name", "options")}


def _with_quantity(purchase: Purchase, change: Fact) -> Purchase:
    """More units are more of what was bought; fewer are the same purchase with some of it taken back.

    Units that were taken back before are not in the number that is told.
    """
    assert change.item is not None
    bought, has = purchase.item.quantity, change.item.quantity
    undone = tuple(one for one in purchase.undone if one.units is None or one.fact.age > change.age)
    if has >= bought:
        return replace(purchase, item=replace(purchase.item, quantity=has), undone=undone)
    fewer = Undoing(fact=change, units=bought - has, learned_at=change.learned_at)
    return replace(purchase, undone=(*undone, fewer))
