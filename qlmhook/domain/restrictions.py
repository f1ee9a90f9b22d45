"""How a license stands by its facts: disputed, stopped, paused, past due, ended."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from qlmhook.domain.events import Customer, Event, EventKind, Item
from qlmhook.domain.facts import Fact
from qlmhook.domain.terms import FOREVER


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Why a license may not be used: what the facts say, from when to when, and when that was learned."""

    why: str
    learned_at: datetime
    begins_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """Where one dispute of an order stands: the newest that was told of it, and when that was learned first."""

    told: Fact
    learned_at: datetime

    @property
    def order_ref(self) -> str:
        """The disputed order."""
        return self.told.event.order_ref

    @property
    def is_open(self) -> bool:
        """It was opened, or opened again."""
        return self.told.event.kind is EventKind.CHARGEBACK_OPENED

    @property
    def is_lost(self) -> bool:
        """It ended for the customer."""
        return self.told.event.kind is EventKind.CHARGEBACK_LOST


_DISPUTE = (EventKind.CHARGEBACK_OPENED, EventKind.CHARGEBACK_WON, EventKind.CHARGEBACK_LOST)


def disputes(facts: Sequence[Fact]) -> list[Dispute]:
    """Return where each dispute of an order stands; `facts` are sorted by age."""
    found: dict[tuple[str, str], Dispute] = {}
    for fact in facts:
        if fact.event.kind not in _DISPUTE:
            continue
        case = fact.event.order_ref, fact.event.case_ref
        known, learned_at = found.get(case), fact.learned_at
        if known is not None and known.told.event.kind is fact.event.kind:
            learned_at = min(learned_at, known.learned_at)  # a repeat is no news
        found[case] = Dispute(told=fact, learned_at=learned_at)
    return list(found.values())


def is_repeat(event: Event, facts: Sequence[Fact]) -> bool:
    """Tell whether an event says of its order only what was said before.

    A dispute is told again as long as it stands as it did; a refund, when lines, units and detail are the same.
    """
    others = [fact for fact in facts if (fact.event.kind, fact.event.at) != (event.kind, event.at)]
    if event.kind in _DISPUTE:
        of_case = [fact for fact in others if fact.event.kind in _DISPUTE and fact.event.case_ref == event.case_ref]
        before = [fact for fact in of_case if fact.event.at <= event.at]
        return bool(before) and max(before, key=lambda fact: fact.age).event.kind is event.kind
    name = event.detail, event.case_ref
    same = [fact for fact in others if (fact.event.kind, fact.event.detail, fact.event.case_ref) == (event.kind, *name)]
    told: dict[datetime, set[tuple[str, int | None]]] = {}
    for fact in same:
        told.setdefault(fact.event.at, set()).update(_units(fact.event.items))
    return _units(event.items) in told.values()


def is_old_word(event: Event, facts: Sequence[Fact]) -> bool:
    """Tell whether an event is about a dispute of which a later word is known: it changes nothing."""
    of_case = [fact for fact in facts if fact.event.kind in _DISPUTE and fact.event.case_ref == event.case_ref]
    return event.kind in _DISPUTE and any(fact.event.at > event.at for fact in of_case)


def _units(items: Sequence[Item]) -> set[tuple[str, int | None]]:
    return {(item.line, item.undone_quantity) for item in items}


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The fact that named a customer, and when that was done."""

    at: datetime
    told: Fact

    @property
    def age(self) -> tuple[datetime, tuple[datetime, int, int, int]]:
        """Sorts namings by when they were done; of one time the age of their facts counts."""
        return self.at, self.told.age

    @property
    def customer(self) -> Customer:
        """Who was named."""
        return self.told.event.customer


def _itself(customer: Customer) -> object:
    return customer


def namings(facts: Iterable[Fact], same: Callable[[Customer], object] = _itself) -> list[Customer]:
    """Return who was named as the customer, the newest last; `same` as of `dated_namings`."""
    return [naming.customer for naming in dated_namings(facts, same)]


def dated_namings(facts: Iterable[Fact], same: Callable[[Customer], object] = _itself) -> list[Naming]:
    """Return who was named as the customer and when, the newest last.

    An order names its customer when it is paid; that it names the same again when it is sent again is no news. `same`
    returns what two customers have in common who are the same.
    """
    known: set[tuple[str, object]] = set()
    orders: set[str] = set()
    found: list[Naming] = []
    for fact in sorted(facts, key=lambda fact: fact.age):
        event = fact.event
        if event.kind in (EventKind.SUBSCRIPTION, EventKind.CUSTOMER):
            found.append(Naming(at=event.at, told=fact))
        elif event.kind is EventKind.PAID and (event.order_ref, same(event.customer)) not in known:
            first = event.order_ref not in orders
            found.append(Naming(at=(event.paid_at or event.at) if first else event.at, told=fact))
            known.add((event.order_ref, same(event.customer)))
            orders.add(event.order_ref)
    return sorted(found, key=lambda naming: naming.age)


def open_disputes(facts: Sequence[Fact]) -> list[Bar]:
    """Return a bar for each dispute that has not ended."""
    return [
        Bar(why=f"The chargeback of order {dispute.order_ref} is open.", learned_at=dispute.learned_at)
        for dispute in disputes(facts)
        if dispute.is_open
    ]


def newest(facts: Sequence[Fact], kind: EventKind) -> Fact | None:
    """Return the last fact of a kind; `facts` are sorted by age."""
    return next((fact for fact in reversed(facts) if fact.event.kind is kind), None)


def subscription(facts: Sequence[Fact]) -> Fact | None:
    """Return what counts of all that was told of a subscription: that it is over for good, else the newest.

    `facts` are sorted by age.
    """
    final = next((fact for fact in reversed(facts) if is_final(fact)), None)
    standings = [fact for fact in facts if fact.event.standing is None or not fact.event.standing.unchanged]
    return final or newest(standings, EventKind.SUBSCRIPTION)


def is_final(fact: Fact | None) -> bool:
    """Tell whether the vendor said with this that a subscription is over for good."""
    return fact is not None and fact.event.standing is not None and fact.event.standing.final


def subscription_end(subscription: Fact | None) -> datetime | None:
    """Return until when the vendor says that a subscription runs."""
    if subscription is None or subscription.item is None:
        return None
    return FOREVER if subscription.item.lifetime else subscription.item.expires_at


def stops_and_pauses(subscription: Fact | None) -> list[Bar]:
    """Return why the vendor takes the use away."""
    told = subscription.event.standing if subscription is not None else None
    if subscription is None or told is None:
        return []
    bars = []
    if told.stopped:
        bars.append(Bar(why="The subscription is stopped.", learned_at=subscription.learned_at))
    if told.paused:
        bars.append(
            Bar(
                why="The subscription is paused.",
                learned_at=subscription.learned_at,
                begins_at=told.paused_from,
                ends_at=told.paused_until,
            )
        )
    return bars


def ended_at(subscription: Fact | None) -> datetime | None:
    """Return when the vendor said that a subscription has ended, whatever its date."""
    told = subscription.event.standing if subscription is not None else None
    if subscription is None or told is None or not (told.expired or told.final):
        return None
    return subscription.event.at


def grace_days(subscription: Fact | None) -> int:
    """Return for how many days beyond its end a license may be used."""
    told = subscription.event.standing if subscription is not None else None
    return told.grace_days if told is not None else 0
