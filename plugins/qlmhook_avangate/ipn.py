"""2Checkout's Instant Payment Notification: the schema of its fields, and what they mean.

Only IPN_PID[], IPN_PNAME[] and IPN_DATE are always sent; every other field is a tick box of the merchant's
account. REFNO and ORDERSTATUS are needed to act at all, everything else has a meaning when it is absent.

An order is identified across re-sends by REFNO, a line by its product id and its place among the lines of
that product. MESSAGE_ID and IPN_DATE look like identifiers, but each re-send carries new ones.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from qlmhook.vendors import Event, EventKind, Item, MalformedNotification, Message
from qlmhook_avangate.form import Form, Offset, WallTime, customer_of, explain, is_forever, to_utc, wall_time

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

# What REFUND_TYPE carries is not documented; whatever does not say that all was refunded is taken for a part.
TOTAL_REFUNDS = frozenset({"TOTAL", "FULL"})

_MONEY = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?")
_QUANTITY = re.compile(r"[1-9][0-9]{0,8}")
_REFUNDED_QUANTITY = re.compile(r"-?(?P<units>[1-9][0-9]{0,8})")


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
        refunded = _refunded_lines(data)
        if refunded is None:
            return replace(message, unclear=_UNCLEAR_REFUND.format(data["REFUND_TYPE"][:40]))
        event = replace(event, items=tuple(_refunded(event.items[index], data, index) for index in refunded))
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


_UNCLEAR_OPTIONS = (
    "The order has several lines of this product, and its options do not tell which line they are for. Look the order "
    "up in 2Checkout."
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


def _refunded_lines(data: Mapping[str, Any]) -> list[int] | None:
    """Return the indexes of the refunded lines, or None when the message does not tell.

    A refund carries negative amounts. One that is not total and marks every line, or none, may be for a part
    of a line, which is no reason to take the license away.
    """
    amounts = data["IPN_TOTAL"] or data["IPN_PRICE"]
    every = list(range(len(data["IPN_PID"])))
    negative = [index for index in every if _element(amounts, index).strip().startswith("-")]
    refund_type = data["REFUND_TYPE"].strip().upper()
    if refund_type in TOTAL_REFUNDS:
        return every
    if not refund_type:
        return negative or every
    return negative if 0 < len(negative) < len(every) else None


def _refunded(item: Item, data: Mapping[str, Any], index: int) -> Item:
    """Return a refunded line with how many of its units are refunded, where the message tells."""
    quantity = _REFUNDED_QUANTITY.fullmatch(_element(data["IPN_QTY"], index))
    if quantity is None or data["REFUND_TYPE"].strip().upper() in TOTAL_REFUNDS:
        return item
    return replace(item, undone_quantity=int(quantity["units"]))


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
        items=_items(data, form, zone),
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


def _items(data: Mapping[str, Any], form: Form, zone: tzinfo) -> tuple[Item, ...]:
    seen: Counter[str] = Counter()
    lines_of = Counter(data["IPN_PID"])
    items = []
    for index, product_id in enumerate(data["IPN_PID"]):
        nth = seen[product_id] = seen[product_id] + 1
        place = _license_index(data, product_id, nth, index)
        item = _item(data, zone, index=index, line=f"{product_id}#{nth}", license_index=place)
        options = _options(form, product_id, nth, lines_of[product_id])
        items.append(replace(item, problem=_UNCLEAR_OPTIONS) if options is None else replace(item, options=options))
    return tuple(items)


def _item(data: Mapping[str, Any], zone: tzinfo, *, index: int, line: str, license_index: int | None) -> Item:
    product_id = data["IPN_PID"][index]
    product_name = data["IPN_PNAME"][index]
    subscription_ref = _element(data["IPN_LICENSE_REF"], license_index).strip()
    expiry = _element(data["IPN_LICENSE_EXP"], license_index)
    lifetime_text = _element(data["IPN_LICENSE_LIFETIME"], license_index).upper()
    lifetime = lifetime_text == "YES"
    problems = []
    if lifetime_text not in ("YES", "NO", ""):
        problems.append(f"IPN_LICENSE_LIFETIME is {lifetime_text[:40]!r}, neither YES nor NO.")

    quantity_text = data["IPN_QTY"][index] if index < len(data["IPN_QTY"]) else ("" if data["IPN_QTY"] else "1")
    if not _QUANTITY.fullmatch(quantity_text):
        problems.append(f"IPN_QTY is {quantity_text[:40]!r}, not a whole number from 1.")
        quantity_text = "1"
    if not re.fullmatch(r"[0-9A-Za-z_-]{0,50}", subscription_ref):
        problems.append(f"IPN_LICENSE_REF is {subscription_ref[:40]!r}, not a subscription reference.")
        subscription_ref = ""
    expires_at = None
    try:
        expires_at = wall_time(expiry)
    except ValidationError as error:
        problems.append(f"IPN_LICENSE_EXP: {error.messages[0]}.")
    if expires_at is not None and is_forever(expires_at):
        lifetime, expires_at = True, None

    return Item(
        line=line,
        product_id=product_id,
        product_name=product_name,
        quantity=int(quantity_text),
        subscription_ref=subscription_ref,
        expires_at=None if expires_at is None or lifetime else to_utc(expires_at, zone),
        lifetime=lifetime,
        **_amount(data, index),
        problem=" ".join(problems),
    )


def _amount(data: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return what was paid for a line, where both the amount and its currency are sent: it decides nothing."""
    amount, currency = _element(data["IPN_TOTAL"], index).strip(), data["CURRENCY"].strip()
    if not _MONEY.fullmatch(amount) or not re.fullmatch(r"[A-Z]{3}", currency):
        return {}
    return {"amount": Decimal(amount), "currency": currency}


def _license_index(data: Mapping[str, Any], product_id: str, nth: int, index: int) -> int | None:
    """Return where in the IPN_LICENSE_* arrays a line's license stands.

    IPN_LICENSE_PROD names the product; the index is the fall-back when the merchant does not send it.
    """
    products = data["IPN_LICENSE_PROD"]
    if not any(products) or products == data["IPN_PID"]:
        return index
    places = [place for place, product in enumerate(products) if product == product_id]
    if places:
        return places[nth - 1] if nth <= len(places) else None
    # the line of a bundle: its license is listed under a product that is no line of the order
    return index if index < len(products) and products[index] not in data["IPN_PID"] else None


def _element(elements: list[str], index: int | None) -> str:
    return elements[index] if index is not None and index < len(elements) else ""


def _options(form: Form, product_id: str, nth: int, lines: int) -> tuple[str, ...] | None:
    """Return the values of the options that the customer chose for the nth line of this product.

    2Checkout names options by product: those of several lines of one product stand one line after the other. None
    when they cannot be parted evenly.
    """
    values = form.arrays.get(f"IPN_PRODUCT_OPTIONS_{product_id}_VALUE", ())
    each, rest = divmod(len(values), lines)
    if rest:
        return None
    return tuple(value for value in values[(nth - 1) * each : nth * each] if value)
