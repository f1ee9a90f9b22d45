"""What was paid for a line: it decides nothing, so nothing is held for it."""

import re
from decimal import Decimal
from typing import Any

_AMOUNT = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?")
_CURRENCY = re.compile(r"[A-Z]{3}")


def money(amount: object, currency: object) -> dict[str, Any]:
    """Return `amount` and `currency` of an Item, or neither where they are no amount in a currency."""
    digits, letters = str(amount).strip(), str(currency).strip()
    if not _AMOUNT.fullmatch(digits) or not _CURRENCY.fullmatch(letters):
        return {}
    return {"amount": Decimal(digits), "currency": letters}
