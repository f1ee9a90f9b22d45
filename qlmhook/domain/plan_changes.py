"""What a subscription is of, where the vendor changes that without an order: another product, or another quantity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qlmhook.domain.facts import Fact, Place
from qlmhook.domain.holds import Hold
from qlmhook.domain.purchases import Purchase, TermsFor
from qlmhook.domain.terms import Terms
from qlmhook.domain.undoings import Undoing

LONGEST_LINE = 80
"""Characters of a place's line."""


def last_change(facts: Sequence[Fact]) -> Fact | None:
    """Return the last word of the vendor on what a subscription is of; `facts` are sorted by age."""
    return next((fact for fact in reversed(facts) if fact.event.standing and fact.event.standing.replaces), None)


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


def applied(change: Fact, purchases: Sequence[Purchase], terms_for: TermsFor) -> Planned:
    """Apply a change of plan to what was paid before it was told.

    A product that has no usable mapping, or that gets no license, leaves the purchases as they are.
    """
    item, every = change.item, tuple(purchases)
    assert item is not None
    before = [purchase for purchase in every if purchase.paid_at <= change.event.at]
    if not before:
        return Planned(purchases=every)
    last = before[-1]
    if not item.product_id or item.product_id == last.item.product_id:
        return Planned(purchases=tuple(_with_quantity(each, change) if each in before else each for each in every))
    terms = terms_for(place_of(change), item)
    if isinstance(terms, Hold):
        return Planned(purchases=every, hold=replace(terms, subscription_ref=place_of(change)[0]))
    if terms is None:
        return Planned(purchases=every)
    product = {name: getattr(item, name) for name in ("product_id", "general_ids", "product_name", "options")}
    changed = replace(last, item=replace(last.item, **product), product_terms=terms)
    after = [changed if each is last else each for each in every]
    return Planned(
        purchases=tuple(_with_quantity(each, change) if each.paid_at <= change.event.at else each for each in after),
        sold=(place_of(change), terms),
    )


def _with_quantity(purchase: Purchase, change: Fact) -> Purchase:
    """More units are more of what was bought; fewer are the same purchase with some of it taken back."""
    assert change.item is not None
    bought, has = purchase.item.quantity, change.item.quantity
    if has >= bought:
        return replace(purchase, item=replace(purchase.item, quantity=has))
    fewer = Undoing(fact=change, units=bought - has, learned_at=change.learned_at)
    return replace(purchase, undone=(*purchase.undone, fewer))
