"""A line is known again in every message about its order, and in its renewals: it keeps its license.

By which signs is told in tests/domain/test_order_lines.py.
"""

from collections.abc import Sequence
from itertools import permutations

import pytest

from tests.conftest import MAPPING, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.support.life import FIRST, RENEWAL, RENEWED_END, pick, post
from tests.support.looking import alerts, mails, states, text_of

GOLD = Line(ref="GOLD", expires="2027-02-01 00:00:00")
BLUE = Line(ref="BLUE", expires="2027-03-01 00:00:00")
GOLD_END, BLUE_END = "2027-01-31T22:00:00Z", "2027-02-28T22:00:00Z"
BETA = Line(pid="102", name="Beta")
AGAIN = "20260101120000"


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """A shop with two products."""
    shop.map("101")
    shop.map("102", MAPPING.replace("is_productid=1", "is_productid=2"))
    return shop


def keys(shop: Shop) -> dict[str, str]:
    return {ref: key for ref, key in pick(shop, "subscription_ref", "key")}  # noqa: C416 (pairs of Any)


def test_two_lines_of_one_product_may_change_places(shop: Shop) -> None:
    """Each license keeps its key, its reference and its end."""
    order = FIRST.changed(lines=[GOLD, BLUE])
    post(shop, order)
    before = keys(shop)

    post(shop, order.changed(lines=[BLUE, GOLD], ipn_date=AGAIN))

    assert keys(shop) == before
    assert sorted(pick(shop, "subscription_ref", "expires_at", "quantity")) == [
        ("BLUE", BLUE_END, 1),
        ("GOLD", GOLD_END, 1),
    ]
    assert states(shop) == ["done", "done"]


def test_a_line_may_come_with_another_reference(shop: Shop) -> None:
    """The license goes on under it: a renewal of that reference renews it."""
    post(shop, FIRST.changed(lines=[GOLD, BLUE]))
    key = keys(shop)["GOLD"]

    post(shop, FIRST.changed(lines=[Line(ref="TEAL"), BLUE], ipn_date=AGAIN))
    post(shop, RENEWAL.changed(lines=[Line(ref="TEAL", expires="2028-01-01 00:00:00")]))

    assert set(keys(shop)) == {"TEAL", "BLUE"}
    assert keys(shop)["TEAL"] == key
    assert pick(shop, "expires_at")[0] == (RENEWED_END,)


@pytest.mark.parametrize("messages", list(permutations(["authorized", "complete", "renewal"])))
def test_an_order_that_came_without_its_reference_first_is_one_subscription(
    shop: Shop, messages: Sequence[str]
) -> None:
    """One license can be used in the end, in whatever order the three arrive."""
    told = {
        "authorized": FIRST.changed(status="PAYMENT_AUTHORIZED", lines=[Line(ref="", expires="")]),
        "complete": FIRST.changed(ipn_date=AGAIN),
        "renewal": RENEWAL,
    }

    post(shop, *(told[name] for name in messages))

    usable = [row for row in pick(shop, "status", "order_ref", "expires_at") if row[0] != "revoked"]
    assert usable == [("active", FIRST.refno, RENEWED_END)]


def test_the_operator_is_told_that_two_licenses_were_one(open_shop: OpenShop, mail_server: MailServer) -> None:
    """The key that is mailed for the renewal is that of the first order; the other one is revoked and says so."""
    shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
    shop.map("101")
    post(shop, FIRST.changed(status="PAYMENT_AUTHORIZED", lines=[Line(ref="", expires="")]), RENEWAL)
    [first], [second] = (keys_of(shop, order) for order in (FIRST, RENEWAL))

    post(shop, FIRST.changed(ipn_date=AGAIN))
    shop.service.delivery.work_off()

    assert sorted(pick(shop, "key", "status")) == sorted([(first, "active"), (second, "revoked")])
    [told] = [text for text in alerts(shop) if second in text]
    assert f"{first} goes on and is mailed" in told
    mailed = [text_of(mail) for mail in mails(mail_server) if mail["To"] == "a@example.com"]
    assert [(first in text, second in text) for text in mailed] == [(True, False), (True, False)]


def keys_of(shop: Shop, order: Order) -> list[str]:
    return [key for key, order_ref in pick(shop, "key", "order_ref") if order_ref == order.refno]


def test_a_renewal_of_two_lines_may_come_before_the_order(shop: Shop) -> None:
    """The licenses are issued by it, and are those of the order when it comes."""
    later = "2028-01-01 00:00:00"

    post(shop, RENEWAL.changed(lines=[Line(expires=later), Line(pid="102", expires=later)]))
    issued = pick(shop, "key")
    post(shop, FIRST.changed(lines=[BETA, Line()]))

    assert sorted(pick(shop, "key")) == sorted(issued)
    assert pick(shop, "vendor_product_id", "order_ref", "expires_at") == [
        ("101", FIRST.refno, RENEWED_END),
        ("102", FIRST.refno, RENEWED_END),
    ]
