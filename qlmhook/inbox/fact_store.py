"""The facts: what the notifications told about the lines of orders, kept as they came.

Facts are only ever added, and a repeated one is added once. What a license should be is worked out from all of
them (entitlement.py), so the order in which notifications arrive does not matter.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from qlmhook.domain import order_lines, order_names
from qlmhook.domain.addresses import address_key
from qlmhook.domain.events import NAMING_CUSTOMERS, Event, EventKind, Item
from qlmhook.domain.facts import Fact
from qlmhook.domain.order_lines import Subject
from qlmhook.inbox import fact_json
from qlmhook.storage import models
from qlmhook.storage.statements import Statement, any_given, given


def _facts(*where: Any) -> Any:
    table, told_by = models.Fact, models.Notification
    return table.select(table, told_by.id, told_by.dismissed).join(told_by).where(*where).order_by(table.id)


def _facts_named(column: Any) -> Statement[models.Fact]:
    return Statement(lambda: _facts(models.Fact.vendor == given("vendor"), column.in_(any_given("names"))))


def _names(column: Any) -> Statement[models.OrderName]:
    table = models.OrderName
    return Statement(lambda: table.select().where(table.vendor == given("vendor"), column.in_(any_given("names"))))


_OF_ORDERS = _facts_named(models.Fact.order_ref)
_OF_SUBSCRIPTIONS = _facts_named(models.Fact.subscription_ref)
_OF_GROUPS = _facts_named(models.Fact.group_ref)
_OF_CUSTOMERS = _facts_named(models.Fact.customer_ref)
_OF_ADDRESS = Statement[models.Fact](lambda: _facts(models.Fact.email == given("email")))
_TOLD = Statement[models.Fact](
    lambda: models.Fact.select(models.Fact.digest, models.Fact.form).where(models.Fact.digest.in_(any_given("digests")))
)
_NAMED = _names(models.OrderName.order_ref)
_NAMING = _names(models.OrderName.name)
_LAST_DECISION = Statement[models.Decision](
    lambda: models.Decision.select().order_by(models.Decision.id.desc()).limit(1)
)


def record(notification: models.Notification, vendor: str, event: Event) -> bool:
    """Add what an event tells, and return whether it is news: a fact that is known already is left alone."""
    _record_names(vendor, event)
    parts: Iterable[Item | None] = event.items or (None,)
    learned_at = _learned_at(notification)
    told_of = [replace(event, items=(item,) if item else ()) for item in parts]
    rows, first_digests = {}, {}
    for part in told_of:
        data = fact_json.dumped(part)
        digest = fact_json.digest_of(vendor, data)
        # what was told before there was the form of today is known by what it was identified by then
        first_digests[digest] = fact_json.digest_of(vendor, data, 1)
        rows[digest] = {
            **_columns(notification, vendor, part, learned_at),
            "data": fact_json.to_text(data),
            "digest": digest,
        }
    known = {(row.digest, row.form == 1) for row in _TOLD.all(digests=[*rows, *first_digests.values()])}
    news = [
        row
        for digest, row in rows.items()
        if not {(digest, True), (digest, False), (first_digests[digest], True)} & known
    ]
    if news:
        models.Fact.add(news)
    return bool(news)


def _record_names(vendor: str, event: Event) -> None:
    table = models.OrderName
    names = set(event.also_known_as) - {event.order_ref, ""}
    if not names:
        return
    known = {row.name for row in _NAMED.all(vendor=vendor, names=[event.order_ref])}
    new = [{"vendor": vendor, "order_ref": event.order_ref, "name": name} for name in sorted(names - known)]
    table.add(new)


def _columns(notification: models.Notification, vendor: str, event: Event, learned_at: datetime) -> dict[str, Any]:
    item = event.items[0] if event.items else None
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
        "form": fact_json.FORM,
    }


def _learned_at(notification: models.Notification) -> datetime:
    """What arrives after an operator's decision was learned after it, even if the clock was set back meanwhile."""
    decision = _LAST_DECISION.first()
    if decision is None:
        return notification.received_at
    after_it: datetime = decision.at + timedelta(microseconds=1)
    return max(notification.received_at, after_it)


def names_of_orders(vendor: str, order_refs: Iterable[str]) -> list[frozenset[str]]:
    """Return the names of these orders, those of one order together; of one that has no other name nothing."""
    pairs: set[tuple[str, str]] = set()
    known: set[str] = set()
    new = set(order_refs) - {""}
    while new:
        known |= new
        rows = [named for which in (_NAMED, _NAMING) for named in which.all(vendor=vendor, names=sorted(new))]
        found = {(row.order_ref, row.name) for row in rows}
        pairs |= found
        new = {name for pair in found for name in pair} - known
    return order_names.joined(sorted(pairs))


def of_order(vendor: str, order_ref: str) -> list[Fact]:
    """Return every fact about an order, by whichever of its names."""
    groups = names_of_orders(vendor, [order_ref])
    facts = [_decode(row) for row in _with(vendor, _OF_ORDERS, {order_ref}.union(*groups))]
    return order_names.under_one_name(facts, groups)


def orders_of(vendor: str, subscription_refs: Iterable[str]) -> set[str]:
    """Return the orders about these subscriptions, by the names that each was told by."""
    return {row.order_ref for row in _with(vendor, _OF_SUBSCRIPTIONS, set(subscription_refs))} - {""}


def about(
    vendor: str,
    *,
    order_refs: Collection[str] = (),
    subscription_refs: Collection[str] = (),
    group_refs: Collection[str] = (),
    customer_refs: Collection[str] = (),
) -> dict[Subject, list[Fact]]:
    """Return every fact about the licenses that these orders, subscriptions, groups and customers are about."""
    members = _with(vendor, _OF_GROUPS, set(group_refs))
    customers = _with(vendor, _OF_CUSTOMERS, set(customer_refs))
    wanted = ({row.order_ref for row in [*members, *customers]} | set(order_refs)) - {""}
    references = ({row.subscription_ref for row in members} | set(subscription_refs)) - {""}
    groups = names_of_orders(vendor, wanted)
    wanted = wanted.union(*groups)
    of_orders = _with(vendor, _OF_ORDERS, wanted)
    references |= {row.subscription_ref for row in of_orders} - {""}
    of_subscriptions = _with(vendor, _OF_SUBSCRIPTIONS, references)
    others = {row.order_ref for row in of_subscriptions} - wanted - {""}
    groups += names_of_orders(vendor, others)
    others = others.union(*groups) - wanted
    every = [*members, *customers, *of_orders, *of_subscriptions, *_with(vendor, _OF_ORDERS, others)]
    every += _of_groups_and_customers(vendor, every)
    facts = [_decode(row) for row in {row.id: row for row in every}.values()]
    one_name = order_names.under_one_name(facts, groups)
    return {
        subject: told
        for subject, told in order_lines.sort_out(vendor, one_name).items()
        if subject.subscription_ref in references
        or subject.group_ref in group_refs
        or any(order_names.names_of(fact.event) & wanted for fact in told)
    }


def _of_groups_and_customers(vendor: str, rows: Collection[models.Fact]) -> list[models.Fact]:
    """Return what was told of the groups and of the customers that these name."""
    of_groups = _with(vendor, _OF_GROUPS, {row.group_ref for row in rows})
    of_customers = _with(vendor, _OF_CUSTOMERS, {row.customer_ref for row in rows})
    told = [row for row in of_groups if not row.subscription_ref]
    return told + [row for row in of_customers if row.kind == EventKind.CUSTOMER.value]


def is_overtaken(vendor: str, event: Event, notification_id: int) -> bool:
    """Tell whether something happened to an event's subscriptions since this notification told of them last.

    Another one spoke of them, they were paid for, or an operator decided.
    """
    references = {item.subscription_ref for item in event.items} - {""}
    facts = [_decode(row) for row in _with(vendor, _OF_SUBSCRIPTIONS, references)]
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
    """Tell whether any line of an order was paid, by whichever of its names."""
    table = models.Fact
    names = {order_ref}.union(*names_of_orders(vendor, [order_ref]))
    paid = table.select().where(table.vendor == vendor, table.order_ref.in_(sorted(names)))
    return bool(paid.where(table.kind == EventKind.PAID.value).exists())


def count_told(notification_ids: Collection[int]) -> dict[int, int]:
    """Return how many facts each of these notifications told."""
    table = models.Fact
    rows = table.select(table.notification).where(table.notification.in_(list(notification_ids)))
    return dict(Counter(row.notification_id for row in rows)) if notification_ids else {}


def of_customer(email_key: str) -> list[Fact]:
    """Return every fact that carries this address."""
    return [_decode(row) for row in _OF_ADDRESS.all(email=email_key)]


def _with(vendor: str, which: Statement[models.Fact], names: set[str]) -> list[models.Fact]:
    return which.all(vendor=vendor, names=sorted(names - {""}))


def _decode(row: models.Fact) -> Fact:
    event = fact_json.from_text(row.data)
    return Fact(
        event=event,
        item=event.items[0] if event.items else None,
        arrival=row.id,
        told_by=row.notification_id,
        learned_at=row.learned_at,
        place=(row.order_ref, row.line),
        dismissed=row.notification.dismissed,
    )
