"""Customers: one row for each e-mail address, filled from everything that notifications told about it.

A row knows when each of its parts was told, so that a message is put where it belongs, however late it comes, by what
it says alone.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from qlmhook.domain import restrictions
from qlmhook.domain.addresses import address_key
from qlmhook.domain.events import NAMING_CUSTOMERS, Customer, Event
from qlmhook.domain.facts import Fact
from qlmhook.domain.restrictions import Naming
from qlmhook.inbox import fact_store
from qlmhook.storage import models
from qlmhook.storage.statements import Statement, given

_BY_ADDRESS = Statement[models.Customer](
    lambda: models.Customer.select().where(models.Customer.email_key == given("email_key"))
)

_Age = list[Any]
"""When a part was told, as JSON keeps it: it sorts as the age of the naming does."""


def save(events: Iterable[Event], facts: Iterable[Fact]) -> None:
    """Create or update the rows of the customers whom events name; `facts` are those about the same licenses.

    Without an address to mail to nothing is kept. For each part the newest message that has it counts.
    """
    named = [event for event in events if event.kind in NAMING_CUSTOMERS and not event.unclear]
    keys = {address_key(event.customer.email) for event in named} - {""}
    by_key: dict[str, list[Fact]] = {key: [] for key in sorted(keys)}
    for fact in facts:
        if (key := address_key(fact.event.customer.email)) in by_key:
            by_key[key].append(fact)
    for key, told in by_key.items():
        _save(key, told or fact_store.of_customer(key))  # an event may be about no line and no subscription


def _save(key: str, facts: list[Fact]) -> None:
    row = _BY_ADDRESS.first(email_key=key)
    if row is not None and row.told is None:  # of 0.1.0, which did not write down when it was told what
        facts = [*facts, *fact_store.of_customer(key)]
    known = json.loads(row.told) if row is not None and row.told else {}
    ages: dict[str, _Age] = {part: json.loads(age) for age, parts in known.items() for part in parts}
    values = {part: getattr(row, part) for part in ages}
    for naming in restrictions.dated_namings({fact.arrival: fact for fact in facts}.values()):
        age = _age_of(naming)
        for part, value in asdict(naming.customer).items():
            if value and age >= ages.get(part, []):
                ages[part], values[part] = age, value
    columns = {**_columns(values), "told": _told(ages), "told_at": _newest(ages)}
    if row is None:
        models.Customer.create(email_key=key, **columns)
    elif any(getattr(row, name) != value for name, value in columns.items()):
        models.Customer.update(columns).where(models.Customer.id == row.id).execute()


def find(email: str) -> models.Customer | None:
    """Return the customer with this address, if it is one."""
    return _BY_ADDRESS.first(email_key=address_key(email))


def _columns(values: dict[str, str]) -> dict[str, str]:
    """Return the columns after what was told: what is empty takes nothing away."""
    parts = {**asdict(Customer()), **values}
    return {**parts, "full_name": f"{parts['first_name']} {parts['last_name']}".strip()}


def _age_of(naming: Naming) -> _Age:
    at, (told_at, *order) = naming.age
    return [_utc(at), _utc(told_at), *order]


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _told(ages: dict[str, _Age]) -> str:
    """Return when what was told, as JSON: most parts are told at once."""
    parts: dict[str, list[str]] = {}
    for part, age in sorted(ages.items()):
        parts.setdefault(json.dumps(age), []).append(part)
    return json.dumps(parts, sort_keys=True)


def _newest(ages: dict[str, _Age]) -> datetime:
    return datetime.fromisoformat(max(age[0] for age in ages.values()))
