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
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from qlmhook.vendors import Event, EventKind, MalformedNotification, Message
from qlmhook_avangate.form import Form, Offset, WallTime, customer_of, explain, to_utc
from qlmhook_avangate.ipn_lines import items_of, refunded, refunded_lines

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


LINE_ARRAYS = ("IPN_PID", "IPN_PNAME", "IPN_QTY", "IPN_PRICE", "IPN_TOTAL")
LICENSE_ARRAYS = ("IPN_LICENSE_PROD", "IPN_LICENSE_REF", "IPN_LICENSE_EXP", "IPN_LICENSE_LIFETIME")


_STAMP = "{input!r} is no date of the form 20260131120000"
_NUMBER = "{input!r} is no number of up to 20 digits"


CUSTOMER_FIELDS: Mapping[str, str] = {
    "email": "CUSTOMEREMAIL",
    "first_name": "FIRSTNAME",
    "last_name": "LASTNAME",
    "company": "COMPANY",
    "phone": "PHONE",
    "fax": "FAX",
    "address1": "ADDRESS1",
    "address2": "ADDRESS2",
    "city": "CITY",
    "state": "STATE",
    "zip": "ZIPCODE",
    "country": "COUNTRY",
}


class _Elements(fields.List[str]):
    """An array field, one element per order line; absent means empty."""

    def __init__(self) -> None:
        super().__init__(fields.String(), load_default=list)


class IpnSchema(Schema):
    """The fields that decide something, and their shapes. Fields not named here are signed, but not used."""

    class Meta:
        unknown = EXCLUDE

    REFNO = fields.String(required=True, validate=validate.Regexp(r"[0-9]{1,20}\Z", error=_NUMBER))
    ORDERSTATUS = fields.String(required=True, validate=validate.Regexp(r"[ -~]{1,64}\Z"))
    IPN_DATE = fields.String(required=True, validate=validate.Regexp(r"[0-9]{14}\Z", error=_STAMP))
    IPN_PID = fields.List(
        fields.String(validate=validate.Regexp(r"[0-9]{1,20}\Z", error=_NUMBER)),
        required=True,
        validate=validate.Length(1),
    )
    IPN_PNAME = fields.List(fields.String(), required=True, validate=validate.Length(1))
    IPN_QTY = _Elements()
    IPN_PRICE = _Elements()
    IPN_TOTAL = _Elements()
    IPN_LICENSE_PROD = _Elements()
    IPN_LICENSE_REF = _Elements()
    IPN_LICENSE_EXP = _Elements()
    IPN_LICENSE_LIFETIME = _Elements()
    SALEDATE = WallTime(load_default=None)
    PAYMENTDATE = WallTime(load_default=None)
    MESSAGE_ID = fields.String(load_default="")
    TIMEZONE_OFFSET = Offset(load_default=None)
    TEST_ORDER = fields.String(load_default="0", validate=validate.OneOf(["", "0", "1"]))
    FRAUD_STATUS = fields.String(load_default="")
    CHARGEBACK_RESOLUTION = fields.String(load_default="")
    REFUND_TYPE = fields.String(load_default="")
    IPN_TOTALGENERAL = fields.String(load_default="")
    CURRENCY = fields.String(load_default="")
    VENDOR_CODE = fields.String(load_default="", validate=validate.Length(max=64))


_SCHEMA = IpnSchema()


def receipt_values(form: Form) -> tuple[str, str, str]:
    """Return what an IPN's receipt signs: the first product's id and name, and IPN_DATE, byte for byte."""
    return form.arrays["IPN_PID"][0], form.arrays["IPN_PNAME"][0], form.scalars["IPN_DATE"]


def parse(form: Form, zone: tzinfo) -> Message:
    """Translate a verified IPN.

    `zone` is the account's, for messages without TIMEZONE_OFFSET. Raises MalformedNotification when a field
    that decides something is missing or misshapen.
    """
    try:
        data = _SCHEMA.load(form.merged())
    except ValidationError as error:
        raise MalformedNotification(explain(error.messages, settings_page="IPN settings")) from None
    _refuse_ragged_arrays(data)

    status = data["ORDERSTATUS"].strip().upper()
    chargeback = data["CHARGEBACK_RESOLUTION"].strip().upper()
    kind, note = _event_kind(status, data["FRAUD_STATUS"].strip().upper(), chargeback)
    message = Message(kind="ipn", order_ref=data["REFNO"], order_status=status, merchant=data["VENDOR_CODE"], note=note)
    if chargeback not in NO_CHARGEBACK and chargeback not in CHARGEBACK_EVENTS:
        return replace(message, unclear=_UNCLEAR_CHARGEBACK.format(chargeback[:40]))
    if kind is None:
        return message
    event = _event(kind, note, data, form, zone)
    if kind is EventKind.REFUNDED:
        places = refunded_lines(data)
        if places is None:
            return replace(message, unclear=_UNCLEAR_REFUND.format(data["REFUND_TYPE"][:40]))
        event = replace(event, items=tuple(refunded(event.items[place], data, place) for place in places))
    return replace(message, events=(event,))


def _refuse_ragged_arrays(data: Mapping[str, Any]) -> None:
    """Each line has an element in each array, and each license in each of theirs; an array may be absent."""
    for family in (LINE_ARRAYS, LICENSE_ARRAYS):
        lengths = {name: len(data[name]) for name in family if data[name]}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name}[] has {length}" for name, length in lengths.items())
            raise MalformedNotification(f"Arrays that belong together differ in length: {told}.")


_UNCLEAR_CHARGEBACK = (
    "CHARGEBACK_RESOLUTION is {!r}, which is not known. Look the order up in 2Checkout, do what there is to do by "
    "hand, and close this with `qlmhook notification dismiss ID --why TEXT`."
)
_UNCLEAR_REFUND = (
    "A refund of the type {!r} does not say which lines it is for. Look the order up in 2Checkout, revoke what is to "
    "be revoked with `qlmhook license revoke KEY --why TEXT`, and close this with `qlmhook notification dismiss ID "
    "--why TEXT`."
)


def _event_kind(status: str, fraud_status: str, chargeback: str) -> tuple[EventKind | None, str]:
    if chargeback not in NO_CHARGEBACK:
        return CHARGEBACK_EVENTS.get(chargeback), f"CHARGEBACK_RESOLUTION is {chargeback}."
    kind = STATUS_EVENTS.get(status)
    if kind is None:
        return None, f"ORDERSTATUS {status} asks for nothing to be done."
    if kind is EventKind.PAID and fraud_status not in APPROVED_FRAUD_STATUSES:
        return EventKind.UNDER_REVIEW, f"FRAUD_STATUS is {fraud_status}, not APPROVED."
    return kind, ""


def _event(kind: EventKind, reason: str, data: Mapping[str, Any], form: Form, account_zone: tzinfo) -> Event:
    zone = data["TIMEZONE_OFFSET"] or account_zone
    at = to_utc(_message_date(data["IPN_DATE"]), zone)
    placed_at = to_utc(data["SALEDATE"], zone) if data["SALEDATE"] else at
    return Event(
        kind=kind,
        order_ref=data["REFNO"],
        at=at,
        placed_at=placed_at,
        paid_at=_paid_at(data, zone, placed_at, at),
        sequence=_sequence(data["MESSAGE_ID"]),
        test=data["TEST_ORDER"] == "1",
        customer=customer_of(form, CUSTOMER_FIELDS),
        items=items_of(data, form, zone),
        reason=reason,
        detail=" ".join([data["IPN_TOTALGENERAL"], *data["IPN_TOTAL"]]) if kind is EventKind.REFUNDED else "",
    )


def _paid_at(data: Mapping[str, Any], zone: tzinfo, placed_at: datetime, at: datetime) -> datetime:
    """Return when an order was paid: a card with the order, a bank transfer (PAYMENT_RECEIVED) when it arrives.

    IPN_DATE is no time of payment: each re-send has a new one.
    """
    if data["PAYMENTDATE"]:
        return to_utc(data["PAYMENTDATE"], zone)
    return at if data["ORDERSTATUS"].strip().upper() == "PAYMENT_RECEIVED" else placed_at


def _sequence(message_id: str) -> int:
    """Return the number of a message; in all published captures a later message has a higher one."""
    return int(message_id) if re.fullmatch(r"[0-9]{1,18}", message_id) else 0


def _message_date(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007 (the zone is added by to_utc)
    except ValueError:
        raise MalformedNotification(f"IPN_DATE is {text}, which is no date.") from None
