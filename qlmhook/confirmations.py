"""Confirmations: telling the shop that an order is fulfilled, once it is, and not before."""

from datetime import datetime

from qlmhook import history, mappings, models, outbox
from qlmhook.errors import NotFound, PropertyError
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
    unless the mapping switches mail off. A line that is held may be one of them.
    """
    holds = models.Hold.select().where(models.Hold.vendor == account.name, models.Hold.order_ref == order_ref)
    if (hold := holds.first()) is not None:
        return f"The order is held: {hold.reason}"
    for (line, subject), terms in _lines_to_confirm(account, order_ref).items():
        licenses = _licenses(subject, order_ref, line)
        if not licenses:
            return f"Line {line} has no license yet."
        for license in licenses:
            if license.revoked_at is not None:
                return f"The license of line {line} is revoked."
            renewal = license.order_ref != order_ref
            if terms.mail_template(renewal=renewal) and not _is_mailed(license, order_ref):
                return f"The mail with the license of line {line} has not gone out yet."
    return ""


def nudge(vendor: str, order_ref: str, now: datetime) -> None:
    """Let the order's confirmation be looked at again at once: something about the order has changed."""
    table = models.Outbox
    waiting = (table.kind == KIND) & (table.state == "due") & (table.attempts == 0)
    table.update(due_at=now).where(waiting, table.vendor == vendor, table.order_ref == order_ref).execute()


def state_of(vendor: str, order_ref: str) -> tuple[str, datetime | None]:
    """Return the state of an order's confirmation and when it was confirmed; empty when none is asked for."""
    row = _of_order(vendor, order_ref)
    return ("", None) if row is None else (row.state, row.done_at)


def _of_order(vendor: str, order_ref: str) -> models.Outbox | None:
    table = models.Outbox
    return table.get_or_none(table.kind == KIND, table.vendor == vendor, table.order_ref == order_ref)


def _lines_to_confirm(account: Account, order_ref: str) -> dict[tuple[str, Subject], Terms]:
    """Return the paid lines of an order whose mapping asks for a confirmation."""
    wanted = {}
    for line, (subject, item) in _paid_lines(account.name, order_ref).items():
        try:
            terms = mappings.terms_of(account.name, item.product_id, item.options)
        except (NotFound, PropertyError):
            continue  # the line is held, which is an obstacle of its own
        if terms is not None and terms.confirm:
            wanted[line, subject] = terms
    return wanted


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


def _is_mailed(license: models.License, order_ref: str) -> bool:
    """A late message about an order that a newer one has overtaken is not mailed; the newer one's mail counts then."""
    mailed = models.MailedLicense
    rows = list(mailed.select(mailed, models.Outbox).join(models.Outbox).where(mailed.license == license))
    of_this_order = [row for row in rows if row.order_ref == order_ref]
    return any(row.outbox.done_at is not None for row in of_this_order or rows)
