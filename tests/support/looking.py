"""What tests look at: licenses, notifications, what waits in the outbox, and what the operator was told."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from werkzeug.test import TestResponse

from qlmhook.outbox import payloads
from qlmhook.outbox.payloads import AlertPayload
from qlmhook.reports import listings
from qlmhook.reports.listings import Row
from qlmhook.storage import models
from tests.conftest import KEY, MailServer, Shop
from tests.plugins.avangate.orders import Order
from tests.plugins.avangate.signer import receipt_is_valid


def licenses(shop: Shop) -> list[Row]:
    """All licenses, by order, line and unit."""
    with shop.service.database.reading():
        rows = listings.licenses(now=shop.clock())
    return sorted(rows, key=lambda row: (row["order_ref"], row["line"], row["unit"]))


def notifications(shop: Shop) -> list[Row]:
    with shop.service.database.reading():
        return listings.notifications()


def states(shop: Shop) -> list[str]:
    return [row["state"] for row in notifications(shop)]


def waiting(shop: Shop, kind: str) -> list[Row]:
    """The rows of one kind in the outbox."""
    with shop.service.database.reading():
        return [row for row in listings.outbox_rows() if row["kind"] == kind]


def alerts(shop: Shop) -> list[str]:
    """The texts of the alerts to the operator."""
    with shop.service.database.reading():
        rows = models.Outbox.select().where(models.Outbox.kind == "alert").order_by(models.Outbox.id)
        return [payloads.of(row, AlertPayload).text for row in rows]


def is_receipted(answer: TestResponse, order: Order) -> bool:
    return answer.status_code == 200 and receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha3_256")


def mails(server: MailServer) -> list[EmailMessage]:
    messages = [message_from_bytes(envelope.content, policy=default) for envelope in server.envelopes]
    return [message for message in messages if isinstance(message, EmailMessage)]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())
