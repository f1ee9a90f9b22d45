"""The contract suite, filled in for Kiosk as its author would: all that the shop can send about one sale."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar

from qlmhook.vendors import Answer, Notification, Vendor
from qlmhook.vendors.testing import NOON, Messages, VendorContract, make_notification
from tests.vendors.contract.kiosk import TOLERANCE, Kiosk

LINES: list[dict[str, Any]] = [
    {
        "line": "1",
        "product": "alpha",
        "quantity": 5,
        "subscription": "S-1",
        "until": "2027-01-01T00:00:00+00:00",
        "amount": "10.00",
        "currency": "EUR",
    },
    {"line": "2", "product": "alpha", "quantity": 7},
]
SALE: dict[str, Any] = {
    "kind": "paid",
    "order": "A-1",
    "payment": "P-1",
    "at": "2026-01-01T12:00:00+00:00",
    "placed": "2026-01-01T11:00:00+00:00",
    "paid": "2026-01-01T11:30:00+00:00",
    "email": "ann@example.com",
    "buyer": "C-1",
    "items": LINES,
}
LATER = "2026-02-01T12:00:00+00:00"


def posted(*events: Mapping[str, Any], about: str = "A-1", **told: Any) -> bytes:
    return json.dumps({"type": "events", "about": about, "seller": "M-1", "events": events, **told}).encode()


def later(kind: str, **changes: Any) -> dict[str, Any]:
    """An event about the sale, a month after it, under the payment's name alone."""
    told = {"kind": kind, "order": "P-1", "at": LATER, "placed": SALE["placed"], "items": LINES}
    return {name: value for name, value in {**told, **changes}.items() if value is not None}


def dispute(kind: str, case: str = "D-1") -> bytes:
    return posted(later(kind, case=case, items=None, whole=True))


def refund_of_units(case: str) -> bytes:
    return posted(later("refunded", case=case, items=[{**LINES[0], "undone": 2}]))


def subscription(product: str = "alpha", **standing: Any) -> bytes:
    line = {"line": "S-1", "subscription": "S-1", "product": product, "quantity": 5}
    return posted(later("subscription", order=None, standing=standing, items=[line]))


class KioskContract(VendorContract):
    vendor_class: ClassVar[type[Vendor]] = Kiosk
    key = "synthetic-Secret1!"
    tolerance = TOLERANCE

    def settings(self, *keys: str) -> dict[str, Any]:
        return {"secrets": list(keys)}

    def messages(self) -> Messages:
        return Messages(
            paid=posted(SALE),
            paid_again=posted({**SALE, "at": LATER}),
            under_review=posted(later("under_review")),
            refund=posted(later("refunded", items=None, whole=True)),
            partial_refund=posted(later("refunded", items=LINES[1:])),
            refund_of_units=refund_of_units("R-1"),
            second_refund_of_units=refund_of_units("R-2"),
            reversal=posted(later("reversed")),
            cancellation=posted(later("canceled")),
            dispute_opened=dispute("chargeback_opened"),
            dispute_won=dispute("chargeback_won"),
            dispute_lost=dispute("chargeback_lost"),
            second_dispute=dispute("chargeback_opened", "D-2"),
            renewal=posted({**SALE, "order": "A-2", "payment": "P-2", "items": LINES[:1]}),
            subscription=subscription(),
            subscription_ended=subscription(expired=True),
            subscription_stopped=subscription(stopped=True),
            past_due=subscription(grace_days=10),
            upgrade=subscription(product="beta", replaces=True),
            customer=posted(later("customer", order=None, items=None, buyer="C-1", email="ann@example.com")),
            batch=posted({**SALE, "order": "A-3", "payment": "P-3"}, {**SALE, "order": "A-4", "payment": "P-4"}),
            test_order=posted({**SALE, "order": "A-5", "payment": "P-5", "test": True}),
            unknown=json.dumps({"type": "ping"}).encode(),
            unreadable=posted({**SALE, "order": 1}),
            others=(json.dumps({"type": "event", "id": "E-1"}).encode(),),
        )

    def changed(self, notification: Notification) -> Iterator[Notification]:
        """Fewer places than the suite tries by itself: no mistake here hangs on one."""
        return islice(super().changed(notification), 0, None, 23)

    def sign(self, body: bytes, key: str, at: datetime) -> Notification:
        time = str(int(at.timestamp()))
        digest = hmac.new(key.encode(), time.encode() + b":" + body, hashlib.sha256).hexdigest()
        headers = {"X-Kiosk-Signature": f"{time}:{digest}"}
        return make_notification(body, content_type="application/json", headers=headers, received_at=NOON)

    def answer(self, url: str, headers: Mapping[str, str] | None = None, *, allow_private: bool = False) -> Answer:
        return Answer(status=200, body=posted({**SALE, "order": "A-6", "payment": "P-6"}).decode())


class SparseContract(KioskContract):
    """A shop that sells, and says nothing else that is understood."""

    def messages(self) -> Messages:
        full = super().messages()
        return Messages(paid=full.paid, unknown=full.unknown, unreadable=full.unreadable)
