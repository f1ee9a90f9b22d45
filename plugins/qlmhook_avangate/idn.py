"""2Checkout's Instant Delivery Notification: we tell that an order with "Fulfillment made by you" is delivered.

Source: 2Checkout, "Instant Delivery Notification (IDN)"; the answer's form and codes are those of the sibling
platform, PayU Romania, "IDN", which the answer's published vector confirms.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from qlmhook.vendors import Answer, DeliveryFailed, Form, signed_with
from qlmhook_avangate import signature

# What stands in the order's IPN, the amount letter by letter.
TAGS = {
    "MERCHANT": "VENDOR_CODE",
    "ORDER_REF": "REFNO",
    "ORDER_AMOUNT": "IPN_TOTALGENERAL",
    "ORDER_CURRENCY": "CURRENCY",
}
SIGNED_FIELDS = (*TAGS, "IDN_DATE")

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

_ANSWER = re.compile(r"<EPAYMENT>([^|<]*)\|(\d{1,3})\|([^<]*)\|([^|<]*)\|([0-9a-fA-F]+)</EPAYMENT>")


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

    Raises DeliveryFailed when its IPN lacks something.
    """
    if not settings.key:
        raise DeliveryFailed("There is no key to sign the confirmation with: set idn.key.", permanent=True)
    values = {name: form.scalars.get(tag, "") for name, tag in TAGS.items()}
    values["MERCHANT"] = settings.merchant or values["MERCHANT"]
    missing = [tag for name, tag in TAGS.items() if not values[name]]
    if missing:
        raise DeliveryFailed(
            f"The order's notification lacks {', '.join(missing)}: tick it in 2Checkout's IPN settings, and confirm "
            "this order in 2Checkout's Control Panel.",
            permanent=True,
        )
    values["IDN_DATE"] = f"{now.astimezone(settings.timezone):%Y-%m-%d %H:%M:%S}"
    digest = signature.sign(settings.key, values.values(), settings.algorithm)
    return {**values, settings.hash_field: digest}


def read_answer(answer: Answer, order_ref: str, settings: IdnSettings) -> str:
    """Return what 2Checkout answered, if that means that the order is confirmed.

    Raises DeliveryFailed for everything else: permanent for a refusal, else to be tried again. An answer counts
    only if it is signed with our key and is about our order.
    """
    match = _ANSWER.search(answer.body)
    if answer.status != 200 or match is None:
        raise DeliveryFailed(f"2Checkout's answer, with HTTP status {answer.status}, is no answer to an IDN.")
    *signed, digest = match.groups()
    ref, code = signed[0], int(signed[1])
    # Which algorithm signs the answer is not documented; each of them needs our key.
    if not signed_with(digest.lower(), signature.ALGORITHMS, lambda each: signature.sign(settings.key, signed, each)):
        raise DeliveryFailed("The answer's signature does not match; it is not believed.")
    if ref != order_ref:
        raise DeliveryFailed("The answer is about another order; it is not believed.")
    meaning = f"{code} {MEANINGS.get(code, 'Unknown code')}"
    if code not in CONFIRMED:
        raise DeliveryFailed(f"2Checkout answers {meaning}.", permanent=code in MEANINGS and code not in TRY_AGAIN)
    return meaning
