"""2Checkout's Instant Delivery Notification: we tell that an order with "Fulfillment made by you" is delivered.

Source: 2Checkout, "Instant Delivery Notification (IDN)"; the answer's form and codes are those of the sibling
platform, PayU Romania, "IDN", which the answer's published vector confirms.
"""

import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from qlmhook.vendors import Answer, DeliveryFailed
from qlmhook_avangate import signature
from qlmhook_avangate.form import Form

SIGNED_FIELDS = ("MERCHANT", "ORDER_REF", "ORDER_AMOUNT", "ORDER_CURRENCY", "IDN_DATE")

MEANINGS = {
    1: "Confirmed",
    2: "ORDER_REF missing or incorrect",
    3: "ORDER_AMOUNT missing or incorrect",
    4: "ORDER_CURRENCY missing or incorrect",
    5: "IDN_DATE is not in the correct format",
    6: "Error confirming the order",
    7: "Order already confirmed",
    8: "Unknown error",
    9: "Invalid ORDER_REF",
    10: "Invalid ORDER_AMOUNT",
    11: "Invalid ORDER_CURRENCY",
}
CONFIRMED = frozenset({1, 7})
TRY_AGAIN = frozenset({6, 8})

_ANSWER = re.compile(
    r"<EPAYMENT>(?P<ref>[^|<]*)\|(?P<code>\d{1,3})\|(?P<message>[^<]*)\|(?P<date>[^|<]*)\|(?P<digest>[0-9a-fA-F]+)"
    r"</EPAYMENT>"
)


@dataclass(frozen=True, kw_only=True)
class IdnSettings:
    """How an account's orders are confirmed; `merchant` is empty where the order's VENDOR_CODE counts."""

    url: str
    merchant: str
    key: bytes = field(repr=False)
    algorithm: str
    hash_field: str
    timezone: tzinfo
    allow_private: bool


def request_fields(form: Form, settings: IdnSettings, now: datetime) -> dict[str, str]:
    """Return the fields of the IDN for an order, in the documented sequence.

    Everything is taken from its IPN, the amount letter by letter. Raises DeliveryFailed when it lacks something.
    """
    if not settings.key:
        raise DeliveryFailed("There is no key to sign the confirmation with: set idn.key.", permanent=True)
    values = {
        "MERCHANT": settings.merchant or form.scalars.get("VENDOR_CODE", ""),
        "ORDER_REF": form.scalars.get("REFNO", ""),
        "ORDER_AMOUNT": form.scalars.get("IPN_TOTALGENERAL", ""),
        "ORDER_CURRENCY": form.scalars.get("CURRENCY", ""),
        "IDN_DATE": f"{now.astimezone(settings.timezone):%Y-%m-%d %H:%M:%S}",
    }
    tags = {"MERCHANT": "VENDOR_CODE", "ORDER_AMOUNT": "IPN_TOTALGENERAL", "ORDER_CURRENCY": "CURRENCY"}
    missing = [tags.get(name, name) for name, value in values.items() if not value]
    if missing:
        raise DeliveryFailed(
            f"The order's notification lacks {', '.join(missing)}: tick it in 2Checkout's IPN settings, and confirm "
            "this order in 2Checkout's Control Panel.",
            permanent=True,
        )
    digest = signature.sign(settings.key, [values[name] for name in SIGNED_FIELDS], settings.algorithm)
    return {**values, settings.hash_field: digest}


def read_answer(answer: Answer, order_ref: str, settings: IdnSettings) -> str:
    """Return what 2Checkout answered, if that means that the order is confirmed.

    Raises DeliveryFailed for everything else: permanent for a refusal, else to be tried again. An answer counts
    only if it is signed with our key and is about our order.
    """
    match = _ANSWER.search(answer.body)
    if answer.status != 200 or match is None:
        raise DeliveryFailed(f"2Checkout's answer, with HTTP status {answer.status}, is no answer to an IDN.")
    signed = (match["ref"], match["code"], match["message"], match["date"])
    if not _is_signed(signed, match["digest"], settings.key):
        raise DeliveryFailed("The answer's signature does not match; it is not believed.")
    if match["ref"] != order_ref:
        raise DeliveryFailed("The answer is about another order; it is not believed.")
    code = int(match["code"])
    meaning = f"{code} {MEANINGS.get(code, 'Unknown code')}"
    if code not in CONFIRMED:
        raise DeliveryFailed(f"2Checkout answers {meaning}.", permanent=code in MEANINGS and code not in TRY_AGAIN)
    return meaning


def _is_signed(values: tuple[str, ...], received: str, key: bytes) -> bool:
    """Which algorithm signs the answer is not documented; each of them needs our key."""
    digests = [signature.sign(key, values, algorithm).encode() for algorithm in signature.ALGORITHMS]
    return any(hmac.compare_digest(digest, received.lower().encode()) for digest in digests)
