"""What came of something that was told or decided: channels read it, and say what it calls for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from qlmhook.domain import order_names
from qlmhook.domain.events import Event, EventKind
from qlmhook.domain.facts import Fact
from qlmhook.domain.holds import Hold
from qlmhook.domain.purchases import Purchase
from qlmhook.licensing.assessment import Matter
from qlmhook.storage import models
from qlmhook.vendors.accounts import Account

_SALES = (EventKind.PAID, EventKind.UNDER_REVIEW)


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What came of bringing one subject's licenses up to date.

    `current` are its licenses as they are now, `renewed` those of them that were there before; `taking_effect` are the
    purchases that count from now on; `to_confirm` the orders whose shop waits to hear that they are fulfilled.
    """

    account: Account
    matter: Matter
    now: datetime
    current: Sequence[models.License] = ()
    renewed: Sequence[models.License] = ()
    taking_effect: Sequence[Purchase] = ()
    to_confirm: frozenset[str] = frozenset()

    @property
    def done(self) -> bool:
        """Whether there is a license that it is about."""
        return bool(self.current)

    @property
    def barred(self) -> list[models.License]:
        """The licenses that may not be used until somebody says otherwise, or never again."""
        is_over = self.matter.entitlement is not None and self.matter.entitlement.final
        return [license for license in self.current if is_over or license.is_barred(self.now)]

    @property
    def usable(self) -> list[models.License]:
        """The other licenses."""
        barred = self.barred
        return [license for license in self.current if license not in barred]

    def pays_for(self, order_ref: str) -> bool:
        """Tell whether an order is among what the licenses are sold by."""
        every = self.matter.entitlement.every if self.matter.entitlement else ()
        return any(purchase.order_ref == order_ref for purchase in every)


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What came of a notification: its events, which of them are news, and the subjects that they are about.

    The events name their orders as these are known by now.
    """

    account: Account
    row: models.Notification
    events: Sequence[Event]
    news: Sequence[Event]
    settled: Sequence[Settled]
    now: datetime

    @property
    def names(self) -> set[str]:
        """The orders that it is about, by all their names."""
        return {name for event in self.events for name in order_names.names_of(event)}

    @property
    def paid(self) -> set[str]:
        """The orders that it says are paid."""
        return {event.order_ref for event in self.events if event.kind is EventKind.PAID}

    def concerns(self, hold: Hold) -> bool:
        """Tell whether a hold is the notification's; one of another order is that order's matter."""
        if hold.order_ref or not hold.subscription_ref:
            return hold.order_ref in ("", *self.names)
        return any(event.kind is EventKind.SUBSCRIPTION for event in self.events)

    def facts_of(self, order_ref: str) -> list[Fact]:
        """Return what is known of an order by the subjects that were settled."""
        return [fact for one in self.settled for fact in one.matter.facts if fact.event.order_ref == order_ref]

    def unknown(self, event: Event) -> str:
        """Return what of an event's order is not known to be paid, or to be about to; nothing if all is."""
        facts = self.facts_of(event.order_ref)
        sold = {fact.item.line for fact in facts if fact.item and fact.event.kind in _SALES}
        if not sold:
            return f"No paid order {event.order_ref} is known yet"
        # a line is known again by more than its name, so what counts is which line the fact was found to be of
        mine = [fact for fact in facts if fact.event.kind is event.kind and fact.event.at == event.at and fact.item]
        strange = sorted({fact.place[1] for fact in mine if fact.item and fact.item.line not in sold})
        return f"Order {event.order_ref} has no paid line {', '.join(strange)}" if strange else ""


@dataclass(frozen=True, kw_only=True)
class Concluded:
    """What a notification's state is now: `unheard` are the holds of a cause that nothing else is held for."""

    account: Account
    row: models.Notification
    names: frozenset[str]
    unheard: Sequence[Hold]
    now: datetime
