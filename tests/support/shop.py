"""A shop of the tests' own, for what is the core's alone: it says everything that the contract has words for.

A message is the JSON of a `Message`, field by field, and signed in a header. It is a vendor plugin like a stranger's:
the fixture `plain_shop` installs it and opens a service for it.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from marshmallow import Schema, fields

from qlmhook.vendors import (
    Customer,
    DeliveryFailed,
    Event,
    EventKind,
    Get,
    Item,
    MalformedNotification,
    Message,
    Notification,
    Outcome,
    Post,
    Reply,
    SignatureRejected,
    Texts,
    Vendor,
    Verified,
    hookimpl,
    load_section,
)
from tests.support.made import ANN, day

SECRET = "plain-Secret3!"
HEADER = "Plain-Signature"
JSON = "application/json"


class _Settings(Schema):
    secrets = Texts(required=True)
    api = fields.String(load_default="")
    receipt_status = fields.Integer(load_default=200)


class Plain(Vendor):
    """A shop that speaks the core's own words.

    `api` is the address of a stand-in: what a message leaves out is asked for under `<api>/<order>`, and what comes
    back is the message; a fulfilled order is confirmed under `<api>/<order>/confirm`.
    """

    plugin = "plain"
    content_types = (JSON,)

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        section = load_section(_Settings(), name, settings)
        self._secrets = [secret.encode() for secret in section["secrets"]]
        self._api = section["api"]
        self._status = section["receipt_status"]

    def keys(self) -> Mapping[str, bytes]:
        return {f"secrets[{place}]": secret for place, secret in enumerate(self._secrets)}

    def verify(self, notification: Notification) -> Verified:
        given = notification.headers.get(HEADER, "").encode()
        verdicts = [hmac.compare_digest(signature(notification.body, secret), given) for secret in self._secrets]
        for secret, is_genuine in zip(self._secrets, verdicts, strict=True):
            if is_genuine:
                return Verified(endpoint="default", algorithm="sha256", key=secret)
        raise SignatureRejected(f"{HEADER} is missing or wrong.")

    def parse(self, notification: Notification) -> Message:
        try:
            message: Message = _made(Message, json.loads(notification.enrichment or notification.body))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedNotification(f"This is no message of the plain shop: {error}.") from None
        return message

    def receipt(self, notification: Notification, verified: Verified, outcome: Outcome) -> Reply:
        told = {"at": outcome.at, "licenses": [asdict(license) for license in outcome.licenses]}
        return Reply(body=json.dumps(told, default=_told), content_type=JSON, status=self._status)

    def enrich(self, notification: Notification, get: Get) -> bytes:
        order_ref = self.parse(notification).order_ref
        answer = get(f"{self._api}/{order_ref}", {"Authorization": "Bearer planted"}, allow_private=True)
        if answer.status != 200:
            raise DeliveryFailed(f"The shop answered {answer.status}.", permanent=answer.status == 404)
        return answer.body.encode()

    def confirm(self, notification: Notification, post: Post, now: datetime) -> str:
        order_ref = self.parse(notification).order_ref
        answer = post(f"{self._api}/{order_ref}/confirm", {"at": now.isoformat()}, allow_private=True)
        if answer.status != 200:
            raise DeliveryFailed(f"The shop answered {answer.status}.", permanent=answer.status == 404)
        return answer.body


@hookimpl
def register_vendors() -> list[type[Vendor]]:
    return [Plain]


def install(folder: Path) -> None:
    """Make the plugin one that is installed, once the folder is on the path."""
    information = folder / "plain-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plain\nVersion: 1.0\n", "utf-8")
    (information / "entry_points.txt").write_text(f"[qlmhook]\nplain = {__name__}\n", "utf-8")


def signature(body: bytes, secret: bytes = SECRET.encode()) -> bytes:
    """What the header carries."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest().encode()


def body_of(message: Message) -> bytes:
    """A message as the shop posts it."""
    return json.dumps(asdict(message), default=_told).encode()


def message(*events: Event, **parts: Any) -> Message:
    """A message that tells these events, about the order of the first one unless `parts` say otherwise."""
    first = events[0] if events else None
    said: dict[str, Any] = {
        "kind": "plain",
        "order_ref": first.order_ref if first else "1",
        "order_status": first.kind.value.upper() if first else "NEWS",
        "subscription_ref": first.items[0].subscription_ref if first and first.items else "",
    }
    return Message(**{**said, "events": events, **parts})


def event(
    kind: EventKind, *items: Item, order: str = "1", on: float = 0, customer: Customer = ANN, **parts: Any
) -> Event:
    """What happened on a day to an order that was placed on the same day, unless `parts` say otherwise."""
    said: dict[str, Any] = {"at": day(on), "placed_at": day(on), **parts}
    return Event(kind=kind, order_ref=order, items=items, customer=customer, **said)


def _told(value: Any) -> str:
    """How JSON spells what it has no word for."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _made(form: Any, value: Any) -> Any:
    """Make a value of a type from JSON; fields that are left out have their defaults."""
    if is_dataclass(form):
        hints = get_type_hints(form)
        return form(**{name: _made(hints[name], part) for name, part in value.items()})  # type: ignore[operator]
    if get_origin(form) is tuple:
        return tuple(_made(get_args(form)[0], part) for part in value)
    if get_origin(form) is UnionType:
        [known] = set(get_args(form)) - {NoneType}
        return None if value is None else _made(known, value)
    if form is datetime:
        return datetime.fromisoformat(value)
    return form(value) if issubclass(form, StrEnum | Decimal) else value
