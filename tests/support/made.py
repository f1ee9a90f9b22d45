"""Facts, and what they are judged by, made from a few words; times are days after the first one."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo

from qlmhook.domain import entitlement
from qlmhook.domain.entitlement import Entitlement
from qlmhook.domain.events import Customer, Event, EventKind, Item, Standing
from qlmhook.domain.facts import Fact, Place
from qlmhook.domain.holds import Hold
from qlmhook.domain.purchases import Circumstances, Extension
from qlmhook.domain.rules import Policy
from qlmhook.domain.terms import Terms

TERMS = Terms(product_id=1, major_version=1, minor_version=0)
KEYS = replace(TERMS, one_key=False)
MONTH = replace(TERMS, duration_days=30)
STRICT = Policy(revoke_on_refund=True, revoke_on_cancel=True)
LINE = "101#1"
ANN = Customer(email="ann@example.com")
_arrivals = itertools.count(1)


def day(number: float) -> datetime:
    """Noon of a day; day 0 is the first of January."""
    return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=number)


def end_of(number: int) -> datetime:
    """The last second of a day."""
    return day(number).replace(hour=23, minute=59, second=59)


def line(
    name: str = LINE,
    *,
    product: str = "101",
    quantity: int = 1,
    ref: str = "",
    ends: float | None = None,
    lifetime: bool = False,
    options: Sequence[str] = (),
    undone: int | None = None,
    problem: str = "",
    group: str = "",
) -> Item:
    """A line of an order; `ends` is a day, `undone` how many units an event takes back."""
    return Item(
        line=name,
        product_id=product,
        quantity=quantity,
        subscription_ref=ref,
        group_ref=group,
        expires_at=None if ends is None else day(ends),
        lifetime=lifetime,
        options=tuple(options),
        undone_quantity=undone,
        problem=problem,
    )


def told(
    kind: EventKind,
    item: Item | None = None,
    *,
    order: str = "1",
    on: float = 0,
    placed: float | None = None,
    paid: float | None = None,
    learned: float | None = None,
    told_by: int | None = None,
    sequence: int = 0,
    customer: Customer = ANN,
    standing: Standing | None = None,
    items: Sequence[Item] | None = None,
    test: bool = False,
    dismissed: bool = False,
    reason: str = "",
    detail: str = "",
    names: Sequence[str] = (),
    case: str = "",
    customer_ref: str = "",
) -> Fact:
    """A fact that the vendor told and we learned on one day, about a purchase that was placed then, too."""
    arrival = next(_arrivals)
    event = Event(
        kind=kind,
        order_ref=order,
        also_known_as=tuple(names),
        at=day(on),
        placed_at=day(on if placed is None else placed),
        paid_at=None if paid is None else day(paid),
        sequence=sequence,
        test=test,
        customer=customer,
        customer_ref=customer_ref,
        case_ref=case,
        items=tuple(items if items is not None else [item] if item else []),
        standing=standing,
        reason=reason,
        detail=detail,
    )
    return Fact(
        event=event,
        item=item,
        arrival=arrival,
        told_by=arrival if told_by is None else told_by,
        learned_at=day(on if learned is None else learned),
        place=(order, item.line if item else ""),
        dismissed=dismissed,
    )


def paid(
    item: Item | None = None, *, order: str = "1", on: float = 0, placed: float | None = None, paid: float | None = None
) -> Fact:
    """A line is paid for."""
    return told(EventKind.PAID, item or line(), order=order, on=on, placed=placed, paid=paid)


def refund(item: Item | None = None, *, order: str = "1", on: float = 9, dismissed: bool = False) -> Fact:
    """The money for a line went back."""
    return told(EventKind.REFUNDED, item or line(), order=order, on=on, dismissed=dismissed)


def subscription(
    *,
    on: float = 5,
    ends: float | None = None,
    standing: Standing | None = None,
    ref: str = "S",
    lifetime: bool = False,
    customer: Customer = ANN,
    dismissed: bool = False,
) -> Fact:
    """What the vendor says of a subscription."""
    return told(
        EventKind.SUBSCRIPTION,
        line(ref, ref=ref, ends=ends, lifetime=lifetime),
        order="",
        on=on,
        standing=standing,
        customer=customer,
        dismissed=dismissed,
    )


def circumstances(
    terms: Terms | Mapping[str, Terms | None] | Callable[[Place, Item], Terms | Hold | None] = TERMS,
    *,
    policy: Policy = STRICT,
    fulfilled: Collection[Place] = (),
    extensions: Mapping[int, Sequence[Extension]] | None = None,
    zone: tzinfo = UTC,
) -> Circumstances:
    """What facts are judged by; `terms` those of every product, or of each by its id, or a function."""

    def terms_for(place: Place, item: Item) -> Terms | Hold | None:
        if callable(terms):
            return terms(place, item)
        return terms[item.product_id] if isinstance(terms, Mapping) else terms

    return Circumstances(
        terms_for=terms_for,
        zone=zone,
        policy=policy,
        fulfilled=dict.fromkeys(fulfilled, ""),
        extensions={unit: tuple(every) for unit, every in (extensions or {}).items()},
    )


def issued(*orders: str) -> list[Place]:
    """The places of orders of one line that took effect already."""
    return [(order, LINE) for order in orders]


def derived(facts: Sequence[Fact], judged_by: Circumstances | None = None) -> Entitlement:
    """What facts entitle to, where that is something and nothing is held."""
    found, holds = entitlement.derive(facts, judged_by or circumstances(fulfilled=issued("1", "2", "3")))
    assert found is not None
    assert holds == []
    return found


def held(facts: Sequence[Fact], judged_by: Circumstances | None = None) -> list[tuple[str, str, str, bool]]:
    """Why facts are held, the cause, the order, and whether that is an alert."""
    _, holds = entitlement.derive(facts, judged_by or circumstances())
    return [_parts(hold) for hold in holds]


def _parts(hold: Hold) -> tuple[str, str, str, bool]:
    return hold.reason, hold.cause, hold.order_ref, hold.alert
