"""The trail of a license: each change, when, by whom, from what to what, and why."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qlmhook.storage import models
from qlmhook.storage.statements import Statement, any_given

Columns = dict[str, Any]

_CUSTOMERS = Statement[models.Customer](
    lambda: models.Customer.select().where(models.Customer.id.in_(any_given("ids")))
)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Who changes a license, when and why, as the audit trail tells it."""

    actor: str
    at: datetime
    why: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of one license."""

    license: models.License
    change: str
    before: Columns
    after: Columns


def write(changes: Iterable[Change], cause: Cause) -> None:
    """Add changes to the trails of their licenses."""
    changes = list(changes)
    customers = _addresses(changes)
    rows = [
        {
            "license": change.license.id,
            "at": cause.at,
            "actor": cause.actor,
            "change": change.change,
            "before": _told(change.before, customers),
            "after": _told(change.after, customers),
            "why": cause.why,
        }
        for change in changes
    ]
    models.Audit.add(rows)


def _told(columns: Columns, customers: Mapping[int, str]) -> str:
    """Values as the trail shows them: a customer by the address."""
    return json.dumps(
        {
            name: customers.get(value) if name == "customer" else value.isoformat() if _is_time(value) else value
            for name, value in columns.items()
        }
    )


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime)


def _addresses(changes: Sequence[Change]) -> dict[int, str]:
    ids = {
        columns["customer"] for change in changes for columns in (change.before, change.after) if "customer" in columns
    }
    return {row.id: row.email for row in _CUSTOMERS.all(ids=sorted(ids - {None}))}
