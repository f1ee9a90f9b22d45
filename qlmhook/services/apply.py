"""Applies what a notification says: facts are added, and the licenses they are about are brought up to date."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from qlmhook.catalog import mappings
from qlmhook.channels.confirmation import plan as confirmation_plan
from qlmhook.channels.mail.plan import Mailing
from qlmhook.domain import restrictions
from qlmhook.domain.events import NAMING_CUSTOMERS, Event, EventKind, Message
from qlmhook.domain.facts import Fact
from qlmhook.domain.rules import Effect, effect_of
from qlmhook.errors import Held, MalformedNotification
from qlmhook.inbox import fact_store, notification_store
from qlmhook.licensing import customers, keys, licenses
from qlmhook.licensing.assessment import Facts, Matter, assess, policy_of
from qlmhook.licensing.audit import Cause
from qlmhook.licensing.keymakers.registry import KeyMakers
from qlmhook.reports import listings
from qlmhook.services.reading import read
from qlmhook.storage import models
from qlmhook.vendors.accounts import Account

_TAKEN_BACK = (EventKind.CANCELED, EventKind.REVERSED, EventKind.REFUNDED)


@dataclass(kw_only=True)
class Settled:
    """What came of bringing one subject's licenses up to date."""

    matter: Matter
    done: bool = False
    to_confirm: set[str] = field(default_factory=set)

    def pays_for(self, order_ref: str) -> bool:
        """Tell whether an order is among what the licenses are sold by."""
        every = self.matter.entitlement.every if self.matter.entitlement else ()
        return any(purchase.order_ref == order_ref for purchase in every)


class Fulfillment:
    """Works inside the caller's transaction, so that a notification takes effect as a whole or not at all."""

    def __init__(self, mailing: Mailing, makers: KeyMakers) -> None:
        self._mailing = mailing
        self._makers = makers

    def apply(self, account: Account, row: models.Notification, message: Message, *, now: datetime) -> None:
        """Apply a notification, and what is held of the same order or subscription, which it may set free."""
        settled = self._apply_one(account, row, message, now)
        orders = {order_ref for one in settled for order_ref in one.matter.orders}
        references = {one.matter.subject.subscription_ref for one in settled} - {""}
        still = {hold.subject for one in settled for hold in one.matter.holds}
        held = notification_store.held_with(row, order_refs=orders, subscription_refs=references)
        freed = [notification_id for notification_id, subjects in held.items() if not subjects <= still]
        told = fact_store.count_told(freed)
        for notification_id in freed:
            other = notification_store.get(notification_id)
            facts = {fact.arrival: fact for one in settled for fact in one.matter.facts if fact.told_by == other.id}
            if facts and len(facts) == told[other.id]:  # all that it told is settled just now
                concerned = [one for one in settled if any(fact.told_by == other.id for fact in one.matter.facts)]
                self._conclude_by(account, other, [fact.event for fact in facts.values()], concerned, now=now)
            else:
                self.reapply(account, other, now=now)

    def reapply(self, account: Account, row: models.Notification, *, now: datetime) -> None:
        """Apply a stored notification once more, as its plugin understands it today."""
        try:
            message = read(account.vendor, notification_store.restore(row))
        except MalformedNotification as error:
            self.hold(account, row, str(error), now=now)
            return
        notification_store.describe(row, message)
        self._apply_one(account, row, message, now)

    def hold(self, account: Account, row: models.Notification, reason: str, *, now: datetime) -> None:
        """Keep a notification that cannot be applied, and alert the operator once per reason."""
        self._conclude(account, row, done=False, note="", holds=[Held(reason, subject=reason[:190])], now=now)

    def alert(self, *, subject: str, text: str, now: datetime) -> None:
        """Tell the operator something, once."""
        self._mailing.alert(subject=subject, text=text, now=now, once=True)

    def settle(self, account: Account, about: Facts, cause: Cause) -> list[Settled]:
        """Bring licenses to what all facts about them say."""
        return [self._settle_one(account, matter, cause) for matter in assess(account, about)]

    def _settle_one(self, account: Account, matter: Matter, cause: Cause) -> Settled:
        entitled = matter.entitlement
        if entitled is None:
            return Settled(matter=matter)
        before = {license.id for license in matter.licenses.values()}
        current = licenses.reconcile(matter, customers.find(entitled.customer.email), self._makers, cause)
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
            licenses.mark_fulfilled(account.name, new, cause.at)
        barred = [license for license in current if license.is_barred(cause.at)]
        self._mailing.redirect(current, now=cause.at)
        self._mailing.announce(entitled, [license for license in current if license not in barred], now=cause.at)
        if entitled.last in new:
            renewed = [license for license in barred if license.id in before and license.unit <= entitled.last.units]
            self._tell_of_barred(entitled.last.order_ref, renewed, cause.at)
        self._tell_of_retired(matter, cause.at)
        for order_ref in to_confirm & {purchase.order_ref for purchase in new}:
            confirmation_plan.plan(account.name, order_ref, matter.told_payment(order_ref), now=cause.at)
        return Settled(matter=matter, done=bool(current), to_confirm=to_confirm)

    def _apply_one(self, account: Account, row: models.Notification, message: Message, now: datetime) -> list[Settled]:
        tests_ignored = account.settings.test_orders == "ignore"
        events = [event for event in message.events if not (event.test and tests_ignored)]
        note = message.note
        if len(events) < len(message.events):
            note = f"{note} A test order is left out: the setting test_orders is ignore.".lstrip()
        news = []
        for event in events:
            if fact_store.record(row, account.name, event):
                news.append(event)
            if event.kind in NAMING_CUSTOMERS:
                customers.save(event)
        about = fact_store.about(
            account.name,
            order_refs={event.order_ref for event in events},
            subscription_refs={item.subscription_ref for event in events for item in event.items},
        )
        why = f"{message.order_status} of {message.order_ref or message.subscription_ref}"
        why += f": {message.note}" if message.note else ""
        settled = self.settle(account, about, Cause(actor=f"notification {row.id}", at=now, why=why))
        for event in news:
            self._tell(account, event, settled, now)
        self._conclude_by(account, row, events, settled, note=note, unclear=message.unclear, now=now)
        return settled

    def _conclude_by(
        self,
        account: Account,
        row: models.Notification,
        events: Sequence[Event],
        settled: Sequence[Settled],
        *,
        note: str = "",
        unclear: str = "",
        now: datetime,
    ) -> None:
        """Conclude a notification by what came of its events."""
        holds = [Held(unclear, subject=f"notification {row.id}")] if unclear else []
        orders = {event.order_ref for event in events}
        # a hold of another order is that order's matter
        holds += [hold for one in settled for hold in one.matter.holds if hold.order_ref in ("", *orders)]
        done = any(one.done for one in settled)
        paid = {event.order_ref for event in events if event.kind is EventKind.PAID}
        for order_ref in sorted(paid & {order_ref for one in settled for order_ref in one.to_confirm}):
            confirmation_plan.plan(account.name, order_ref, row.id, now=now)
        if events and not done and any(one.matter.holds for one in settled) and not holds:
            note = f"{note} Its order is held: this counts when that is applied.".lstrip()
        elif events and not done:
            nothing = "No line of the order gets a license." if paid else "There is no license that this changes."
            note = f"{note} {nothing}".lstrip()
        self._conclude(account, row, done=done, note=note, holds=holds, now=now)

    def _tell(self, account: Account, event: Event, settled: Iterable[Settled], now: datetime) -> None:
        """Alert the operator to money that went back, and to money for what was taken back before."""
        effect = effect_of(event.kind, policy_of(account))
        facts = [fact for one in settled for fact in one.matter.facts if fact.event.order_ref == event.order_ref]
        if event.kind is EventKind.PAID and not any(one.pays_for(event.order_ref) for one in settled):
            self._tell_of_idle_payment(account, event, facts, now)
        before_payment = event.kind in (EventKind.CANCELED, EventKind.REVERSED)
        if before_payment and not fact_store.is_paid(account.name, event.order_ref):
            return  # a cart that was left is no news
        if restrictions.is_repeat(event, fact_store.of_order(account.name, event.order_ref)):
            return
        if effect in (Effect.UNDOES, Effect.RECORDED, Effect.SUSPENDS, Effect.RESTORES, Effect.LOSES):
            self._tell_of(account, event, now)

    def _tell_of(self, account: Account, event: Event, now: datetime) -> None:
        self._mailing.alert(
            subject=f"Order {event.order_ref} of {account.name}: {event.kind.value.replace('_', ' ')}",
            text=f"{effect_of(event.kind, policy_of(account)).value} See `{listings.where_to_look(event.order_ref)}`.",
            now=now,
        )

    def _tell_of_idle_payment(self, account: Account, event: Event, facts: Sequence[Fact], now: datetime) -> None:
        """What was taken back or dismissed is not issued; that it is paid is for a person."""
        order_ref, where = event.order_ref, listings.where_to_look(event.order_ref)
        back = [fact for fact in facts if fact.event.kind in _TAKEN_BACK]
        closed = [fact.told_by for fact in facts if fact.dismissed and fact.event.kind is EventKind.PAID]
        if closed:
            self._mailing.alert(
                subject=f"Order {order_ref} of {account.name} is paid, and was dismissed",
                text=f"Nothing is issued for an order that was dismissed. `qlmhook notification replay {closed[-1]}` "
                "applies it all the same.",
                now=now,
                once=True,
            )
        elif back and back[-1].event.at < event.at:
            self._mailing.alert(
                subject=f"Order {order_ref} of {account.name} is paid after it was {back[-1].event.kind.value}",
                text="Nothing is issued for an order that was taken back. If the customer has paid, refund it in the "
                f"shop or let the customer order again: see `{where}`.",
                now=now,
                once=True,
            )
        elif back and back[-1].event.kind is not EventKind.REFUNDED:
            self._tell_of(account, back[-1].event, now)  # it came before anybody knew that there was money in it

    def _tell_of_barred(self, order_ref: str, renewed: Iterable[models.License], now: datetime) -> None:
        for license in renewed:
            key, status, why = keys.grouped(license.key), license.status(now), license.barred_why.rstrip(".")
            self._mailing.alert(
                subject=f"Order {order_ref} pays for a license that is {status}",
                text=f"License {key} is {status} ({why}). It stays so, and the order is neither mailed nor confirmed. "
                f"`qlmhook license reinstate {key}` gives it back and does both; else refund the order "
                "in the shop.",
                now=now,
            )

    def _tell_of_retired(self, matter: Matter, now: datetime) -> None:
        for license in matter.retired:
            key, kept = keys.grouped(license.key), keys.grouped(matter.licenses[license.unit].key)
            self._mailing.alert(
                subject=f"Order {license.order_ref}: two licenses were one",
                text=f"Orders {license.order_ref} and {matter.subject.order_ref} are of one subscription, which was "
                f"not known when both were issued. {kept} goes on and is mailed; {key} is revoked. `qlmhook license "
                f"reinstate {key}` gives it back, `qlmhook mail resend {key}` mails it then.",
                now=now,
            )

    def _conclude(
        self,
        account: Account,
        row: models.Notification,
        *,
        done: bool,
        note: str,
        holds: list[Held],
        now: datetime,
    ) -> None:
        unheard = notification_store.conclude(row, done=done, note=note, holds=holds, now=now)
        confirmation_plan.nudge(account.name, row.order_ref, now)
        for hold in holds:
            if hold.alert and hold.subject in unheard:
                unheard.remove(hold.subject)
                about = f"order {row.order_ref}" if row.order_ref else f"a notification of {account.name}"
                self._mailing.alert(
                    subject=f"Held: {about}",
                    text=f"{hold} See `qlmhook notification show {row.id}`.",
                    now=now,
                )
