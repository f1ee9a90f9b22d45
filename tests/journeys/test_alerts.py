"""Alerts: they reach the operator whatever stands in them, and what they name is there."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from qlmhook.cli import commands
from qlmhook.config import CONFIG_VARIABLE
from qlmhook.reports import listings
from qlmhook.storage import models
from tests.channels.test_delivery import received
from tests.conftest import MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.support.looking import alerts

# What an alert says is worked out before a database is asked.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

STRANGE = [
    "TWO\r\nBcc: all@example.com",
    "TWO\nline",
    "TWO\x01\x02\x1f\x7f\x85",
    "TWO\u2028\u2029\u202e\u200b",
    "=?utf-8?q?a=0D=0ABcc:_all@example.com?=",
    "\n",
    "\U0001f600" * 64,
]


@pytest.fixture
def shop(open_shop: OpenShop, mail_server: MailServer) -> Shop:
    """A shop whose mails go to the server."""
    return open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))


@pytest.mark.parametrize("code", STRANGE, ids=ascii)
def test_the_alert_of_a_stolen_key_arrives_whatever_the_merchant_is_called(
    shop: Shop, mail_server: MailServer, code: str
) -> None:
    """The thief chooses VENDOR_CODE."""
    for number, merchant in enumerate(["ONE", code]):
        order = Order(refno=f"90000000{number}", status="PENDING", extra=[("VENDOR_CODE", merchant)])
        assert shop.post(order.fields()).status_code == 200

    shop.service.delivery.work_off()

    [message] = received(mail_server)
    assert mail_server.envelopes[0].rcpt_tos == ["operator@example.com"]
    assert message["Subject"].startswith("Another merchant under one key of avangate:")
    assert message["Bcc"] is None
    assert "for the merchant ONE until now" in message.get_content()


@pytest.mark.parametrize("subject", [*STRANGE, "a\ud800b", "x" * 10_000], ids=lambda subject: ascii(subject)[:40])
def test_a_subject_is_one_printable_line_and_still_alerted_once(shop: Shop, subject: str) -> None:
    """It is kept as it is mailed, so that the same is known again."""
    with shop.service.database.transaction():
        for _ in range(2):
            shop.service.alerts.tell(subject=f"Look: {subject}", text="text", now=shop.clock(), once=True)

    with shop.service.database.reading():
        [row] = listings.outbox_rows()
    assert row["subject"].startswith("Look:")
    assert row["subject"].isprintable()
    assert len(row["subject"]) <= 250


def test_the_log_of_an_alert_is_one_line(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """What a shop sends forges no line of it."""
    with shop.service.database.transaction():
        shop.service.alerts.tell(subject="a\nb", text="c\r\nERROR d", now=shop.clock())

    assert caplog.messages == ["a b. c  ERROR d"]


ORDER = Order()
RENEWAL = Order(refno="900000002", lines=[Line(expires="2028-01-01 00:00:00")], sale_date="2026-12-31 10:00:00")
NO_ADDRESS = "n/a"


def _sold(shop: Shop, *orders: Order) -> None:
    shop.map("101")
    _post(shop, *orders)


def _post(shop: Shop, *orders: Order) -> None:
    for order in orders:
        assert shop.post(order.fields()).status_code == 200


def _given_up(shop: Shop, mail_server: MailServer) -> None:
    mail_server.rcpt_answer[ORDER.email] = "550 unknown"
    _sold(shop, ORDER)
    shop.service.delivery.work_off()


SITUATIONS: dict[str, Callable[[Shop, MailServer], None]] = {
    "a refund": lambda shop, _: _sold(shop, ORDER, ORDER.changed(status="REFUND")),
    "a refund of a renewal": lambda shop, _: _sold(shop, ORDER, RENEWAL, RENEWAL.changed(status="REFUND")),
    "a refund of an unknown order": lambda shop, _: _post(shop, ORDER.changed(status="REFUND")),
    "a refund of a held order": lambda shop, _: _post(shop, ORDER, ORDER.changed(status="REFUND")),
    "a cancellation": lambda shop, _: _sold(shop, ORDER, ORDER.changed(status="CANCELED")),
    **{
        f"a chargeback {word} of a {name}": lambda shop, _, word=word, order=order: _sold(  # type: ignore[misc]
            shop, ORDER, RENEWAL, order.changed(extra=[("CHARGEBACK_RESOLUTION", word)])
        )
        for word in ("OPEN", "WON", "LOST")
        for name, order in {"sale": ORDER, "renewal": RENEWAL}.items()
    },
    "an unknown chargeback": lambda shop, _: _sold(shop, ORDER.changed(extra=[("CHARGEBACK_RESOLUTION", "NEW")])),
    "an unclear refund": lambda shop, _: _sold(
        shop, ORDER, ORDER.changed(status="REFUND", extra=[("REFUND_TYPE", "PARTIAL")])
    ),
    "an unknown product": lambda shop, _: _post(shop, ORDER),
    "an order without an address": lambda shop, _: _sold(shop, ORDER.changed(email=NO_ADDRESS)),
    "a renewal without an address": lambda shop, _: _sold(
        shop, ORDER.changed(email=NO_ADDRESS), RENEWAL.changed(email=NO_ADDRESS)
    ),
    "a mail that is given up": _given_up,
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_commands_that_an_alert_names_find_something(
    shop: Shop, mail_server: MailServer, tmp_path: Path, situation: str
) -> None:
    """They are run as they stand there, with the notification's number, the license's key and a reason filled in."""
    SITUATIONS[situation](shop, mail_server)
    texts = alerts(shop)
    with shop.service.database.reading():
        keys = [row["key"] for row in listings.licenses(now=shop.clock())]

    assert texts
    for text in texts:
        number = re.search(r"notification show (\d+)", text)
        named = re.findall(r"`(qlmhook [^`]+)`", text)

        assert named
        for words in map(shlex.split, named):
            places = {"ID": number[1] if number else "", "KEY": keys[0] if keys else "", "TEXT": "mended"}
            finished = CliRunner().invoke(
                commands,
                [places.get(word, word) for word in words[1:]],
                env={CONFIG_VARIABLE: str(tmp_path / "qlmhook.toml")},
            )

            assert (finished.exit_code, finished.stderr) == (0, ""), words
            assert finished.stdout != "", words


@pytest.mark.parametrize("number", range(3))
def test_a_license_is_found_by_each_of_its_orders(shop: Shop, number: int) -> None:
    """Of its first, and of those that renewed it; not by that of another account's."""
    orders = [ORDER, RENEWAL, RENEWAL.changed(refno="900000003", lines=[Line(expires="2029-01-01 00:00:00")])]
    other = Order(refno="900000009", lines=[Line(ref="OTHER")])
    _sold(shop, *orders, other)

    with shop.service.database.reading():
        found = listings.licenses(now=shop.clock(), order=orders[number].refno)
        others = listings.licenses(now=shop.clock(), order=other.refno)
        none = listings.licenses(now=shop.clock(), order="900000004")

    assert [row["order_ref"] for row in found] == [ORDER.refno]
    assert [row["order_ref"] for row in others] == [other.refno]
    assert none == []


def test_a_notification_is_found_by_every_order_that_it_tells_of(shop: Shop) -> None:
    """It is filed under one."""
    _sold(shop, ORDER, RENEWAL)
    with shop.service.database.transaction():
        models.Notification.update(order_ref="the batch").where(models.Notification.id == 2).execute()

    with shop.service.database.reading():
        found = {
            ref: [row["id"] for row in listings.notifications(order=ref)]
            for ref in (ORDER.refno, RENEWAL.refno, "the batch")
        }

    assert found == {ORDER.refno: [1], RENEWAL.refno: [2], "the batch": [2]}


def test_a_reference_is_named_as_a_shell_takes_it(shop: Shop) -> None:
    """Another shop's may be any text."""
    with shop.service.database.reading():
        words = shlex.split(listings.where_to_look("9 '$(x)"))

    assert words == ["qlmhook", "notification", "list", "--order", "9 '$(x)"]
