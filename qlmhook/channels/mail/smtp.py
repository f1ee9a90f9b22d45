"""SMTP: Flask-Mail behind a subclass that mends what it leaves open.

Flask-Mail 0.10 waits for ever on a silent server, accepts any TLS certificate, takes a server's hang-up after
it has accepted the mail for a failure (a retry would mail twice), does not notice refused recipients, lets a
line break in a header through, and fails on an address with letters outside ASCII.

A worker's mails share an SMTP session. What an older session refuses before the mail itself is on its way counts for
nothing, for a server may take only so many mails or addresses in one: the mail is offered again in a new session.
"""

import logging
import smtplib
import ssl
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate
from typing import Self

import flask_mail
from flask import Flask

from qlmhook.channels.mail.rendering import Rendered, one_line
from qlmhook.config import MailSettings
from qlmhook.domain.addresses import mailbox, without_encoded_words
from qlmhook.errors import DeliveryFailed

logger = logging.getLogger(__name__)

TIMEOUT = 30
"""Seconds for each step of the SMTP dialog."""

PATIENCE = 120
"""Seconds until the mail itself must be on its way; far less than an outbox lease."""

LONGEST_SUBJECT = 1000

CLOSING = 421
"""The answer of a server that hangs up."""


class _Message(flask_mail.Message):
    """Builds itself with the standard library's EmailMessage, whatever a customer typed into subject and text."""

    def email(self) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["Subject"] = without_encoded_words(one_line(self.subject, longest=LONGEST_SUBJECT))
        message["From"] = mailbox(str(self.sender))
        message["To"] = [mailbox(str(recipient)) for recipient in self.recipients]
        if self.cc:
            message["Cc"] = [mailbox(str(recipient)) for recipient in self.cc]
        message["Date"] = formatdate(self.date, usegmt=True)
        message["Message-ID"] = self.msgId
        message["Auto-Submitted"] = "auto-generated"
        if self.body:
            message.set_content(_whole(self.body))
        if self.html and self.body:
            message.add_alternative(_whole(self.html), subtype="html")
        elif self.html:
            message.set_content(_whole(self.html), subtype="html")
        return message


@dataclass(frozen=True, kw_only=True)
class _Envelope:
    """The bare addresses of a message; one that is in To is not among the copies."""

    sender: str
    recipient: str
    copies: list[str]

    @classmethod
    def of(cls, message: flask_mail.Message) -> "_Envelope":
        """Read the addresses; raises ValueError."""
        sender, recipient, *copies = [
            mailbox(str(address)).addr_spec
            for address in (message.sender, *message.recipients, *message.cc, *message.bcc)
        ]
        copies = [address for address in dict.fromkeys(copies) if address != recipient]
        return cls(sender=sender, recipient=recipient, copies=copies)


class _CopyBreaksOff(Exception):
    """The server ends the session at the address of a copy."""


class _SessionIsOver(Exception):
    """A session that has carried a mail does not take another, of which nothing was handed over."""


class _Connection(flask_mail.Connection):
    """One SMTP session, which lasts from the first `with` to the end of one from which it is not taken away."""

    mail: "_Mail"
    has_carried = False

    def __enter__(self) -> Self:
        if self.host is None:
            self.host = self.configure_host()
        return self

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

    def transmit(self, envelope: "_Envelope", email: EmailMessage, deadline: float) -> None:
        """Hand a mail to the server; raises DeliveryFailed unless it took it for the address in To.

        Raises also what `_TROUBLE` lists, _CopyBreaksOff, and _SessionIsOver instead of each before the mail itself.
        """
        assert self.host is not None
        host = self.host
        host.ehlo_or_helo_if_needed()
        beyond_ascii = host.has_extn("smtputf8")
        sender, recipient = envelope.sender, envelope.recipient
        if not (beyond_ascii or (recipient + sender).isascii()):
            raise DeliveryFailed(
                "The mail server cannot mail to an address with letters outside ASCII (no SMTPUTF8).", permanent=True
            )
        copies = [address for address in envelope.copies if beyond_ascii or address.isascii()]
        for copy in envelope.copies:
            if copy not in copies:
                _leave_out(copy, "the mail server has no SMTPUTF8")
        _name_only(email, [recipient, *copies])
        needs_utf8 = not "".join((sender, recipient, *copies)).isascii()

        try:
            self._address(replace(envelope, copies=copies), ["SMTPUTF8"] if needs_utf8 else [])
        except (smtplib.SMTPException, OSError, DeliveryFailed, _CopyBreaksOff) as error:
            if self.has_carried:
                raise _SessionIsOver from error
            raise
        if time.monotonic() > deadline:
            raise DeliveryFailed("The mail server is too slow: the mail was not handed over.")
        try:
            code, answer = host.data(email.as_bytes(policy=SMTPUTF8 if needs_utf8 else SMTP))
        except smtplib.SMTPDataError as error:
            code, answer = error.smtp_code, _bytes(error.smtp_error)
        _expect((code, answer), "the mail", permanent=code >= 500)
        self.has_carried = True

    def _address(self, envelope: "_Envelope", options: Sequence[str]) -> None:
        assert self.host is not None
        _expect(self.host.mail(envelope.sender, options), "the sender", permanent=False)
        code, answer = self.host.rcpt(envelope.recipient)
        _expect((code, answer), "the recipient", permanent=code >= 500)
        for copy in envelope.copies:
            self._copy_to(copy)

    def _copy_to(self, address: str) -> None:
        """Name a further recipient; a server that refuses one has the mail all the same."""
        assert self.host is not None
        try:
            code, answer = self.host.rcpt(address)
        except (smtplib.SMTPException, OSError) as error:
            code, why = CLOSING, type(error).__name__
        else:
            why = f"{code} {_readable(answer)}"
        if code >= 400 and self.has_carried:
            raise _SessionIsOver
        if code >= 400:
            _leave_out(address, why)
        if code == CLOSING:
            raise _CopyBreaksOff


class _Mail(flask_mail.Mail):
    """Flask-Mail with our connection."""

    def __init__(self, app: Flask, settings: MailSettings) -> None:
        self.settings = settings
        super().__init__(app)


class _Kept(threading.local):
    """The session that a thread keeps open for its next mail."""

    is_wanted = False
    connection: _Connection | None = None


class Mailer:
    """Sends one mail at a time; may be used by several threads."""

    def __init__(self, settings: MailSettings) -> None:
        self.settings = settings
        self._app = Flask("qlmhook.mail")
        self._app.config.update(MAIL_DEFAULT_SENDER=settings.sender, MAIL_DEBUG=False)
        self._mail = _Mail(self._app, settings)
        self._kept = _Kept()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep the connection open from one mail of this thread to the next until the block ends.

        Outside of such a block each mail has a connection of its own.
        """
        self._kept.is_wanted = True
        try:
            yield
        finally:
            self._kept.is_wanted = False
            self._hang_up()

    def send(
        self,
        content: Rendered,
        *,
        to: str,
        message_id: str,
        sender: str = "",
        cc: Sequence[str] = (),
        bcc: Sequence[str] = (),
    ) -> None:
        """Send a mail, and return once the server has taken it.

        `message_id` stays the same when the same mail is tried again. A copy that cannot be sent is left out.
        Raises DeliveryFailed.
        """
        with self._app.app_context():
            message = _Message(
                subject=content.subject,
                recipients=[to],
                body=content.text or None,
                html=content.html or None,
                sender=sender or None,
                cc=_usable(cc),
                bcc=_usable([*bcc, *self.settings.bcc]),
            )
            message.msgId = message_id
            self._transmit(message)

    def check(self) -> None:
        """Connect and log in, without sending anything; raises DeliveryFailed."""
        try:
            with _Connection(self._mail):
                pass
        except _TROUBLE as error:
            raise DeliveryFailed(_explain(error, self.settings)) from error

    def message_domain(self) -> str:
        """Return the domain that Message-IDs are made in: the sender's."""
        return mailbox(self.settings.sender).domain

    def _transmit(self, message: _Message) -> None:
        try:
            envelope, email = _Envelope.of(message), message.email()
        except ValueError as error:  # an address that no mail can be sent to
            raise DeliveryFailed(f"The mail cannot be made: {error}.", permanent=True) from error
        deadline = time.monotonic() + PATIENCE
        try:
            try:
                self._hand_over(envelope, email, deadline)
            except _CopyBreaksOff:
                self._hand_over(replace(envelope, copies=[]), email, deadline)
        except _TROUBLE as error:
            raise DeliveryFailed(_explain(error, self.settings)) from error

    def _hand_over(self, envelope: _Envelope, email: EmailMessage, deadline: float) -> None:
        kept, self._kept.connection = self._kept.connection, None
        if kept is not None:
            try:
                self._hand_over_in(kept, envelope, email, deadline)
            except _SessionIsOver:
                logger.debug("The mail server takes no more mails in this session")
            else:
                return
        self._hand_over_in(_Connection(self._mail), envelope, email, deadline)

    def _hand_over_in(self, connection: _Connection, envelope: _Envelope, email: EmailMessage, deadline: float) -> None:
        """Hand a mail over; only a session that has taken it is kept."""
        with ExitStack() as ending:
            ending.enter_context(connection).transmit(envelope, email, deadline)
            if self._kept.is_wanted:
                ending.pop_all()
                self._kept.connection = connection

    def _hang_up(self) -> None:
        kept, self._kept.connection = self._kept.connection, None
        if kept is not None:
            with kept:
                pass


_TROUBLE = (smtplib.SMTPException, OSError, UnicodeError)
"""What goes wrong between us and the server; UnicodeError is a password or host name that cannot be sent."""


def _usable(addresses: Iterable[str]) -> list[str | tuple[str, str]]:
    usable: list[str | tuple[str, str]] = []  # a tuple is how Flask-Mail writes a name and an address
    for address in addresses:
        try:
            mailbox(address)
        except ValueError as error:
            _leave_out(address, str(error))
        else:
            usable.append(address)
    return usable


def _leave_out(address: str, why: str) -> None:
    logger.warning("A mail goes out without its copy to %r: %s", address, why)


def _name_only(email: EmailMessage, addresses: Collection[str]) -> None:
    """Take those who get no copy out of the header Cc: one outside ASCII could not even be written."""
    visible = [address for address in email["Cc"].addresses if address.addr_spec in addresses] if "Cc" in email else []
    del email["Cc"]
    if visible:
        email["Cc"] = visible


def _whole(text: str) -> str:
    """Return a text that can be encoded: one from JSON may have half a character in it."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _expect(reply: tuple[int, bytes], what: str, *, permanent: bool) -> None:
    code, answer = reply
    if code >= 400:
        raise DeliveryFailed(f"The mail server refuses {what}: {code} {_readable(answer)}", permanent=permanent)


def _bytes(answer: bytes | str) -> bytes:
    return answer if isinstance(answer, bytes) else answer.encode()


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
    if isinstance(error, UnicodeError):  # its text would show the password
        return f"The mail server {place} cannot be used: host, username or password has letters that cannot be sent."
    return f"The mail server {place} cannot be used: {type(error).__name__}: {error}."
