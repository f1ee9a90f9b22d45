"""SMTP: Flask-Mail behind a subclass that mends what it leaves open.

Flask-Mail 0.10 waits for ever on a silent server, accepts any TLS certificate, takes a server's hang-up after
it has accepted the mail for a failure (a retry would mail twice), does not notice refused recipients, lets a
line break in a header through, and fails on an address with letters outside ASCII.
"""

import logging
import smtplib
import ssl
import time
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate, parseaddr

import flask_mail
from flask import Flask

from qlmhook.config import MailSettings
from qlmhook.errors import ConfigurationError, DeliveryFailed
from qlmhook.templating import Rendered

logger = logging.getLogger(__name__)

TIMEOUT = 30
"""Seconds for each step of the SMTP dialog."""

PATIENCE = 120
"""Seconds until the mail itself must be on its way; far less than an outbox lease."""


class _Message(flask_mail.Message):
    """Builds itself with the standard library's EmailMessage, which refuses line breaks in headers."""

    def email(self) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["Subject"] = self.subject
        message["From"] = _address(str(self.sender))
        message["To"] = [_address(str(recipient)) for recipient in self.recipients]
        if self.cc:
            message["Cc"] = [_address(str(recipient)) for recipient in self.cc]
        message["Date"] = formatdate(self.date, usegmt=True)
        message["Message-ID"] = self.msgId
        message["Auto-Submitted"] = "auto-generated"
        if self.body:
            message.set_content(self.body)
        if self.html and self.body:
            message.add_alternative(self.html, subtype="html")
        elif self.html:
            message.set_content(self.html, subtype="html")
        return message


class _Connection(flask_mail.Connection):
    """One SMTP session."""

    mail: "_Mail"

    def configure_host(self) -> smtplib.SMTP | smtplib.SMTP_SSL:
        context = ssl.create_default_context()
        settings = self.mail.settings
        host: smtplib.SMTP
        if settings.tls == "tls":
            host = smtplib.SMTP_SSL(settings.host, settings.port, timeout=TIMEOUT, context=context)
        else:
            host = smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT)
        try:
            if settings.tls == "starttls":
                host.starttls(context=context)
            if settings.username:
                host.login(settings.username, settings.password)
        except BaseException:
            host.close()
            raise
        return host

    def __exit__(self, *_: object) -> None:
        """Say goodbye; whatever happens now, the server has taken the mail already, or the failure is known."""
        if self.host is None:
            return
        try:
            self.host.quit()
        except (smtplib.SMTPException, OSError):
            self.host.close()

    def transmit(self, message: _Message) -> None:
        """Hand a message to the server; raises DeliveryFailed unless it took it for the address in To."""
        assert self.host is not None
        host = self.host
        started = time.monotonic()
        email = message.email()
        recipients = [parseaddr(str(recipient))[1] for recipient in (*message.recipients, *message.cc, *message.bcc)]
        sender = parseaddr(str(message.sender))[1]
        options: list[str] = []
        host.ehlo_or_helo_if_needed()
        policy = SMTP
        if not all(address.isascii() for address in (sender, *recipients)):
            if not host.has_extn("smtputf8"):
                raise DeliveryFailed(
                    "The mail server cannot mail to an address with letters outside ASCII (no SMTPUTF8).",
                    permanent=True,
                )
            policy, options = SMTPUTF8, ["SMTPUTF8"]

        _expect(host.mail(sender, options), "the sender", permanent=False)
        for recipient in dict.fromkeys(recipients):
            code, answer = host.rcpt(recipient)
            if recipient == parseaddr(str(message.recipients[0]))[1]:
                _expect((code, answer), "the recipient", permanent=code >= 500)
            elif code >= 400:
                logger.warning("The mail server refuses a copy of a mail: %s %s", code, _readable(answer))
        if time.monotonic() - started > PATIENCE:
            raise DeliveryFailed("The mail server is too slow: the mail was not handed over.")
        code, answer = host.data(email.as_bytes(policy=policy))
        _expect((code, answer), "the mail", permanent=code >= 500)


class _Mail(flask_mail.Mail):
    """Flask-Mail with our connection."""

    def __init__(self, app: Flask, settings: MailSettings) -> None:
        self.settings = settings
        super().__init__(app)


class Mailer:
    """Sends one mail at a time; may be used by several threads."""

    def __init__(self, settings: MailSettings) -> None:
        self.settings = settings
        if not parseaddr(settings.sender)[1]:
            raise ConfigurationError(f"mail.sender: {settings.sender!r} is no address.")
        self._app = Flask("qlmhook.mail")
        self._app.config.update(MAIL_DEFAULT_SENDER=settings.sender, MAIL_DEBUG=False)
        self._mail = _Mail(self._app, settings)

    def send(
        self,
        content: Rendered,
        *,
        to: str,
        message_id: str,
        sender: str = "",
        cc: tuple[str, ...] = (),
        bcc: tuple[str, ...] = (),
    ) -> None:
        """Send a mail, and return once the server has taken it.

        `message_id` stays the same when the same mail is tried again. Raises DeliveryFailed.
        """
        with self._app.app_context():
            message = _Message(
                subject=content.subject,
                recipients=[to],
                body=content.text or None,
                html=content.html or None,
                sender=sender or None,
                cc=list(cc),
                bcc=[*bcc, *self.settings.bcc],
            )
            message.msgId = message_id
            self._transmit(message)

    def check(self) -> None:
        """Connect and log in, without sending anything; raises DeliveryFailed."""
        try:
            with _Connection(self._mail):
                pass
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryFailed(_explain(error, self.settings)) from error

    def message_domain(self) -> str:
        """Return the domain that Message-IDs are made in: the sender's."""
        return parseaddr(self.settings.sender)[1].rpartition("@")[2] or "localhost"

    def _transmit(self, message: _Message) -> None:
        try:
            with _Connection(self._mail) as connection:
                connection.transmit(message)
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryFailed(_explain(error, self.settings)) from error
        except ValueError as error:  # an address that no mail can be sent to
            raise DeliveryFailed(f"The mail cannot be made: {error}.", permanent=True) from error


def _address(text: str) -> Address:
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        domain = domain.encode("idna").decode("ascii")
    return Address(display_name=name, username=local, domain=domain)


def _expect(reply: tuple[int, bytes], what: str, *, permanent: bool) -> None:
    code, answer = reply
    if code >= 400:
        raise DeliveryFailed(f"The mail server refuses {what}: {code} {_readable(answer)}", permanent=permanent)


def _readable(answer: bytes) -> str:
    return " ".join(answer.decode("utf-8", "replace").split())[:300]


def _explain(error: Exception, settings: MailSettings) -> str:
    place = f"{settings.host}:{settings.port}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"The mail server {place} refuses the user name or the password ({error.smtp_code})."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The mail server {place} has a certificate that cannot be trusted: {error.verify_message}."
    if isinstance(error, TimeoutError):
        return f"The mail server {place} did not answer within {TIMEOUT} seconds."
    return f"The mail server {place} cannot be used: {type(error).__name__}: {error}."
