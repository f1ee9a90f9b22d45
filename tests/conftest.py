"""Fixtures: a service on each engine, a signer that knows the protocol's text only, and a real mail server."""

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from qlmhook.catalog import mappings
from qlmhook.config import CONFIG_VARIABLE, Settings, load_settings
from qlmhook.domain.events import Event, Message
from qlmhook.services.wiring import Service
from qlmhook.web.app import create_app
from tests.plugins.avangate.signer import Fields, form_body, signed
from tests.support import shop as plain
from tests.support.engines import ENGINES, VARIABLES, Shelf, empty_database, engines_for, version
from tests.support.installed import Install, installing

ALL = "QLMHOOK_TEST_ALL_ENGINES"

MEMORY = Path("/dev/shm")

# every commit is synced to the disk; where there is room, that disk is memory, for no test here cuts the power
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

KEY = "synthetic-Secret1!"
USER = "tom"
PASSWORD = "planted-Passw0rd"
URL = "/qlmlicenseserver/qlmservice.asmx/QlmWebHookHandler"
QUERY = f"is_vendor=avangate&is_user={USER}&is_pwd={PASSWORD}"
MAPPING = "&is_productid=1&is_majorversion=1&is_minorversion=0&is_emailtemplate=Customer.NewOrder"


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Clock:
    """Tells the time that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class MailServer:
    """A real SMTP server on loopback that keeps what it takes, and refuses what a test tells it to."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []
        self.rcpt_answer: dict[str, str] = {}
        self.data_answer = "250 OK"
        self.port = free_port()
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, enable_SMTPUTF8=True)

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answer = self.rcpt_answer.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.data_answer.startswith("250"):
            self.envelopes.append(envelope)
        return self.data_answer


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    server.controller.start()
    yield server
    server.controller.stop()


@pytest.fixture(scope="session")
def versions() -> dict[str, str]:
    """The version of each engine, or nothing where no server is found."""
    return {engine: version(engine) for engine in ENGINES}


@pytest.fixture(scope="session")
def shelf() -> Iterator[Shelf]:
    """The databases of this process that its tests use one after the other."""
    shelf = Shelf()
    yield shelf
    shelf.close()


@pytest.fixture(params=ENGINES)
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, versions: dict[str, str], shelf: Shelf
) -> Iterator[str]:
    """An empty database on each engine: a file, or one on a server where one is found."""
    engine = request.param
    if not versions[engine]:
        pytest.skip(f"no {engine} server is found; name one in {VARIABLES[engine]}")
    request.node.user_properties.append(("engine", f"{engine} {versions[engine]}"))
    if request.node.get_closest_marker("own_database"):
        with empty_database(engine, tmp_path) as url:
            yield url
    else:
        yield shelf.take(engine, tmp_path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave each test the engines that it is for: every one, SQLite alone, or one of them, another for each test.

    A test that is about the database is marked `every_engine`. For one that is about what happens to an order any
    engine will do.
    """
    found = [engine for engine in ENGINES if version(engine)]
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        tests.setdefault(_without_engine(item), []).append(item)
    kept: set[pytest.Item] = set()
    for test, same in tests.items():
        chosen = engines_for(
            test,
            [_engine(item) for item in same],
            found,
            sqlite=same[0].get_closest_marker("sqlite") is not None,
            every=same[0].get_closest_marker("every_engine") is not None,
        )
        kept |= {item for item in same if _engine(item) in chosen}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def _engine(item: pytest.Item) -> str:
    """The engine that a test is to run on; empty if it needs no database."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("database_url", "")) if callspec else ""


def _without_engine(item: pytest.Item) -> str:
    """The name of a test, the same for each of its engines."""
    return item.nodeid.replace(_engine(item), "") if _engine(item) else item.nodeid


def pytest_configure() -> None:
    """Refuse to skip an engine where all of them are asked for."""
    missing = [f"{engine} ({VARIABLES[engine]})" for engine in ENGINES if os.environ.get(ALL) and not version(engine)]
    if missing:
        raise pytest.UsageError(f"{ALL} is set, and no server is found: {', '.join(missing)}.")


def pytest_xdist_auto_num_workers() -> int:
    """Two processes for each core and one more: much of the time is spent waiting for disks and servers."""
    return 2 * (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which engines were there: a suite that skips one is green, too."""
    passed = terminalreporter.getreports("passed")
    ran = Counter(value for report in passed for name, value in report.user_properties if name == "engine")
    told = [f"{engine} ({count} tests)" for engine, count in sorted(ran.items())]
    told += [
        f"{engine} (skipped: no server is found, name one in {variable})"
        for engine, variable in VARIABLES.items()
        if not any(name.startswith(engine) for name in ran)
    ]
    terminalreporter.write_line(f"engines: {', '.join(told)}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


Configure = Callable[..., Settings]


@pytest.fixture
def configure(tmp_path: Path, database_url: str) -> Configure:
    """Write a configuration file and load it; keyword arguments are QLMHOOK__… overrides without the prefix."""

    def write(**overrides: str) -> Settings:
        path = tmp_path / "qlmhook.toml"
        path.write_text(
            f"""
database = "{database_url}"
worker = false
default_vendor = "avangate"
[mail]
sender = "Licensing <licensing@example.com>"
operator = "operator@example.com"
[vendors.avangate]
user = "{USER}"
password = "{PASSWORD}"
shared_keys = ["{KEY}"]
""",
            encoding="utf-8",
        )
        environment = {f"QLMHOOK__{name.upper()}": value for name, value in overrides.items()}
        return load_settings({CONFIG_VARIABLE: str(path), **environment})

    return write


class Shop:
    """A running service as 2Checkout sees it, with a look at what it stored."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.app = create_app(settings, clock=clock)
        self.client: FlaskClient = self.app.test_client()
        self.service: Service = self.app.extensions["qlmhook"]
        self.clock = clock

    def map(self, product_id: str, value: str = MAPPING) -> None:
        with self.service.database.transaction():
            mappings.save(f"pid_{product_id}", value, now=self.clock())

    def post(self, fields: Fields, *, key: str = KEY, query: str = QUERY, url: str = URL) -> TestResponse:
        """Sign fields with SHA2 and SHA3 and post them."""
        return self.post_body(form_body(signed(fields, key, ("sha256", "sha3_256"))), query=query, url=url)

    def post_body(
        self,
        body: bytes,
        *,
        query: str = QUERY,
        url: str = URL,
        content_type: str = "application/x-www-form-urlencoded",
    ) -> TestResponse:
        return self.client.post(f"{url}?{query}", data=body, content_type=content_type)


OpenShop = Callable[..., Shop]


@pytest.fixture
def open_shop(configure: Configure, clock: Clock) -> Iterator[OpenShop]:
    """Open a shop with QLMHOOK__… overrides."""
    shops: list[Shop] = []

    def open_(**overrides: str) -> Shop:
        shops.append(Shop(configure(**overrides), clock))
        return shops[-1]

    yield open_
    for shop in shops:
        shop.service.database.close()


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    return open_shop()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install plugins for one test."""
    yield from installing(tmp_path, monkeypatch)


class PlainShop(Shop):
    """A running service as the tests' own shop sees it."""

    def tell(self, *events: Event, **parts: Any) -> TestResponse:
        """Post a message that tells these events; `parts` are the message's other fields."""
        return self.send(plain.message(*events, **parts))

    def send(self, message: Message, *, account: str = "plain") -> TestResponse:
        """Sign a message and post it."""
        body = plain.body_of(message)
        headers = {plain.HEADER: plain.signature(body).decode()}
        return self.client.post(f"{URL}?is_vendor={account}", data=body, headers=headers, content_type=plain.JSON)


OpenPlainShop = Callable[..., PlainShop]


@pytest.fixture
def open_plain_shop(
    configure: Configure, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenPlainShop]:
    """Install the tests' own shop, and open a service for it with QLMHOOK__… overrides."""
    plain.install(tmp_path / "site-packages")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    shops: list[PlainShop] = []

    def open_(**overrides: str) -> PlainShop:
        shops.append(PlainShop(configure(vendors__plain__secrets=plain.SECRET, **overrides), clock))
        return shops[-1]

    yield open_
    for shop in shops:
        shop.service.database.close()


@pytest.fixture
def plain_shop(open_plain_shop: OpenPlainShop) -> PlainShop:
    return open_plain_shop()
