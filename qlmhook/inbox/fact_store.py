"""The facts: what the notifications told about the lines of orders, kept as they came.

Facts are only ever added, and a repeated one is added once. What a license should be is worked out from all of
them (entitlement.py), so the order in which notifications arrive does not matter.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from qlmhook.domain import lines
from qlmhook.domain.addresses import address_key
from qlmhook.domain.events import NAMING_CUSTOMERS, Customer, Event, EventKind, Item, Standing
from qlmhook.domain.facts import Fact
from qlmhook.domain.lines import Subject
from qlmhook.storage import models

FORM = 2
"""The version of the form in which a fact's data is stored."""

_IDENTITY: Mapping[str, frozenset[str]] = {
    "event": frozenset(
        {"kind", "order_ref", "at", "placed_at", "test", "customer", "items", "standing", "reason"},
    ),
    "item": frozenset(
        {"line", "product_id", "product_name", "quantity", "subscription_ref", "expires_at", "lifetime", "options"}
        | {"problem"}
    ),
}
"""What tells two facts apart. It is fixed: with a part that a later release adds, a notification of today that is
applied again then would tell a second fact."""


def record(notification: models.Notification, vendor: str, event: Event) -> bool:
    """Add what an event tells, and return whether it is news: a fact that is known already is left alone."""
    parts: Iterable[Item | None] = event.items or (None,)
    learned_at = _learned_at(notification)
    rows = [_row(notification, vendor, replace(event, items=(item,) if item else ()), learned_at) for item in parts]
    table = models.Fact
    digests = [row["digest"] for row in rows]
    known = {row.digest for row in table.select(table.digest).where(table.digest.in_(digests))}
    news = [row for row in {row["digest"]: row for row in rows}.values() if row["digest"] not in known]
    if news:
        table.insert_many(news).execute()
    return bool(news)


def _row(notification: models.Notification, vendor: str, event: Event, learned_at: datetime) -> dict[str, Any]:
    item = event.items[0] if event.items else None
    data = json.dumps(asdict(event), default=datetime.isoformat, ensure_ascii=False, sort_keys=True)
    return {
        "notification": notification,
        "vendor": vendor,
        "order_ref": event.order_ref,
        "line": item.line if item else "",
        "subscription_ref": item.subscription_ref if item else "",
        "group_ref": item.group_ref if item else "",
        "customer_ref": event.customer_ref,
        "email": address_key(event.customer.email),
        "kind": event.kind.value,
        "at": event.at,
        "learned_at": learned_at,
        "form": FORM,
        "data": data,
        "digest": digest_of(vendor, data),
    }


def digest_of(vendor: str, data: str) -> str:
    """Return what identifies a fact, from its stored form."""
    event = json.loads(data)
    identity = {name: value for name, value in event.items() if name in _IDENTITY["event"]}
    identity["items"] = [
        {name: value for name, value in item.items() if name in _IDENTITY["item"]} for item in event["items"]
    ]
    text = json.dumps(identity, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(f"{vendor}\n{text}".encode()).hexdigest()


def _learned_at(notification: models.Notification) -> datetime:
    """What arrives after an operator's decision was learned after it, even if the clock was set back meanwhile."""
    decision = models.Decision.select().order_by(models.Decision.id.desc()).first()
    if decision is None:
        return notification.received_at
    after_it: datetime = decision.at + timedelta(microseconds=1)
    return max(notification.received_at, after_it)


def of_order(vendor: str, order_ref: str) -> list[Fact]:
    """Return every fact about an order."""
    return _load(models.Fact.vendor == vendor, models.Fact.order_ref == order_ref)


def about(
    vendor: str, *, order_refs: Collection[str] = (), subscription_refs: Collection[str] = ()
) -> dict[Subject, list[Fact]]:
    """Return every fact about the licenses that these orders and subscriptions are about."""
    table = models.Fact
    wanted, references = set(order_refs) - {""}, set(subscription_refs) - {""}
    of_orders = _with(vendor, table.order_ref, wanted)
    references |= {fact.item.subscription_ref for fact in of_orders if fact.item} - {""}
    of_subscriptions = _with(vendor, table.subscription_ref, references)
    others = {fact.event.order_ref for fact in of_subscriptions} - wanted - {""}
    facts = {fact.arrival: fact for fact in [*of_orders, *of_subscriptions, *_with(vendor, table.order_ref, others)]}
    return {
        subject: told
        for subject, told in lines.sort_out(vendor, facts.values()).items()
        if subject.subscription_ref in references or any(fact.event.order_ref in wanted for fact in told)
    }


def is_overtaken(vendor: str, event: Event, notification_id: int) -> bool:
    """Tell whether something happened to an event's subscriptions since this notification told of them last.

    Another one spoke of them, they were paid for, or an operator decided.
    """
    references = {item.subscription_ref for item in event.items} - {""}
    facts = _with(vendor, models.Fact.subscription_ref, references)
    mine = [fact for fact in facts if fact.told_by == notification_id]
    if not mine or event.kind is not EventKind.SUBSCRIPTION:
        return False
    last = max(mine, key=lambda fact: fact.arrival)
    since = [fact for fact in facts if fact.arrival > last.arrival and fact.event.kind in NAMING_CUSTOMERS]
    license, decision = models.License, models.Decision
    of_theirs = license.select(license.id).where(
        license.vendor == vendor, license.subscription_ref.in_(sorted(references))
    )
    decided = decision.select().where(decision.license.in_(of_theirs), decision.at > last.learned_at)
    return bool(since) or bool(decided.exists())


def is_paid(vendor: str, order_ref: str) -> bool:
    """Tell whether any line of an order was paid."""
    table = models.Fact
    paid = table.select().where(table.vendor == vendor, table.order_ref == order_ref)
    return bool(paid.where(table.kind == EventKind.PAID.value).exists())


def count_told(notification_ids: Collection[int]) -> dict[int, int]:
    """Return how many facts each of these notifications told."""
    table = models.Fact
    rows = table.select(table.notification).where(table.notification.in_(list(notification_ids)))
    return dict(Counter(row.notification_id for row in rows)) if notification_ids else {}


def of_customer(email_key: str) -> list[Fact]:
    """Return every fact that carries this address."""
    return _load(models.Fact.email == email_key)


def _with(vendor: str, column: Any, values: set[str]) -> list[Fact]:
    return _load(models.Fact.vendor == vendor, column.in_(sorted(values))) if values else []


def _load(*where: Any) -> list[Fact]:
    table, told_by = models.Fact, models.Notification
    rows = table.select(table, told_by.id, told_by.dismissed).join(told_by)
    return [_decode(row) for row in rows.where(*where).order_by(table.id)]


def _decode(row: models.Fact) -> Fact:
    data = json.loads(row.data)
    items = tuple(_decode_item(item) for item in data["items"])
    event = Event(
        kind=EventKind(data["kind"]),
        order_ref=data["order_ref"],
        at=datetime.fromisoformat(data["at"]),
        placed_at=datetime.fromisoformat(data["placed_at"]),
        paid_at=_decode_time(data.get("paid_at")),
        sequence=data.get("sequence", 0),
        test=data["test"],
        customer=Customer(**data["customer"]),
        items=items,
        standing=_decode_standing(data["standing"]) if data["standing"] else None,
        reason=data["reason"],
        detail=data.get("detail", ""),
    )
    return Fact(
        event=event,
        item=items[0] if items else None,
        arrival=row.id,
        told_by=row.notification_id,
        learned_at=row.learned_at,
        dismissed=row.notification.dismissed,
    )


def _decode_standing(data: dict[str, Any]) -> Standing:
    pause_begin, pause_end = data.pop("paused_from"), data.pop("paused_until")
    return Standing(**data, paused_from=_decode_time(pause_begin), paused_until=_decode_time(pause_end))


def _decode_item(data: dict[str, Any]) -> Item:
    expires_at, options = data.pop("expires_at"), data.pop("options")
    return Item(**data, options=tuple(options), expires_at=_decode_time(expires_at))


def _decode_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
