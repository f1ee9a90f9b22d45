"""Sends a mail with licenses: what stands in it is decided when it goes out."""

from datetime import datetime

from qlmhook.channels.mail import due as mail_due
from qlmhook.channels.mail import variables
from qlmhook.channels.mail.mail_terms import terms_of_today
from qlmhook.channels.mail.rendering import Templates
from qlmhook.channels.mail.smtp import Mailer
from qlmhook.errors import DeliveryFailed
from qlmhook.outbox import payloads
from qlmhook.outbox.payloads import MailPayload
from qlmhook.storage import models
from qlmhook.storage.database import Database
from qlmhook.vendors.accounts import Accounts


class LicenseMails:
    """Sends mails with licenses to customers."""

    def __init__(self, *, database: Database, accounts: Accounts, mailer: Mailer, templates: Templates) -> None:
        self._database = database
        self._accounts = accounts
        self._mailer = mailer
        self._templates = templates

    def send(self, row: models.Outbox, now: datetime) -> str:
        """Send a mail, without the licenses that were revoked meanwhile; raises DeliveryFailed."""
        template = payloads.of(row, MailPayload).template
        with self._database.reading():
            every = mail_due.licenses_in(row)
            if not every:
                raise DeliveryFailed("Another mail has taken the place of this one.", permanent=True)
            licenses = [license for license in every if license.revoked_at is None]
            zone = self._accounts.named(row.vendor).vendor.timezone
            items = [variables.of_license(license, row.order_ref, zone) for license in licenses]
            terms = terms_of_today(licenses[0], row.order_ref) if licenses else None
        if len(licenses) < len(every):
            with self._database.transaction():
                mail_due.withdraw(row, [license for license in every if license.revoked_at is not None])
        if not licenses:
            return "Not sent: the license was revoked before."
        content = self._templates.render(template, items, subject=terms.mail_subject if terms else "")
        to = mail_due.address_of(row, licenses)
        row.subject, row.to = content.subject, to  # written down with what becomes of the mail
        self._mailer.send(
            content,
            to=to,
            message_id=message_id(row, self._mailer),
            sender=terms.mail_from if terms else "",
            cc=terms.mail_cc if terms else (),
            bcc=terms.mail_bcc if terms else (),
        )
        return ""


def message_id(row: models.Outbox, mailer: Mailer) -> str:
    """Return the Message-ID of a row's mail, the same whenever it is sent."""
    return f"<qlmhook.{row.id}.{row.begun_at:%Y%m%d%H%M%S}@{mailer.message_domain()}>"
