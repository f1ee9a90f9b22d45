"""What a row of the outbox carries besides its columns: a record for each kind, and the JSON in which it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from marshmallow import EXCLUDE, Schema, fields, post_dump, post_load

from qlmhook.storage import models


class Kind(StrEnum):
    """What a row is to deliver."""

    MAIL = "mail"
    CONFIRMATION = "confirmation"
    ALERT = "alert"
    ENRICHMENT = "enrichment"


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What any row may carry: when it was last found to wait for something that had not happened."""

    kind: ClassVar[Kind]

    waited_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class MailPayload(Payload):
    """A mail with the licenses that were written down for it, or with the one that an operator mails again.

    `to_customer` is told of the latter, but not by 0.1.0: whether it goes to the customer, and to no address that the
    operator named.
    """

    kind = Kind.MAIL

    template: str
    license: int | None = None
    to_customer: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ConfirmationPayload(Payload):
    """The notification whose order is to be confirmed."""

    kind = Kind.CONFIRMATION

    notification: int


@dataclass(frozen=True, kw_only=True)
class AlertPayload(Payload):
    """What the operator is told below the subject."""

    kind = Kind.ALERT

    text: str


@dataclass(frozen=True, kw_only=True)
class EnrichmentPayload(Payload):
    """The notification about which the shop is to be asked."""

    kind = Kind.ENRICHMENT

    notification: int


class _PayloadSchema(Schema):
    record: ClassVar[type[Payload]] = Payload

    waited_until = fields.AwareDateTime(load_default=None)

    @post_load
    def _make(self, data: Any, **_: Any) -> Payload:
        return self.record(**data)

    @post_dump
    def _leave_out_what_is_not_told(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in data.items() if value is not None}


class _MailSchema(_PayloadSchema):
    record = MailPayload

    template = fields.String(required=True)
    license = fields.Integer(load_default=None)
    to_customer = fields.Boolean(load_default=None)


class _ConfirmationSchema(_PayloadSchema):
    record = ConfirmationPayload

    notification = fields.Integer(required=True)


class _AlertSchema(_PayloadSchema):
    record = AlertPayload

    text = fields.String(required=True)


class _EnrichmentSchema(_PayloadSchema):
    record = EnrichmentPayload

    notification = fields.Integer(required=True)


_SCHEMAS: Mapping[Kind, _PayloadSchema] = {
    schema.record.kind: schema for schema in (_MailSchema(), _ConfirmationSchema(), _AlertSchema(), _EnrichmentSchema())
}

_WAITING = _PayloadSchema(unknown=EXCLUDE)

AnyPayload = TypeVar("AnyPayload", bound=Payload)


def of(row: models.Outbox, record: type[AnyPayload]) -> AnyPayload:
    """Return what a row carries, which is of this kind; `Payload` for any."""
    payload = _read(row.kind, row.payload)
    assert isinstance(payload, record)
    return payload


@lru_cache(maxsize=128)
def _read(kind: str, text: str) -> Payload:
    """Most mails carry the same, and each is asked several times for what it carries."""
    payload: Payload = _SCHEMAS[Kind(kind)].loads(text)
    return payload


def waited_until(row: models.Outbox) -> datetime | None:
    """Return when a row was last found to wait, even if what else it carries cannot be read."""
    payload: Payload = _WAITING.loads(row.payload)
    return payload.waited_until


def to_text(payload: Payload) -> str:
    """Return what a row carries as it is stored."""
    return str(_SCHEMAS[payload.kind].dumps(payload))
