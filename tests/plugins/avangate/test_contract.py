"""The avangate plugin keeps the contract of a vendor."""

from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from qlmhook_avangate.vendor import Avangate

from qlmhook.vendors.api import Notification, Vendor
from qlmhook.vendors.testing import Messages, VendorContract, make_notification
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, signed
from tests.plugins.avangate.subscriptions import Subscription

LINES = [Line(), Line(ref="BBBBBBBBBB"), Line(pid="102", name="Béta & Söhne", quantity="3", ref="CCCCCCCCCC")]
ORDER = Order(lines=LINES)


def order(status: str = "COMPLETE", **fields: str) -> bytes:
    """An IPN of the sale, made some minutes after it."""
    changed = ORDER.changed(status=status, ipn_date="20260101110500", extra=list(fields.items()))
    return form_body(changed.fields())


def refund_of_the_last_line() -> bytes:
    amounts = [("IPN_TOTAL[]", "0.00"), ("IPN_TOTAL[]", "0.00"), ("IPN_TOTAL[]", "-87.00")]
    return form_body(ORDER.changed(status="REFUND", extra=[("REFUND_TYPE", "PARTIAL"), *amounts]).fields())


def refund_of_units() -> bytes:
    """Two of the three units of the last line."""
    lines = [*LINES[:2], replace(LINES[2], quantity="2")]
    amounts = [("IPN_TOTAL[]", "0.00"), ("IPN_TOTAL[]", "0.00"), ("IPN_TOTAL[]", "-58.00")]
    return form_body(ORDER.changed(status="REFUND", lines=lines, extra=[("REFUND_TYPE", "PARTIAL"), *amounts]).fields())


class TestAvangate(VendorContract):
    vendor_class: ClassVar[type[Vendor]] = Avangate
    key: ClassVar[str] = "synthetic-Secret1!"
    algorithms: ClassVar[tuple[str, ...]] = ("sha256", "sha3_256")

    def settings(self, *keys: str) -> dict[str, Any]:
        return {"shared_keys": list(keys)}

    def messages(self) -> Messages:
        renewal = Order(refno="900000002", lines=[Line(expires="2028-01-01 00:00:00")], sale_date="2026-12-31 10:00:00")
        return Messages(
            paid=form_body(ORDER.fields()),
            paid_again=order(),
            under_review=order("PAYMENT_RECEIVED", FRAUD_STATUS="UNDER REVIEW"),
            refund=order("REFUND"),
            partial_refund=refund_of_the_last_line(),
            refund_of_units=refund_of_units(),
            reversal=order("REVERSED"),
            cancellation=order("CANCELED"),
            dispute_opened=order(CHARGEBACK_RESOLUTION="OPEN"),
            dispute_won=order(CHARGEBACK_RESOLUTION="WON"),
            dispute_lost=order(CHARGEBACK_RESOLUTION="LOST"),
            renewal=form_body(renewal.fields()),
            subscription=form_body(Subscription().fields()),
            subscription_ended=form_body(Subscription(status="EXPIRED", expired="1").fields()),
            subscription_stopped=form_body(Subscription(status="DISABLED").fields()),
            past_due=form_body(Subscription(status="PAST DUE", extra=[("LICENSE_GRACE_PERIOD", "10")]).fields()),
            test_order=form_body(Order(refno="900000003", extra=[("TEST_ORDER", "1")]).fields()),
            unknown=order("NEVER_HEARD_OF"),
            unreadable=form_body(ORDER.changed(without=["REFNO"]).fields()),
            others=(order("PAYMENT_AUTHORIZED"), form_body(Subscription(status="PAUSED").fields())),
        )

    def sign(self, body: bytes, key: str, at: datetime) -> Notification:
        fields = parse_qsl(body.decode(), keep_blank_values=True)
        return make_notification(form_body(signed(fields, key, self.algorithms)))


class TestAvangateWithMd5(TestAvangate):
    """An account that sends only HASH."""

    algorithms: ClassVar[tuple[str, ...]] = ("md5",)

    def settings(self, *keys: str) -> dict[str, Any]:
        return {"shared_keys": list(keys), "algorithms": ["md5"]}
