"""Plays 2Checkout: makes signed notifications, and checks receipts as 2Checkout does."""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

from qlmhook.vendors import read_form
from qlmhook_avangate import idn, ipn, lcn, signature

Fields = list[tuple[str, str]]

_RECEIPT = re.compile(
    r'<sig algo="(?P<algorithm>[a-z0-9-]+)" date="(?P<date>\d+)">(?P<digest>[0-9a-f]+)</sig>'
    r"|<EPAYMENT>(?P<md5_date>[^|<]+)\|(?P<md5>[0-9a-f]{32})</EPAYMENT>"
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One product of a simulated order."""

    product_id: str
    name: str
    quantity: str = "1"
    subscription_ref: str = ""
    expires: str = ""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A simulated order; `now` is the wall time of a merchant whose account is in UTC."""

    order_ref: str
    lines: Sequence[Line]
    email: str
    status: str = "COMPLETE"
    first_name: str = "John"
    last_name: str = "Doe"
    test: bool = False
    now: datetime
    extra: Fields = field(default_factory=list)


def ipn_fields(order: Order) -> Fields:
    """Return the fields of an unsigned IPN: those that QLM's page has merchants tick, with all else empty."""
    date = f"{order.now:%Y-%m-%d %H:%M:%S}"
    lifetime = ["YES" if line.expires.startswith("9999") else "NO" for line in order.lines]
    fields: Fields = [
        ("SALEDATE", date),
        ("REFNO", order.order_ref),
        ("REFNOEXT", ""),
        ("ORDERNO", "1"),
        ("ORDERSTATUS", order.status),
        ("CURRENCY", "USD"),
        ("FIRSTNAME", order.first_name),
        ("LASTNAME", order.last_name),
        ("COMPANY", ""),
        ("COUNTRY", "United States of America"),
        ("CUSTOMEREMAIL", order.email),
        ("TIMEZONE_OFFSET", "GMT+00:00"),
        ("TEST_ORDER", "1" if order.test else "0"),
        ("VENDOR_CODE", "SIMULATED"),
        *(("IPN_PID[]", line.product_id) for line in order.lines),
        *(("IPN_PNAME[]", line.name) for line in order.lines),
        *(("IPN_QTY[]", line.quantity) for line in order.lines),
        *(("IPN_LICENSE_PROD[]", line.product_id) for line in order.lines),
        *(("IPN_LICENSE_TYPE[]", "REGULAR") for line in order.lines),
        *(("IPN_LICENSE_REF[]", line.subscription_ref) for line in order.lines),
        *(("IPN_LICENSE_EXP[]", line.expires) for line in order.lines),
        *(("IPN_LICENSE_LIFETIME[]", value) for value in lifetime),
        ("IPN_TOTALGENERAL", "29.00"),
        ("IPN_DATE", f"{order.now:%Y%m%d%H%M%S}"),
    ]
    return _with(fields, order.extra)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A simulated change of a subscription; `now` is the wall time of a merchant whose account is in UTC."""

    ref: str
    product_id: str
    expires: str
    status: str = "ACTIVE"
    email: str
    now: datetime
    extra: Fields = field(default_factory=list)


def lcn_fields(subscription: Subscription) -> Fields:
    """Return the fields of an unsigned LCN."""
    status = subscription.status.upper()
    fields: Fields = [
        ("FIRST_NAME", "John"),
        ("LAST_NAME", "Doe"),
        ("EMAIL", subscription.email),
        ("LICENSE_CODE", subscription.ref),
        ("EXPIRATION_DATE_TIME", subscription.expires),
        ("EXPIRATION_DATE", subscription.expires[:10]),
        ("DATE_UPDATED", f"{subscription.now:%Y-%m-%d %H:%M:%S}"),
        ("TEST", "0"),
        ("CHANGED_BY", "SYSTEM"),
        ("LICENSE_TYPE", "REGULAR"),
        ("DISABLED", "1" if status == "DISABLED" else "0"),
        ("RECURRING", "1"),
        ("LICENSE_PRODUCT", subscription.product_id),
        ("STATUS", status),
        ("EXPIRED", "1" if status == "EXPIRED" else "0"),
        ("TIMEZONE_OFFSET", "GMT+00:00"),
        ("DISPATCH_REASON", "LICENCE_CHANGE"),
    ]
    return _with(fields, subscription.extra)


def _with(fields: Fields, extra: Fields) -> Fields:
    replaced = {name for name, _ in extra}
    return [pair for pair in fields if pair[0] not in replaced] + extra


def signed_body(fields: Fields, secret: str, algorithms: Sequence[str]) -> bytes:
    """Return a form as 2Checkout posts it, with a signature for each algorithm behind its fields."""
    names = {algorithm: name for name, algorithm in signature.SIGNATURE_FIELDS.items()}
    values = [value for _, value in fields]
    signatures = [(names[chosen], signature.sign(secret.encode(), values, chosen)) for chosen in algorithms]
    return urlencode([*fields, *signatures]).encode()


def receipt_problem(answer: str, fields: Fields, secret: str, algorithms: Sequence[str]) -> str:
    """Return why 2Checkout would not take an answer for a receipt, or nothing when it would."""
    match = _RECEIPT.search(answer)
    if match is None:
        return "The answer has no receipt in it."
    algorithm = match["algorithm"] or "md5"
    strongest = next(known for known in signature.ALGORITHMS if known in algorithms)
    if algorithm != strongest:
        return f"The receipt is made with {algorithm}; the strongest algorithm sent is {strongest}."
    form = read_form(fields)
    values: tuple[str, ...] = ipn.receipt_values(form) if "IPN_PID" in form.arrays else lcn.receipt_values(form)
    expected = signature.sign(secret.encode(), (*values, match["date"] or match["md5_date"]), algorithm)
    if not hmac.compare_digest(expected, match["digest"] or match["md5"]):
        return "The receipt's signature does not match."
    return ""


FAILURES = ("code", "wrong-hash", "wrong-order", "html", "redirect", "error", "drop")
"""The ways in which the stand-in for 2Checkout's IDN address can be told to fail."""


_CODES_OF_MISSING = {"ORDER_REF": 2, "ORDER_AMOUNT": 3, "ORDER_CURRENCY": 4, "IDN_DATE": 5}


def idn_answer(fields: Fields, secret: str, confirmed: set[str], *, code: int | None = None, failure: str = "") -> str:
    """Answer an IDN as 2Checkout does: check fields, sequence and hash, and confirm each order once.

    `code` is answered in place of the right one; `failure` may spoil the answer: wrong-hash or wrong-order.
    """
    names = [name for name, _ in fields]
    values = dict(fields)
    signed = [values.get(name, "") for name in idn.SIGNED_FIELDS]
    received = next((value for name, value in fields if name not in idn.SIGNED_FIELDS), "")
    order_ref = values.get("ORDER_REF", "")
    digests = [signature.sign(secret.encode(), signed, algorithm) for algorithm in signature.ALGORITHMS]
    if code is None:
        missing = [_CODES_OF_MISSING[name] for name in _CODES_OF_MISSING if not values.get(name)]
        if missing:
            code = missing[0]
        elif names[: len(idn.SIGNED_FIELDS)] != list(idn.SIGNED_FIELDS) or received not in digests:
            code = 8
        else:
            code = 7 if order_ref in confirmed else 1
    if code == 1:
        confirmed.add(order_ref)
    if failure == "wrong-order":
        order_ref = "1" + order_ref
    answer = (order_ref, str(code), idn.MEANINGS.get(code, "Unknown"), f"{wall_now():%Y-%m-%d %H:%M:%S}")
    algorithm = signature.ALGORITHMS[digests.index(received)] if received in digests else "sha256"
    digest = signature.sign(b"wrong" if failure == "wrong-hash" else secret.encode(), answer, algorithm)
    return f"<EPAYMENT>{'|'.join((*answer, digest))}</EPAYMENT>"


def wall_now() -> datetime:
    """Return the time of day for an order that is placed now."""
    return datetime.now(UTC)
