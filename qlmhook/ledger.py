"""The ledger: every verified notification, its state, and why it is held."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from qlmhook import models
from qlmhook.errors import Held, NotFound
from qlmhook.events import Message
from qlmhook.form import parse_form
from qlmhook.vendor import Notification, Verified

STATES = ("done", "ignored", "held")

UNREADABLE = Message(kind="", order_ref="", order_status="")
"""Stands for what a verified notification says when its plugin cannot tell."""


def enter(vendor: str, notification: Notification, verified: Verified, message: Message) -> models.Notification:
    """Store a notification in the running transaction; a body that is known already counts one copy more."""
    digest = hashlib.sha256(vendor.encode() + b"\n" + notification.body).hexdigest()
    row = models.Notification.get_or_none(models.Notification.digest == digest)
    if row is not None:
        row.copies += 1
        row.kind, row.order_ref, row.order_status = message.kind, message.order_ref, message.order_status
        row.save()
        return row
    return models.Notification.create(
        vendor=vendor,
        endpoint=verified.endpoint,
        kind=message.kind,
        order_ref=message.order_ref,
        order_status=message.order_status,
        state="held",
        reason="",
        received_at=notification.received_at,
        digest=digest,
        content_type=notification.content_type[:128],
        body=notification.body,
    )


def conclude(row: models.Notification, *, done: bool, note: str, holds: Iterable[Held], now: datetime) -> list[str]:
    """Set a notification's state: held if anything holds it, else done or ignored.

    Returns the subjects of holds that nothing else is held for: those the operator has not been told of.
    """
    holds = list({hold.subject: hold for hold in holds}.values())
    heard = {hold.subject for hold in models.Hold.select().where(models.Hold.subject.in_([h.subject for h in holds]))}
    unheard = [hold.subject for hold in holds if hold.subject not in heard]
    models.Hold.delete().where(models.Hold.notification == row).execute()
    reasons = []
    for hold in holds:
        models.Hold.create(
            notification=row,
            vendor=row.vendor,
            order_ref=row.order_ref,
            subject=hold.subject,
            reason=str(hold),
        )
        reasons.append(str(hold))
    row.state = "held" if reasons else "done" if done else "ignored"
    row.reason = " ".join(reasons) or note
    row.applied_at = None if reasons else now
    row.save()
    return unheard


def restore(row: models.Notification) -> Notification:
    """Make the notification again that was received and verified."""
    body = bytes(row.body)
    is_form = row.content_type.startswith("application/x-www-form-urlencoded")
    return Notification(
        content_type=row.content_type,
        body=body,
        fields=parse_form(body) if is_form else (),
        received_at=row.received_at,
    )


def get(notification_id: int) -> models.Notification:
    """Return a stored notification; raises NotFound."""
    row = models.Notification.get_or_none(models.Notification.id == notification_id)
    if row is None:
        raise NotFound(f"There is no notification {notification_id}.")
    return row


def held(*, order_ref: str = "") -> list[int]:
    """Return the ids of held notifications, oldest first."""
    query = models.Notification.select(models.Notification.id).where(models.Notification.state == "held")
    if order_ref:
        query = query.where(models.Notification.order_ref == order_ref)
    return [row.id for row in query.order_by(models.Notification.id)]
