"""The avangate vendor's settings, and its three steps; what is true of every vendor is in test_contract.py."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from qlmhook_avangate.vendor import Avangate

from qlmhook.errors import ConfigurationError, MalformedNotification
from qlmhook.vendors.api import Notification, Outcome
from qlmhook.vendors.testing import make_notification
from tests.conftest import PASSWORD, USER, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import Fields, form_body, receipt_is_valid, signed

SECRET = "synthetic-Secret1!"


def vendor(**settings: Any) -> Avangate:
    return Avangate("shop", {"shared_keys": [SECRET], **settings})


def notification(fields: Fields) -> Notification:
    return make_notification(form_body(signed(fields, SECRET, ["sha256"])))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"algorithms": ["sha1"]}, r"vendors\.shop\.algorithms: one or more of sha3-256, sha256, md5 are meant"),
        ({"algorithms": ["SHA256"]}, r"vendors\.shop\.algorithms"),
        ({"algorithms": 256}, r"vendors\.shop\.algorithms: must be a list of texts"),
        ({"shared_keys": [5]}, r"vendors\.shop\.shared_keys: must be a list of texts"),
        ({"timezone": "Mars/Olympus"}, r"vendors\.shop\.timezone: 'Mars/Olympus' is no time zone"),
        ({"timezone": "../../etc/passwd"}, r"vendors\.shop\.timezone"),
        ({"timezone": 2}, r"vendors\.shop\.timezone"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], complaint: str) -> None:
    """The service does not start, and says which setting is meant and what it should be."""
    with pytest.raises(ConfigurationError, match=complaint):
        vendor(**settings)


def test_days_end_where_2checkout_is() -> None:
    """Unless the account's own time zone is set."""
    assert vendor().timezone == ZoneInfo("Europe/Bucharest")


def test_dates_are_of_the_accounts_time_zone() -> None:
    """The setting timezone counts for messages that do not say their offset."""
    message = vendor(timezone="America/New_York").parse(notification(Order(sale_date="2026-01-01 10:00:00").fields()))

    assert message.events[0].placed_at == datetime(2026, 1, 1, 15, tzinfo=UTC)


def test_the_receipt_is_html_about_the_first_line() -> None:
    """2Checkout looks for the tag anywhere in a page; nothing but the tag and a newline is sent."""
    account = vendor()
    order = Order(lines=[Line(pid="102", name="Beta"), Line()])
    sent = notification(order.fields())

    reply = account.receipt(sent, account.verify(sent), Outcome(at=datetime(2026, 1, 1, tzinfo=UTC)))

    assert reply.content_type == "text/html; charset=utf-8"
    assert receipt_is_valid(reply.body, SECRET, ("102", "Beta", order.ipn_date), "sha256")
    assert reply.body.startswith("<sig ")
    assert reply.body.endswith("</sig>\n")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(Order(without=["IPN_PID[]"]).fields(), id="no product"),
        pytest.param(
            Order(without=["IPN_PID[]"], extra=[("IPN_PID", "101")]).fields(), id="a product that is no array"
        ),
        pytest.param([("a", "b")], id="another form"),
    ],
)
def test_what_is_no_ipn_is_malformed(fields: Fields) -> None:
    """A signature proves who sent a form, not what it is."""
    account = vendor()
    sent = notification(fields)
    account.verify(sent)

    with pytest.raises(MalformedNotification, match="either an IPN"):
        account.parse(sent)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["avangate", "Avangate", "2Checkout", "verifone"])
def test_the_names_of_the_company_lead_to_the_account(shop: Shop, name: str) -> None:
    """The company was renamed twice, so is_vendor may carry any of its names."""
    answer = shop.post(Order().fields(), query=f"is_vendor={name}&is_user={USER}&is_pwd={PASSWORD}")

    assert answer.status_code == 200
