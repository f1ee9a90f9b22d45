"""`doctor`: what it finds well and what it finds wrong, and its exit status."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from click.testing import CliRunner

from qlmhook.catalog import mappings
from qlmhook.cli import commands
from qlmhook.config import CONFIG_VARIABLE
from qlmhook.errors import QlmhookError
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import MailPayload
from qlmhook.services.wiring import Service
from qlmhook.storage import models
from tests.conftest import KEY, PASSWORD, USER, Clock, MailServer, OpenShop, Shop, free_port
from tests.plugins.avangate.orders import Line, Order

pytestmark = pytest.mark.sqlite
"""What doctor finds does not depend on the engine."""

MAPPING = "&is_productid=1&is_majorversion=1&is_minorversion=0"


@dataclass(frozen=True, kw_only=True)
class Report:
    status: int
    lines: list[str]
    failure: str

    @property
    def failed(self) -> list[str]:
        """The findings that are not well."""
        return [line.removeprefix("FAIL  ") for line in self.lines if line.startswith("FAIL")]

    def has(self, finding: str) -> bool:
        """Whether this is found, and well."""
        return f"ok    {finding}" in self.lines


class Installation:
    """Configuration, database and mail server in which doctor finds nothing wrong, until a test spoils it."""

    def __init__(self, folder: Path, mail_port: int, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.config = folder / "qlmhook.toml"
        self.shop = shop
        self.mail_port = mail_port
        self._patch = monkeypatch
        self.set("MAIL__HOST", "127.0.0.1")
        self.set("MAIL__PORT", str(mail_port))
        self.config.chmod(0o600)

    def set(self, name: str, value: str) -> None:
        self._patch.setenv(f"QLMHOOK__{name}", value)

    def map(self, name: str, value: str) -> None:
        with self.shop.service.database.transaction():
            mappings.save(name, value, now=self.shop.clock())

    def unmap(self, name: str) -> None:
        with self.shop.service.database.transaction():
            mappings.remove(name)

    def beat_at(self, when: datetime) -> None:
        with self.shop.service.database.transaction():
            models.Heartbeat.update(at=when).execute()


Examine = Callable[[], Report]


@pytest.fixture
def installation(
    tmp_path: Path,
    open_shop: OpenShop,
    clock: Clock,
    mail_server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Installation:
    clock.now = datetime.now(UTC)
    installation = Installation(tmp_path, mail_server.port, open_shop(), monkeypatch)
    installation.map("pid_101", f"{MAPPING}&is_emailtemplate=Customer.NewOrder")
    installation.shop.service.delivery.beat("worker")
    return installation


@pytest.fixture
def examine(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Examine]:
    """Run `qlmhook doctor` in this process, as its console script does."""
    monkeypatch.setenv(CONFIG_VARIABLE, str(installation.config))
    opened: list[Service] = []
    open_service = Service.open

    def open_and_remember(*arguments: object, **options: object) -> Service:
        opened.append(open_service(*arguments, **options))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr(Service, "open", open_and_remember)

    def run() -> Report:
        result = CliRunner().invoke(commands, ["doctor"])
        failure = str(result.exception) if isinstance(result.exception, QlmhookError) else ""
        return Report(status=result.exit_code, lines=result.stdout.splitlines(), failure=failure)

    yield run
    for service in opened:
        service.database.close()


def test_nothing_is_wrong(examine: Examine, installation: Installation) -> None:
    """Each check has its line, and the exit status is 0."""
    expected = [
        rf"configuration: {re.escape(str(installation.config))} has mode 0600",
        r"vendor avangate: key DEFAULT shared_keys\[0\] \([0-9a-f]{8}\) never used",
        r"database: sqlite [0-9.]+ can be written to",
        r"database: SQLite [0-9.]+(; before 3\.51\.3 SQLite has a bug in WAL mode, which our write lock works around)?",
        r"clock: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
        rf"mail: 127\.0\.0\.1:{installation.mail_port} takes connections \(tls: none\)",
        r"mapping pid_101: usable",
        r"notifications: 0 held",
        r"outbox: 0 rows given up",
        r"outbox: a worker is alive",
    ]

    report = examine()

    assert (report.status, report.failure) == (0, "")
    unexpected = [
        line for line, pattern in zip(report.lines, expected, strict=True) if not re.fullmatch(f"ok    {pattern}", line)
    ]
    assert unexpected == []


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_configuration_file_of_its_owner_alone_is_well(
    examine: Examine, installation: Installation, mode: int
) -> None:
    installation.config.chmod(mode)

    assert examine().failed == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_configuration_file_that_others_can_read_is_found(
    examine: Examine, installation: Installation, mode: int
) -> None:
    """By the group or by everybody: it holds every secret there is."""
    installation.config.chmod(mode)

    assert examine().failed == [
        f"configuration: {installation.config} has mode {mode:04o}; others can read or change it: chmod 600"
    ]


def test_settings_may_all_come_from_the_environment(
    examine: Examine, installation: Installation, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then there is no file that anybody could read."""
    empty = installation.folder / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.delenv(CONFIG_VARIABLE)
    installation.set("DATABASE", database_url)
    for name, value in {"USER": USER, "PASSWORD": PASSWORD, "SHARED_KEYS": KEY}.items():
        installation.set(f"VENDORS__AVANGATE__{name}", value)

    report = examine()

    assert report.has("configuration: no file, all settings come from the environment")
    assert report.failed == []


def without_keys(installation: Installation) -> None:
    installation.set("VENDORS__AVANGATE__SHARED_KEYS", "")


def with_an_empty_key(installation: Installation) -> None:
    installation.set("VENDORS__AVANGATE__SHARED_KEYS", '[""]')


def without_credentials(installation: Installation) -> None:
    installation.set("VENDORS__AVANGATE__USER", "")
    installation.set("VENDORS__AVANGATE__PASSWORD", "")


def with_notifications_of_tomorrow(installation: Installation) -> None:
    installation.shop.clock.now += timedelta(days=1)
    installation.shop.post(Order().fields())


def without_mail_server(installation: Installation) -> None:
    installation.set("MAIL__PORT", str(free_port()))


def without_mappings(installation: Installation) -> None:
    installation.unmap("pid_101")


def with_a_mapping_that_misses_a_part(installation: Installation) -> None:
    installation.map("common", "&is_majorversion=1")
    installation.map("pid_102", "&is_productid=1&is_minorversion=0&is_args=common")
    installation.unmap("common")


def with_a_template_that_is_nowhere(installation: Installation) -> None:
    installation.map("pid_102", f"{MAPPING}&is_emailtemplate=Customer.Mine")


def with_a_template_for_renewals_that_is_nowhere(installation: Installation) -> None:
    installation.map("pid_102", f"{MAPPING}&is_emailtemplate_renew=Customer.MineRenewed")


def with_an_order_of_an_unmapped_product(installation: Installation) -> None:
    installation.shop.post(Order(lines=[Line(pid="404")]).fields())


def with_rows_that_were_given_up(installation: Installation) -> None:
    now = installation.shop.clock()
    with installation.shop.service.database.transaction():
        for _ in range(2):
            queue.add(MailPayload(template="Order"), now=now)
            row = queue.claim(now)
            assert row is not None
            queue.fail(row, "refused", permanent=True, now=now)


def with_a_worker_that_fell_silent(installation: Installation) -> None:
    installation.beat_at(datetime.now(UTC) - timedelta(seconds=181))


_NO_KEY = "vendor avangate: no key, everything is refused"


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (without_keys, _NO_KEY),
        (with_an_empty_key, _NO_KEY),
        (
            without_credentials,
            "vendor avangate: no user and password, so the signature alone keeps strangers out",
        ),
        (with_notifications_of_tomorrow, "clock: .* UTC; notifications came later than this"),
        (without_mail_server, r"mail: The mail server 127\.0\.0\.1:\d+ cannot be used: ConnectionRefused.*"),
        (without_mappings, "mappings: there are none; set one with `qlmhook property set pid_...`"),
        (
            with_a_mapping_that_misses_a_part,
            "mapping pid_102: is_args names the property 'common', which does not exist.*",
        ),
        (with_a_template_that_is_nowhere, r"mapping pid_102: there is no mail template 'Customer\.Mine'"),
        (
            with_a_template_for_renewals_that_is_nowhere,
            r"mapping pid_102: there is no mail template 'Customer\.MineRenewed'",
        ),
        (with_an_order_of_an_unmapped_product, "notifications: 1 held"),
        (with_rows_that_were_given_up, "outbox: 2 rows given up"),
        (with_a_worker_that_fell_silent, "outbox: no worker is alive: start `qlmhook serve`"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_wrong_is_found_and_fails(
    examine: Examine, installation: Installation, spoil: Callable[[Installation], None], finding: str
) -> None:
    """One line for it and none for anything else, and the exit status is 1."""
    spoil(installation)

    report = examine()

    assert len(report.failed) == 1
    assert re.fullmatch(finding, report.failed[0])
    assert (report.status, report.failure) == (1, "1 of the checks failed.")


def test_everything_that_is_wrong_is_found_at_once(examine: Examine, installation: Installation) -> None:
    """And counted."""
    for spoil in (without_keys, without_credentials, without_mappings, with_a_worker_that_fell_silent):
        spoil(installation)

    report = examine()

    assert len(report.failed) == 4
    assert report.failure == "4 of the checks failed."


def test_a_vendor_that_is_switched_off_is_told_and_is_no_failure(examine: Examine, installation: Installation) -> None:
    """Its keys are not looked at."""
    without_keys(installation)
    installation.set("VENDORS__AVANGATE__ENABLED", "false")

    report = examine()

    assert report.has("vendor avangate: disabled, everything is refused")
    assert report.failed == []


def test_alerts_that_only_go_to_the_log_are_told_and_are_no_failure(
    examine: Examine, installation: Installation
) -> None:
    installation.set("MAIL__OPERATOR", "")

    report = examine()

    assert report.has("mail: no operator, alerts go to the log only")
    assert report.failed == []


def test_the_mail_server_is_asked_to_log_in(examine: Examine, installation: Installation) -> None:
    """A password that it refuses is found now, and not with the first sale."""
    refusing = Controller(
        object(),
        hostname="127.0.0.1",
        port=free_port(),
        auth_require_tls=False,
        authenticator=lambda *_: AuthResult(success=False, handled=False),
    )
    refusing.start()
    try:
        for name, value in {"PORT": str(refusing.port), "USERNAME": "mailer", "PASSWORD": "planted-mail-pw"}.items():
            installation.set(f"MAIL__{name}", value)

        report = examine()
    finally:
        refusing.stop()

    assert report.failed == [
        f"mail: The mail server 127.0.0.1:{refusing.port} refuses the user name or the password (535)."
    ]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{folder}/nowhere/test.db", "The database {folder}/nowhere/test.db cannot be opened"),
        ("nonsense://x", "database: the URL cannot be used"),
        ("sqlite://", "database: SQLite in memory is not shared between threads"),
    ],
    ids=["away", "no URL", "in memory"],
)
def test_without_a_database_there_is_nothing_to_examine(
    examine: Examine, installation: Installation, url: str, said: str
) -> None:
    """One sentence tells why, and the exit status is 1."""
    installation.set("DATABASE", url.format(folder=installation.folder))

    report = examine()

    assert (report.status, report.lines) == (1, [])
    assert report.failure.startswith(said.format(folder=installation.folder))


def test_a_database_of_another_version_is_found(examine: Examine, installation: Installation) -> None:
    with installation.shop.service.database.transaction():
        models.SchemaVersion.update(version=99).execute()

    report = examine()

    assert report.status == 1
    assert report.failure.startswith("The database has tables of version 99, this qlmhook works with")


def test_settings_of_one_vendor_do_not_hide_the_others(examine: Examine, installation: Installation) -> None:
    """Every account is examined, under its name."""
    installation.set("VENDORS__EAST__PLUGIN", "avangate")
    installation.set("VENDORS__EAST__USER", "eve")
    installation.set("VENDORS__EAST__PASSWORD", "another-Passw0rd")

    assert examine().failed == ["vendor east: no key, everything is refused"]


def test_looking_changes_nothing(examine: Examine, installation: Installation, database_url: str) -> None:
    """The database is the same, byte for byte."""
    with_an_order_of_an_unmapped_product(installation)
    database = Path(database_url.removeprefix("sqlite:///"))
    examine()
    installation.shop.service.database.close()
    before = database.read_bytes()

    examine()

    installation.shop.service.database.close()
    assert database.read_bytes() == before
