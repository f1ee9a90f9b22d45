"""What was paid is kept where it can be read, and holds nothing where it cannot."""

from decimal import Decimal

import pytest

from qlmhook.vendors import money


@pytest.mark.parametrize(
    ("given", "amount"),
    [("29.00", "29.00"), (" 29 ", "29"), ("-29.00", "-29.00"), (29, "29"), (29.5, "29.5"), (Decimal("0.10"), "0.10")],
)
def test_an_amount_has_its_digits(given: object, amount: str) -> None:
    """As a text or as a number of JSON, blanks around it left out, and no digit rounded."""
    told = money(given, " EUR ")

    assert told == {"amount": Decimal(amount), "currency": "EUR"}
    assert str(told["amount"]) == amount


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        *((amount, "EUR") for amount in ("", "29,00", "1e3", "NaN", "Infinity", "+1", "1.", ".5", "٣", "1" * 13)),
        *((number, "EUR") for number in (None, True, 1e300, float("nan"))),
        *(("29.00", currency) for currency in ("", "eur", "EURO", "€", "E R", None, 978)),
    ],
)
def test_what_is_no_amount_in_a_currency_is_left_out(amount: object, currency: object) -> None:
    assert money(amount, currency) == {}
