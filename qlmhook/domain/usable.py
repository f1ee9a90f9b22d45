"""Whether an event can be used: what it lacks, and what it says that nothing would come of.

A plugin's author reads it as the end of a sentence that begins with the event.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain

from qlmhook.domain.events import Customer, Event, EventKind, Item, Message, Standing

ABOUT_MONEY = frozenset(EventKind) - {
    EventKind.PAID,
    EventKind.UNDER_REVIEW,
    EventKind.SUBSCRIPTION,
    EventKind.CUSTOMER,
}
"""What takes money back or disputes it: this may be about a whole order, or about some units."""

_ONLY_IN: Mapping[str, tuple[frozenset[EventKind], str]] = {
    "standing": (frozenset({EventKind.SUBSCRIPTION}), "it says how a subscription stands"),
    "whole_order": (ABOUT_MONEY, "it is for money that went back or is disputed"),
    "case_ref": (ABOUT_MONEY, "it names a refund or a dispute"),
}
"""In which events a field means something, and what. Others, such as a price, describe the sale; any may have them."""
_ITEMS_ONLY_IN: Mapping[str, tuple[frozenset[EventKind], str]] = {
    "undone_quantity": (ABOUT_MONEY, "it is for money that went back"),
    "problem": (frozenset(EventKind) - {EventKind.SUBSCRIPTION}, "it holds an order's line; say it in unclear"),
}


def silence_of(message: Message) -> Iterator[str]:
    """Yield why a message says nothing at all."""
    if not (message.events or message.note or message.unclear or message.incomplete):
        yield "has no events, and no note that says why: say in note why nothing is to be done"


def faults_of(event: Event) -> Iterator[str]:
    """Yield every reason why an event cannot be used."""
    return chain(useless_in(event), lines_told_twice_in(event), amounts_unclear_in(event))


def useless_in(event: Event) -> Iterator[str]:
    """Yield what an event lacks, and what it says that an event of its kind cannot carry.

    One that a person must look at does nothing, so it need not say what it is about.
    """
    yield from _numbers(event)
    if not event.order_ref and event.kind not in (EventKind.SUBSCRIPTION, EventKind.CUSTOMER):
        yield "names no order: its order_ref is empty"
    if event.unclear:
        return
    for name, (kinds, why) in _ONLY_IN.items():
        if getattr(event, name) and event.kind not in kinds:
            yield f"says {name}, which nothing of its kind can: {why}"
    yield from _customer(event) if event.kind is EventKind.CUSTOMER else _lines(event)
    yield from _standing(event.standing, event.kind)


def lines_told_twice_in(event: Event) -> Iterator[str]:
    """Yield the lines that an event names more than once, of which one would be lost."""
    lines = [] if event.unclear else [item.line for item in event.items]
    for line in dict.fromkeys(line for line in lines if line and lines.count(line) > 1):
        yield f"names line {line[:80]!r} twice: put what is told of a line into one item"


def amounts_unclear_in(event: Event) -> Iterator[str]:
    """Yield the amounts that are no number in a currency."""
    for place, item in enumerate(event.items):
        if item.amount is not None and not (item.amount.is_finite() and re.fullmatch(r"[A-Z]{3}", item.currency)):
            yield (
                f"gives items[{place}] the amount {item.amount} in {item.currency[:20]!r}: meant are a number and a "
                "currency of three capital letters, such as EUR"
            )


def _numbers(event: Event) -> Iterator[str]:
    if abs(event.sequence) >= 2**63:
        yield "has a sequence of more than 64 bits: give it a smaller number"
    for place, item in enumerate(event.items):
        if item.quantity < 1:
            yield f"gives items[{place}] the quantity {item.quantity}: the least is 1"
        if item.undone_quantity is not None and item.undone_quantity < 1:
            yield f"gives items[{place}] the undone_quantity {item.undone_quantity}: the least is 1, and None means all"


def _customer(event: Event) -> Iterator[str]:
    if event.items:
        yield "names lines: it is about a customer alone, so leave out its items"
    if not (event.customer_ref or event.order_ref):
        yield "does not say whose customer it describes: give it a customer_ref or an order_ref"
    if event.customer == Customer():
        yield "describes nobody: its customer is empty"


def _lines(event: Event) -> Iterator[str]:
    if event.items and event.whole_order:
        yield "names lines and says whole_order: do one of the two"
    if not event.items and event.kind not in ABOUT_MONEY:
        yield "names no line: its items are empty"
    elif not event.items and not event.whole_order:
        yield "names no line: give it items, or say whole_order=True if it is about all lines of its order"
    for place, item in enumerate(event.items):
        yield from _item(event.kind, item, f"items[{place}]")


def _item(kind: EventKind, item: Item, where: str) -> Iterator[str]:
    if kind is EventKind.SUBSCRIPTION and not (item.subscription_ref or item.group_ref):
        yield f"names no subscription: give {where} a subscription_ref or a group_ref"
    if kind is not EventKind.SUBSCRIPTION and not item.line:
        yield f"has {where} without a line: name it, the same in every message"
    if kind in (EventKind.PAID, EventKind.UNDER_REVIEW) and not (item.product_id or item.problem):
        yield f"has {where} without a product_id: name what was bought, or say in problem why that is not known"
    for name, (kinds, why) in _ITEMS_ONLY_IN.items():
        if getattr(item, name) and kind not in kinds:
            yield f"gives {where} {name}, which nothing of its kind can have: {why}"
    if item.lifetime and item.expires_at is not None:
        yield f"gives {where} lifetime and expires_at: it never ends, or it does"


def _standing(standing: Standing | None, kind: EventKind) -> Iterator[str]:
    if standing is None:
        if kind is EventKind.SUBSCRIPTION:
            yield "does not say how the subscription stands: give it a standing, Standing() if it goes on"
        return
    if standing.unchanged and not standing.replaces:
        yield "says unchanged and nothing else: it stands beside replaces"
    if standing.grace_days < 0:
        yield f"gives {standing.grace_days} grace_days: the least is 0"
    if standing.paused and _is_before(standing.paused_until, standing.paused_from):
        yield "tells of a pause that ends before it begins: compare paused_from and paused_until"


def _is_before(end: datetime | None, begin: datetime | None) -> bool:
    return end is not None and begin is not None and end < begin
