"""`qlmhook copy`: everything goes from one engine to another, or nothing."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.services.upgrade_database import upgrade
from qlmhook.storage import copying, engines, models, schema_version
from qlmhook.storage.database import Database
from tests.conftest import MAPPING, USER, Clock, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.support.engines import ENGINES, VARIABLES, empty_database, engine_of, execute, with_password
from tests.support.looking import is_receipted
from tests.support.released import catalog, load, rows
from tests.support.server import PATIENCE, ROOT, command, command_on_a_terminal, environment, serving

WAYS = [
    ("sqlite", "postgresql"),
    ("sqlite", "mariadb"),
    ("postgresql", "sqlite"),
    ("mariadb", "sqlite"),
    ("postgresql", "mariadb"),
    ("sqlite", "sqlite"),
]

NEXT = (
    "Every row is copied, and compared with what it was. Set `database` in qlmhook.toml to the URL of --to, and start "
    "the service; the old database is as it was.\n"
)

KILLED = """
import os, signal, sys
from contextlib import contextmanager
from qlmhook.services.copy_database import copy
from qlmhook.storage.database import Database

label_of_death = sys.argv[3]

@contextmanager
def progress(steps, label):
    left = steps

    def step():
        nonlocal left
        left -= 1
        if label == label_of_death and left <= steps // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    yield step

copy(Database(sys.argv[1]), Database(sys.argv[2]), progress=progress)
"""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A database with rows, an empty one, and the configuration that names the first."""

    source: str
    target: str
    config: Path

    def copy(self, *, to: str | None = None) -> subprocess.CompletedProcess[str]:
        return command(self.config, "copy", "--to", to or self.target)

    def configure(self, url: str) -> None:
        self.config.write_text(
            f'database = "{url}"\nworker = false\ndefault_vendor = "avangate"\n[mail]\n'
            'sender = "Licensing <licensing@example.com>"\noperator = "operator@example.com"\n'
            f'[vendors.avangate]\nuser = "{USER}"\npassword = "planted-Passw0rd"\n'
            'shared_keys = ["synthetic-Secret1!"]\n',
            encoding="utf-8",
        )


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What 0.1.0 left in SQLite's file, upgraded once for all tests."""
    folder = tmp_path_factory.mktemp("upgraded")
    with empty_database("sqlite", folder) as url:
        load(url)
        database = Database(url)
        upgrade(database, now=datetime.now(UTC), tell=print)
        database.close()
    return folder / "test.db"


@pytest.fixture
def move(request: pytest.FixtureRequest, tmp_path: Path, versions: dict[str, str], upgraded: Path) -> Iterator[Move]:
    """From what 0.1.0 left, upgraded, to an empty database of another engine."""
    way = getattr(request, "param", ("sqlite", "sqlite"))
    for engine in way:
        if not versions[engine]:
            pytest.skip(f"no {engine} server is found; name one in {VARIABLES[engine]}")
    request.node.user_properties.extend(("engine", f"{engine} {versions[engine]}") for engine in sorted(set(way)))
    with ExitStack() as stack:
        urls = []
        for name, engine in zip(("old", "new"), way, strict=True):
            (tmp_path / name).mkdir()
            urls.append(stack.enter_context(empty_database(engine, tmp_path / name)))
        source, target = urls
        if way[0] == "sqlite":
            shutil.copyfile(upgraded, tmp_path / "old" / "test.db")
        else:
            load(source)
            database = Database(source)
            upgrade(database, now=datetime.now(UTC), tell=print)
            database.close()
        move = Move(source=source, target=target, config=tmp_path / "qlmhook.toml")
        move.configure(source)
        yield move


every_way = pytest.mark.parametrize("move", WAYS, indirect=True, ids="-".join)
to_each_engine = pytest.mark.parametrize(
    "move", [("sqlite", engine) for engine in ENGINES], indirect=True, ids="-".join
)


def stored(url: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that is stored, as one writes it in the engine that tells least of types, which is SQLite."""
    return {
        table: [{name: _plain(value) for name, value in row.items()} for row in found]
        for table, found in rows(url).items()
        if table != "writer_lock"
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return str(value)
    return int(value) if isinstance(value, bool) else value


def has_rows(url: str) -> bool:
    return any(found for table, found in stored(url).items() if table != "schema_version")


@every_way
def test_everything_is_there_with_the_same_ids_times_and_bytes(move: Move) -> None:
    before = stored(move.source)

    finished = move.copy()

    assert (finished.returncode, finished.stderr) == (0, "")
    assert stored(move.target) == before == stored(move.source)
    assert len(before["license"]) > 1
    assert len(before["notification"]) > 1


@to_each_engine
def test_the_tables_are_those_that_a_first_start_makes(move: Move, tmp_path: Path) -> None:
    move.copy()

    with empty_database(engine_of(move.target), tmp_path) as url:
        schema_version.prepare(Database(url))
        assert catalog(move.target) == catalog(url)


def test_it_tells_how_many_rows_each_table_has_and_what_to_do_next(move: Move) -> None:
    finished = move.copy()

    *table, last = finished.stdout.splitlines(keepends=True)
    assert last == NEXT
    assert [line.split() for line in table] == [
        ["TABLE", "ROWS"],
        *([model._meta.table_name, str(len(rows(move.source)[model._meta.table_name]))] for model in copying.CARRIED),
    ]


def test_progress_shows_on_a_terminal(move: Move) -> None:
    shown = command_on_a_terminal(move.config, "copy", "--to", move.target)

    assert "Copying" in shown
    assert "Comparing" in shown
    assert "100%" in shown


@to_each_engine
def test_an_order_that_was_taken_before_is_a_repeat_and_the_next_one_has_the_next_ids(move: Move, clock: Clock) -> None:
    known, new = Order(refno="910000001"), Order(refno="910000002", lines=[Line(ref="CCCCCCCCCC")])
    shop = Shop(load_settings({CONFIG_VARIABLE: str(move.config)}), clock)
    shop.map("101", MAPPING)
    assert is_receipted(shop.post(known.fields()), known)
    shop.service.database.close()
    assert move.copy().returncode == 0
    before = stored(move.target)

    move.configure(move.target)
    shop = Shop(load_settings({CONFIG_VARIABLE: str(move.config)}), clock)
    again = shop.post(known.fields())
    repeated = stored(move.target)
    taken = shop.post(new.fields())
    shop.service.database.close()

    after = stored(move.target)
    assert is_receipted(again, known)
    assert is_receipted(taken, new)
    copies = [row["copies"] for row in before["notification"]]
    assert [row["copies"] for row in repeated["notification"]] == [*copies[:-1], copies[-1] + 1]
    for table in ("license", "fact", "outbox", "mailed_license"):
        assert repeated[table] == before[table]
        ids = [row["id"] for row in before[table]]
        assert [row["id"] for row in after[table]][: len(ids) + 1] == [*ids, ids[-1] + 1]


def _fill(url: str, count: int) -> None:
    """Add rows with what is hard to carry: fractions of seconds, every byte, and text of all kinds."""
    database = Database(url)
    rows = [
        {
            "name": f"filled {number}",
            "value": "é😀\\'\"\r\n\t %s\x7f" * (1 + number % 3 * 300),
            "updated_at": datetime(2026, 1, 1, microsecond=number, tzinfo=UTC),
        }
        for number in range(count)
    ]
    with database.transaction():
        models.ServerProperty.add(rows)
        models.Notification.update(body=bytes(range(256)) * 2000).execute()
    database.close()


@to_each_engine
def test_more_rows_than_one_batch_with_gaps_between_their_ids_are_the_same(move: Move) -> None:
    _fill(move.source, 3 * copying.BATCH + 7)
    execute(move.source, "DELETE FROM server_property WHERE id % 7 = 3")
    execute(move.source, "INSERT INTO operator_told (id, subject) VALUES (-5, 'put in by hand')")

    finished = move.copy()

    assert finished.returncode == 0
    assert stored(move.target) == stored(move.source)


def test_a_database_with_rows_is_refused_and_left_alone(move: Move) -> None:
    schema_version.prepare(Database(move.target))
    execute(move.target, "INSERT INTO operator_told (subject) VALUES ('told')")
    before = stored(move.target)

    finished = move.copy()

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == (
        "qlmhook: The database of --to has rows already, in operator_told. Nothing was changed: name an empty "
        "database.\n"
    )
    assert stored(move.target) == before


def test_a_database_is_not_copied_to_itself(move: Move) -> None:
    finished = move.copy(to=move.source)

    assert finished.returncode == 1
    assert "has rows already" in finished.stderr


@to_each_engine
def test_an_empty_database_that_has_tables_is_filled(move: Move) -> None:
    schema_version.prepare(Database(move.target))

    assert move.copy().returncode == 0
    assert stored(move.target) == stored(move.source)


def test_tables_of_an_earlier_release_are_not_filled(move: Move) -> None:
    load(move.target)

    finished = move.copy()

    assert finished.returncode == 1
    assert finished.stderr == (
        f"qlmhook: The database of --to has tables of version 1, this qlmhook works with {schema_version.VERSION}. "
        "Name an empty database.\n"
    )


def test_tables_of_another_program_are_left_alone(move: Move) -> None:
    execute(move.target, "CREATE TABLE license (id INTEGER PRIMARY KEY, plate INTEGER)")
    before = catalog(move.target)

    finished = move.copy()

    assert finished.returncode == 1
    assert finished.stderr.startswith("qlmhook: The database of --to cannot be used. The database has tables that are")
    assert catalog(move.target) == before


def test_a_source_of_an_earlier_release_is_refused(move: Move) -> None:
    execute(move.source, "UPDATE schema_version SET version = 1")

    finished = move.copy()

    assert finished.returncode == 1
    assert "Stop the service and run `qlmhook upgrade`." in finished.stderr


def test_a_source_without_rows_is_refused(move: Move, tmp_path: Path) -> None:
    move.configure(f"sqlite:///{tmp_path / 'none.db'}")

    finished = move.copy()

    assert finished.returncode == 1
    assert finished.stderr == (
        "qlmhook: The database of the setting `database` has no rows: there is nothing to copy.\n"
    )


def test_it_is_refused_while_a_service_has_the_file_open(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.5)
    with serving(move.config, overrides={"worker": "true"}) as server:
        server.post(b"")
        finished = move.copy()

    assert finished.returncode == 1
    assert finished.stderr.endswith("is in use by another process: stop the service first.\n")
    assert catalog(move.target) == []


def test_a_url_that_is_none_is_told_of_its_option(move: Move) -> None:
    finished = move.copy(to="oracle://scott:planted-tiger@db/x")

    assert finished.returncode == 1
    assert finished.stderr.startswith("qlmhook: --to: the URL cannot be used;")
    assert "planted-tiger" not in finished.stderr


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_cannot_be_reached_is_told_without_the_password(move: Move, scheme: str) -> None:
    finished = move.copy(to=f"{scheme}://scott:planted-tiger@127.0.0.1:1/x")

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("qlmhook: The database of --to cannot be used. The database is not available:")
    assert "planted-tiger" not in finished.stderr


@pytest.mark.parametrize("move", [("sqlite", "postgresql"), ("sqlite", "mariadb")], indirect=True, ids="-".join)
def test_the_password_is_not_told_where_all_goes_well(move: Move) -> None:
    with with_password(move.target, "planted-tiger") as url:
        finished = move.copy(to=url)

    assert (finished.returncode, finished.stderr) == (0, "")
    assert "planted-tiger" not in finished.stdout


@to_each_engine
@pytest.mark.parametrize("label", ["Copying", "Comparing"])
def test_one_that_is_killed_half_way_leaves_no_row_and_can_be_begun_again(move: Move, label: str) -> None:
    _fill(move.source, 3 * copying.BATCH)

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, move.source, move.target, label], cwd=ROOT, capture_output=True, check=False
    )

    assert killed.returncode == -signal.SIGKILL
    assert not has_rows(move.target)
    assert move.copy().returncode == 0
    assert stored(move.target) == stored(move.source)


@to_each_engine
def test_a_row_that_the_new_database_has_otherwise_leaves_nothing(move: Move) -> None:
    """Here it is another's trigger that changes it."""
    schema_version.prepare(Database(move.target))
    execute(move.target, CHANGING[engine_of(move.target)])

    finished = move.copy()

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == (
        "qlmhook: Row 1 of the table server_property is not the same in both databases. Nothing was kept in the new "
        "one.\n"
    )
    assert not has_rows(move.target)


CHANGING = {
    "sqlite": "CREATE TRIGGER changing AFTER INSERT ON server_property BEGIN "
    "UPDATE server_property SET value = value || ' ' WHERE id = NEW.id; END",
    "postgresql": "CREATE FUNCTION changing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.value := NEW.value || "
    "' '; RETURN NEW; END $$; CREATE TRIGGER changing BEFORE INSERT ON server_property FOR EACH ROW "
    "EXECUTE FUNCTION changing()",
    "mariadb": "CREATE TRIGGER changing BEFORE INSERT ON server_property FOR EACH ROW "
    "SET NEW.value = CONCAT(NEW.value, ' ')",
}


def test_rows_that_the_new_database_does_not_take_are_told_and_leave_nothing(move: Move) -> None:
    schema_version.prepare(Database(move.target))
    execute(
        move.target,
        "CREATE TRIGGER refusing BEFORE INSERT ON license BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    )

    finished = move.copy()

    assert finished.returncode == 1
    assert finished.stderr.startswith("qlmhook: Rows 1 to ")
    assert "of the table license cannot be copied, and nothing was kept in the new database." in finished.stderr
    assert "not this one" in finished.stderr
    assert not has_rows(move.target)


@to_each_engine
def test_of_two_at_once_one_copies_and_the_other_finds_rows(move: Move) -> None:
    _fill(move.source, 3 * copying.BATCH)
    two = [
        subprocess.Popen(
            [sys.executable, "-m", "qlmhook", "copy", "--to", move.target],
            env=environment(move.config, {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=PATIENCE) for process in two]

    assert sorted(process.returncode for process in two) == [0, 1]
    assert [out.endswith(NEXT) for out, _ in told].count(True) == 1
    assert "has rows already" in "".join(err for _, err in told)
    assert stored(move.target) == stored(move.source)
