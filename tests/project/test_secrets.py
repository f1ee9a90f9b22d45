"""No secret is written anywhere: unique ones are planted, a busy day passes, and every byte that came of it is read."""

import json
import os
import socket
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from click.testing import CliRunner

from qlmhook.catalog import mappings
from qlmhook.cli import commands
from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.errors import ConfigurationError
from qlmhook.reports import listings
from qlmhook.services.receive import Credentials
from qlmhook.services.wiring import Service, utc_now
from qlmhook.vendors.testing import make_notification
from tests.conftest import MAPPING, URL, USER, free_port
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import Fields, form_body, signed
from tests.support.engines import PORTS, execute, with_password
from tests.support.server import FORM, Gate, Server, ask, serving, wait_until

pytestmark = pytest.mark.own_database


def planted(token: str) -> str:
    """A secret with characters that are written in many ways, and a part that is written in one."""
    return f'&"ö\\ {token}'


PASSWORD = planted("Vq7Zr9Lm2Xt5Kw8Jd3")
SECRETS = {
    "password": PASSWORD,
    "newest shared key": planted("Bn4Hs6Yp1Fg8Cv2Wk7"),
    "older shared key": planted("Tj3Md9Qx5Lz1Rb6Gn8"),
    "endpoint's IPN key": planted("Pf2Xk8Vw4Sd7Hc1Zm5"),
    "endpoint's LCN key": planted("Gy6Rt1Bq9Nj3Wl7Kx4"),
    "IDN key": planted("Zc5Vd2Mh8Pk6Tf1Qs9"),
    "SMTP password": "Lw9Jb3Xg7Rn1Ky5Dp4",
    "database password": "Hm8Qv4Zs2Gt6Fj9Bx1",
}
SHARED, OLDER, IPN_KEY, LCN_KEY = (SECRETS[name] for name in list(SECRETS)[1:5])
SMTP_USER = "mailer"

QUERY = f"is_vendor=avangate&is_user={USER}&is_pwd={quote(PASSWORD, safe='')}"
WRITTEN_OUT = 10
"""So many characters in a row of a secret's token are a leak."""


def ways_of_writing(secret: str) -> set[str]:
    """Parts of a secret as they would stand in a text, whatever it went through."""
    token = secret.rpartition(" ")[2]
    ways = {token[start : start + WRITTEN_OUT] for start in range(len(token) - WRITTEN_OUT + 1)}
    pairs = [secret, f"{USER}:{secret}", f"nobody:{secret}", f"\0{SMTP_USER}\0{secret}"]
    ways |= {b64encode(pair.encode()).decode().rstrip("=")[:-2] for pair in pairs}
    return ways | {token.encode().hex()}


def leaks(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Which secret stands where."""
    ways = {name: ways_of_writing(secret) for name, secret in SECRETS.items()}
    return [
        (name, place)
        for place, text in texts.items()
        for name, spellings in ways.items()
        if any(spelling in text for spelling in spellings)
    ]


@dataclass(kw_only=True)
class Day:
    """What was written in a day: by name, what the service answered, printed, stored and exported."""

    folder: Path
    server: Server
    said: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)

    def send(
        self,
        body: bytes = b"",
        *,
        query: str = QUERY,
        method: str = "POST",
        path: str = URL,
        headers: Mapping[str, str] = FORM,
    ) -> None:
        answer = ask(self.server.port, method, f"{path}?{query}", body=body, headers=headers)
        self._heard(answer.status, f"{answer.headers}\n{answer.text}")

    def send_raw(self, request: bytes) -> None:
        """Send what no HTTP library would."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as connection:
            with suppress(ConnectionError):
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        self._heard(int(answer.split()[1]), answer)

    def _heard(self, status: int, text: str) -> None:
        self.statuses.append(status)
        self.said[f"answer {len(self.statuses)}"] = text

    def run(self, *arguments: str) -> str:
        """Run a command in this process, and return its standard output."""
        result = CliRunner().invoke(commands, arguments)
        said = [result.output, repr(result.exception), *traceback.format_exception(*(result.exc_info or (None,) * 3))]
        self.said[f"qlmhook {' '.join(arguments[:3])}"] = "".join(said)
        return result.stdout


@pytest.fixture
def mail_server() -> Iterator[Controller]:
    """An SMTP server that refuses every password."""
    controller = Controller(
        object(),
        hostname="127.0.0.1",
        port=free_port(),
        auth_require_tls=False,
        authenticator=lambda *_: AuthResult(success=False, handled=False),
    )
    controller.start()
    yield controller
    controller.stop()


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A way to cut the database off, and back on."""

    url: str
    off: Callable[[], None]
    on: Callable[[], None]


@pytest.fixture
def cut(database_url: str, tmp_path: Path) -> Iterator[Cut]:
    """The database behind a gate, or in a folder that can be away; with a password in its URL where it takes one."""
    if database_url.startswith("sqlite"):
        volume, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
        volume.mkdir()

        def away() -> None:
            volume.rename(elsewhere)

        def back() -> None:
            elsewhere.rename(volume)

        yield Cut(url=f"sqlite:///{volume / 'test.db'}", off=away, on=back)
        return
    with with_password(database_url, SECRETS["database password"]) as url:
        place = urlsplit(url)
        gate = Gate(place.hostname or "127.0.0.1", place.port or PORTS[place.scheme])
        gate.open()
        login = place.netloc.rpartition("@")[0]
        yield Cut(
            url=place._replace(netloc=f"{login}@127.0.0.1:{gate.port}").geturl(),
            off=gate.shut,
            on=gate.open,
        )
        gate.shut()


def settings_text(*, database: str, mail_port: int) -> str:
    """A configuration with every secret but the SMTP password, which stands in a file of its own."""
    keys = {name: json.dumps(SECRETS[name], ensure_ascii=False) for name in SECRETS}
    return f"""
database = "{database}"
[mail]
host = "127.0.0.1"
port = {mail_port}
username = "{SMTP_USER}"
operator = "operator@example.com"
[vendors.avangate]
user = "{USER}"
password = {keys["password"]}
shared_keys = [{keys["newest shared key"]}, {keys["older shared key"]}]
[vendors.avangate.endpoints.beta]
ipn_keys = [{keys["endpoint's IPN key"]}]
lcn_keys = [{keys["endpoint's LCN key"]}]
[vendors.avangate.idn]
url = "http://127.0.0.1:{free_port()}/"
key = {keys["IDN key"]}
"""


def body_of(fields: Fields, key: str = SHARED) -> bytes:
    return form_body(signed(fields, key, ["sha256", "sha3_256"]))


def numbered(number: int, **changes: Any) -> Order:
    return Order(refno=f"90000000{number}", lines=[Line(ref=f"REF{number}")], **changes)


CHANGE: Fields = [("LICENSE_CODE", "REF1"), ("EXPIRATION_DATE", "2028-01-01"), ("STATUS", "ACTIVE")]


def take_and_refuse(day: Day) -> None:
    """Good messages, held ones, and what is refused."""
    forged = body_of(numbered(1).fields(), key="another key")
    basic = b64encode(f"nobody:{PASSWORD}".encode()).decode()
    for fields, key in (
        (numbered(1).fields(), SHARED),
        (numbered(2).fields(), OLDER),
        (numbered(3).fields(), IPN_KEY),
        (CHANGE, LCN_KEY),
        (numbered(4).changed(lines=[Line(pid="102", ref="")]).fields(), SHARED),
        (numbered(5).changed(lines=[Line(pid="404")]).fields(), SHARED),
        (numbered(6).changed(without=["REFNO"]).fields(), SHARED),
        (numbered(7).changed(extra=[("VENDOR_CODE", "ANOTHER")]).fields(), SHARED),
    ):
        day.send(body_of(fields, key))
    day.send(forged)
    day.send(body_of(CHANGE, IPN_KEY))
    day.send(b"REFNO=%zz")
    genuine = signed(numbered(1).fields(), SHARED, ["sha256"])
    another = [(name.replace("FIRSTNAME", "X"), value) for name, value in genuine]
    day.send(form_body(another))
    day.send(query=f"{QUERY}&is_pwd={quote(PASSWORD)}")
    day.send(forged, query=QUERY.replace("avangate", "nobody"))
    day.send(forged, query=QUERY.replace(f"is_user={USER}", "is_user=eve"))
    day.send(forged, query=f"{QUERY}x")
    day.send(forged, query="", headers={**FORM, "Authorization": f"Basic {basic}"})
    day.send(forged, query="", headers={**FORM, "Authorization": f"Bearer {PASSWORD.encode().hex()}"})
    day.send(headers={**FORM, "Referer": f"https://example.com{URL}?{QUERY}", "User-Agent": f"x?{QUERY}"})
    for method in ("GET", "PUT", "TRACE"):
        day.send(method=method)
    for path in ("/metrics", "/readyz", "/healthz", "/PingHttp", "/nothing", "//QlmWebHookHandler"):
        day.send(method="GET", path=path)


def send_what_is_no_http(day: Day) -> None:
    """Requests that gunicorn itself refuses, or that break off, with the password in their first line."""
    start = f"POST {URL}?{QUERY}"
    form = f"Host: localhost\r\nContent-Type: {FORM['Content-Type']}\r\n"
    for request in (
        f"{start}&x={'y' * 9000} HTTP/1.1\r\n{form}\r\n",
        f"{start} HTTP/1.1\r\n{form}X: {'y' * 9000}\r\n\r\n",
        f"{start} HTTP/1.1\r\n{form}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        f"{start} HTTP/1.1\r\n{form}Content-Length: -1\r\n\r\n",
        f"{start} HTTP/1.1\r\n{form}Content-Length: 100\r\n\r\na=b",
        f"{start} HTTP/1.1\r\n{form}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        f"{start} HTTP/9.9\r\n{form}\r\n",
        f"{start} HTTP/1.1\r\n{form}Bad Header: x\r\n\r\n",
    ):
        day.send_raw(request.encode())


def look_at_everything(day: Day) -> None:
    """Every command that shows something, good and bad."""
    [license, *_] = json.loads(day.run("license", "list", "--json"))
    for arguments in (
        ("doctor",),
        ("license", "show", license["key"]),
        ("license", "export"),
        ("notification", "list"),
        *(("notification", "show", str(number)) for number in range(1, 8)),
        *(("notification", "show", "--json", str(number)) for number in range(1, 8)),
        ("notification", "replay", "1", "5", "6"),
        ("outbox", "list", "--json"),
        ("outbox", "run"),
        ("property", "list"),
        ("property", "check"),
        ("property", "export", "--to", str(day.folder / "properties.json")),
        ("simulate", "ipn", "--url", f"http://127.0.0.1:{day.server.port}{URL}?{QUERY}", "--key", SHARED),
        ("simulate", "ipn", "--url", f"http://127.0.0.1:{free_port()}{URL}?{QUERY}", "--key", SHARED),
        ("notification", "show", "99"),
    ):
        day.run(*arguments)


def stored(database: str) -> dict[str, str]:
    """Every byte of the database, by table or by file."""
    if database.startswith("sqlite"):
        path = Path(database.removeprefix("sqlite:///"))
        return {file.name: file.read_bytes().decode("utf-8", "replace") for file in path.parent.iterdir()}
    schema = "current_schema()" if database.startswith("postgresql") else "DATABASE()"
    tables = execute(database, f"SELECT table_name FROM information_schema.tables WHERE table_schema = {schema}")
    return {name: "\n".join(map(repr, execute(database, f"SELECT * FROM {name}"))) for (name,) in tables}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Service]]:
    """The services that commands open in this process, closed at the end."""
    services: list[Service] = []
    open_service = Service.open

    def open_and_remember(*arguments: Any, **options: Any) -> Service:
        services.append(open_service(*arguments, **options))
        return services[-1]

    monkeypatch.setattr(Service, "open", open_and_remember)
    yield services
    for service in services:
        service.database.close()


@pytest.fixture
def config(
    cut: Cut, mail_server: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Service]
) -> Path:
    """Settings with every secret, and two products: one with a mail, one with a confirmation."""
    path, password = tmp_path / "qlmhook.toml", tmp_path / "smtp-password"
    path.write_text(settings_text(database=cut.url, mail_port=mail_server.port), encoding="utf-8")
    path.chmod(0o600)
    password.write_text(SECRETS["SMTP password"] + "\n", encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    monkeypatch.setenv("QLMHOOK__MAIL__PASSWORD_FILE", str(password))
    service = Service.open(load_settings())
    with service.database.transaction():
        mappings.save("pid_101", MAPPING, now=utc_now())
        mappings.save("pid_102", f"{MAPPING.partition('&is_email')[0]}&is_sendresponse=true", now=utc_now())
    return path


def failures(service: Service) -> dict[str, str]:
    """Why mail and confirmation did not go out."""
    with service.database.reading():
        rows = listings.outbox_rows()
    return {
        row["kind"]: row["last_error"] for row in rows if row["last_error"] and row["kind"] in ("mail", "confirmation")
    }


@pytest.mark.slow
def test_a_busy_day_leaves_no_secret_anywhere(
    config: Path, cut: Cut, opened: list[Service], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in answers nor in logs, in the database, in exports or in what the commands print."""
    password = os.environ["QLMHOOK__MAIL__PASSWORD_FILE"]
    with serving(config, overrides={"mail__password_file": password}) as server:
        day = Day(folder=config.parent, server=server)
        take_and_refuse(day)
        send_what_is_no_http(day)
        wait_until(lambda: len(failures(opened[0])) == 2, "the failures of mail and confirmation")
        look_at_everything(day)
        cut.off()
        day.send(body_of(numbered(8).fields()))
        day.run("doctor")
        cut.on()
        wait_until(lambda: ask(server.port, "GET", "/readyz").status == 200, "the database")
        day.send(body_of(numbered(8).fields()))
    day.said |= {"what the server printed": server.output, "the log": caplog.text, **stored(cut.url)}
    day.said["the exported properties"] = (config.parent / "properties.json").read_text(encoding="utf-8")
    settings = config.read_text("utf-8") + Path(password).read_text("utf-8")

    assert day.statuses[-2:] == [503, 200]
    assert {200, 400, 401, 403, 404, 405, 414, 431} <= set(day.statuses)
    assert {name for name, _ in leaks({"the settings": settings})} >= set(SECRETS) - {"database password"}
    assert leaks(day.said) == []


def test_what_is_shown_of_settings_and_vendors_has_no_secret(config: Path, opened: list[Service]) -> None:
    """As a debugger or a traceback with values would show them, in every depth."""
    [service] = opened
    settings = service.settings
    [account] = service.accounts
    notification = make_notification(body_of(numbered(1).fields()), headers={"Authorization": f"Basic {PASSWORD}"})
    verified = account.vendor.verify(notification)
    shown = {
        "service": service,
        "settings": settings,
        "mail": settings.mail,
        "vendors": settings.vendors,
        "account": account,
        "vendor": account.vendor,
        "vendor's parts": vars(account.vendor),
        "mailer's parts": vars(service.mailer),
        "credentials": Credentials(user=USER, password=PASSWORD),
        "notification": notification,
        "verified": verified,
    }

    assert leaks({name: f"{value!r} {value}" for name, value in shown.items()}) == []


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(("shared_keys = [", "shared_key = ["), id="a wrong name"),
        pytest.param(("shared_keys = [", "shared_keys = [5, "), id="a number among the keys"),
        pytest.param(("password = ", "password = ["), id="a bracket too many"),
        pytest.param(("password = ", "password = \n"), id="a line break"),
        pytest.param(('"\nshared', "\nshared"), id="a missing quotation mark"),
        pytest.param((f'user = "{USER}"', ""), id="no user"),
        pytest.param(("[vendors.avangate.idn]", "[vendors.avangate.idn]\nalgorithm = 5"), id="a wrong algorithm"),
        pytest.param(("port = ", "port = -"), id="a wrong port"),
        pytest.param(("sqlite://", "nonsense://user:Hm8Qv4Zs2Gt6Fj9Bx1@"), id="a wrong database"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_said_of_wrong_settings_has_no_secret(config: Path, spoil: tuple[str, str]) -> None:
    """The sentence names the setting, and not what it is set to."""
    text = config.read_text(encoding="utf-8")
    assert spoil[0] in text
    config.write_text(text.replace(*spoil, 1), encoding="utf-8")

    result = CliRunner().invoke(commands, ["doctor"])

    assert isinstance(result.exception, ConfigurationError)
    assert leaks({"what is said": result.output + "".join(traceback.format_exception(result.exception))}) == []
