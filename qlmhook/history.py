"""The facts: what the notifications told about the lines of orders, kept as they came.

Facts are only ever added, and a repeated one is added once. What a license should be is worked out from all of
them (entitlement.py), so the order in which notifications arrive does not matter.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from qlmhook import models
from qlmhook.events import Customer, Event, EventKind, Item, Standing

_RANKS = {kind: rank for rank, kind in enumerate(EventKind)}

LONGEST_ADDRESS = 254

_ADDRESS = re.compile(r"[^@\s<>,;:\"\\()\[\]]{1,64}@[^@\s<>,;:\"\\()\[\]]{1,189}")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """An event about one line of an order or one subscription; `learned_at` is when its notification came."""

    event: Event
    item: Item | None
    digest: str
    learned_at: datetime

    @property
    def age(self) -> tuple[datetime, int, str]:
        """Sorts facts by when the vendor told them; of one second, by where they stand in an order's life."""
        return self.event.at, _RANKS[self.event.kind], self.digest


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
            learned_at=notification.received_at,
            data=data,
            digest=digest_of(vendor, data),
        ).on_conflict_ignore().execute()


def digest_of(vendor: str, data: str) -> str:
    """Return what a fact is known by when it is told again."""
    return hashlib.sha256(f"{vendor}\n{data}".encode()).hexdigest()


def of_order(vendor: str, order_ref: str) -> list[Fact]:
    """Return every fact about an order."""
    return _load(models.Fact.vendor == vendor, models.Fact.order_ref == order_ref)


def of_subjects(vendor: str, subjects: Collection[Subject]) -> dict[Subject, list[Fact]]:
    """Return every fact about each of these subscriptions and lines."""
    if not subjects:
        return {}
    table = models.Fact
    refs = [subject.subscription_ref for subject in subjects if subject.subscription_ref]
    of_theirs = table.subscription_ref.in_(refs)
    orders = {row.order_ref for row in table.select(table.order_ref).where(table.vendor == vendor, of_theirs)}
    orders |= {subject.order_ref for subject in subjects}
    found: dict[Subject, list[Fact]] = {subject: [] for subject in subjects}
    facts = _load(table.vendor == vendor, table.order_ref.in_(orders - {""}) | of_theirs)
    owner = owners(vendor, facts)
    for fact in facts:
        subject = owner.get((fact.event.order_ref, fact.item.line)) if fact.item else None
        if subject in found:
            found[subject].append(fact)
    return found


def is_paid(vendor: str, order_ref: str) -> bool:
    """Tell whether any line of an order was paid."""
    table = models.Fact
    paid = table.select().where(table.vendor == vendor, table.order_ref == order_ref)
    return bool(paid.where(table.kind == EventKind.PAID.value).exists())


def of_customer(email_key: str) -> list[Fact]:
    """Return every fact that carries this address."""
    return _load(models.Fact.email == email_key)


def subjects_of(vendor: str, event: Event) -> list[Subject]:
    """Return what an event is about: its subscription, or its order's subscriptions and then other lines."""
    if event.kind is EventKind.SUBSCRIPTION:
        return [Subject(vendor=vendor, subscription_ref=item.subscription_ref) for item in event.items]
    subjects = list(dict.fromkeys(owners(vendor, of_order(vendor, event.order_ref)).values()))
    return sorted(subjects, key=lambda subject: not subject.subscription_ref)


def address_key(email: str) -> str:
    """Return an e-mail address as addresses are compared, or nothing if it cannot be mailed to."""
    key = email.lower()  # can be longer: some letters become two
    usable = _ADDRESS.fullmatch(email) and email.isprintable() and len(key) <= LONGEST_ADDRESS
    return key if usable else ""


def owners(vendor: str, facts: Iterable[Fact]) -> dict[tuple[str, str], Subject]:
    """Tell the subject of each line; before payment, and sometimes after, a line comes without its reference."""
    found: dict[tuple[str, str], Subject] = {}
    for fact in sorted(facts, key=lambda fact: fact.event.at):
        if fact.item is None:
            continue
        place = fact.event.order_ref, fact.item.line
        if fact.item.subscription_ref:
            found[place] = Subject(vendor=vendor, subscription_ref=fact.item.subscription_ref)
        else:
            found.setdefault(place, Subject(vendor=vendor, order_ref=place[0], line=place[1]))
    _part_lines_of_one_reference(found)
    return found


def _part_lines_of_one_reference(found: dict[tuple[str, str], Subject]) -> None:
    """Two lines of one order are two licenses, even if they carry the same reference: it stays with the first."""
    taken: set[tuple[str, Subject]] = set()
    for order_ref, line in sorted(found):
        subject = found[order_ref, line]
        if subject.subscription_ref and (order_ref, subject) in taken:
            found[order_ref, line] = Subject(vendor=subject.vendor, order_ref=order_ref, line=line)
        taken.add((order_ref, subject))


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
        standing=_decode_standing(data["standing"]) if data["standing"] else None,
        reason=data["reason"],
    )
    item = items[0] if items else None
    return Fact(event=event, item=item, digest=row.digest, learned_at=row.learned_at)


def _decode_standing(data: dict[str, Any]) -> Standing:
    pause_begin, pause_end = data.pop("paused_from"), data.pop("paused_until")
    return Standing(**data, paused_from=_decode_time(pause_begin), paused_until=_decode_time(pause_end))


def _decode_item(data: dict[str, Any]) -> Item:
    expires_at, options = data.pop("expires_at"), data.pop("options")
    return Item(**data, options=tuple(options), expires_at=_decode_time(expires_at))


def _decode_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
