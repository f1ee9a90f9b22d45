"""How a license stands by its facts: disputed, stopped, paused, past due, ended."""

from dataclasses import dataclass
from datetime import datetime

from qlmhook.events import EventKind
from qlmhook.history import Fact
from qlmhook.terms import FOREVER


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Why a license may not be used: what the facts say, from when to when, and when that was learned."""

    why: str
    learned_at: datetime
    begins_at: datetime | None = None
    ends_at: datetime | None = None


def newest(facts: list[Fact], kind: EventKind) -> Fact | None:
    return next((fact for fact in reversed(facts) if fact.event.kind is kind), None)


def subscription_end(subscription: Fact | None) -> datetime | None:
    if subscription is None or subscription.item is None:
        return None
    return FOREVER if subscription.item.lifetime else subscription.item.expires_at


def revoked(cause: Fact, facts: list[Fact]) -> Bar:
    """Why a license is revoked: a dispute is lost, or every purchase that it stands for is undone."""
    order_ref, kind = cause.event.order_ref, cause.event.kind
    if kind is EventKind.CHARGEBACK_LOST:
        return _bar(f"The chargeback of order {order_ref} is lost.", cause, facts)
    return _bar(f"Order {order_ref} is {kind.value}.", cause, facts)


def disputes(facts: list[Fact]) -> list[Bar]:
    """Return the open disputes, each learned of when it was opened, or opened again after it was won."""
    opened: dict[str, datetime] = {}
    for fact in facts:
        order_ref = fact.event.order_ref
        if fact.event.kind is EventKind.CHARGEBACK_WON:
            opened.pop(order_ref, None)
        elif fact.event.kind is EventKind.CHARGEBACK_OPENED:
            opened[order_ref] = min(fact.learned_at, opened.get(order_ref, fact.learned_at))
    return [
        Bar(why=f"The chargeback of order {order_ref} is open.", learned_at=learned_at)
        for order_ref, learned_at in opened.items()
    ]


def _bar(why: str, cause: Fact, facts: list[Fact]) -> Bar:
    """A repeat of the cause is no news: it was learned when it first came."""
    same = [
        fact.learned_at
        for fact in facts
        if (fact.event.kind, fact.event.order_ref) == (cause.event.kind, cause.event.order_ref)
    ]
    return Bar(why=why, learned_at=min(same))


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
    return subscription.event.at if subscription is not None and told is not None and told.expired else None


def grace_days(subscription: Fact | None) -> int:
    """Return for how many days beyond its end a license may be used."""
    told = subscription.event.standing if subscription is not None else None
    return told.grace_days if told is not None else 0
