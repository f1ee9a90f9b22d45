"""Plays 2Checkout: makes signed notifications, and checks receipts as 2Checkout does."""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

from qlmhook_avangate import ipn, signature
from qlmhook_avangate.form import read_form

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
    replaced = {name for name, _ in order.extra}
    return [pair for pair in fields if pair[0] not in replaced] + order.extra


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
    values = ipn.receipt_values(read_form(fields))
    expected = signature.sign(secret.encode(), (*values, match["date"] or match["md5_date"]), algorithm)
    if not hmac.compare_digest(expected, match["digest"] or match["md5"]):
        return "The receipt's signature does not match."
    return ""


def wall_now() -> datetime:
    """Return the time of day for an order that is placed now."""
    return datetime.now(UTC)
