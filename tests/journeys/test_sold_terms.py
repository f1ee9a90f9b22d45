"""A license keeps the terms of the day on which it was sold."""

from tests.conftest import MAPPING, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.support.life import RENEWAL, RENEWED_END, the_license
from tests.support.looking import states


def test_a_change_of_the_mapping_leaves_alone_what_was_sold(shop: Shop) -> None:
    """A message about an order of before changes nothing, and a renewal only moves the end."""
    shop.map("101", f"{MAPPING}&is_features=0:1&is_numberofactivationsperkey=2")
    shop.post(Order(status="PAYMENT_AUTHORIZED").fields())
    sold = the_license(shop)
    shop.map("101", f"{MAPPING}&is_majorversion=2&is_features=0:3&is_numberofactivationsperkey=9")

    shop.post(Order(ipn_date="20260101110000").fields())
    shop.post(RENEWAL.fields())

    assert the_license(shop) == {**sold, "expires_at": RENEWED_END}


def test_a_change_of_the_duration_does_not_shorten_what_was_sold(shop: Shop) -> None:
    shop.map("101", f"{MAPPING}&is_expduration=365")
    line = Line(ref="", expires="")
    shop.post(Order(lines=[line]).fields())
    shop.map("101", f"{MAPPING}&is_expduration=30")

    shop.post(Order(lines=[line], ipn_date="20260101110000").fields())

    assert the_license(shop)["expires_at"] == "2027-01-01T21:59:59Z"


def test_a_removed_mapping_does_not_hold_what_was_sold(shop: Shop) -> None:
    shop.map("101")
    shop.post(Order().fields())
    shop.map("101", "ignore")

    shop.post(Order(ipn_date="20260101110000").fields())

    assert the_license(shop)["status"] == "active"
    assert states(shop) == ["done", "done"]
