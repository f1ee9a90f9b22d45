"""Confirmations: telling the shop that an order is fulfilled, once it is, and not before."""

from collections.abc import Collection
from datetime import datetime

from qlmhook import history, licenses, mailing, mappings, models, outbox
from qlmhook.events import EventKind, Item
from qlmhook.history import Subject
from qlmhook.registry import Account
from qlmhook.terms import Terms

KIND = "idn"


def plan(vendor: str, order_ref: str, notification: models.Notification, *, now: datetime) -> None:
    """Write the order's one confirmation; it goes out when nothing stands in its way."""
    if _of_order(vendor, order_ref) is None:
        payload = {"notification": notification.id}
        outbox.add(KIND, payload, now=now, vendor=vendor, order_ref=order_ref, subject="confirmation")


def obstacle(account: Account, order_ref: str) -> str:
    """Return what keeps an order from being confirmed, or nothing.

    Every line that asks for it must have its licenses, and their mail must have been taken by the mail server,
    unless it was sold without one. A line that is held may be one of them.
    """
    holds = models.Hold.select().where(models.Hold.vendor == account.name, models.Hold.order_ref == order_ref)
    if (hold := holds.first()) is not None:
        return f"The order is held: {hold.reason}"
    sold = licenses.fulfilled_lines(account.name, [order_ref])
    mailed = mailing.gone_out(account.name, order_ref)
    for line, (subject, item) in _paid_lines(account.name, order_ref).items():
        terms = mappings.terms_sold(sold[order_ref, line]) if (order_ref, line) in sold else None
        if not (terms is not None and terms.confirm) and not mappings.asks_for_confirmation(account.name, item):
            continue
        issued = _licenses(subject, order_ref, line)
        if terms is None or not issued:
            return f"Line {line} has no license yet."
        for license in issued:
            if license.revoked_at is not None:
                return f"The license of line {line} is revoked."
            if license.id not in mailed and _waits_for_mail(license, subject, order_ref, terms):
                return f"The mail with the license of line {line} has not gone out yet."
    return ""


def nudge(vendor: str, order_ref: str, now: datetime) -> None:
    """Let the order's confirmation be looked at again at once: something about the order has changed."""
    table = models.Outbox
    waiting = (table.kind == KIND) & (table.state == "due") & (table.attempts == 0)
    table.update(due_at=now).where(waiting, table.vendor == vendor, table.order_ref == order_ref).execute()


def of_orders(vendor: str, order_refs: Collection[str]) -> list[models.Outbox]:
    """Return the confirmations of these orders, oldest first."""
    table = models.Outbox
    rows = table.select().where(table.kind == KIND, table.vendor == vendor, table.order_ref.in_(list(order_refs)))
    return list(rows.order_by(table.id))


def _of_order(vendor: str, order_ref: str) -> models.Outbox | None:
    table = models.Outbox
    return table.get_or_none(table.kind == KIND, table.vendor == vendor, table.order_ref == order_ref)


def _paid_lines(vendor: str, order_ref: str) -> dict[str, tuple[Subject, Item]]:
    facts = sorted(history.of_order(vendor, order_ref), key=lambda fact: fact.age)
    owners = history.owners(vendor, facts)
    return {
        fact.item.line: (owners[order_ref, fact.item.line], fact.item)
        for fact in facts
        if fact.event.kind is EventKind.PAID and fact.item is not None
    }


def _licenses(subject: Subject, order_ref: str, line: str) -> list[models.License]:
    table = models.License
    if subject.subscription_ref:
        wanted = table.subscription_ref == subject.subscription_ref
    else:
        wanted = (table.order_ref == order_ref) & (table.line == line)
    return list(table.select().where(table.vendor == subject.vendor, wanted))


def _waits_for_mail(license: models.License, subject: Subject, order_ref: str, terms: Terms) -> bool:
    """Tell whether a mail that has not gone out is still to come.

    A late message about an order that a newer one has overtaken is not mailed: the newer one's mail counts then.
    """
    if mailing.is_planned(license, order_ref):
        return True
    if not terms.mail_template(renewal=license.order_ref != order_ref):
        return False
    newer = _orders_after(subject, order_ref)
    return not any(license.id in mailing.gone_out(license.vendor, other) for other in newer)


def _orders_after(subject: Subject, order_ref: str) -> set[str]:
    placed: dict[str, datetime] = {}
    for fact in history.of_subjects(subject.vendor, [subject])[subject]:
        if fact.event.kind is EventKind.PAID:
            earliest = placed.get(fact.event.order_ref, fact.event.placed_at)
            placed[fact.event.order_ref] = min(earliest, fact.event.placed_at)
    return {other for other, at in placed.items() if at > placed[order_ref]}
