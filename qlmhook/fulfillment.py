"""Applies what a notification says: facts are added, and the licenses they are about are brought up to date."""

from datetime import datetime

from qlmhook import entitlement, history, ledger, licenses, mappings, models, properties
from qlmhook.errors import Held, MalformedNotification, NotFound, PropertyError
from qlmhook.events import Item, Message
from qlmhook.mailing import Mailing
from qlmhook.registry import Account


class Fulfillment:
    """Works inside the caller's transaction, so that a notification takes effect as a whole or not at all."""

    def __init__(self, mailing: Mailing) -> None:
        self._mailing = mailing

    def apply(self, account: Account, row: models.Notification, message: Message, *, now: datetime) -> None:
        """Apply a notification, and what is held of the same order, which it may set free."""
        self._apply_one(account, row, message, now)
        for other in ledger.held(order_ref=row.order_ref) if message.events else []:
            if other != row.id:
                self.reapply(account, ledger.get(other), now=now)

    def reapply(self, account: Account, row: models.Notification, *, now: datetime) -> None:
        """Apply a stored notification once more, as its plugin understands it today."""
        try:
            message = account.vendor.parse(ledger.restore(row))
        except MalformedNotification as error:
            self.hold(account, row, str(error), now=now)
            return
        row.kind, row.order_ref, row.order_status = message.kind, message.order_ref, message.order_status
        self._apply_one(account, row, message, now)

    def hold(self, account: Account, row: models.Notification, reason: str, *, now: datetime) -> None:
        """Keep a notification that cannot be applied, and alert the operator once per reason."""
        self._conclude(account, row, done=False, note="", holds=[Held(reason, subject=reason[:190])], now=now)

    def _apply_one(self, account: Account, row: models.Notification, message: Message, now: datetime) -> None:
        events, note = message.events, message.note
        if account.settings.test_orders == "ignore" and any(event.test for event in events):
            events, note = (), "This is a test order, and the setting test_orders is ignore."
        for event in events:
            history.record(row, account.name, event)

        done, holds = False, []
        for subject in history.subjects_of_order(account.name, message.order_ref) if events else []:
            try:
                done = self._settle(account, subject, actor=f"notification {row.id}", now=now) or done
            except Held as hold:
                holds.append(hold)
        if events and not done:
            note = "No line of the order gets a license."
        self._conclude(account, row, done=done, note=note, holds=holds, now=now)

    def _settle(self, account: Account, subject: history.Subject, *, actor: str, now: datetime) -> bool:
        """Bring a subject's licenses to what all its facts say; return whether it has any."""
        facts = history.of_subject(subject)
        entitled = entitlement.derive(facts, lambda item: _terms(account.name, item), account.vendor.timezone)
        if entitled is None:
            return False
        current = licenses.reconcile(subject, entitled, actor=actor, now=now)
        self._mailing.announce(entitled, current, now=now)
        return True

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
        for hold in holds:
            if hold.subject in unheard:
                unheard.remove(hold.subject)
                about = f"order {row.order_ref}" if row.order_ref else f"a notification of {account.name}"
                self._mailing.alert(
                    subject=f"Held: {about}",
                    text=f"{hold} It is notification {row.id}; `qlmhook notification list --state held` shows all "
                    "that waits.",
                    now=now,
                )


def _terms(vendor: str, item: Item) -> properties.Terms | None:
    subject = f"product {item.product_id}"
    try:
        return mappings.terms_of(vendor, item.product_id)
    except NotFound:
        raise Held(
            f"Product {item.product_id} ({item.product_name[:80]!r}) has no mapping: "
            f"set the property pid_{item.product_id}.",
            subject=subject,
        ) from None
    except PropertyError as error:
        raise Held(f"The mapping of product {item.product_id} cannot be used: {error}", subject=subject) from error
