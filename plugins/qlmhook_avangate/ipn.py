"""2Checkout's Instant Payment Notification: the schema of its fields, and what they mean.

Only IPN_PID[], IPN_PNAME[] and IPN_DATE are always sent; every other field is a tick box of the merchant's
account. REFNO and ORDERSTATUS are needed to act at all, everything else has a meaning when it is absent.

An order is identified across re-sends by REFNO, a line by its product id and its place among the lines of
that product. MESSAGE_ID and IPN_DATE look like identifiers, but each re-send carries new ones.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any, ClassVar

from marshmallow import fields, validate

from qlmhook.vendors import Event, EventKind, Form, MalformedNotification, Message, to_utc
from qlmhook_avangate.form import FormSchema, WallTime, customer_of
from qlmhook_avangate.ipn_lines import LICENSE_ARRAYS, LINE_ARRAYS, item_of, lines_of, refunded_lines

# Source: 2Checkout, "IPN triggers"; the set is open, so an unknown status is acknowledged and nothing is done.
# AUTHRECEIVED is before 2Checkout's approval, PAYMENT_AUTHORIZED after it. For products with "Fulfillment made
# by you" COMPLETE comes only after our confirmation, so PAYMENT_AUTHORIZED must fulfill.
STATUS_EVENTS = {
    "PAYMENT_AUTHORIZED": EventKind.PAID,
    "PAYMENT_RECEIVED": EventKind.PAID,
    "COMPLETE": EventKind.PAID,
    "REFUND": EventKind.REFUNDED,
    "REVERSED": EventKind.REVERSED,
    "CANCELED": EventKind.CANCELED,
}

# Source: the constants of 2Checkout's WooCommerce plugin.
APPROVED_FRAUD_STATUSES = frozenset({"", "APPROVED"})

# A chargeback rides on another status, mostly COMPLETE, which then says nothing about payment.
# Source: 2Checkout, "IPN triggers" (chargeback opened, chargeback closed).
CHARGEBACK_EVENTS = {
    "OPEN": EventKind.CHARGEBACK_OPENED,
    "WON": EventKind.CHARGEBACK_WON,
    "LOST": EventKind.CHARGEBACK_LOST,
    "ACCEPTED": EventKind.CHARGEBACK_LOST,
}
NO_CHARGEBACK = frozenset({"", "NONE"})

_STAMP = validate.Regexp(r"[0-9]{14}\Z", error="{input!r} is no date of the form 20260131120000")
_NUMBER = validate.Regexp(r"[0-9]{1,20}\Z", error="{input!r} is no number of up to 20 digits")

CUSTOMER_FIELDS = {
    **{part: part.upper() for part in ("company", "phone", "fax", "address1", "address2", "city", "state", "country")},
    "email": "CUSTOMEREMAIL",
    "first_name": "FIRSTNAME",
    "last_name": "LASTNAME",
    "zip": "ZIPCODE",
}
_TEXTS = ("FRAUD_STATUS", "CHARGEBACK_RESOLUTION", "REFUND_TYPE", "MESSAGE_ID", "IPN_TOTALGENERAL", "CURRENCY")


class IpnSchema(FormSchema):
    """The fields of an IPN, and their shapes."""

    settings_page = "IPN settings"

    class Meta(FormSchema.Meta):
        include: ClassVar[Mapping[str, fields.Field[Any]]] = {
            **{name: fields.List(fields.String(), load_default=list) for name in (*LINE_ARRAYS, *LICENSE_ARRAYS)},
            **{name: fields.String(load_default="") for name in _TEXTS},
            "IPN_PID": fields.List(fields.String(validate=_NUMBER), required=True),
            "IPN_PNAME": fields.List(fields.String(), required=True),
        }

    REFNO = fields.String(required=True, validate=_NUMBER)
    ORDERSTATUS = fields.String(required=True, validate=validate.Regexp(r"[ -~]{1,64}\Z"))
    IPN_DATE = fields.String(required=True, validate=_STAMP)
    SALEDATE = WallTime()
    PAYMENTDATE = WallTime()
    TEST_ORDER = fields.String(load_default="0", validate=validate.OneOf(["", "0", "1"]))
    VENDOR_CODE = fields.String(load_default="", validate=validate.Length(max=64))


_SCHEMA = IpnSchema()

_UNCLEAR_CHARGEBACK = (
    "CHARGEBACK_RESOLUTION is {!r}, which is not known. Look the order up in 2Checkout, do what there is to do by "
    "hand, and close this with `qlmhook notification dismiss ID --why TEXT`."
)
_UNCLEAR_REFUND = (
    "A refund of the type {!r} does not say which lines it is for. Look the order up in 2Checkout, revoke what is to "
    "be revoked with `qlmhook license revoke KEY --why TEXT`, and close this with `qlmhook notification dismiss ID "
    "--why TEXT`."
)


def receipt_values(form: Form) -> tuple[str, str, str]:
    """Return what an IPN's receipt signs: the first product's id and name, and IPN_DATE, byte for byte."""
    return form.arrays["IPN_PID"][0], form.arrays["IPN_PNAME"][0], form.scalars["IPN_DATE"]


def parse(form: Form, zone: tzinfo) -> Message:
    """Translate a verified IPN.

    `zone` is the account's, for messages without TIMEZONE_OFFSET. Raises MalformedNotification when a field
    that decides something is missing or misshapen.
    """
    data = _SCHEMA.read(form)
    lines = lines_of(data, form)
    status, chargeback = data["ORDERSTATUS"].strip().upper(), data["CHARGEBACK_RESOLUTION"].strip().upper()
    kind, note = _event_kind(status, data["FRAUD_STATUS"].strip().upper(), chargeback)
    message = Message(kind="ipn", order_ref=data["REFNO"], order_status=status, merchant=data["VENDOR_CODE"], note=note)
    if chargeback not in NO_CHARGEBACK and chargeback not in CHARGEBACK_EVENTS:
        return replace(message, unclear=_UNCLEAR_CHARGEBACK.format(chargeback[:40]))
    if kind is None:
        return message
    zone = data["TIMEZONE_OFFSET"] or zone
    at = to_utc(_message_date(data["IPN_DATE"]), zone)
    placed_at = to_utc(data["SALEDATE"], zone) or at
    # A card is paid with the order, a bank transfer when it arrives. IPN_DATE is no time of payment in other messages:
    # each re-send has a new one.
    paid_at = to_utc(data["PAYMENTDATE"], zone) or (at if status == "PAYMENT_RECEIVED" else placed_at)
    customer = customer_of(form, CUSTOMER_FIELDS)
    told = refunded_lines(lines, data["REFUND_TYPE"].strip().upper()) if kind is EventKind.REFUNDED else lines
    if told is None:
        return replace(message, unclear=_UNCLEAR_REFUND.format(data["REFUND_TYPE"][:40]))
    event = Event(
        kind=kind,
        order_ref=data["REFNO"],
        at=at,
        placed_at=placed_at,
        paid_at=paid_at,
        # In all published captures a later message has a higher number.
        sequence=int(data["MESSAGE_ID"]) if re.fullmatch(r"[0-9]{1,18}", data["MESSAGE_ID"]) else 0,
        test=data["TEST_ORDER"] == "1",
        customer=customer,
        items=tuple(item_of(line, data["CURRENCY"], zone) for line in told),
        reason=note,
        detail=" ".join([data["IPN_TOTALGENERAL"], *data["IPN_TOTAL"]]) if kind is EventKind.REFUNDED else "",
    )
    return replace(message, events=(event,))


def _event_kind(status: str, fraud_status: str, chargeback: str) -> tuple[EventKind | None, str]:
    if chargeback not in NO_CHARGEBACK:
        return CHARGEBACK_EVENTS.get(chargeback), f"CHARGEBACK_RESOLUTION is {chargeback}."
    kind = STATUS_EVENTS.get(status)
    if kind is None:
        return None, f"ORDERSTATUS {status} asks for nothing to be done."
    if kind is EventKind.PAID and fraud_status not in APPROVED_FRAUD_STATUSES:
        return EventKind.UNDER_REVIEW, f"FRAUD_STATUS is {fraud_status}, not APPROVED."
    return kind, ""


def _message_date(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007 (the zone is added by to_utc)
    except ValueError:
        raise MalformedNotification(f"IPN_DATE is {text}, which is no date.") from None
