"""Applies what a notification says: facts are added, and the licenses they are about are brought up to date."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from qlmhook.catalog import mappings
from qlmhook.channels.channel import Channel
from qlmhook.channels.enrichment import due as enrichment_due
from qlmhook.domain import order_names
from qlmhook.domain.events import Event, EventKind, Message
from qlmhook.domain.holds import Hold
from qlmhook.errors import MalformedNotification
from qlmhook.inbox import fact_store, notification_store
from qlmhook.licensing import customers, licenses
from qlmhook.licensing.assessment import Facts, Matter, assess
from qlmhook.licensing.audit import Occasion
from qlmhook.licensing.keymakers.registry import KeyMakers
from qlmhook.licensing.results import Applied, Concluded, Settled
from qlmhook.services.check_message import read
from qlmhook.storage import models
from qlmhook.vendors.accounts import Account

_AFTER_PAYMENT = (
    EventKind.REFUNDED,
    EventKind.CHARGEBACK_OPENED,
    EventKind.CHARGEBACK_WON,
    EventKind.CHARGEBACK_LOST,
)
"""What only happens to an order that was paid, whether or not that was told."""


class Applying:
    """Works inside the caller's transaction, so that a notification takes effect as a whole or not at all.

    What came of it is told to the channels, each of which writes down what that calls for.
    """

    def __init__(self, channels: Sequence[Channel], makers: KeyMakers) -> None:
        self._channels = channels
        self._makers = makers

    def apply(self, account: Account, row: models.Notification, message: Message, *, now: datetime) -> Applied:
        """Apply a notification, and what is held of the same order or subscription, which it may set free."""
        applied = self._apply_one(account, row, message, now)
        settled = applied.settled
        references = {one.matter.subject.subscription_ref for one in settled}
        references |= {fact.item.group_ref for one in settled for fact in one.matter.facts if fact.item}
        order_refs = {order_ref for one in settled for order_ref in one.matter.orders}
        still = {hold.cause for one in settled for hold in one.matter.holds}
        held = notification_store.held_with(row, order_refs=order_refs, subscription_refs=references)
        freed = [notification_id for notification_id, causes in held.items() if not causes <= still]
        told = fact_store.count_told(freed)
        for notification_id in freed:
            other = notification_store.get(notification_id)
            facts = {fact.arrival: fact for one in settled for fact in one.matter.facts if fact.told_by == other.id}
            if facts and len(facts) == told[other.id]:  # all that it told is settled just now
                concerned = [one for one in settled if any(fact.told_by == other.id for fact in one.matter.facts)]
                events = [fact.event for fact in facts.values()]
                self._conclude(Applied(account=account, row=other, events=events, news=(), settled=concerned, now=now))
            else:
                said = self._read_again(account, other, now)
                if said is not None:
                    self._apply_one(account, other, said, now)
        return applied

    def apply_again(self, account: Account, row: models.Notification, *, now: datetime) -> None:
        """Apply a stored notification once more, as its plugin understands it today, and what it sets free."""
        message = self._read_again(account, row, now)
        if message is not None:
            self.apply(account, row, message, now=now)

    def hold(self, account: Account, row: models.Notification, reason: str, *, now: datetime) -> None:
        """Keep a notification that cannot be applied, and alert the operator once per reason."""
        self._store_conclusion(account, row, [Hold(reason=reason, cause=reason[:190])], now=now)

    def settle(self, account: Account, about: Facts, occasion: Occasion) -> list[Settled]:
        """Bring licenses to what all facts about them say."""
        every = [self._settle_one(account, matter, occasion) for matter in assess(account, about)]
        for settled in every:
            for channel in self._channels:
                channel.settled(settled)
        return every

    def _settle_one(self, account: Account, matter: Matter, occasion: Occasion) -> Settled:
        entitled = matter.entitlement
        if entitled is None:
            return Settled(account=account, matter=matter, now=occasion.at)
        before = {license.id for license in matter.licenses.values()}
        current = licenses.reconcile(matter, customers.find(entitled.customer.email), self._makers, occasion)
        new = [purchase for purchase in entitled.purchases if purchase.place not in matter.fulfilled]
        to_confirm: set[str] = set()
        if current:
            to_confirm = {
                purchase.order_ref
                for purchase in entitled.purchases
                if purchase.terms.confirm
                # a mapping that was given is_sendresponse only afterwards counts too: the shop still waits
                or (purchase.place in matter.fulfilled and mappings.asks_for_confirmation(account.name, purchase.item))
            }
            sold = [(purchase.place, purchase.terms) for purchase in new]
            sold += [entitled.sold_by_plan] if entitled.sold_by_plan else []
            licenses.mark_fulfilled(matter, sold, occasion.at)
        return Settled(
            account=account,
            matter=matter,
            now=occasion.at,
            current=current,
            renewed=[license for license in current if license.id in before],
            taking_effect=new,
            to_confirm=frozenset(to_confirm),
        )

    def _read_again(self, account: Account, row: models.Notification, now: datetime) -> Message | None:
        """Return what a stored notification says; one that its plugin does not understand any more is held."""
        try:
            message = read(account.vendor, notification_store.restore(row))
        except MalformedNotification as error:
            self.hold(account, row, str(error), now=now)
            return None
        notification_store.describe(row, message)
        return message

    def _apply_one(self, account: Account, row: models.Notification, message: Message, now: datetime) -> Applied:
        if message.incomplete:
            return self._wait(account, row, message, now)
        tests_ignored = account.settings.test_orders == "ignore"
        events = [event for event in message.events if not (event.test and tests_ignored)]
        note = message.note
        if len(events) < len(message.events):
            note = f"{note} A test order is left out: the setting test_orders is ignore.".lstrip()
        news = []
        for event in events:
            if fact_store.record(row, account.name, event):
                news.append(event)
        about = fact_store.about(
            account.name,
            order_refs={event.order_ref for event in events},
            subscription_refs={item.subscription_ref for event in events for item in event.items},
            group_refs={item.group_ref for event in events for item in event.items if not item.subscription_ref},
            customer_refs={event.customer_ref for event in events if event.kind is EventKind.CUSTOMER},
        )
        customers.save(events, (fact for facts in about.values() for fact in facts))
        about_orders = ", ".join(dict.fromkeys(event.order_ref for event in events))
        why = f"{message.order_status} of {message.order_ref or message.subscription_ref or about_orders}"
        why += f": {message.note}" if message.note else ""
        settled = self.settle(account, about, Occasion(actor=f"notification {row.id}", at=now, why=why))
        known = {
            name: fact.event.order_ref
            for facts in about.values()
            for fact in facts
            for name in order_names.names_of(fact.event)
        }
        applied = Applied(
            account=account,
            row=row,
            events=[_by_its_name(event, known) for event in events],
            news=[_by_its_name(event, known) for event in news if not event.unclear],
            settled=settled,
            now=now,
        )
        for channel in self._channels:
            channel.applied(applied)
        self._conclude(applied, note=note, unclear=message.unclear)
        return applied

    def _wait(self, account: Account, row: models.Notification, message: Message, now: datetime) -> Applied:
        """Hold what only names what happened: the shop is asked, and if that is not enough, a person must look."""
        asked = row.enrichment is not None
        reason = (
            f"The shop was asked, and its answer is not enough: {message.incomplete}" if asked else message.incomplete
        )
        cause = f"{'answer to ' if asked else ''}notification {row.id}"
        self._store_conclusion(account, row, [Hold(reason=reason, cause=cause, alert=asked)], now=now)
        if not asked:
            enrichment_due.ask(row, now=now)
        return Applied(account=account, row=row, events=(), news=(), settled=(), now=now)

    def _conclude(self, applied: Applied, *, note: str = "", unclear: str = "") -> None:
        """Conclude a notification by what came of its events."""
        settled, row = applied.settled, applied.row
        holds = [Hold(reason=unclear, cause=f"notification {row.id}")] if unclear else []
        holds += _unclear_orders(applied)
        holds += [hold for one in settled for hold in one.matter.holds if applied.concerns(hold)]
        holds += _unknown_sales(applied)
        done = any(one.done for one in settled)
        if applied.events and not done and any(one.matter.holds for one in settled) and not holds:
            note = f"{note} Its order is held: this counts when that is applied.".lstrip()
        elif applied.events and not done:
            nothing = (
                "No line of the order gets a license." if applied.paid else "There is no license that this changes."
            )
            note = f"{note} {nothing}".lstrip()
        self._store_conclusion(
            applied.account, row, holds, done=done, note=note, names=frozenset(applied.names), now=applied.now
        )

    def _store_conclusion(
        self,
        account: Account,
        row: models.Notification,
        holds: list[Hold],
        *,
        done: bool = False,
        note: str = "",
        names: frozenset[str] = frozenset(),
        now: datetime,
    ) -> None:
        unheard = notification_store.conclude(row, done=done, note=note, holds=holds, now=now)
        concluded = Concluded(
            account=account,
            row=row,
            names=(names | {row.order_ref}) - {""},
            unheard=[hold for hold in unheard if hold.alert],
            now=now,
        )
        for channel in self._channels:
            channel.concluded(concluded)


def _by_its_name(event: Event, known: dict[str, str]) -> Event:
    return replace(event, order_ref=known.get(event.order_ref, event.order_ref))


def _unclear_orders(applied: Applied) -> list[Hold]:
    return [
        Hold(
            reason=event.unclear,
            cause=f"notification {applied.row.id} order {event.order_ref or _subscription_of(event)}",
            order_ref=event.order_ref,
            subscription_ref="" if event.order_ref else _subscription_of(event),
        )
        for event in applied.events
        if event.unclear
    ]


def _subscription_of(event: Event) -> str:
    """Return the first subscription that an event names."""
    return next((ref for item in event.items if (ref := item.subscription_ref or item.group_ref)), "")


def _unknown_sales(applied: Applied) -> Iterable[Hold]:
    """What was paid back or is disputed was sold: it waits for the message that says so, by whichever name."""
    events = [event for event in applied.events if event.kind in _AFTER_PAYMENT and not event.unclear]
    unknown = {event.order_ref: applied.unknown(event) for event in events}
    return [
        Hold(
            reason=f"{what}; this is applied when one arrives.",
            cause=f"unknown order {order_ref}",
            order_ref=order_ref,
            alert=False,
        )
        for order_ref, what in sorted(unknown.items())
        if what
    ]
