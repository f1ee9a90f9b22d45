"""Every verified notification that came in, its state, and why it is held."""

import hashlib
import json
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from qlmhook.domain.events import Message
from qlmhook.domain.holds import Hold
from qlmhook.errors import NotFound, SignatureRejected
from qlmhook.storage import models, tallies
from qlmhook.storage.statements import Statement, any_given, given
from qlmhook.vendors.accounts import Account
from qlmhook.vendors.api import Notification, Vendor, Verified
from qlmhook.vendors.form_body import FORM, parse_form

STATES = ("done", "ignored", "held")

_BY_ID = Statement[models.Notification](
    lambda: models.Notification.select().where(models.Notification.id == given("id"))
)
_BY_DIGEST = Statement[models.Notification](
    lambda: models.Notification.select().where(models.Notification.digest == given("digest"))
)
_BY_SIGNED_DIGEST = Statement[models.Notification](
    lambda: models.Notification.select().where(models.Notification.signed_digest == given("signed_digest")).limit(1)
)
_KEY_USE = Statement[models.KeyUse](
    lambda: models.KeyUse.select().where(
        models.KeyUse.vendor == given("vendor"), models.KeyUse.key_id == given("key_id")
    )
)
_HOLDS_FOR = Statement[models.Hold](lambda: models.Hold.select().where(models.Hold.cause.in_(any_given("causes"))))
_HOLDS_OF = Statement[models.Hold](
    lambda: models.Hold.select().where(models.Hold.notification.in_(any_given("notifications")))
)
_HOLDS_OF_ORDERS = Statement[models.Hold](
    lambda: models.Hold.select().where(
        models.Hold.vendor == given("vendor"), models.Hold.order_ref.in_(any_given("names"))
    )
)
_HOLDS_OF_SUBSCRIPTIONS = Statement[models.Hold](
    lambda: models.Hold.select().where(
        models.Hold.vendor == given("vendor"), models.Hold.subscription_ref.in_(any_given("names"))
    )
)
_LET_GO = Statement[models.Hold](lambda: models.Hold.delete().where(models.Hold.notification == given("notification")))

KEY_USE_IS_NEWS_AFTER = timedelta(seconds=10)
"""When a key was used is looked at by people: it need not be written with each message."""

UNREADABLE = Message(kind="", order_ref="", order_status="")
"""Stands for what a verified notification says when its plugin cannot tell."""


def enter(account: Account, notification: Notification, verified: Verified, message: Message) -> models.Notification:
    """Store a notification in the running transaction; one that is known already counts one copy more.

    It is known by what it says, without its signatures: the same message to two URLs, signed with two keys, is
    one. Raises SignatureRejected for one that carries the signature of another with a different meaning.
    """
    digest = _digest(account.name, _content(account.vendor, notification))
    row = _BY_DIGEST.first(digest=digest)
    if row is not None:
        row.copies += 1
        describe(row, message)
        row.save()
        return row
    signed_digest = _digest(account.name, verified.signed) if verified.signed else digest
    _refuse_second_meaning(signed_digest)
    if message is UNREADABLE:  # what means nothing takes no meaning away
        signed_digest = digest
    tallies.change(models.Notification, account.name, "held", 1)
    return models.Notification.create(
        vendor=account.name,
        endpoint=verified.endpoint,
        kind=message.kind,
        order_ref=message.order_ref,
        order_status=message.order_status,
        subscription_ref=message.subscription_ref,
        state="held",
        reason="",
        received_at=notification.received_at,
        digest=digest,
        signed_digest=signed_digest,
        content_type=notification.content_type[:128],
        body=notification.body,
    )


def note_key(vendor: str, key_id: str, merchant: str, *, now: datetime) -> str:
    """Write down that a key was used; return the merchant it was used for before, if it was another."""
    row = _KEY_USE.first(vendor=vendor, key_id=key_id)
    if row is None:
        row = models.KeyUse(vendor=vendor, key_id=key_id, merchant="")
    known: str = row.merchant if merchant and row.merchant != merchant else ""
    is_same = row.id is not None and merchant in ("", row.merchant)
    if is_same and timedelta(0) <= now - row.last_used_at < KEY_USE_IS_NEWS_AFTER:
        return ""
    row.merchant, row.last_used_at = merchant or row.merchant, now
    row.save()
    return known


def known_vendors() -> list[str]:
    """Return the names of all accounts that something is stored of, the oldest first: each noted a key."""
    uses = models.KeyUse.select(models.KeyUse.vendor).order_by(models.KeyUse.id)
    return list(dict.fromkeys(use.vendor for use in uses))


def _refuse_second_meaning(signed_digest: str) -> None:
    """Names and boundaries are not signed: what was signed once has the meaning in which it came first."""
    first = _BY_SIGNED_DIGEST.first(signed_digest=signed_digest)
    if first is not None:
        raise SignatureRejected(
            f"The signature is that of notification {first.id}, whose fields have other names or boundaries."
        )


def _content(vendor: Vendor, notification: Notification) -> bytes:
    if not notification.fields:
        return notification.body
    return json.dumps([pair for pair in notification.fields if pair[0] not in vendor.signature_fields]).encode()


def _digest(vendor: str, content: bytes) -> str:
    return hashlib.sha256(vendor.encode() + b"\n" + content).hexdigest()


def relabel(row: models.Notification, account: Account) -> None:
    """Let a repeat that comes to this account find a notification, and a copy with another meaning be refused.

    Of two rows that say the same, one from before its section was renamed and one from after, the first is the one
    that repeats are counted for. The caller moves the row to the account.
    """
    notification = restore(row)
    digest = _digest(account.name, _content(account.vendor, notification))
    signed_digest = digest if row.signed_digest == row.digest else _signed_digest(account, notification) or digest
    row.digest, row.signed_digest = digest, signed_digest
    twin = models.Notification.get_or_none(models.Notification.digest == digest, models.Notification.id != row.id)
    if twin is not None:
        later = row if twin.id < row.id else twin
        later.digest = _digest(account.name, f"notification {later.id}".encode())
        twin.save()
    row.save()


def _signed_digest(account: Account, notification: Notification) -> str:
    """Only the signature tells what it covers.

    Where the key is gone that is not known any more, and need not be: a copy with another meaning, signed with
    that key, is refused for its signature.
    """
    try:
        signed = account.vendor.verify(notification).signed
    except Exception:  # whatever a plugin makes of what it cannot verify
        return ""
    return _digest(account.name, signed) if signed else ""


def describe(row: models.Notification, message: Message) -> None:
    """Set what a notification is about, as its plugin understands it; the caller saves the row."""
    row.kind, row.order_ref, row.order_status = message.kind, message.order_ref, message.order_status
    row.subscription_ref = message.subscription_ref


def dismiss(row: models.Notification, why: str, now: datetime) -> None:
    """Close a held notification without applying it: a person has looked."""
    models.Hold.delete().where(models.Hold.notification == row).execute()
    _set_state(row, "ignored")
    row.reason, row.applied_at, row.dismissed = f"Dismissed: {why}", now, True
    row.save()


def readmit(row: models.Notification) -> None:
    """Let a notification count again that a person closed."""
    if row.dismissed:
        row.dismissed = False
        row.save()


def conclude(row: models.Notification, *, done: bool, note: str, holds: Iterable[Hold], now: datetime) -> list[Hold]:
    """Set a notification's state: held if anything holds it, else done or ignored.

    Returns the holds of a cause that nothing else is held for: those the operator has not been told of.
    """
    holds = list({hold.cause: hold for hold in holds}.values())
    causes = [hold.cause for hold in holds]
    heard = {known.cause for known in _HOLDS_FOR.all(causes=causes)}
    _LET_GO.run(notification=row.id)
    for hold in holds:
        models.Hold.create(
            notification=row,
            vendor=row.vendor,
            order_ref=hold.order_ref or row.order_ref,
            subscription_ref=hold.subscription_ref,
            cause=hold.cause,
            reason=hold.reason,
        )
    _set_state(row, "held" if holds else "done" if done else "ignored")
    row.reason = " ".join(hold.reason for hold in holds) or note
    row.applied_at = None if holds else now
    row.save()
    return [hold for hold in holds if hold.cause not in heard]


def _set_state(row: models.Notification, state: str) -> None:
    tallies.move(models.Notification, row.vendor, row.state, state)
    row.state = state


def enrich(row: models.Notification, answer: bytes) -> None:
    """Keep what the shop answered when it was asked about a notification."""
    row.enrichment = answer
    row.save()


def restore(row: models.Notification) -> Notification:
    """Make the notification again that was received and verified."""
    body = bytes(row.body)
    return Notification(
        content_type=row.content_type,
        body=body,
        fields=parse_form(body) if row.content_type == FORM else (),
        received_at=row.received_at,
        enrichment=bytes(row.enrichment or b""),
    )


def get(notification_id: int) -> models.Notification:
    """Return a stored notification; raises NotFound."""
    row = _BY_ID.first(id=notification_id)
    if row is None:
        raise NotFound(f"There is no notification {notification_id}.")
    return row


def hold_causes() -> list[tuple[str, str]]:
    """Return the causes of all holds, each account and cause once."""
    hold = models.Hold
    found = hold.select(hold.vendor, hold.cause).distinct().order_by(hold.vendor, hold.cause)
    return [(row.vendor, row.cause) for row in found]


def held_for(vendor: str, cause: str) -> list[int]:
    """Return the ids of an account's notifications that are held for a cause."""
    hold = models.Hold
    found = hold.select(hold.notification).where(hold.cause == cause, hold.vendor == vendor)
    return [row.notification_id for row in found]


def held_of(vendor: str) -> list[int]:
    """Return the ids of an account's held notifications, oldest first."""
    table = models.Notification
    found = table.select(table.id).where(table.state == "held", table.vendor == vendor)
    return [row.id for row in found.order_by(table.id)]


def held_with(
    row: models.Notification, *, order_refs: Collection[str], subscription_refs: Collection[str]
) -> dict[int, set[str]]:
    """Return the account's other notifications that are held with these orders and subscriptions, oldest first.

    Each comes with the causes of all its holds.
    """
    with_orders = _HOLDS_OF_ORDERS.all(vendor=row.vendor, names=sorted(set(order_refs) - {""}))
    with_subscriptions = _HOLDS_OF_SUBSCRIPTIONS.all(vendor=row.vendor, names=sorted(set(subscription_refs) - {""}))
    found = {other.notification_id for other in [*with_orders, *with_subscriptions]} - {row.id}
    causes: dict[int, set[str]] = {notification_id: set() for notification_id in sorted(found)}
    for other in _HOLDS_OF.all(notifications=sorted(found)):
        causes[other.notification_id].add(other.cause)
    return causes
