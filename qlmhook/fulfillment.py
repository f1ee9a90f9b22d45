"""Applies what a notification says: facts are added, and the licenses they are about are brought up to date."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from qlmhook import confirmations, customers, history, ledger, licenses, listing, mappings, models
from qlmhook.entitlement import Circumstances, Place, derive
from qlmhook.errors import Held, MalformedNotification, NotFound, PropertyError
from qlmhook.events import NAMING_CUSTOMERS, Event, EventKind, Item, Message
from qlmhook.history import Subject
from qlmhook.licenses import Cause
from qlmhook.mailing import Mailing
from qlmhook.registry import Account
from qlmhook.rules import Effect, Policy, effect_of
from qlmhook.terms import Terms
from qlmhook.vendor import Notification, Vendor

LONGEST_KIND = 16
LONGEST_REFERENCE = 64


@dataclass(kw_only=True)
class Settled:
    """What came of bringing licenses up to date, and the orders and subscriptions that they are about."""

    orders: set[str]
    subscriptions: set[str]
    done: bool = False
    holds: list[Held] = field(default_factory=list)
    to_confirm: set[str] = field(default_factory=set)


class Fulfillment:
    """Works inside the caller's transaction, so that a notification takes effect as a whole or not at all."""

    def __init__(self, mailing: Mailing) -> None:
        self._mailing = mailing

    def apply(self, account: Account, row: models.Notification, message: Message, *, now: datetime) -> None:
        """Apply a notification, and what is held of the same order or subscription, which it may set free."""
        settled = self._apply_one(account, row, message, now)
        for other in ledger.held_with(row, order_refs=settled.orders, subscription_refs=settled.subscriptions):
            self.reapply(account, ledger.get(other), now=now)

    def reapply(self, account: Account, row: models.Notification, *, now: datetime) -> None:
        """Apply a stored notification once more, as its plugin understands it today."""
        try:
            message = read(account.vendor, ledger.restore(row))
        except MalformedNotification as error:
            self.hold(account, row, str(error), now=now)
            return
        ledger.describe(row, message)
        self._apply_one(account, row, message, now)

    def hold(self, account: Account, row: models.Notification, reason: str, *, now: datetime) -> None:
        """Keep a notification that cannot be applied, and alert the operator once per reason."""
        self._conclude(account, row, done=False, note="", holds=[Held(reason, subject=reason[:190])], now=now)

    def alert(self, *, subject: str, text: str, now: datetime) -> None:
        """Tell the operator something, once."""
        self._mailing.alert(subject=subject, text=text, now=now, once=True)

    def settle(self, account: Account, subjects: Collection[Subject], cause: Cause) -> Settled:
        """Bring licenses to what all facts about them say."""
        facts = history.of_subjects(account.name, subjects)
        settled = Settled(
            orders={fact.event.order_ref for told in facts.values() for fact in told},
            subscriptions={subject.subscription_ref for subject in subjects} - {""},
        )
        fulfilled = licenses.fulfilled_lines(account.name, settled.orders)

        def terms_for(place: Place, item: Item) -> Terms | None:
            return _held_unless_usable(account.name, item, fulfilled.get(place))

        circumstances = Circumstances(
            terms_for=terms_for, zone=account.vendor.timezone, policy=_policy(account), fulfilled=fulfilled.keys()
        )
        for subject in subjects:
            entitled, held = derive(facts[subject], circumstances)
            settled.holds += held
            if entitled is None:
                continue
            customer = customers.find(entitled.customer.email)
            current = licenses.reconcile(subject, entitled, customer, cause)
            if current:
                settled.done = True
                settled.to_confirm |= {
                    purchase.order_ref
                    for purchase in entitled.purchases
                    if purchase.terms.confirm
                    # a mapping that was given is_sendresponse only afterwards counts too: the shop still waits
                    or (purchase.place in fulfilled and mappings.asks_for_confirmation(account.name, purchase.item))
                }
                new = [purchase for purchase in entitled.purchases if purchase.place not in fulfilled]
                licenses.mark_fulfilled(account.name, new, cause.at)
            bought = [license for license in current if license.unit <= entitled.last.units]
            usable = [license for license in bought if license.status(cause.at) in ("active", "expired")]
            self._mailing.announce(entitled, usable, now=cause.at)
        return settled

    def _apply_one(self, account: Account, row: models.Notification, message: Message, now: datetime) -> Settled:
        events, note = message.events, message.note
        if account.settings.test_orders == "ignore" and any(event.test for event in events):
            events, note = (), "This is a test order, and the setting test_orders is ignore."
        for event in events:
            history.record(row, account.name, event)
            if event.kind in NAMING_CUSTOMERS:
                customers.save(event.customer, event.at)
            self._tell(account, event, now)

        holds = [Held(message.unclear, subject=f"notification {row.id}")] if message.unclear else []
        subjects = {subject: None for event in events for subject in history.subjects_of(account.name, event)}
        why = f"{message.order_status} of {message.order_ref or message.subscription_ref}"
        why += f": {message.note}" if message.note else ""
        settled = self.settle(account, subjects, Cause(actor=f"notification {row.id}", at=now, why=why))
        orders = {event.order_ref for event in events}
        # a hold of another order is that order's matter
        holds += [hold for hold in settled.holds if hold.order_ref in ("", *orders)]
        for order_ref in settled.to_confirm & {event.order_ref for event in events if event.kind is EventKind.PAID}:
            confirmations.plan(account.name, order_ref, row, now=now)
        if events and not settled.done:
            paid = any(event.kind is EventKind.PAID for event in events)
            nothing = "No line of the order gets a license." if paid else "There is no license that this changes."
            note = f"{note} {nothing}".lstrip()
        self._conclude(account, row, done=settled.done, note=note, holds=holds, now=now)
        return settled

    def _tell(self, account: Account, event: Event, now: datetime) -> None:
        """Alert the operator to money that went back, once for each order and event."""
        effect = effect_of(event.kind, _policy(account))
        before_payment = event.kind in (EventKind.CANCELED, EventKind.REVERSED)
        if before_payment and not history.is_paid(account.name, event.order_ref):
            return  # a cart that was left is no news
        if effect in (Effect.UNDOES, Effect.RECORDED, Effect.SUSPENDS, Effect.RESTORES, Effect.REVOKES):
            self._mailing.alert(
                subject=f"Order {event.order_ref} of {account.name}: {event.kind.value.replace('_', ' ')}",
                text=f"{effect.value} See `{listing.where_to_look(account.name, event.order_ref)}`.",
                now=now,
                once=True,
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
        unheard = ledger.conclude(row, done=done, note=note, holds=holds, now=now)
        confirmations.nudge(account.name, row.order_ref, now)
        for hold in holds:
            if hold.alert and hold.subject in unheard:
                unheard.remove(hold.subject)
                about = f"order {row.order_ref}" if row.order_ref else f"a notification of {account.name}"
                self._mailing.alert(
                    subject=f"Held: {about}",
                    text=f"{hold} See `qlmhook notification show {row.id}`.",
                    now=now,
                )


def read(vendor: Vendor, notification: Notification) -> Message:
    """Return what a verified notification says, checked for what the database can keep.

    Raises MalformedNotification, or whatever a faulty plugin raises.
    """
    message = vendor.parse(notification)
    text = "".join(_texts(asdict(message)))
    if "\0" in text:
        raise MalformedNotification("The notification has a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can carry half a character
        raise MalformedNotification("The notification has text that is not Unicode.") from None
    for name in ("kind", "order_ref", "order_status", "subscription_ref", "merchant"):
        _refuse_too_long(name, getattr(message, name))
    for event in message.events:
        _refuse_too_long("event.order_ref", event.order_ref)
        for item in event.items:
            for name in ("line", "product_id", "subscription_ref"):
                _refuse_too_long(f"item.{name}", getattr(item, name))
        _refuse_incomplete(event)
    return message


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a message that was taken apart into dicts and tuples."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _refuse_incomplete(event: Event) -> None:
    """These are the plugin's mistakes, and its author reads the sentence."""
    told = event.kind.value
    if not event.items and event.kind in (EventKind.PAID, EventKind.SUBSCRIPTION):
        raise MalformedNotification(f"The plugin's {told} event names no line: its items are empty.")
    times: dict[str, datetime | None] = {"at": event.at, "placed_at": event.placed_at}
    times |= {f"items[{place}].expires_at": item.expires_at for place, item in enumerate(event.items)}
    if event.standing is not None:
        times |= {f"standing.{name}": getattr(event.standing, name) for name in ("paused_from", "paused_until")}
    for name, time in times.items():
        if time is not None and time.utcoffset() is None:
            raise MalformedNotification(
                f"The {name} of the plugin's {told} event is {time.isoformat()}, a time without a zone: give it a "
                "tzinfo, such as datetime.UTC."
            )


def _refuse_too_long(name: str, text: str) -> None:
    limit = LONGEST_KIND if name == "kind" else LONGEST_REFERENCE
    if len(text) > limit:
        raise MalformedNotification(f"{name} is longer than {limit} characters: {text[:80]!r}.")


def _policy(account: Account) -> Policy:
    settings = account.settings
    return Policy(revoke_on_refund=settings.revoke_on_refund, revoke_on_cancel=settings.revoke_on_cancel)


def _held_unless_usable(vendor: str, item: Item, sold_by: str | None) -> Terms | None:
    """Return the terms that a line was sold by, else those of its mapping; raises Held without usable ones."""
    subject = f"product {item.product_id}"
    try:
        if sold_by is not None:
            return mappings.terms_sold(sold_by)
        return mappings.terms_of(vendor, item.product_id, item.options)
    except NotFound:
        raise Held(
            f"Product {item.product_id} ({item.product_name[:80]!r}) has no mapping: "
            f"set the property pid_{item.product_id}.",
            subject=subject,
        ) from None
    except PropertyError as error:
        raise Held(f"The mapping of product {item.product_id} cannot be used: {error}", subject=subject) from error
