"""Mail over real connections: to a real SMTP server, and to one that misbehaves as a test tells it to."""

import asyncio
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from qlmhook.channels.mail import smtp
from qlmhook.channels.mail.rendering import Rendered
from qlmhook.channels.mail.smtp import Mailer
from qlmhook.config import MailSettings
from qlmhook.errors import DeliveryFailed
from tests.conftest import MailServer, free_port

SETTINGS = MailSettings(
    host="127.0.0.1",
    port=25,
    tls="none",
    username="",
    password="",
    sender="Licensing <licensing@example.com>",
    bcc=[],
    operator="",
    templates=None,
)
CONTENT = Rendered(subject="Your license", text="Hello\n", html="<p>Hello</p>\n")
MESSAGE_ID = "<qlmhook.1.20260101120000@example.com>"

DROP = "drop"
"""An answer of the server below: it hangs up."""
SILENCE = "silence"
"""An answer of the server below: it never answers, and waits until the client hangs up."""


class FaultyServer(socketserver.ThreadingTCPServer):
    """Speaks SMTP well enough, until it comes to the step, or line, for which it was given another answer."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answers: dict[str, str], *, context: ssl.SSLContext | None, at_once: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Dialog)
        self.answers = {
            "GREETING": "220 ready",
            "EHLO": "250 hello",
            "STARTTLS": "220 go on",
            "DATA": "354 go on",
            "CONTENT": "250 taken",
            "QUIT": "221 bye",
            **answers,
        }
        self.context = context
        self.at_once = at_once
        self.commands: list[str] = []
        self.mails: list[bytes] = []

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def verbs(self) -> list[str]:
        return [command.partition(" ")[0].upper() for command in self.commands]


class _Dialog(socketserver.BaseRequestHandler):
    server: FaultyServer
    request: socket.socket

    def handle(self) -> None:
        try:
            if self.server.at_once:
                self._secure()
            going = self._answer("GREETING")
            while going and (line := self._line()):
                going = self._obey(line.decode().strip())
        except OSError:
            pass  # the client hung up, or does not trust the certificate
        finally:
            self.request.close()

    def _obey(self, line: str) -> bool:
        self.server.commands.append(line)
        verb = self.server.verbs[-1]
        step = line.upper() if line.upper() in self.server.answers else verb
        if not self._answer(step) or verb == "QUIT":
            return False
        if verb == "STARTTLS" and self.server.context is not None:
            self._secure()
        if verb == "DATA" and self.server.answers["DATA"].startswith("354"):
            self.server.mails.append(b"".join(iter(self._line, b".\r\n")))
            return self._answer("CONTENT")
        return True

    def _answer(self, step: str) -> bool:
        answer = self.server.answers.get(step, "250 OK")
        if answer == SILENCE:
            self._line()
        if answer in (SILENCE, DROP):
            return False
        self.request.sendall(answer.replace("\n", "\r\n").encode() + b"\r\n")
        return True

    def _line(self) -> bytes:
        """The next line; nothing once the client has hung up."""
        line = b""
        while not line.endswith(b"\n") and (byte := self.request.recv(1)):
            line += byte
        return line

    def _secure(self) -> None:
        assert self.server.context is not None
        self.request = self.server.context.wrap_socket(self.request, server_side=True)


Misbehave = Callable[..., FaultyServer]


@pytest.fixture
def misbehave() -> Iterator[Misbehave]:
    """Start a server with answers of its own to some steps."""
    servers: list[FaultyServer] = []

    def start(context: ssl.SSLContext | None = None, *, at_once: bool = False, **answers: str) -> FaultyServer:
        server = FaultyServer(answers, context=context, at_once=at_once)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT", 0.2)


def mailer(server: FaultyServer | MailServer, **settings: Any) -> Mailer:
    return Mailer(replace(SETTINGS, port=server.port, **settings))


def send(server: FaultyServer | MailServer, *, to: str = "a@example.com", **settings: Any) -> None:
    mailer(server, **settings).send(CONTENT, to=to, message_id=MESSAGE_ID)


def received(server: MailServer) -> EmailMessage:
    """The only mail that the server has taken."""
    [envelope] = server.envelopes
    return message_from_bytes(envelope.content.replace(b"\r\n", b"\n"), policy=default)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the program openssl is not here to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=mail", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    subprocess.run([*command, "-keyout", folder / "key", "-out", folder / "pem"], check=True, capture_output=True)
    (folder / "both").write_bytes((folder / "pem").read_bytes() + (folder / "key").read_bytes())
    return folder / "both"


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    """The mail server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_mail_has_a_text_and_an_html_part(mail_server: MailServer) -> None:
    send(mail_server)

    message = received(mail_server)
    assert message.get_content_type() == "multipart/alternative"
    assert [(part.get_content_type(), part.get_content()) for part in message.iter_parts()] == [
        ("text/plain", "Hello\n"),
        ("text/html", "<p>Hello</p>\n"),
    ]


@pytest.mark.parametrize(("part", "kind"), [("text", "text/plain"), ("html", "text/html")])
def test_a_mail_of_one_part_is_not_made_of_parts(mail_server: MailServer, part: str, kind: str) -> None:
    content = replace(Rendered(subject="Your license", text="", html=""), **{part: "Hello\n"})

    mailer(mail_server).send(content, to="a@example.com", message_id=MESSAGE_ID)

    message = received(mail_server)
    assert (message.get_content_type(), message.get_content()) == (kind, "Hello\n")


def test_the_headers_of_a_mail(mail_server: MailServer) -> None:
    """It says that no person wrote it, so that out-of-office answers stay away."""
    send(mail_server)

    headers = dict(received(mail_server).items())
    date = headers.pop("Date")
    assert date.endswith(" +0000")
    assert {name: value for name, value in headers.items() if not name.startswith(("Content-", "MIME-"))} == {
        "Subject": "Your license",
        "From": "Licensing <licensing@example.com>",
        "To": "a@example.com",
        "Message-ID": MESSAGE_ID,
        "Auto-Submitted": "auto-generated",
    }


def test_copies_go_to_each_address_once_and_hidden_ones_are_not_named(mail_server: MailServer) -> None:
    mailer(mail_server, bcc=["all@example.com", "a@example.com"]).send(
        CONTENT,
        to="a@example.com",
        message_id=MESSAGE_ID,
        cc=("b@example.com", "c@example.com"),
        bcc=("d@example.com", "b@example.com"),
    )

    [envelope] = mail_server.envelopes
    assert envelope.rcpt_tos == [
        "a@example.com",
        "b@example.com",
        "c@example.com",
        "d@example.com",
        "all@example.com",
    ]
    assert received(mail_server)["Cc"] == "b@example.com, c@example.com"
    assert b"d@example.com" not in envelope.content
    assert b"all@example.com" not in envelope.content


def test_a_mail_may_have_a_sender_of_its_own(mail_server: MailServer) -> None:
    mailer(mail_server).send(CONTENT, to="a@example.com", message_id=MESSAGE_ID, sender="sales@example.org")

    assert mail_server.envelopes[0].mail_from == "sales@example.org"
    assert received(mail_server)["From"] == "sales@example.org"


@pytest.mark.parametrize("subject", ["Größe", "ライセンス " * 20 + "終", "x" * 255, "a, b; <c@example.com>"])
def test_any_subject_and_senders_name_arrive_as_they_were_written(mail_server: MailServer, subject: str) -> None:
    """They are ASCII on the way, because the next server may understand nothing else."""
    name = '"Müller & Söhne, 株式会社"'

    mailer(mail_server, sender=f"{name} <licensing@example.com>").send(
        replace(CONTENT, subject=subject), to="a@example.com", message_id=MESSAGE_ID
    )

    message = received(mail_server)
    assert mail_server.envelopes[0].content.isascii()
    assert message["Subject"] == subject
    assert [(a.display_name, a.addr_spec) for a in message["From"].addresses] == [
        (name.strip('"'), "licensing@example.com")
    ]


@pytest.mark.parametrize("text", [".\n..\nend\n", "Größe ü 株\n", "x" * 5000 + "\n", "From a\n\n\n"])
def test_any_text_arrives_as_it_was_written(mail_server: MailServer, text: str) -> None:
    mailer(mail_server).send(replace(CONTENT, text=text, html=""), to="a@example.com", message_id=MESSAGE_ID)

    assert max(map(len, mail_server.envelopes[0].content.splitlines())) < 998
    assert received(mail_server).get_content() == text


@pytest.mark.parametrize(
    ("subject", "arrives"),
    [
        ("a\r\nBcc: all@example.com", "a Bcc: all@example.com"),
        ("a\nBcc: all@example.com", "a Bcc: all@example.com"),
        ("a\rBcc: all@example.com", "a Bcc: all@example.com"),
        ("a\u2028b\x85c\x0bd", "a b c d"),
        ("a\x00b\x01c\x7fd", "a b c d"),
        ("a\ud800b\udfffc", "a b c"),
        ("a\u202eb\u200bc", "a b c"),
        ("=?utf-8?q?a=0D=0ABcc:_all@example.com?=", "= ?utf-8?q?a=0D=0ABcc:_all@example.com?="),
        ("\r\n", ""),
        ("x" * 1000, "x" * 1000),
        ("x" * 50_000, "x" * 999 + "…"),
        ("株" * 50_000, "株" * 999 + "…"),
        ("a, <b> " * 10_000, ("a, <b> " * 10_000)[:999] + "…"),
    ],
    ids=ascii,
)
def test_any_subject_arrives_as_one_printable_line(mail_server: MailServer, subject: str, arrives: str) -> None:
    """It makes no mail undeliverable, and adds no header and no recipient."""
    mailer(mail_server).send(replace(CONTENT, subject=subject), to="a@example.com", message_id=MESSAGE_ID)

    [envelope] = mail_server.envelopes
    message = received(mail_server)
    assert envelope.rcpt_tos == ["a@example.com"]
    assert " ".join(message["Subject"].split()) == " ".join(arrives.split())
    assert (message["Bcc"], message["Date"] is None, message.get_body() is None) == (None, False, False)


def test_a_text_with_half_a_character_is_sent_without_it(mail_server: MailServer) -> None:
    content = Rendered(subject="a", text="one \ud800 two\n", html="<p>\udfff</p>\n")

    mailer(mail_server).send(content, to="a@example.com", message_id=MESSAGE_ID)

    assert [part.get_content() for part in received(mail_server).iter_parts()] == ["one ? two\n", "<p>?</p>\n"]


INJECTIONS = [
    "a@example.com\r\nBcc: all@example.com",
    "a@example.com\nBcc: all@example.com",
    "a@example.com>\r\nRCPT TO:<all@example.com",
    "<a@example.com>\r\nRCPT TO:<all@example.com>",
    "a@example.com, all@example.com",
    "=?utf-8?q?a=0D=0ABcc:_all?=@example.com",
    "a@shop.example，all＠example.com",  # noqa: RUF001 (wide twins, of which IDNA makes ASCII ones)
]


@pytest.mark.parametrize("place", ["to", "sender"])
@pytest.mark.parametrize("address", INJECTIONS)
def test_an_address_adds_no_header_and_no_recipient(mail_server: MailServer, place: str, address: str) -> None:
    values: dict[str, Any] = {"to": "a@example.com", place: address}

    with pytest.raises(DeliveryFailed, match="is no address") as caught:
        mailer(mail_server).send(CONTENT, message_id=MESSAGE_ID, **values)

    assert caught.value.permanent
    assert mail_server.envelopes == []


@pytest.mark.parametrize("place", ["cc", "bcc", "setting"])
@pytest.mark.parametrize("address", [*INJECTIONS, "archive", "", "ann@bü..example"])
def test_a_copy_that_has_no_address_is_left_out_and_adds_nothing(
    mail_server: MailServer, place: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The mail goes to the customer and to the other copies, and the log names the one."""
    copies: dict[str, Any] = {place: (address, "b@example.com")} if place != "setting" else {}
    settings: dict[str, Any] = {"bcc": [address, "b@example.com"]} if place == "setting" else {}

    mailer(mail_server, **settings).send(CONTENT, to="a@example.com", message_id=MESSAGE_ID, **copies)

    [envelope] = mail_server.envelopes
    assert envelope.rcpt_tos == ["a@example.com", "b@example.com"]
    assert received(mail_server)["Cc"] == ("b@example.com" if place == "cc" else None)
    assert b"all@example.com" not in envelope.content
    [logged] = caplog.messages
    assert logged.startswith(f"A mail goes out without its copy to {address!r}: ")


def test_a_local_part_outside_ascii_is_mailed_to_as_it_is(mail_server: MailServer) -> None:
    send(mail_server, to="jörg@example.com")

    assert mail_server.envelopes[0].rcpt_tos == ["jörg@example.com"]
    assert "To: jörg@example.com".encode() in mail_server.envelopes[0].content


def test_without_smtputf8_a_local_part_outside_ascii_cannot_be_mailed_to(misbehave: Misbehave) -> None:
    server = misbehave()

    with pytest.raises(DeliveryFailed, match="no SMTPUTF8") as caught:
        send(server, to="jörg@example.com")

    assert caught.value.permanent
    assert server.mails == []


def test_without_smtputf8_a_copy_outside_ascii_is_left_out(
    misbehave: Misbehave, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the header, too, which could not be written without it."""
    server = misbehave()

    mailer(server, bcc=["ärchiv@example.com"]).send(
        CONTENT, to="a@example.com", message_id=MESSAGE_ID, cc=["jörg@example.com", "b@example.com"]
    )

    [content] = server.mails
    assert [command for command in server.commands if command.upper().startswith("RCPT")] == [
        "rcpt TO:<a@example.com>",
        "rcpt TO:<b@example.com>",
    ]
    assert b"\r\nCc: b@example.com\r\n" in content
    assert caplog.messages == [
        f"A mail goes out without its copy to {address!r}: the mail server has no SMTPUTF8"
        for address in ("jörg@example.com", "ärchiv@example.com")
    ]


def test_where_smtputf8_is_a_copy_outside_ascii_is_sent(mail_server: MailServer) -> None:
    mailer(mail_server).send(CONTENT, to="a@example.com", message_id=MESSAGE_ID, cc=["jörg@bücher.example"])

    [envelope] = mail_server.envelopes
    assert envelope.rcpt_tos == ["a@example.com", "jörg@xn--bcher-kva.example"]
    assert "\r\nCc: jörg@xn--bcher-kva.example\r\n".encode() in envelope.content


def test_a_domain_outside_ascii_is_encoded_in_the_header(mail_server: MailServer) -> None:
    send(mail_server, to="ann@bücher.example")

    assert received(mail_server)["To"] == "ann@xn--bcher-kva.example"


def test_a_domain_that_cannot_exist_is_not_mailed_to(mail_server: MailServer) -> None:
    with pytest.raises(DeliveryFailed, match=r"cannot be made: 'ann@bü\.\.example' is no address") as caught:
        send(mail_server, to="ann@bü..example")

    assert caught.value.permanent
    assert mail_server.envelopes == []


@pytest.mark.parametrize(("answer", "permanent"), [("550 5.1.1 unknown", True), ("450 4.2.0 greylisted", False)])
def test_a_refused_recipient(mail_server: MailServer, answer: str, permanent: bool) -> None:
    """Nobody gets a mail that the customer does not get; 5xx is final, 4xx is tried again."""
    mail_server.rcpt_answer["a@example.com"] = answer

    with pytest.raises(DeliveryFailed, match=f"^The mail server refuses the recipient: {answer}$") as caught:
        send(mail_server, bcc=["all@example.com"])

    assert caught.value.permanent is permanent
    assert mail_server.envelopes == []


@pytest.mark.parametrize("answer", ["550 unknown", "450 greylisted"])
def test_a_refused_copy_does_not_keep_the_mail_back(
    mail_server: MailServer, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    mail_server.rcpt_answer["all@example.com"] = answer

    send(mail_server, bcc=["all@example.com", "b@example.com"])

    assert mail_server.envelopes[0].rcpt_tos == ["a@example.com", "b@example.com"]
    assert caplog.messages == [f"A mail goes out without its copy to 'all@example.com': {answer}"]


@pytest.mark.parametrize("answer", ["421 too much", DROP, SILENCE])
@pytest.mark.usefixtures("impatient")
def test_a_server_that_hangs_up_at_a_copy_gets_the_mail_without_copies(
    misbehave: Misbehave, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In a second session, which names the customer alone."""
    server = misbehave(**{"RCPT TO:<ALL@EXAMPLE.COM>": answer})

    mailer(server, bcc=["all@example.com"]).send(
        CONTENT, to="a@example.com", message_id=MESSAGE_ID, cc=["b@example.com"]
    )

    assert len(server.mails) == 1
    assert b"\r\nCc:" not in server.mails[0]
    assert server.verbs.count("EHLO") == 2
    assert caplog.messages[0].startswith("A mail goes out without its copy to 'all@example.com': ")


@pytest.mark.parametrize(("answer", "permanent"), [("554 5.7.1 spam", True), ("451 4.3.0 later", False)])
def test_a_refused_mail(mail_server: MailServer, answer: str, permanent: bool) -> None:
    mail_server.data_answer = answer

    with pytest.raises(DeliveryFailed, match=f"^The mail server refuses the mail: {answer}$") as caught:
        send(mail_server)

    assert caught.value.permanent is permanent


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("GREETING", "554 not now"),
        ("GREETING", "421 busy"),
        ("MAIL", "550 not from you"),
        ("MAIL", "421 busy"),
        ("RCPT", "421 busy"),
        ("DATA", "451 later"),
        ("CONTENT", "421 busy"),
    ],
)
def test_what_may_be_the_settings_or_the_servers_fault_is_tried_again(
    misbehave: Misbehave, step: str, answer: str
) -> None:
    server = misbehave(**{step: answer})

    with pytest.raises(DeliveryFailed, match=answer.partition(" ")[2]) as caught:
        send(server)

    assert not caught.value.permanent


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
@pytest.mark.parametrize("fault", [SILENCE, DROP])
@pytest.mark.usefixtures("impatient")
def test_a_server_that_falls_silent_or_hangs_up_is_tried_again(misbehave: Misbehave, step: str, fault: str) -> None:
    server = misbehave(**{step: fault})

    with pytest.raises(DeliveryFailed, match=f"^The mail server 127.0.0.1:{server.port} ") as caught:
        send(server)

    assert not caught.value.permanent


@pytest.mark.parametrize("farewell", [SILENCE, DROP, "421 closing", "500 what"])
@pytest.mark.usefixtures("impatient")
def test_a_mail_that_was_taken_is_sent_however_the_server_says_goodbye(misbehave: Misbehave, farewell: str) -> None:
    server = misbehave(QUIT=farewell)

    send(server)

    assert len(server.mails) == 1


def test_a_server_that_knows_no_extensions_gets_the_mail(misbehave: Misbehave) -> None:
    server = misbehave(EHLO="502 unknown command")

    send(server)

    assert len(server.mails) == 1


def test_after_too_long_a_dialog_the_mail_is_not_handed_over(
    misbehave: Misbehave, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may have taken the row up by then."""
    monkeypatch.setattr(smtp, "PATIENCE", -1)
    server = misbehave()

    with pytest.raises(DeliveryFailed, match="too slow") as caught:
        send(server)

    assert not caught.value.permanent
    assert server.mails == []


def test_where_nobody_listens_is_named() -> None:
    port = free_port()

    with pytest.raises(DeliveryFailed, match=rf"127\.0\.0\.1:{port} cannot be used: ConnectionRefused") as caught:
        Mailer(replace(SETTINGS, port=port)).send(CONTENT, to="a@example.com", message_id=MESSAGE_ID)

    assert not caught.value.permanent


def test_the_password_is_used(misbehave: Misbehave) -> None:
    server = misbehave(EHLO="250-hello\n250 AUTH PLAIN", AUTH="235 welcome")

    send(server, username="mailer", password="hush")

    assert "AUTH PLAIN " + b64encode(b"\0mailer\0hush").decode() in server.commands
    assert len(server.mails) == 1


def test_a_wrong_password_is_said_so_but_not_shown(misbehave: Misbehave) -> None:
    server = misbehave(EHLO="250-hello\n250 AUTH PLAIN LOGIN", AUTH="535 5.7.8 no")

    with pytest.raises(DeliveryFailed, match=r"refuses the user name or the password \(535\)") as caught:
        send(server, username="mailer", password="hush")

    assert not caught.value.permanent
    assert "hush" not in str(caught.value)
    assert server.mails == []


TLS = pytest.mark.parametrize(("tls", "at_once"), [("tls", True), ("starttls", False)])


@TLS
def test_a_certificate_that_is_not_trusted_is_refused(
    misbehave: Misbehave, context: ssl.SSLContext, tls: str, at_once: bool
) -> None:
    """Nothing is said to such a server, the password least of all."""
    server = misbehave(context, at_once=at_once, EHLO="250-hello\n250-AUTH PLAIN\n250 STARTTLS")

    with pytest.raises(DeliveryFailed, match=r"certificate that cannot be trusted: self.signed") as caught:
        send(server, tls=tls, username="mailer", password="hush")

    assert not caught.value.permanent
    assert set(server.verbs) <= {"EHLO", "STARTTLS", "QUIT"}


@TLS
def test_a_trusted_certificate_of_another_host_is_refused(
    misbehave: Misbehave,
    context: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    tls: str,
    at_once: bool,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = misbehave(context, at_once=at_once, EHLO="250-hello\n250 STARTTLS")

    with pytest.raises(DeliveryFailed, match="certificate that cannot be trusted: Hostname mismatch"):
        send(server, tls=tls, host="localhost")

    assert server.mails == []


@TLS
def test_a_trusted_certificate_is_accepted(
    misbehave: Misbehave,
    context: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    tls: str,
    at_once: bool,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = misbehave(context, at_once=at_once, EHLO="250-hello\n250 STARTTLS")

    send(server, tls=tls)

    assert len(server.mails) == 1


@pytest.mark.parametrize("answers", [{}, {"EHLO": "250-hello\n250 STARTTLS", "STARTTLS": "454 not now"}])
def test_where_starttls_is_wanted_nothing_goes_out_without_it(misbehave: Misbehave, answers: dict[str, str]) -> None:
    server = misbehave(**answers)

    with pytest.raises(DeliveryFailed) as caught:
        send(server, tls="starttls", username="mailer", password="hush")

    assert not caught.value.permanent
    assert set(server.verbs) <= {"EHLO", "STARTTLS", "QUIT"}


def test_several_threads_may_send_at_once(mail_server: MailServer) -> None:
    sender = mailer(mail_server)
    addresses = [f"a{number}@example.com" for number in range(16)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda address: sender.send(CONTENT, to=address, message_id=MESSAGE_ID), addresses))

    assert sorted(envelope.rcpt_tos[0] for envelope in mail_server.envelopes) == sorted(addresses)


class OneMailServer(MailServer):
    """Takes one mail in a session as it should, and answers a step of the next as a test tells it.

    At the step END it hangs up after the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[Any] = []
        self.step = ""
        self.answer = ""

    def _at(self, step: str, session: Any) -> str:
        return self.answer if step == self.step and session in self.sessions else "250 OK"

    async def handle_MAIL(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answer = self._at("MAIL", session)
        if answer.startswith("250"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answer = self._at(f"RCPT {address}", session)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self._at("CONTENT", session)
        if answer.startswith("250"):
            self.envelopes.append(envelope)
        self.sessions.append(session)
        if self.step == "END":
            asyncio.get_running_loop().call_soon(server.transport.close)
        return answer

    @property
    def distinct(self) -> int:
        """How many sessions carried the mails."""
        return len(set(map(id, self.sessions)))


@pytest.fixture
def one_mail_server() -> Iterator[OneMailServer]:
    server = OneMailServer()
    server.controller.start()
    yield server
    server.controller.stop()


def send_two(server: OneMailServer | FaultyServer, **settings: Any) -> None:
    sender = mailer(server, **settings)
    with sender.session():
        for number in (1, 2):
            sender.send(CONTENT, to=f"a{number}@example.com", message_id=f"<{number}@example.com>")


def test_a_session_carries_many_mails(one_mail_server: OneMailServer) -> None:
    send_two(one_mail_server)

    assert [envelope.rcpt_tos for envelope in one_mail_server.envelopes] == [["a1@example.com"], ["a2@example.com"]]
    assert one_mail_server.distinct == 1


def test_a_session_ends_with_a_goodbye(misbehave: Misbehave) -> None:
    server = misbehave()

    send_two(server)

    assert server.verbs == ["EHLO", "MAIL", "RCPT", "DATA", "MAIL", "RCPT", "DATA", "QUIT"]


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("END", ""),
        ("MAIL", "421 4.7.0 too many mails"),
        ("MAIL", "452 4.5.3 too many mails"),
        ("MAIL", "550 5.7.0 too many mails"),
        ("RCPT a2@example.com", "421 4.7.0 too many mails"),
        ("RCPT a2@example.com", "550 5.7.0 too many mails"),
        ("RCPT all@example.com", "452 4.5.3 too many addresses"),
        ("RCPT all@example.com", "421 4.7.0 too many addresses"),
    ],
)
def test_where_a_session_takes_no_more_the_next_mail_goes_out_in_another(
    one_mail_server: OneMailServer, step: str, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with all its copies."""
    one_mail_server.step, one_mail_server.answer = step, answer

    send_two(one_mail_server, bcc=["all@example.com"])

    assert [envelope.rcpt_tos for envelope in one_mail_server.envelopes] == [
        ["a1@example.com", "all@example.com"],
        ["a2@example.com", "all@example.com"],
    ]
    assert one_mail_server.distinct == 2
    assert not any("without its copy" in message for message in caplog.messages)


def test_a_later_mail_that_is_refused_at_its_content_is_not_offered_again(
    one_mail_server: OneMailServer,
) -> None:
    """The server may have taken it all the same."""
    one_mail_server.step, one_mail_server.answer = "CONTENT", "421 closing"

    with pytest.raises(DeliveryFailed, match="421 closing"):
        send_two(one_mail_server)

    assert len(one_mail_server.sessions) == 2
    assert len(one_mail_server.envelopes) == 1


def test_a_session_in_which_a_mail_failed_carries_no_other(misbehave: Misbehave) -> None:
    server = misbehave(CONTENT="451 later")
    sender = mailer(server)

    with sender.session():
        for _ in range(2):
            with pytest.raises(DeliveryFailed, match="451 later"):
                sender.send(CONTENT, to="a@example.com", message_id=MESSAGE_ID)

    assert server.verbs.count("EHLO") == 2


def test_a_check_logs_in_and_sends_nothing(misbehave: Misbehave) -> None:
    server = misbehave(EHLO="250-hello\n250 AUTH PLAIN", AUTH="235 welcome")

    mailer(server, username="mailer", password="hush").check()

    assert server.verbs == ["EHLO", "AUTH", "QUIT"]


def test_a_check_says_what_is_wrong(misbehave: Misbehave) -> None:
    server = misbehave(EHLO="250-hello\n250 AUTH PLAIN", AUTH="535 no")

    with pytest.raises(DeliveryFailed, match="user name or the password"):
        mailer(server, username="mailer", password="hush").check()


def test_message_ids_are_made_in_the_senders_domain() -> None:
    assert Mailer(SETTINGS).message_domain() == "example.com"
