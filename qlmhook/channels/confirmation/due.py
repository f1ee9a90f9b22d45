"""Confirmations: telling the shop that an order is fulfilled, once it is, and not before."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from qlmhook.catalog import mappings
from qlmhook.channels.channel import Channel
from qlmhook.channels.mail import due as mail_due
from qlmhook.domain.entitlement import Entitlement
from qlmhook.domain.events import EventKind, Item
from qlmhook.domain.purchases import Purchase
from qlmhook.inbox import fact_store
from qlmhook.licensing.assessment import Matter, assess
from qlmhook.licensing.results import Applied, Concluded, Settled
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import ConfirmationPayload, Kind
from qlmhook.storage import models
from qlmhook.vendors.accounts import Account

PATIENCE = timedelta(days=1)
"""The operator is told of a confirmation that has waited for so long."""


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """What keeps an order from being confirmed; `final` when waiting is no use."""

    why: str
    final: bool = False


class Confirmations(Channel):
    """Writes one confirmation for each order whose shop waits for it; it goes out when nothing stands in its way."""

    def settled(self, settled: Settled) -> None:
        """Confirm the orders that take effect now; what others of these wait for may have come."""
        reschedule(settled.account.name, settled.matter.orders, settled.now)
        for order_ref in settled.to_confirm & {purchase.order_ref for purchase in settled.taking_effect}:
            _plan(settled.account.name, order_ref, settled.matter.told_payment(order_ref), settled.now)

    def applied(self, applied: Applied) -> None:
        """Confirm the orders that a notification says are paid, also those that took effect before."""
        asked = {order_ref for one in applied.settled for order_ref in one.to_confirm}
        for order_ref in sorted(asked & applied.paid):
            _plan(applied.account.name, order_ref, applied.row.id, applied.now)

    def concluded(self, concluded: Concluded) -> None:
        """What holds an order may be gone."""
        reschedule(concluded.account.name, concluded.names, concluded.now)


def _plan(vendor: str, order_ref: str, notification_id: int, now: datetime) -> None:
    if not queue.of_orders(Kind.CONFIRMATION, vendor, [order_ref]):
        payload = ConfirmationPayload(notification=notification_id)
        queue.add(payload, now=now, vendor=vendor, order_ref=order_ref, subject="confirmation")


def obstacle(account: Account, order_ref: str) -> Obstacle | None:
    """Return what keeps an order from being confirmed.

    Every line that asks for it must have its licenses, and the mails with them must have been taken by the mail
    server, as far as any are due. A line that is held may be one of them.
    """
    holds = models.Hold.select().where(models.Hold.vendor == account.name, models.Hold.order_ref == order_ref)
    if (hold := holds.first()) is not None:
        return Obstacle(why=f"The order is held: {hold.reason}")
    by_hand = mail_due.sent_by_hand(account.name, order_ref)
    for matter in assess(account, fact_store.about(account.name, order_refs=[order_ref])):
        if order_ref in matter.orders:
            order_ref = matter.name_of(order_ref)
        purchases = {purchase.place: purchase for purchase in matter.entitlement.every} if matter.entitlement else {}
        for line, item in _paid_lines(matter, order_ref).items():
            purchase = purchases.get((order_ref, line))
            asked = purchase is not None and purchase.terms.confirm
            if not asked and not mappings.asks_for_confirmation(account.name, item):
                continue
            found = _obstacle_of_line(matter, line, purchase, by_hand)
            if found is not None:
                return found
    return None


def mailed(row: models.Outbox, now: datetime) -> None:
    """Let the confirmations be due that may have waited for this mail: of its order, and of those that it overtook."""
    references = {license.subscription_ref for license in mail_due.licenses_in(row)}
    reschedule(row.vendor, {row.order_ref, *fact_store.orders_of(row.vendor, references)}, now)


def reschedule(vendor: str, order_refs: Collection[str], now: datetime) -> None:
    """Let these orders' confirmations that wait be due at once: something about the orders has changed."""
    for row in queue.of_orders(Kind.CONFIRMATION, vendor, [name for name in order_refs if name]):
        if row.state == "due" and row.attempts == 0 and row.due_at > now:
            queue.describe(row, due_at=now)


def looked_at_again(row: models.Outbox, now: datetime) -> datetime:
    """Return when a confirmation that waits is due even if nothing happens: ever later, at last once in PATIENCE.

    What an operator sees to elsewhere, such as a mapping that asks for no confirmation any more, makes none due.
    """
    waited = now - row.begun_at
    if waited >= PATIENCE:
        return now + PATIENCE
    return min(now + max(waited, queue.FIRST_DELAY), row.begun_at + PATIENCE)


def _paid_lines(matter: Matter, order_ref: str) -> dict[str, Item]:
    return {
        fact.item.line: fact.item
        for fact in sorted(matter.facts, key=lambda fact: fact.age)
        if fact.event.kind is EventKind.PAID and fact.event.order_ref == order_ref and fact.item is not None
    }


def _obstacle_of_line(matter: Matter, line: str, purchase: Purchase | None, by_hand: set[int]) -> Obstacle | None:
    entitlement = matter.entitlement
    if purchase is None or entitlement is None:
        return Obstacle(why=f"Line {line} was taken back or dismissed: it gets no license.", final=True)
    if not purchase.counts:
        return Obstacle(why=purchase.undone[0].why, final=True)
    if any(unit not in matter.licenses for unit in range(1, purchase.units + 1)):
        return Obstacle(why=f"Line {line} has no license yet.")
    licenses = [matter.licenses[unit] for unit in range(1, purchase.units + 1)]
    usable = [license for license in licenses if license.revoked_at is None]
    if not usable:
        why = licenses[0].barred_why.rstrip(".")
        return Obstacle(why=f"The license of line {line} is revoked. Why: {why}.")
    if _waits_for_mail(entitlement, purchase, usable, by_hand):
        return Obstacle(why=f"The mail with the license of line {line} has not gone out yet.")
    return None


def _waits_for_mail(
    entitlement: Entitlement, purchase: Purchase, licenses: list[models.License], by_hand: set[int]
) -> bool:
    """Tell whether a mail that has not gone out is still to come.

    A late message about an order that a newer one has overtaken is not mailed: the newer one's mail counts then.
    """
    grants = [entitlement.grants[license.unit - 1] for license in licenses]
    mails = mail_due.planned(licenses, {purchase.order_ref, *(grant.purchase.order_ref for grant in grants)})
    for license, grant in zip(licenses, grants, strict=True):
        gone_out = mails.get((license.id, purchase.order_ref), mails.get((license.id, grant.purchase.order_ref)))
        if gone_out is None:
            gone_out = not mail_due.template_for(entitlement, grant)  # nothing was written: is a mail still due?
        if not gone_out and license.id not in by_hand:
            return True
    return False
