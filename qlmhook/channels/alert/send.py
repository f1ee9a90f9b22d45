"""Mails an alert to the operator."""

from datetime import datetime

from qlmhook.channels.mail.rendering import Rendered
from qlmhook.channels.mail.send import message_id
from qlmhook.channels.mail.smtp import Mailer
from qlmhook.outbox import payloads
from qlmhook.outbox.payloads import AlertPayload
from qlmhook.storage import models


class AlertMails:
    """Sends alerts by the same mail server as licenses."""

    def __init__(self, *, mailer: Mailer) -> None:
        self._mailer = mailer

    def send(self, row: models.Outbox, now: datetime) -> str:
        """Send an alert; raises DeliveryFailed."""
        text = payloads.of(row, AlertPayload).text
        content = Rendered(subject=row.subject, text=f"{text}\n", html="")
        self._mailer.send(content, to=row.to, message_id=message_id(row, self._mailer))
        return ""
