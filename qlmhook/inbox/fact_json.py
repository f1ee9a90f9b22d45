"""The form in which a fact is stored: an event with its one item, or without any, as JSON; and what identifies it."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import Schema, fields, post_load

from qlmhook.domain.events import Customer, Event, EventKind, Item, Standing

FORM = 2
"""The version of the form. In the first, that of release 0.1.0, all fields were absent that have a default here."""


class _Texts(fields.List[str]):
    """A tuple of texts."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        return tuple(super()._deserialize(value, attr, data, **options))


def _texts() -> _Texts:
    return _Texts(fields.String(), load_default=())


class _Time(fields.Field[datetime]):
    """A time with its zone, as Python writes and reads it."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return None if value is None else value.isoformat()

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        return datetime.fromisoformat(value)


def _time() -> _Time:
    return _Time(allow_none=True, load_default=None)


class _CustomerField(fields.Field[Customer]):
    """A customer: a text for each part."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> dict[str, str]:
        return dict(vars(value))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Customer:
        return Customer(**value)


class _ItemSchema(Schema):
    line = fields.String()
    product_id = fields.String()
    general_ids = _texts()
    product_name = fields.String()
    quantity = fields.Integer()
    subscription_ref = fields.String()
    group_ref = fields.String(load_default="")
    expires_at = _time()
    lifetime = fields.Boolean()
    options = _texts()
    undone_quantity = fields.Integer(allow_none=True, load_default=None)
    amount = fields.Decimal(as_string=True, allow_none=True, load_default=None)
    currency = fields.String(load_default="")
    problem = fields.String()

    @post_load
    def _make(self, data: Any, **_: Any) -> Item:
        return Item(**data)


class _StandingSchema(Schema):
    stopped = fields.Boolean()
    paused = fields.Boolean()
    paused_from = _time()
    paused_until = _time()
    expired = fields.Boolean()
    final = fields.Boolean(load_default=False)
    grace_days = fields.Integer()
    replaces = fields.Boolean(load_default=False)
    unchanged = fields.Boolean(load_default=False)

    @post_load
    def _make(self, data: Any, **_: Any) -> Standing:
        return Standing(**data)


class _EventSchema(Schema):
    kind = fields.Enum(EventKind, by_value=True)
    order_ref = fields.String()
    also_known_as = _texts()
    at = _Time()
    placed_at = _Time()
    paid_at = _time()
    sequence = fields.Integer(load_default=0)
    test = fields.Boolean()
    customer = _CustomerField()
    customer_ref = fields.String(load_default="")
    items = fields.List(fields.Nested(_ItemSchema))
    whole_order = fields.Boolean(load_default=False)
    standing = fields.Nested(_StandingSchema, allow_none=True)
    case_ref = fields.String(load_default="")
    reason = fields.String()
    detail = fields.String(load_default="")
    unclear = fields.String(load_default="")

    @post_load
    def _make(self, data: Any, **_: Any) -> Event:
        return Event(**{**data, "items": tuple(data["items"])})


_SCHEMA = _EventSchema()

_ALWAYS: Mapping[str, frozenset[str]] = {
    "event": frozenset({"kind", "order_ref", "at", "placed_at", "test", "customer", "items", "standing", "reason"}),
    "item": frozenset(
        {"line", "product_id", "product_name", "quantity", "subscription_ref", "expires_at", "lifetime", "options"}
        | {"problem"}
    ),
    "standing": frozenset({"stopped", "paused", "paused_from", "paused_until", "expired", "grace_days"}),
}
_WHERE_SAID: Mapping[str, frozenset[str]] = {
    "event": frozenset({"customer_ref", "whole_order", "case_ref", "detail", "unclear"}),
    "item": frozenset({"general_ids", "group_ref", "undone_quantity"}),
    "standing": frozenset({"final", "replaces", "unchanged"}),
}
"""What tells two facts apart: the first list, and of the second what is not empty. Both are fixed: with a part that a
later release adds, a notification of today that is applied again then would tell a second fact. The second list came
with form 2."""


def dumped(event: Event) -> dict[str, Any]:
    """Return an event as JSON knows it."""
    data: dict[str, Any] = _SCHEMA.dump(event)
    return data


def to_text(data: Mapping[str, Any]) -> str:
    """Return an event as it is stored."""
    return json.dumps(data, ensure_ascii=False, sort_keys=True)


def from_text(text: str) -> Event:
    """Return a stored event, of whichever form."""
    event: Event = _SCHEMA.load(json.loads(text))
    return event


def digest_of(vendor: str, event: Mapping[str, Any], form: int = FORM) -> str:
    """Return what identifies a fact that is stored in a form, by its event as JSON knows it."""
    identity = _identity(event, "event", form)
    identity["items"] = [_identity(item, "item", form) for item in event["items"]]
    if event["standing"] is not None:
        identity["standing"] = _identity(event["standing"], "standing", form)
    told = json.dumps(identity, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(f"{vendor}\n{told}".encode()).hexdigest()


def _identity(data: Mapping[str, Any], part: str, form: int) -> dict[str, Any]:
    where_said = _WHERE_SAID[part] if form > 1 else frozenset()
    return {name: value for name, value in data.items() if name in _ALWAYS[part] or (name in where_said and value)}
