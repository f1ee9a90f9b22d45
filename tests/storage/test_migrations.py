"""A database of an earlier release is carried to today's tables, whole, whatever happens on the way."""

import signal
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import ANY

import pytest

from qlmhook.errors import ConfigurationError, Unavailable, UpgradeFailed
from qlmhook.services.upgrade_database import upgrade
from qlmhook.storage import engines, schema_version
from qlmhook.storage.database import Database
from qlmhook.storage.migrations import MIGRATIONS
from tests.support.effort import EFFORT
from tests.support.engines import empty_database, engine_of, execute
from tests.support.released import Table, catalog, load, rows, version
from tests.support.server import PATIENCE, ROOT

pytestmark = pytest.mark.own_database

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

NOW = datetime(2026, 7, 1, 12, 30, 0, tzinfo=UTC)

MADE = f"The database had no tables, or not all of them: they are made, of version {schema_version.VERSION}."

WHAT_NEXT = (
    "Mend that with the database's own tools or restore a backup, and run `qlmhook upgrade` again "
    "(docs/operations.md, Upgrading)."
)

KILLED = """
import os, signal, sys
from datetime import UTC, datetime
import peewee
from qlmhook.services.upgrade_database import upgrade
from qlmhook.storage.database import Database

url, number = sys.argv[1], int(sys.argv[2])
execute, written = peewee.Database.execute_sql, 0

def execute_or_die(self, sql, params=None):
    global written
    written += sql.split()[0] in ("ALTER", "CREATE", "DROP", "INSERT", "UPDATE")
    if written == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(self, sql, params)

peewee.Database.execute_sql = execute_or_die
upgrade(Database(url), now=datetime.now(UTC), tell=print)
"""


STARTED = """
import sys
from qlmhook.storage import schema_version
from qlmhook.storage.database import Database

schema_version.prepare(Database(sys.argv[1]))
"""


@pytest.fixture
def url(database_url: str) -> str:
    """The database that 0.1.0 left."""
    load(database_url)
    return database_url


def carry_forward(url: str) -> list[str]:
    """Upgrade, and return what is told."""
    told: list[str] = []
    database = Database(url)
    try:
        upgrade(database, now=NOW, tell=told.append)
    finally:
        database.close()
    return told


def killed_at(url: str, number: int) -> None:
    """Let an upgrade be killed at its so many-th statement that writes."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, url, str(number)], cwd=ROOT, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL


def today(tables: dict[str, Table]) -> dict[str, Table]:
    """What must be stored after the upgrade of what was stored before it."""
    new_of_fact = {"group_ref": "", "customer_ref": "", "form": 1}
    return {
        **tables,
        "fact": [row | new_of_fact for row in tables["fact"]],
        "notification": [row | {"enrichment": None} for row in tables["notification"]],
        "outbox": [
            renamed(row, "created_at", "begun_at") | ({"kind": "confirmation"} if row["kind"] == "idn" else {})
            for row in tables["outbox"]
        ],
        "hold": [
            renamed(row, "subject", "cause") | {"subscription_ref": reference_in(row["subject"])}
            for row in tables["hold"]
        ],
        "order_name": [],
        "customer": [row | {"told": None} for row in tables["customer"]],
        "operator_told": told_alerts(tables),
        "tally": tallies(tables),
        "schema_version": [{"id": 1, "version": schema_version.VERSION}],
    }


def renamed(row: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """A row whose column has another name."""
    return {new if name == old else name: value for name, value in row.items()}


def stored(url: str) -> dict[str, Table]:
    """Everything that is stored now; the numbers and the order of what was counted say nothing."""
    tables = rows(url)
    numberless = [{name: row[name] for name in row if name != "id"} for row in tables["tally"]]
    tables["tally"] = sorted(numberless, key=lambda row: (row["counted"], row["vendor"], row["state"]))
    subjects = sorted(row["subject"] for row in tables["operator_told"])
    return {**tables, "operator_told": [{"subject": subject} for subject in subjects]}


def told_alerts(tables: dict[str, Table]) -> Table:
    """The subjects of the alerts that were told, each once."""
    subjects = sorted({row["subject"] for row in tables["outbox"] if row["kind"] == "alert"})
    return [{"subject": subject} for subject in subjects]


def tallies(tables: dict[str, Table]) -> Table:
    """How many rows there are of what is counted."""
    counted = Counter(
        [("notification", row["vendor"], row["state"]) for row in tables["notification"]]
        + [("license", row["vendor"], "") for row in tables["license"]]
        + [("outbox", "", row["state"]) for row in tables["outbox"]]
    )
    names = ("counted", "vendor", "state")
    return [dict(zip(names, place, strict=True)) | {"count": count} for place, count in sorted(counted.items())]


def reference_in(subject: str) -> str:
    """The subscription that a hold of 0.1.0 waited for."""
    kind, _, reference = subject.partition(" ")
    return reference if kind == "subscription" else ""


@cache
def fresh_catalog(engine: str) -> list[tuple[object, ...]]:
    """What an engine tells of tables that are made today."""
    with TemporaryDirectory() as folder, empty_database(engine, Path(folder)) as fresh:
        schema_version.prepare(Database(fresh))
        return catalog(fresh)


def test_every_version_has_a_migration() -> None:
    assert list(MIGRATIONS) == list(range(2, schema_version.VERSION + 1))


@pytest.mark.every_engine
def test_an_upgraded_database_has_the_tables_of_a_fresh_one(url: str) -> None:
    """The same columns, types, nullability, defaults, indexes, references and collations."""
    carry_forward(url)

    assert catalog(url) == fresh_catalog(engine_of(url))


@pytest.mark.every_engine
def test_no_row_is_lost_or_changed(url: str) -> None:
    before = rows(url)

    carry_forward(url)

    assert "idn" in {row["kind"] for row in before["outbox"]}
    assert stored(url) == today(before)


def test_the_second_time_there_is_nothing_to_be_done(url: str) -> None:
    carry_forward(url)
    before = rows(url)

    assert carry_forward(url) == [
        f"The tables are of version {schema_version.VERSION} and as they should be: there is nothing to be done."
    ]
    assert rows(url) == before


@pytest.mark.every_engine
def test_an_empty_database_gets_its_tables(database_url: str) -> None:
    told = carry_forward(database_url)

    assert told == [MADE]
    assert version(database_url) == schema_version.VERSION


@pytest.fixture
def unnumbered(url: str) -> str:
    """What 0.1.0 left when it was killed at its first start: it made its tables before it wrote their number."""
    execute(url, "DELETE FROM schema_version; DELETE FROM writer_lock")
    return url


@pytest.mark.every_engine
def test_tables_of_the_first_version_without_a_number_are_upgraded_as_such(unnumbered: str) -> None:
    before = rows(unnumbered)

    told = carry_forward(unnumbered)

    assert told[-1].startswith("The tables of version 1 are of version")
    assert len(told) == 2  # of the backup, or that there is none
    assert stored(unnumbered) == today(before) | {"writer_lock": [{"id": 1}], "schema_version": [ANY]}
    assert version(unnumbered) == schema_version.VERSION
    assert catalog(unnumbered) == fresh_catalog(engine_of(unnumbered))


@pytest.mark.every_engine
def test_tables_of_the_first_version_without_a_number_are_refused_by_all_else(unnumbered: str) -> None:
    """No number is written, and no table is made."""
    before = catalog(unnumbered), rows(unnumbered)

    with pytest.raises(ConfigurationError, match=r"has tables of version 1, .* run `qlmhook upgrade`"):
        schema_version.prepare(Database(unnumbered))

    assert (catalog(unnumbered), rows(unnumbered)) == before


@pytest.mark.every_engine
@pytest.mark.parametrize("number", [1, 2, 3, 11])
def test_an_upgrade_of_tables_without_a_number_that_was_killed_is_finished_by_the_next(
    unnumbered: str, number: int
) -> None:
    """MariaDB keeps what was done until then: by half of it nobody could tell the version."""
    before = rows(unnumbered)
    killed_at(unnumbered, number)

    carry_forward(unnumbered)

    assert stored(unnumbered) == today(before) | {"writer_lock": [{"id": 1}], "schema_version": [ANY]}
    assert version(unnumbered) == schema_version.VERSION
    assert catalog(unnumbered) == fresh_catalog(engine_of(unnumbered))


@pytest.mark.every_engine
@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("CREATE TABLE customer (id INTEGER PRIMARY KEY, name VARCHAR(64))", "customer"),
        ("CREATE TABLE schema_version (version VARCHAR(50), script VARCHAR(50))", "schema_version"),
    ],
    ids=["customer", "schema_version"],
)
@pytest.mark.parametrize("open_", [carry_forward, lambda url: schema_version.prepare(Database(url))])
def test_another_programs_database_is_refused_and_left_alone(
    database_url: str, script: str, named: str, open_: Callable[[str], object]
) -> None:
    """Where a table of its has the name of one of ours."""
    execute(database_url, script)
    before = catalog(database_url)

    with pytest.raises(ConfigurationError) as refusal:
        open_(database_url)

    assert str(refusal.value) == (
        f"The database has tables that are called as those of qlmhook ({named}), but without the number of a "
        "version, and their columns are of none that is known. Name another database in the setting `database`, or "
        "restore a backup."
    )
    assert catalog(database_url) == before


def test_tables_of_the_first_version_that_are_not_all_there_are_refused(unnumbered: str) -> None:
    execute(unnumbered, "DROP TABLE key_use")
    before = catalog(unnumbered), rows(unnumbered)

    with pytest.raises(ConfigurationError, match=r"\(audit, customer, decision, fact, fulfilled_line, …\)"):
        carry_forward(unnumbered)

    assert (catalog(unnumbered), rows(unnumbered)) == before


@pytest.mark.every_engine
@pytest.mark.parametrize("number", [1, 2, 3, 9, 40])
def test_tables_that_were_being_made_when_it_was_killed_are_finished_by_the_next_start(
    database_url: str, number: int
) -> None:
    """MariaDB keeps each table and each index that was made until then."""
    killed_at(database_url, number)

    schema_version.prepare(Database(database_url))

    assert catalog(database_url) == fresh_catalog(engine_of(database_url))
    assert rows(database_url)["schema_version"] == [{"id": 1, "version": schema_version.VERSION}]
    assert rows(database_url)["writer_lock"] == [{"id": 1}]


@pytest.mark.every_engine
def test_tables_of_todays_columns_but_of_other_types_get_no_number(database_url: str) -> None:
    execute(database_url, "CREATE TABLE heartbeat (id INTEGER PRIMARY KEY, worker VARCHAR(5) NOT NULL, at INTEGER)")

    with pytest.raises(UpgradeFailed, match="The column at of the table heartbeat is"):
        schema_version.prepare(Database(database_url))

    with closing(Database(database_url)) as database:
        assert schema_version.stored_version(database) is None


@pytest.mark.every_engine
def test_of_first_starts_at_once_one_makes_the_tables(database_url: str) -> None:
    """The others wait, and find them."""
    starts = [
        subprocess.Popen([sys.executable, "-c", STARTED, database_url], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    assert [start.communicate(timeout=PATIENCE)[1] for start in starts] == [""] * 3
    assert rows(database_url)["schema_version"] == [{"id": 1, "version": schema_version.VERSION}]
    assert catalog(database_url) == fresh_catalog(engine_of(database_url))


@pytest.mark.every_engine
def test_tables_of_today_that_have_the_old_number_get_the_new_one(database_url: str) -> None:
    """As those that were made between 0.1.0 and the version that counts."""
    schema_version.prepare(Database(database_url))
    execute(database_url, "UPDATE schema_version SET version = 1")
    before = catalog(database_url)

    carry_forward(database_url)

    assert catalog(database_url) == before
    assert version(database_url) == schema_version.VERSION


@pytest.mark.parametrize("number", [1, 4, 11])
def test_an_upgrade_that_was_killed_is_finished_by_the_next(url: str, number: int) -> None:
    """At some statement that writes; MariaDB keeps what was done until then."""
    before = rows(url)
    killed_at(url, number)

    carry_forward(url)

    assert catalog(url) == fresh_catalog(engine_of(url))
    assert stored(url) == today(before)


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
@pytest.mark.parametrize("number", [19, 23, 26, 38] if EFFORT == 1 else range(12, 39))
def test_where_nothing_is_taken_back_every_later_step_can_be_done_again(url: str, number: int) -> None:
    """MariaDB: new columns that have a default still, a new table without its indexes, a column with its old name that
    has lost its index, all but the number itself.
    """
    before = rows(url)
    killed_at(url, number)
    assert version(url) == 1

    carry_forward(url)

    assert stored(url) == today(before)


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_where_changes_of_tables_can_be_taken_back_a_killed_upgrade_has_changed_nothing(url: str) -> None:
    before = catalog(url), rows(url)

    killed_at(url, 11)

    assert (catalog(url), rows(url)) == before


def test_every_writer_waits_for_the_upgrade(url: str) -> None:
    """Those of an earlier release, too: they lock the same row, or the same file."""
    database, writer = Database(url), Database(url)
    with database.only_writer(), pytest.raises(Unavailable, match="busy"), writer.transaction(patience=1):
        pass

    with writer.transaction(patience=1):
        assert schema_version.stored_version(database) == 1
    database.close()
    writer.close()


def test_a_later_database_is_refused_with_both_numbers(url: str) -> None:
    execute(url, "UPDATE schema_version SET version = 99")
    before = rows(url)

    with pytest.raises(ConfigurationError, match=f"of version 99, this qlmhook works with {schema_version.VERSION}"):
        carry_forward(url)

    assert rows(url) == before


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_that_no_step_leads_on_from_is_refused_with_both_numbers(url: str, number: int) -> None:
    execute(url, f"UPDATE schema_version SET version = {number}")
    before = rows(url)

    with pytest.raises(ConfigurationError, match=f"of version {number}, this qlmhook works with") as refusal:
        carry_forward(url)

    assert str(refusal.value) == (
        f"The database has tables of version {number}, this qlmhook works with {schema_version.VERSION} and knows no "
        "way there. Restore a backup, or put back the number in the table schema_version if it was changed by hand."
    )
    assert rows(url) == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("ALTER TABLE license ADD COLUMN remark INTEGER", "The table license has a column remark that is not known."),
        ("DROP TABLE key_use", "There is no table key_use."),
        ("DROP INDEX {index}", "The table refusal has no unique index of reason."),
        (
            "CREATE UNIQUE INDEX x ON hold (id, vendor)",
            "The table hold has a unique index of id, vendor that is not known.",
        ),
    ],
    ids=["column", "table", "index", "unique index"],
)
@pytest.mark.parametrize("released", [True, False], ids=["0.1.0", "today"])
def test_tables_that_are_not_as_they_should_be_are_found(
    database_url: str, change: str, sentence: str, released: bool
) -> None:
    """Before the new number is written, and when there is nothing else to be done."""
    if released:
        load(database_url)
    else:
        schema_version.prepare(Database(database_url))
    on = " ON refusal" if engine_of(database_url) == "mariadb" else ""
    execute(database_url, change.format(index=f"refusal_reason{on}"))
    before = version(database_url)

    with pytest.raises(UpgradeFailed) as failure:
        carry_forward(database_url)

    assert str(failure.value) == f"The tables are not what they should be. {sentence} {WHAT_NEXT}"
    assert version(database_url) == before


def test_an_index_that_an_operator_has_added_is_no_fault_and_stays(url: str) -> None:
    execute(url, "CREATE INDEX by_kind ON fact (kind)")

    carry_forward(url)

    assert "by_kind" in {row[2] for row in catalog(url) if row[0] == "index"}


@on_sqlite
def test_a_row_that_refers_to_nothing_is_found_and_nothing_is_changed(url: str) -> None:
    execute(url, "DELETE FROM notification WHERE id = 1")
    before = catalog(url), rows(url)

    with pytest.raises(
        UpgradeFailed, match=r"Row \d+ of the table fact refers to a row of notification that is not"
    ) as failure:
        carry_forward(url)

    assert str(failure.value).endswith(WHAT_NEXT)

    assert (catalog(url), rows(url)) == before


@on_sqlite
def test_the_backup_is_the_database_of_before(url: str, tmp_path: Path) -> None:
    """Under the old number, beside the database, for its owner alone, and in one file."""
    before = catalog(url), rows(url)

    told = carry_forward(url)

    backup = tmp_path / "test-version-1-20260701-123000.db"
    assert told[0] == f"The database as it was is in {backup}."
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob(f"{backup.name}*")) == [backup.name]
    assert (catalog(f"sqlite:///{backup}"), rows(f"sqlite:///{backup}")) == before


@on_sqlite
def test_without_its_backup_nothing_is_changed(url: str, tmp_path: Path) -> None:
    before = rows(url)
    (tmp_path / "test-version-1-20260701-123000.db").write_bytes(b"another")

    with pytest.raises(Unavailable, match="is there already; it is never overwritten"):
        carry_forward(url)

    assert rows(url) == before


@on_sqlite
def test_a_file_that_another_process_has_open_is_not_upgraded(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of the release before would go on writing, and lose what it writes."""
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    execute(url, "PRAGMA journal_mode = wal")
    with closing(sqlite3.connect(tmp_path / "test.db")) as other:
        other.execute("SELECT * FROM license").fetchone()

        with pytest.raises(Unavailable, match="is in use by another process: stop the service first"):
            carry_forward(url)

    assert carry_forward(url)[-1].startswith("The tables of version 1 are of version")
