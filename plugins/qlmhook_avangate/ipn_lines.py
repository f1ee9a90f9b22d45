"""The lines of an IPN: products, quantities, licenses, options, and which of them are refunded."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from marshmallow import ValidationError

from qlmhook.vendors import Form, Item, MalformedNotification, money, to_utc
from qlmhook_avangate.form import is_forever, wall_time

LINE_ARRAYS = ("IPN_PID", "IPN_PNAME", "IPN_QTY", "IPN_PRICE", "IPN_TOTAL")
LICENSE_ARRAYS = ("IPN_LICENSE_PROD", "IPN_LICENSE_REF", "IPN_LICENSE_EXP", "IPN_LICENSE_LIFETIME")

# What REFUND_TYPE carries is not documented; whatever does not say that all was refunded is taken for a part.
TOTAL_REFUNDS = frozenset({"TOTAL", "FULL"})

# What a field means where it is absent, the shape that it has, and what it is otherwise: a problem of its line.
_FIELDS = {
    "IPN_LICENSE_LIFETIME": ("", r"(?i:YES|NO|)", "neither YES nor NO"),
    "IPN_QTY": ("1", r"[1-9][0-9]{0,8}", "not a whole number from 1"),
    "IPN_LICENSE_REF": ("", r"\s*[0-9A-Za-z_-]{0,50}\s*", "not a subscription reference"),
}
_UNCLEAR_OPTIONS = (
    "The order has several lines of this product, and its options do not tell which line they are for. Look the order "
    "up in 2Checkout."
)

Elements = Mapping[str, str]  # of one line or license, by the names of those arrays that were sent


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of an order, with its license's elements; `options` is None where the message does not tell them."""

    name: str
    elements: Elements
    options: tuple[str, ...] | None
    undone_quantity: int | None = None


def lines_of(data: Mapping[str, Any], form: Form) -> list[Line]:
    """Return the lines of an IPN as its schema loaded it; raises MalformedNotification for arrays that do not match."""
    rows, licenses = _rows(data, LINE_ARRAYS), _rows(data, LICENSE_ARRAYS)
    products = Counter(data["IPN_PID"])
    seen: Counter[str] = Counter()
    lines = []
    for place, (row, product_id) in enumerate(zip(rows, data["IPN_PID"], strict=True)):
        nth = seen[product_id] = seen[product_id] + 1
        listed = [license for license in licenses if license.get("IPN_LICENSE_PROD") == product_id]
        license: Elements = listed[nth - 1] if nth <= len(listed) else {}
        if not listed and place < len(licenses) and licenses[place].get("IPN_LICENSE_PROD") not in products:
            # It is not sent, or this is a bundle, whose license is listed under a product that is no line of the order.
            license = licenses[place]
        options = _options(form, product_id, nth, products[product_id])
        lines.append(Line(name=f"{product_id}#{nth}", elements={**row, **license}, options=options))
    return lines


def _rows(data: Mapping[str, Any], names: Sequence[str]) -> list[Elements]:
    """Turn arrays that belong together, any of which may be absent, into a row for each of their elements."""
    sent = {name: data[name] for name in names if data[name]}
    if len({len(elements) for elements in sent.values()}) > 1:
        told = ", ".join(f"{name}[] has {len(elements)}" for name, elements in sent.items())
        raise MalformedNotification(f"Arrays that belong together differ in length: {told}.")
    return [dict(zip(sent, row, strict=True)) for row in zip(*sent.values(), strict=True)]


def _options(form: Form, product_id: str, nth: int, lines: int) -> tuple[str, ...] | None:
    """Return the values of the options that the customer chose for the nth line of this product.

    2Checkout names options by product: those of several lines of one product stand one line after the other. None
    when they cannot be parted evenly.
    """
    values = form.arrays.get(f"IPN_PRODUCT_OPTIONS_{product_id}_VALUE", ())
    each, rest = divmod(len(values), lines)
    return None if rest else tuple(value for value in values[(nth - 1) * each : nth * each] if value)


def refunded_lines(lines: Sequence[Line], refund_type: str) -> Sequence[Line] | None:
    """Return the refunded lines, and how many of their units where that is told; None when the message does not tell.

    A refund carries negative amounts. One that is not total and marks every line, or none, may be for a part
    of a line, which is no reason to take the license away.
    """
    if refund_type in TOTAL_REFUNDS:
        return lines
    amounts = [line.elements.get("IPN_TOTAL", line.elements.get("IPN_PRICE", "")) for line in lines]
    marked = [line for line, amount in zip(lines, amounts, strict=True) if amount.strip().startswith("-")]
    if refund_type and not 0 < len(marked) < len(lines):
        return None
    return [replace(line, undone_quantity=_refunded_quantity(line.elements)) for line in marked or lines]


def _refunded_quantity(elements: Elements) -> int | None:
    units = re.fullmatch(r"-?([1-9][0-9]{0,8})", elements.get("IPN_QTY", ""))
    return int(units[1]) if units else None


def item_of(line: Line, currency: str, zone: tzinfo) -> Item:
    """Return a line in the core's words; `zone` is that of its dates."""
    told, problems = dict(line.elements), []
    for name, (absent, shape, complaint) in _FIELDS.items():
        if not re.fullmatch(shape, told.setdefault(name, absent)):
            problems.append(f"{name} is {told[name][:40]!r}, {complaint}.")
            told[name] = absent
    expires_at = None
    try:
        expires_at = wall_time(told.get("IPN_LICENSE_EXP", ""))
    except ValidationError as error:
        problems.append(f"IPN_LICENSE_EXP: {error.messages[0]}.")
    if line.options is None:
        problems.append(_UNCLEAR_OPTIONS)
    lifetime = told["IPN_LICENSE_LIFETIME"].upper() == "YES" or is_forever(expires_at)
    return Item(
        line=line.name,
        product_id=told["IPN_PID"],
        product_name=told["IPN_PNAME"],
        quantity=int(told["IPN_QTY"]),
        subscription_ref=told["IPN_LICENSE_REF"].strip(),
        expires_at=None if lifetime else to_utc(expires_at, zone),
        lifetime=lifetime,
        options=line.options or (),
        undone_quantity=line.undone_quantity,
        **money(told.get("IPN_TOTAL"), currency),
        problem=" ".join(problems),
    )
