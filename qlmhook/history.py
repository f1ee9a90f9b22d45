"""The facts: what the notifications told about the lines of orders, kept as they came.

Facts are only ever added, and a repeated one is added once. What a license should be is worked out from all of
them (entitlement.py), so the order in which notifications arrive does not matter.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from qlmhook import models
from qlmhook.events import Customer, Event, EventKind, Item

_ADDRESS = re.compile(r"[^@\s<>,;:\"\\()\[\]]{1,64}@[^@\s<>,;:\"\\()\[\]]{1,189}")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """An event about one line of an order, or about the whole order when `item` is None."""

    event: Event
    item: Item | None
    digest: str
    notification_id: int

    @property
    def age(self) -> tuple[datetime, str]:
        """Sorts facts by when the vendor told them; the digest decides between two of one second."""
        return self.event.at, self.digest


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What one or several licenses are about: a subscription, or a line of an order that has none."""

    vendor: str
    subscription_ref: str = ""
    order_ref: str = ""
    line: str = ""


def record(notification: models.Notification, vendor: str, event: Event) -> None:
    """Add what an event tells; a fact that is known already is left alone."""
    parts: Iterable[Item | None] = event.items or (None,)
    for item in parts:
        data = _encode(replace(event, items=(item,) if item else ()))
        models.Fact.insert(
            notification=notification,
            vendor=vendor,
            order_ref=event.order_ref,
            line=item.line if item else "",
            subscription_ref=item.subscription_ref if item else "",
            email=address_key(event.customer.email),
            kind=event.kind.value,
            at=event.at,
            data=data,
            digest=hashlib.sha256(f"{vendor}\n{data}".encode()).hexdigest(),
        ).on_conflict_ignore().execute()


def of_order(vendor: str, order_ref: str) -> list[Fact]:
    """Return every fact about an order."""
    return _load(models.Fact.vendor == vendor, models.Fact.order_ref == order_ref)


def of_subject(subject: Subject) -> list[Fact]:
    """Return every fact about a subscription or line, and those about the whole of its orders."""
    if not subject.subscription_ref:
        facts = of_order(subject.vendor, subject.order_ref)
    else:
        orders = models.Fact.select(models.Fact.order_ref).where(
            models.Fact.vendor == subject.vendor, models.Fact.subscription_ref == subject.subscription_ref
        )
        facts = _load(models.Fact.vendor == subject.vendor, models.Fact.order_ref.in_(orders))
    owners = _owners(subject.vendor, facts)
    return [fact for fact in facts if fact.item is None or owners[fact.event.order_ref, fact.item.line] == subject]


def of_customer(email: str) -> list[Fact]:
    """Return every fact that carries this address."""
    return _load(models.Fact.email == address_key(email))


def subjects_of_order(vendor: str, order_ref: str) -> list[Subject]:
    """Return what an order's lines are about, in the order of the lines."""
    return list(dict.fromkeys(_owners(vendor, of_order(vendor, order_ref)).values()))


def address_key(email: str) -> str:
    """Return an e-mail address as addresses are compared, or nothing if it cannot be mailed to."""
    return email.lower() if _ADDRESS.fullmatch(email) and email.isprintable() else ""


def _owners(vendor: str, facts: Iterable[Fact]) -> dict[tuple[str, str], Subject]:
    """Tell the subject of each line; before payment, and sometimes after, a line comes without its reference."""
    owners: dict[tuple[str, str], Subject] = {}
    for fact in sorted(facts, key=lambda fact: fact.age):
        if fact.item is None:
            continue
        place = fact.event.order_ref, fact.item.line
        if fact.item.subscription_ref:
            owners[place] = Subject(vendor=vendor, subscription_ref=fact.item.subscription_ref)
        else:
            owners.setdefault(place, Subject(vendor=vendor, order_ref=place[0], line=place[1]))
    return owners


def _load(*where: Any) -> list[Fact]:
    return [_decode(row) for row in models.Fact.select().where(*where).order_by(models.Fact.id)]


def _encode(event: Event) -> str:
    return json.dumps(asdict(event), default=datetime.isoformat, ensure_ascii=False, sort_keys=True)


def _decode(row: models.Fact) -> Fact:
    data = json.loads(row.data)
    items = tuple(_decode_item(item) for item in data["items"])
    event = Event(
        kind=EventKind(data["kind"]),
        order_ref=data["order_ref"],
        at=datetime.fromisoformat(data["at"]),
        placed_at=datetime.fromisoformat(data["placed_at"]),
        test=data["test"],
        customer=Customer(**data["customer"]),
        items=items,
        reason=data["reason"],
    )
    item = items[0] if items else None
    return Fact(event=event, item=item, digest=row.digest, notification_id=row.notification_id)


def _decode_item(data: dict[str, Any]) -> Item:
    expires_at = data.pop("expires_at")
    return Item(
        **{**data, "options": tuple(data["options"])},
        expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
    )
