"""How a license stands by its facts: disputed, stopped, paused, past due, ended."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from qlmhook.events import EventKind
from qlmhook.history import Fact
from qlmhook.rules import Effect, Policy, effect_of
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
        return bar(f"The chargeback of order {order_ref} is lost.", cause, facts)
    return bar(f"Order {order_ref} is {kind.value}.", cause, facts)


def disputed(facts: list[Fact]) -> Bar | None:
    """Of each order's dispute the newest message counts."""
    disputes = (Effect.SUSPENDS, Effect.RESTORES)
    newest = {fact.event.order_ref: fact for fact in facts if effect(fact) in disputes}
    for fact in newest.values():
        if effect(fact) is Effect.SUSPENDS:
            return bar(f"The chargeback of order {fact.event.order_ref} is open.", fact, facts)
    return None


def effect(fact: Fact) -> Effect:
    return effect_of(fact.event.kind, Policy())


def bar(why: str, cause: Fact, facts: list[Fact]) -> Bar:
    """A repeat of the cause is no news: it was learned when it first came."""
    same = [
        fact.learned_at
        for fact in facts
        if (fact.event.kind, fact.event.order_ref) == (cause.event.kind, cause.event.order_ref)
    ]
    return Bar(why=why, learned_at=min(same))


def stopped_or_paused(subscription: Fact | None) -> Bar | None:
    told = subscription.event.standing if subscription is not None else None
    if subscription is None or told is None:
        return None
    if told.stopped:
        return Bar(why="The subscription is stopped.", learned_at=subscription.learned_at)
    if told.paused:
        return Bar(
            why="The subscription is paused.",
            learned_at=subscription.learned_at,
            begins_at=told.paused_from,
            ends_at=told.paused_until,
        )
    return None


def ended_at(subscription: Fact | None) -> datetime | None:
    told = subscription.event.standing if subscription is not None else None
    return subscription.event.at if subscription is not None and told is not None and told.expired else None


def grace_until(subscription: Fact | None) -> datetime | None:
    told = subscription.event.standing if subscription is not None else None
    end = subscription_end(subscription)
    if told is None or not told.grace_days or end is None or end == FOREVER:
        return None
    return end + timedelta(days=told.grace_days)
