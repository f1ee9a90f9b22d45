"""Kiosk, an invented shop that can say everything: JSON, a signed time, and a plugin for it that makes no mistake.

Each step of the plugin is a method, so that a plugin that makes one mistake is a small subclass.
"""

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from marshmallow import Schema

from qlmhook.vendors import (
    Answer,
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
    Reply,
    SignatureRejected,
    Standing,
    Texts,
    Vendor,
    VendorDisabled,
    Verified,
    hookimpl,
    load_section,
)

TOLERANCE = timedelta(minutes=5)


class SettingsSchema(Schema):
    secrets = Texts(load_default=list)


class Kiosk(Vendor):
    """One Kiosk account."""

    plugin: ClassVar[str] = "kiosk"
    aliases: ClassVar[tuple[str, ...]] = ("corner-shop",)
    content_types: ClassVar[tuple[str, ...]] = ("application/json",)
    published_sources: ClassVar[tuple[str, ...]] = ("192.0.2.0/24",)
    kinds: ClassVar[Mapping[str, EventKind]] = {kind.value: kind for kind in EventKind}
    schema: ClassVar[Schema] = SettingsSchema()

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.secrets = self.read_secrets(load_section(self.schema, name, settings)["secrets"])

    def read_secrets(self, secrets: list[str]) -> list[bytes]:
        return [secret.encode() for secret in secrets]

    def keys(self) -> Mapping[str, bytes]:
        return {f"secrets[{place}]": secret for place, secret in enumerate(self.secrets)}

    def verify(self, notification: Notification) -> Verified:
        if not self.secrets:
            raise VendorDisabled("No secret is configured.")
        time, _, received = notification.headers.get("X-Kiosk-Signature", "").partition(":")
        signed = time.encode() + b":" + self.signed_part(notification)
        matching = self.matching(signed, received)
        if matching is None:
            raise SignatureRejected("The signature is missing or wrong.")
        self.check_age(notification.received_at - self.signed_at(time))
        return Verified(endpoint=self.endpoint(), algorithm="sha256", key=matching)

    def endpoint(self) -> str:
        return "webhook"

    def signed_part(self, notification: Notification) -> bytes:
        return notification.body

    def matching(self, signed: bytes, received: str) -> bytes | None:
        found = [secret for secret in self.secrets if self.same(self.digest(secret, signed), received)]
        return found[0] if found else None

    def digest(self, secret: bytes, signed: bytes) -> str:
        return hmac.new(secret, signed, "sha256").hexdigest()

    def same(self, expected: str, received: str) -> bool:
        return hmac.compare_digest(expected.encode(), received.encode())

    def signed_at(self, time: str) -> datetime:
        return datetime.fromtimestamp(int(time), UTC)

    def check_age(self, age: timedelta) -> None:
        if age > TOLERANCE:
            raise SignatureRejected("The signature is too old.")

    def parse(self, notification: Notification) -> Message:
        try:
            return self.read(notification)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
            raise MalformedNotification(f"The body is no message of Kiosk's: {type(error).__name__}.") from None

    def read(self, notification: Notification) -> Message:
        data = json.loads(notification.body)
        if data["type"] == "ping":
            return self.note(data)
        if data["type"] == "event" and not notification.enrichment:
            return self.message(data, incomplete="The message names an event of the shop.")
        told = json.loads(notification.enrichment) if data["type"] == "event" else data
        return self.message(data, events=tuple(self.event(one, notification) for one in self.parts(told)))

    def note(self, data: Mapping[str, Any]) -> Message:
        return self.message(data, note="A ping asks for nothing.")

    def parts(self, data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return list(data["events"])

    def message(self, data: Mapping[str, Any], **told: Any) -> Message:
        about, merchant = text(data, "about"), self.merchant(data)
        return Message(kind="message", order_ref=about, order_status=data["type"], merchant=merchant, **told)

    def merchant(self, data: Mapping[str, Any]) -> str:
        return text(data, "seller")

    def event(self, data: Mapping[str, Any], notification: Notification) -> Event:
        return Event(
            kind=self.kind(data),
            order_ref=self.order_ref(data),
            also_known_as=self.also_known_as(data),
            at=self.at(data, notification),
            placed_at=moment(data["placed"]),
            paid_at=self.paid_at(data),
            test=self.test(data),
            customer=self.customer(data),
            customer_ref=self.customer_ref(data),
            items=self.items(data),
            whole_order=self.whole_order(data),
            standing=self.standing(data) if "standing" in data else None,
            case_ref=self.case_ref(data),
        )

    def kind(self, data: Mapping[str, Any]) -> EventKind:
        return self.kinds[data["kind"]]

    def order_ref(self, data: Mapping[str, Any]) -> str:
        return text(data, "order")

    def also_known_as(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        return (text(data, "payment"),) if "payment" in data else ()

    def at(self, data: Mapping[str, Any], notification: Notification) -> datetime:
        return moment(data["at"])

    def paid_at(self, data: Mapping[str, Any]) -> datetime | None:
        return moment(data["paid"]) if "paid" in data else None

    def test(self, data: Mapping[str, Any]) -> bool:
        return bool(data.get("test", False))

    def customer(self, data: Mapping[str, Any]) -> Customer:
        return Customer(email=text(data, "email"))

    def customer_ref(self, data: Mapping[str, Any]) -> str:
        return text(data, "buyer")

    def case_ref(self, data: Mapping[str, Any]) -> str:
        return text(data, "case")

    def whole_order(self, data: Mapping[str, Any]) -> bool:
        return bool(data.get("whole", False))

    def items(self, data: Mapping[str, Any]) -> tuple[Item, ...]:
        return tuple(self.item(place, one, data) for place, one in enumerate(data.get("items", ()), start=1))

    def item(self, place: int, data: Mapping[str, Any], event: Mapping[str, Any]) -> Item:
        return Item(
            line=self.line(place, data, event),
            product_id=self.product_id(data),
            quantity=data.get("quantity", 1),
            subscription_ref=self.subscription_ref(data),
            expires_at=moment(data["until"]) if "until" in data else None,
            undone_quantity=self.undone_quantity(data),
            amount=self.amount(data),
            currency=self.currency(data),
        )

    def line(self, place: int, data: Mapping[str, Any], event: Mapping[str, Any]) -> str:
        return text(data, "line")

    def product_id(self, data: Mapping[str, Any]) -> str:
        return text(data, "product")

    def subscription_ref(self, data: Mapping[str, Any]) -> str:
        return text(data, "subscription")

    def undone_quantity(self, data: Mapping[str, Any]) -> int | None:
        return data.get("undone")

    def amount(self, data: Mapping[str, Any]) -> Decimal | None:
        return Decimal(data["amount"]) if "amount" in data else None

    def currency(self, data: Mapping[str, Any]) -> str:
        return text(data, "currency")

    def standing(self, data: Mapping[str, Any]) -> Standing:
        return Standing(**data["standing"])

    def enrich(self, notification: Notification, get: Get) -> bytes:
        answer = get(f"https://kiosk.example/events/{json.loads(notification.body)['id']}", {"X-Token": "t"})
        return self.enrichment(answer)

    def enrichment(self, answer: Answer) -> bytes:
        try:
            json.loads(answer.body)["events"]
        except (ValueError, TypeError, KeyError):
            raise DeliveryFailed("Kiosk's answer is none.") from None
        return answer.body.encode()

    def receipt(self, notification: Notification, verified: Verified, outcome: Outcome) -> Reply:
        return Reply(body=self.receipt_text(notification, verified, outcome), status=self.receipt_status(notification))

    def receipt_text(self, notification: Notification, verified: Verified, outcome: Outcome) -> str:
        keys = " ".join(license.key for license in outcome.licenses)
        return f"taken at {outcome.at:%H:%M} {keys}"

    def receipt_status(self, notification: Notification) -> int:
        return 202


def text(data: Mapping[str, Any], name: str) -> str:
    found = data.get(name, "")
    if not isinstance(found, str):
        raise TypeError(name)
    return found


def moment(found: str) -> datetime:
    time = datetime.fromisoformat(found)
    if time.tzinfo is None:
        raise ValueError(found)
    return time


REGISTERED: list[type[Vendor]] = [Kiosk]
"""What the module registers; a test has a plugin with a mistake in its place."""


@hookimpl
def register_vendors() -> list[type[Vendor]]:
    return REGISTERED
