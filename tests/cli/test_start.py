"""How a service starts: beside one that works, with a database of its own, and not with one that it does not know."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qlmhook.domain.events import Message
from qlmhook.errors import SourceRefused, Unavailable
from qlmhook.services.wiring import Service
from qlmhook.storage import models, schema_version
from qlmhook.vendors.accounts import Account
from qlmhook.vendors.api import Notification, Outcome, Reply, Vendor, Verified
from tests.conftest import KEY, QUERY, URL, Configure, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, signed
from tests.support.effort import EFFORT
from tests.support.installed import Install, plugin
from tests.support.sections import section
from tests.support.server import FORM, command, environment

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ORDERS = 24 * EFFORT
CUSTOMERS = 4


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_start_locks_no_order_out_and_no_order_locks_a_start_out(shop: Shop) -> None:
    """One service after the other starts on the database of one that takes orders."""
    orders = [Order(refno=f"{920000000 + number}", lines=[Line(ref=f"REF{number}")]) for number in range(ORDERS)]
    shares = [orders[number::CUSTOMERS] for number in range(CUSTOMERS)]
    shop.map("101")

    def buy(share: list[Order]) -> list[int]:
        client = shop.app.test_client()
        bodies = [form_body(signed(order.fields(), KEY, ["sha3_256"])) for order in share]
        statuses = [client.post(f"{URL}?{QUERY}", data=body, headers=FORM).status_code for body in bodies]
        shop.service.database.close()
        return statuses

    with ThreadPoolExecutor(CUSTOMERS) as customers:
        buying = [customers.submit(buy, share) for share in shares]
        starts = 0
        while not all(share.done() for share in buying):
            Service.open(shop.service.settings).database.close()
            starts += 1

    assert [status for share in buying for status in share.result()] == [200] * ORDERS
    assert starts > 1


@on_sqlite
@pytest.mark.own_database
def test_the_file_of_the_database_is_its_owners_alone(open_shop: OpenShop, tmp_path: Path) -> None:
    """The names of all customers are in it."""
    open_shop().map("101")

    assert stat.S_IMODE((tmp_path / "test.db").stat().st_mode) == 0o600


LOCK = "test.db.lock"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
SERVICE = 65534
"""The id of a user and a group other than root's."""


@on_sqlite
@pytest.mark.own_database
@pytest.mark.parametrize("mode", [0o644, 0o666, 0o664])
def test_the_lock_file_is_its_owners_alone_and_an_older_one_is_mended(
    open_shop: OpenShop, tmp_path: Path, mode: int
) -> None:
    """Whoever can open it can stop every writer."""
    (tmp_path / LOCK).touch()
    (tmp_path / LOCK).chmod(mode)

    open_shop().map("101")

    assert stat.S_IMODE((tmp_path / LOCK).stat().st_mode) == 0o600


@on_sqlite
@pytest.mark.own_database
def test_a_lock_file_that_leads_elsewhere_is_not_followed(open_shop: OpenShop, tmp_path: Path) -> None:
    """Root would open, and give away, what another user chose."""
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / LOCK).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Unavailable, match=r"The lock file .* cannot be used: too many levels of symbolic links\."):
        open_shop()


@on_sqlite
@pytest.mark.own_database
@ROOT_ONLY
@pytest.mark.parametrize("there", [False, True], ids=["a database that it makes", "a database that is there"])
def test_what_a_command_of_root_makes_is_the_services(configure: Configure, tmp_path: Path, there: bool) -> None:
    """Else the service is locked out of its own database."""
    configure()
    os.chown(tmp_path, SERVICE, SERVICE)
    if there:
        (tmp_path / "test.db").touch()
        os.chown(tmp_path / "test.db", SERVICE, SERVICE)

    assert command(tmp_path / "qlmhook.toml", "property", "set", "pid_101", "ignore").returncode == 0

    connection = sqlite3.connect(tmp_path / "test.db")  # brings -wal and -shm about, which its last user removes
    connection.execute("CREATE TABLE made_by_root (id)")
    found = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in tmp_path.glob("test.db*")}
    connection.close()
    assert found == dict.fromkeys(["test.db", LOCK, "test.db-wal", "test.db-shm"], (SERVICE, SERVICE))


@on_sqlite
@ROOT_ONLY
def test_a_command_of_root_gives_the_lock_file_back(open_shop: OpenShop, tmp_path: Path) -> None:
    """One that an older command of root left."""
    open_shop().map("101")
    os.chown(tmp_path / "test.db", SERVICE, SERVICE)

    assert command(tmp_path / "qlmhook.toml", "property", "list").returncode == 0
    assert command(tmp_path / "qlmhook.toml", "property", "remove", "pid_101").returncode == 0

    assert (tmp_path / LOCK).stat().st_uid == SERVICE


def no_folder(path: Path) -> Path:
    return path / "nowhere" / "test.db"


def a_folder(path: Path) -> Path:
    (path / "folder.db").mkdir()
    return path / "folder.db"


def no_database(path: Path) -> Path:
    (path / "text.db").write_text("This is no database, but text that is long enough to look like one." * 20)
    return path / "text.db"


@on_sqlite
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (no_folder, "The database {path} cannot be opened: there is no folder {path.parent}."),
        (a_folder, "The database {path} cannot be opened: is a directory."),
        (no_database, "The database {path} cannot be used: it is no database of SQLite."),
    ],
)
def test_a_file_that_cannot_be_opened_is_named_with_the_reason(
    configure: Configure, tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    path = make(tmp_path)
    configure()

    finished = command(tmp_path / "qlmhook.toml", "property", "list", overrides={"database": f"sqlite:///{path}"})

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == f"qlmhook: {sentence.format(path=path)}\n"


@on_sqlite
@pytest.mark.parametrize(
    ("url", "modules", "extra"),
    [
        ("mysql://root@127.0.0.1/qlmhook", ("pymysql", "MySQLdb"), "mysql"),
        ("postgresql://127.0.0.1/qlmhook", ("psycopg", "psycopg2"), "postgres"),
        ("postgres://127.0.0.1/qlmhook", ("psycopg", "psycopg2"), "postgres"),
    ],
)
def test_a_driver_that_is_missing_is_named_with_the_command_that_installs_it(
    configure: Configure, tmp_path: Path, url: str, modules: tuple[str, ...], extra: str
) -> None:
    configure()
    without = f"import sys; sys.modules.update(dict.fromkeys({modules!r})); from qlmhook.cli import main; main()"

    finished = subprocess.run(
        [sys.executable, "-c", without, "property", "list"],
        env=environment(tmp_path / "qlmhook.toml", {"database": url}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == (
        f"qlmhook: database: {url.partition(':')[0]}:// needs a driver that is not installed; run "
        f"`pip install '.[{extra}]'` in the checkout of qlmhook.\n"
    )


@pytest.mark.own_database
@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        (
            0,
            " and knows no way there. Restore a backup, or put back the number in the table schema_version if it was "
            "changed by hand.",
        ),
        (1, ". Stop the service and run `qlmhook upgrade`."),
        (99, ". Install the qlmhook that upgraded it, or restore the backup from before the upgrade."),
    ],
)
@pytest.mark.parametrize("arguments", ["property set pid_101 ignore", "serve", "worker"])
def test_tables_of_another_version_are_left_alone(
    open_shop: OpenShop, tmp_path: Path, version: int, remedy: str, arguments: str
) -> None:
    """What is wrong is said in one sentence, with the command that mends it."""
    shop = open_shop()
    with shop.service.database.transaction():
        models.SchemaVersion.update(version=version).execute()

    finished = command(tmp_path / "qlmhook.toml", *arguments.split())

    sentence = f"The database has tables of version {version}, this qlmhook works with {schema_version.VERSION}{remedy}"
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == f"qlmhook: {sentence}\n"
    with shop.service.database.reading():
        assert list(models.ServerProperty.select()) == []


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("modules", "sentence"),
    [
        ({}, "The plugin 'pages' is not installed (installed: "),
        (
            {"pages": plugin("pages", hook="register_page")},
            "The plugin 'pages' implements a hook that does not exist: ",
        ),
        (
            dict.fromkeys(("alpha", "beta"), plugin()),
            "Two installed packages have a plugin named 'pages': alpha and beta; uninstall one.",
        ),
    ],
    ids=["is not installed", "misspells a hook", "is there twice"],
)
def test_a_plugin_of_the_setting_that_cannot_be_used_stops_the_start(
    configure: Configure, install: Install, tmp_path: Path, modules: dict[str, str], sentence: str
) -> None:
    """As one that a section names."""
    configure()
    for module, source in modules.items():
        install(module, source, points=("pages",))

    finished = command(tmp_path / "qlmhook.toml", "serve", overrides={"plugins": "pages"})

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith(f"qlmhook: {sentence}")


class Secretive(Vendor):
    """A shop that does not say where its notifications come from."""

    plugin = "secretive"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        pass

    def verify(self, notification: Notification) -> Verified:
        raise NotImplementedError

    def parse(self, notification: Notification) -> Message:
        raise NotImplementedError

    def receipt(self, notification: Notification, verified: Verified, outcome: Outcome) -> Reply:
        raise NotImplementedError


@pytest.mark.parametrize("source", ["192.0.2.7", "91.220.121.21", "127.0.0.1", "2001:db8::7", "::1", ""])
def test_where_nothing_is_published_the_published_sources_admit_nobody(source: str) -> None:
    """An empty list would otherwise mean everybody."""
    settings = replace(section("secretive"), sources=["published"])
    account = Account(name="secretive", settings=settings, vendor=Secretive("secretive", {}))

    with pytest.raises(SourceRefused):
        account.refuse_stranger(source)
