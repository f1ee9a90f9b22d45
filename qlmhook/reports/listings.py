"""What the listings show: rows found by filters, as plain values."""

import dataclasses
import shlex
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import peewee

from qlmhook.domain import events
from qlmhook.domain.addresses import address_key
from qlmhook.inbox import fact_store, notification_store
from qlmhook.licensing import audit, key_format
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import Kind
from qlmhook.storage import models
from qlmhook.vendors.accounts import Accounts

_CUSTOMER_PARTS = tuple(part.name for part in dataclasses.fields(events.Customer))

Row = dict[str, Any]


def licenses(
    *,
    now: datetime,
    order: str = "",
    email: str = "",
    subscription: str = "",
    status: str = "",
    search: str = "",
    limit: int | None = None,
) -> list[Row]:
    """Return licenses, oldest first; every filter that is given must match."""
    table = models.License
    query = table.select(table, models.Customer).join(models.Customer, peewee.JOIN.LEFT_OUTER)
    if order:
        query = query.where(table.id.in_(_of_order(order)))
    if email:
        query = query.where(models.Customer.email_key == address_key(email))
    if subscription:
        query = query.where(table.subscription_ref == subscription)
    if status:
        query = query.where(table.has_status(status, now))
    if search:
        query = query.where(_mentions(search))
    return [license_row(row, now) for row in query.order_by(table.id).limit(limit)]


def where_to_look(order_ref: str) -> str:
    """Return the command that shows what there is of an order: its licenses, else its notifications."""
    kind = "license" if _of_order(order_ref) else "notification"
    return f"qlmhook {kind} list --order {shlex.quote(order_ref)}"


def _of_order(order_ref: str) -> set[int]:
    """Return the ids of the licenses that an order, first or later, is about, by any name of it."""
    table, fact = models.License, models.Fact
    found: set[int] = set()
    for vendor, names in _names_by_vendor(order_ref).items():
        told = fact.select(fact.subscription_ref).where(fact.vendor == vendor, fact.order_ref.in_(names))
        references = {row.subscription_ref for row in told} - {""}
        for column, values in ((table.order_ref, names), (table.subscription_ref, sorted(references))):
            rows = table.select(table.id).where(table.vendor == vendor, column.in_(values))
            found |= {license.id for license in rows}
    return found


def _names_by_vendor(order_ref: str) -> dict[str, list[str]]:
    """Return the names of an order, for each account that may know it; what the indexes begin with is the account."""
    return {
        vendor: sorted({order_ref}.union(*fact_store.names_of_orders(vendor, [order_ref])))
        for vendor in notification_store.known_vendors()
    }


def license_row(license: models.License, now: datetime) -> Row:
    """Return one license as the public interface names its fields."""
    status = license.status(now)
    return {
        "key": key_format.grouped(license.key),
        "status": status,
        "license_model": license.license_model,
        "product_id": license.product_id,
        "major_version": license.major_version,
        "minor_version": license.minor_version,
        "product_name": license.product_name,
        "engine_version": license.engine_version,
        "features": license.features,
        "product_properties": license.product_properties,
        "activations": license.activations,
        "floating_seats": license.floating_seats,
        "issued_at": _time(license.issued_at),
        "ordered_at": _time(license.ordered_at),
        "expires_at": _time(license.expires_at),
        "maintenance_until": _time(license.maintenance_until),
        "grace_until": _time(license.grace_until),
        "suspended_until": _time(license.suspended_until),
        "barred_why": license.barred_why if status in ("suspended", "revoked") else "",
        "vendor": license.vendor,
        "vendor_product_id": license.vendor_product_id,
        "order_ref": license.order_ref,
        "line": license.line,
        "unit": license.unit,
        "subscription_ref": license.subscription_ref,
        "quantity": license.quantity,
        "affiliate": license.affiliate,
        "user_data": license.user_data,
        "computer_type": license.computer_type,
        "legacy_key": license.legacy_key,
        "test": license.test,
        "customer": _customer(license.customer),
    }


def confirmation(license: models.License) -> Row:
    """Return whether the shop was told that the license's orders are fulfilled, above all the newest."""
    about = fact_store.about(
        license.vendor, order_refs=[license.order_ref], subscription_refs=[license.subscription_ref]
    )
    orders = {
        fact.event.order_ref
        for subject, facts in about.items()
        if subject.subscription_ref == license.subscription_ref
        and (license.subscription_ref or (subject.order_ref, subject.line) == (license.order_ref, license.line))
        for fact in facts
    }
    rows = queue.of_orders(Kind.CONFIRMATION, license.vendor, orders | {license.order_ref})
    newest = rows[-1] if rows else None
    return {
        "confirmation": newest.state if newest else "",
        "confirmed_at": _time(newest.done_at) if newest else None,
        "confirmations": [
            {"order_ref": row.order_ref, "state": row.state, "answer": row.answer or row.last_error} for row in rows
        ],
    }


def license_history(license: models.License) -> list[Row]:
    """Return every change to a license, oldest first."""
    entries = models.Audit.select().where(models.Audit.license == license).order_by(models.Audit.id)
    return [
        {
            "at": _time(entry.at),
            "actor": entry.actor,
            "change": entry.change,
            "before": audit.told(entry.before),
            "after": audit.told(entry.after),
            "why": entry.why,
        }
        for entry in entries
    ]


def notifications(*, state: str = "", order: str = "", limit: int | None = None) -> list[Row]:
    """Return notifications, oldest first."""
    table = models.Notification
    query = table.select()
    if state:
        query = query.where(table.state == state)
    if order:
        query = query.where(table.id.in_(_notifications_of(order)))
    return [notification_row(row) for row in query.order_by(table.id).limit(limit)]


def _notifications_of(order_ref: str) -> set[int]:
    """Return the ids of the notifications that told of an order, by any name of it; one may tell of several orders."""
    table, fact = models.Notification, models.Fact
    found: set[int] = set()
    for vendor, names in _names_by_vendor(order_ref).items():
        about = table.select(table.id).where(table.order_ref.in_(names), table.vendor == vendor)
        told = fact.select(fact.notification).where(fact.vendor == vendor, fact.order_ref.in_(names))
        found |= {row.id for row in about} | {row.notification_id for row in told}
    return found


def notification_row(row: models.Notification) -> Row:
    """Return one notification as the public interface names its fields."""
    return {
        "id": row.id,
        "vendor": row.vendor,
        "endpoint": row.endpoint,
        "kind": row.kind,
        "order_ref": row.order_ref,
        "order_status": row.order_status,
        "subscription_ref": row.subscription_ref,
        "state": row.state,
        "reason": row.reason,
        "received_at": _time(row.received_at),
        "applied_at": _time(row.applied_at),
        "copies": row.copies,
    }


def outbox_rows(*, state: str = "", order: str = "", limit: int | None = None) -> list[Row]:
    """Return rows of the outbox, oldest first."""
    table = models.Outbox
    query = table.select()
    if state:
        query = query.where(table.state == state)
    if order:
        query = query.where(table.order_ref == order)
    return [outbox_row(row) for row in query.order_by(table.id).limit(limit)]


def outbox_row(row: models.Outbox) -> Row:
    """Return one row of the outbox as the public interface names its fields."""
    assert row.state in queue.STATES
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "attempts": row.attempts,
        "due_at": _time(row.leased_until or row.due_at),
        "last_error": row.last_error,
        "answer": row.answer,
        "order_ref": row.order_ref,
        "to": row.to,
        "subject": row.subject,
    }


def vendors(accounts: Accounts) -> list[Row]:
    """Return the accounts, and those that the database has rows of and the configuration no section."""
    notifications, licenses = _by_vendor(models.Notification), _by_vendor(models.License)
    found: list[tuple[str, str, bool]] = [
        (account.name, account.vendor.plugin, account.settings.enabled) for account in accounts
    ]
    return [
        {
            "name": name,
            "plugin": plugin,
            "enabled": enabled,
            "configured": bool(plugin),
            "notifications": notifications.get(name, 0),
            "licenses": licenses.get(name, 0),
        }
        for name, plugin, enabled in [*found, *((name, "", False) for name in accounts.strays)]
    ]


def _by_vendor(table: type[models.Notification] | type[models.License]) -> dict[str, int]:
    counted: Any = table.select(table.vendor, peewee.fn.COUNT(table.id)).group_by(table.vendor).tuples()
    return dict(counted)


def _mentions(text: str) -> Any:
    table, customer = models.License, models.Customer
    columns: Iterable[Any] = (
        table.order_ref,
        table.subscription_ref,
        table.product_name,
        customer.email,
        customer.full_name,
        customer.company,
    )
    found = table.order_ref == text
    for column in columns:
        found |= column.contains(text)
    if key := key_format.normalize(text):
        found |= table.key.contains(key)
    return found


def _customer(customer: models.Customer | None) -> Row:
    if customer is None:
        return dict.fromkeys(("full_name", *_CUSTOMER_PARTS), "")
    return {"full_name": customer.full_name, **{name: getattr(customer, name) for name in _CUSTOMER_PARTS}}


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")
