"""The lines of an IPN: products, quantities, licenses, options, and which of them are refunded."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from qlmhook.vendors import Item
from qlmhook_avangate.form import Form, is_forever, to_utc, wall_time

# What REFUND_TYPE carries is not documented; whatever does not say that all was refunded is taken for a part.
TOTAL_REFUNDS = frozenset({"TOTAL", "FULL"})

_MONEY = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?")
_QUANTITY = re.compile(r"[1-9][0-9]{0,8}")
_REFUNDED_QUANTITY = re.compile(r"-?(?P<units>[1-9][0-9]{0,8})")


_UNCLEAR_OPTIONS = (
    "The order has several lines of this product, and its options do not tell which line they are for. Look the order "
    "up in 2Checkout."
)


def refunded_lines(data: Mapping[str, Any]) -> list[int] | None:
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


def refunded(item: Item, data: Mapping[str, Any], index: int) -> Item:
    """Return a refunded line with how many of its units are refunded, where the message tells."""
    quantity = _REFUNDED_QUANTITY.fullmatch(_element(data["IPN_QTY"], index))
    if quantity is None or data["REFUND_TYPE"].strip().upper() in TOTAL_REFUNDS:
        return item
    return replace(item, undone_quantity=int(quantity["units"]))


def items_of(data: Mapping[str, Any], form: Form, zone: tzinfo) -> tuple[Item, ...]:
    """Return the lines of an IPN as its schema loaded it; `zone` is that of its dates."""
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
