"""An order from the post to the mail."""

import pytest

from qlmhook.reports import listings
from tests.conftest import KEY, MailServer, OpenShop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import receipt_is_valid

pytestmark = pytest.mark.every_engine


def test_a_paid_order_becomes_a_license_in_the_mailbox(open_shop: OpenShop, mail_server: MailServer) -> None:
    """An order of two units is receipted, licensed and mailed."""
    shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
    shop.map("101")
    order = Order(lines=[Line(quantity="2")])

    answer = shop.post(order.fields())
    shop.service.delivery.work_off()

    assert answer.status_code == 200
    assert receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha3_256")
    with shop.service.database.reading():
        [license] = listings.licenses(now=shop.clock())
    assert license["activations"] == 2
    assert license["expires_at"] == "2026-12-31T22:00:00Z"
    [envelope] = mail_server.envelopes
    assert envelope.rcpt_tos == ["a@example.com"]
    assert license["key"].encode() in envelope.content
