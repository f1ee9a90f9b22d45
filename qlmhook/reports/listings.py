"""What the listings show: rows found by filters, as plain values, read page by page as they are taken."""

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from qlmhook.domain import events
from qlmhook.domain.addresses import address_key
from qlmhook.inbox import fact_store, notification_store
from qlmhook.licensing import audit, key_format
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import Kind
from qlmhook.reports import pages
from qlmhook.storage import license_status, models, tallies
from qlmhook.vendors.accounts import Accounts

_CUSTOMER_PARTS = tuple(part.name for part in dataclasses.fields(events.Customer))

Row = dict[str, Any]


def licenses(**filters: Any) -> list[Row]:
    """Return the licenses of `each_license`, of which there are few."""
    return list(each_license(**filters))


def each_license(
    *,
    now: datetime,
    order: str = "",
    email: str = "",
    subscription: str = "",
    status: str = "",
    search: str = "",
    limit: int | None = None,
) -> Iterator[Row]:
    """Yield licenses, oldest first, or by the time of the status alone; every filter that is given must match."""
    return (license_row(row, now) for row in _licenses(now, order, email, subscription, status, search, limit))


def each_license_with_history(*, now: datetime, status: str = "") -> Iterator[Row]:
    """Yield licenses as `each_license` does, with every change to them."""
    licenses = _licenses(now, status=status)
    while page := list(islice(licenses, pages.SIZE)):
        histories = _histories(page)
        for license in page:
            yield license_row(license, now) | {"history": histories[license.id]}


def _licenses(
    now: datetime,
    order: str = "",
    email: str = "",
    subscription: str = "",
    status: str = "",
    search: str = "",
    limit: int | None = None,
) -> Iterator[models.License]:
    """Each is found by one of the filters, the others are only looked at: an index serves one of them at a time."""
    query, size = models.License.with_customers(), pages.size_for(limit)
    wanted = ((order, _of_order), (email, _of_address), (subscription, _of_subscription))
    found = [find(text) for text, find in wanted if text]
    if search and (exactly := _exactly(search)):
        found.append(exactly)
    elif search:
        query = query.where(_mentions(search))
    if found:
        rows = pages.by_ids(query, set.intersection(*found), size)
    elif status and not search:
        rows = _with_status(query, status, now, size)
    else:
        rows = pages.by_id(query, size)
    return islice((row for row in rows if not status or row.status(now) == status), limit)


def _with_status(query: Any, status: str, now: datetime, size: int) -> Iterator[models.License]:
    """Yield the licenses among which those with a status are, each once."""
    earlier: list[license_status.Range] = []
    for one in license_status.ranges(status):
        condition = query.where(one.of_column(models.License, now))
        column = getattr(models.License, one.name)
        rows = pages.by_time(condition, column, size) if one.has_times else pages.by_id(condition, size, column)
        yield from (row for row in rows if not any(other.has(row, now) for other in earlier))
        earlier.append(one)


def _of_address(email: str) -> set[int]:
    """Return the ids of the licenses of the customer with this address."""
    table, customer = models.License, models.Customer.get_or_none(models.Customer.email_key == address_key(email))
    return set() if customer is None else {row.id for row in table.select(table.id).where(table.customer == customer)}


def _of_subscription(reference: str) -> set[int]:
    """Return the ids of the licenses of a subscription, of whichever account."""
    table, vendors = models.License, notification_store.known_vendors()
    rows = table.select(table.id).where(table.vendor.in_(vendors), table.subscription_ref == reference)
    return {row.id for row in rows}


def _exactly(text: str) -> set[int]:
    """Return the ids of the licenses whose key, order, subscription or customer's address a text is."""
    key = models.License.select(models.License.id).where(models.License.key == key_format.normalize(text))
    found = {row.id for row in key} | _of_order(text) | _of_subscription(text)
    return found | _of_address(text) if address_key(text) else found


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
    return _histories([license])[license.id]


def _histories(licenses: Sequence[models.License]) -> dict[int, list[Row]]:
    """Return every change to these licenses, oldest first, by the license's id."""
    found: dict[int, list[Row]] = {license.id: [] for license in licenses}
    table = models.Audit
    for entry in table.select().where(table.license.in_(list(found))).order_by(table.id):
        found[entry.license_id].append(
            {
                "at": _time(entry.at),
                "actor": entry.actor,
                "change": entry.change,
                "before": audit.told(entry.before),
                "after": audit.told(entry.after),
                "why": entry.why,
            }
        )
    return found


def notifications(**filters: Any) -> list[Row]:
    """Return the notifications of `each_notification`, of which there are few."""
    return list(each_notification(**filters))


def each_notification(*, state: str = "", order: str = "", limit: int | None = None) -> Iterator[Row]:
    """Yield notifications, oldest first."""
    table, size = models.Notification, pages.size_for(limit)
    query = table.select(*(field for field in table._meta.sorted_fields if field.name not in _BODIES))
    if state:
        query = query.where(table.state == state)
    rows = pages.by_ids(query, _notifications_of(order), size) if order else pages.by_id(query, size)
    return islice(map(notification_row, rows), limit)


_BODIES = ("body", "enrichment")
"""What is large, and no listing shows."""


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


def outbox_rows(**filters: Any) -> list[Row]:
    """Return the rows of `each_outbox_row`, of which there are few."""
    return list(each_outbox_row(**filters))


def each_outbox_row(*, state: str = "", order: str = "", limit: int | None = None) -> Iterator[Row]:
    """Yield rows of the outbox, oldest first."""
    table, size = models.Outbox, pages.size_for(limit)
    if order:
        theirs = table.select(table.id).where(
            table.vendor.in_(notification_store.known_vendors()), table.order_ref == order
        )
        rows = pages.by_ids(table.select(), {row.id for row in theirs}, size)
    elif state:
        rows = pages.by_time(table.select().where(table.state == state), table.begun_at, size)
    else:
        rows = pages.by_id(table.select(), size)
    return islice((outbox_row(row) for row in rows if not state or row.state == state), limit)


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
    notifications, licenses = tallies.by_vendor(models.Notification), tallies.by_vendor(models.License)
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


def _mentions(text: str) -> Any:
    """No index knows what is inside a text: the licenses are read until there are enough."""
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
