"""The trail of a license: each change, when, by whom, from what to what, and why."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marshmallow import Schema, fields

from qlmhook.storage import models
from qlmhook.storage.statements import Statement, any_given

Columns = dict[str, Any]

_CUSTOMERS = Statement[models.Customer](
    lambda: models.Customer.select().where(models.Customer.id.in_(any_given("ids")))
)


class _ColumnsSchema(Schema):
    """The columns of a license that a change may name; a customer is told by the address."""

    order_ref = fields.String()
    line = fields.String()
    subscription_ref = fields.String()
    vendor_product_id = fields.String()
    license_model = fields.String()
    product_id = fields.Integer()
    major_version = fields.Integer()
    minor_version = fields.Integer()
    product_name = fields.String()
    engine_version = fields.String()
    features = fields.String()
    product_properties = fields.String()
    activations = fields.Integer()
    floating_seats = fields.Integer()
    quantity = fields.Integer()
    affiliate = fields.String()
    user_data = fields.String()
    computer_type = fields.Integer()
    legacy_key = fields.String()
    test = fields.Boolean()
    customer = fields.String(allow_none=True)
    ordered_at = fields.AwareDateTime()
    expires_at = fields.AwareDateTime(allow_none=True)
    maintenance_until = fields.AwareDateTime(allow_none=True)
    ended_at = fields.AwareDateTime(allow_none=True)
    grace_until = fields.AwareDateTime(allow_none=True)
    suspended_at = fields.AwareDateTime(allow_none=True)
    suspended_until = fields.AwareDateTime(allow_none=True)
    revoked_at = fields.AwareDateTime(allow_none=True)
    barred_why = fields.String()


_SCHEMA = _ColumnsSchema()


@dataclass(frozen=True, kw_only=True)
class Occasion:
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


def write(changes: Iterable[Change], occasion: Occasion) -> None:
    """Add changes to the trails of their licenses."""
    changes = list(changes)
    customers = _addresses(changes)
    rows = [
        {
            "license": change.license.id,
            "at": occasion.at,
            "actor": occasion.actor,
            "change": change.change,
            "before": _to_text(change.before, customers),
            "after": _to_text(change.after, customers),
            "why": occasion.why,
        }
        for change in changes
    ]
    models.Audit.add(rows)


def told(text: str) -> dict[str, Any]:
    """Return stored columns of a change as JSON knows them."""
    columns: dict[str, Any] = json.loads(text)
    return columns


def _to_text(columns: Columns, customers: Mapping[int, str]) -> str:
    if "customer" in columns:
        columns = {**columns, "customer": customers.get(columns["customer"])}
    dumped = _SCHEMA.dump(columns)
    return json.dumps({name: dumped[name] for name in columns})


def _addresses(changes: Sequence[Change]) -> dict[int, str]:
    ids = {
        columns["customer"] for change in changes for columns in (change.before, change.after) if "customer" in columns
    }
    return {row.id: row.email for row in _CUSTOMERS.all(ids=sorted(ids - {None}))}
