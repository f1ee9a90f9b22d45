"""What one engine does otherwise than the others: how it is opened, and how strict it is."""

import math
import os
import sqlite3
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import peewee
from playhouse import db_url

from qlmhook.errors import ConfigurationError

BUSY_SECONDS = 10
"""Until then a writer must have its turn; the vendor is told to send again after that."""

UPGRADE_SECONDS = 3600
"""Until then one upgrade waits for another."""

EXACT_COLLATIONS = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin")
"""MySQL's and MariaDB's collations that compare bytes, the best first: the last ignores trailing blanks."""


class SQLite(peewee.SqliteDatabase):
    """SQLite, whose own rollback when the disk is full does not hide that the disk is full."""

    def rollback(self) -> None:
        """Roll back, unless SQLite has done so."""
        if self.connection().in_transaction:  # type: ignore[no-untyped-call]
            super().rollback()


class MySQL(peewee.MySQLDatabase):
    """MySQL and MariaDB, as strict as the other engines: nothing is cut off, and text compares byte for byte."""

    field_types: ClassVar[dict[str, str]] = {  # type: ignore[misc]
        **peewee.MySQLDatabase.field_types,
        "TEXT": "LONGTEXT",
        "BLOB": "LONGBLOB",
        "DATETIME": "DATETIME(6)",
    }
    # a search does not mind letter case, as on the other engines
    operations: ClassVar[dict[str, str]] = {  # type: ignore[misc]
        **peewee.MySQLDatabase.operations,
        "ILIKE": "COLLATE utf8mb4_unicode_520_ci LIKE",
    }
    sql_mode = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Execute a statement; a table is made alike, whatever the server's defaults are."""
        if sql.startswith("CREATE TABLE "):
            sql = f"{sql} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={self.exact_collation()}"
        return super().execute_sql(sql, params)  # type: ignore[no-untyped-call]

    def conflict_statement(self, on_conflict: Any, query: Any) -> Any:
        """INSERT IGNORE would ignore every other fault too, and cut off what is too long."""
        if _ignores(on_conflict):
            return None
        return super().conflict_statement(on_conflict, query)

    def conflict_update(self, on_conflict: Any, query: Any) -> Any:
        """A row that is there stays as it is."""
        if _ignores(on_conflict):
            return peewee.SQL("ON DUPLICATE KEY UPDATE `id` = `id`")
        return super().conflict_update(on_conflict, query)

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc]
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {BUSY_SECONDS}, lock_wait_timeout = {BUSY_SECONDS}")
        return connection

    def exact_collation(self) -> str:
        """Return the server's best collation that compares bytes."""
        cursor = super().execute_sql("SHOW COLLATION LIKE %s", (r"utf8mb4\_%bin",))  # type: ignore[no-untyped-call]
        known = {row[0] for row in cursor.fetchall()}
        return next(name for name in EXACT_COLLATIONS if name in known)


def _ignores(on_conflict: Any) -> bool:
    return bool(on_conflict._action) and on_conflict._action.lower() == "ignore"


_ENGINES: dict[str, type[peewee.Database]] = {
    "sqlite": SQLite,
    "postgresql": peewee.PostgresqlDatabase,
    "postgres": peewee.PostgresqlDatabase,
    "mysql": MySQL,
}


def open_database(url: str, *, shared: bool = False) -> peewee.Database:
    """Return the database of a URL, not connected yet, whose connection is each thread's own or shared by all.

    Raises ConfigurationError.
    """
    if url in ("sqlite://", "sqlite:///", "sqlite:///:memory:"):
        raise ConfigurationError("database: SQLite in memory is not shared between threads; name a file.")
    try:
        scheme = urlsplit(url).scheme
        options = db_url.parse(url, unquote_user=True, unquote_password=True)
        name = options.pop("database")
    except ValueError:
        scheme = name = ""
    if "sqlite" in scheme and scheme != "sqlite":
        raise ConfigurationError(f"database: {scheme}:// is not kept safe here; write sqlite:///.")
    if scheme not in _ENGINES or not name:
        raise ConfigurationError(
            "database: the URL cannot be used; meant is sqlite:///FILE, postgresql://USER:PASSWORD@HOST/NAME or "
            "mysql://USER:PASSWORD@HOST/NAME."
        )
    _require_driver(scheme)
    if scheme == "sqlite":
        create_private(Path(name))
        options |= {
            "pragmas": {"journal_mode": "wal", "synchronous": "full", "foreign_keys": 1},
            "timeout": BUSY_SECONDS,
        }
        options["lock_type"] = "IMMEDIATE"
        options["check_same_thread"] = not shared
    if scheme == "mysql":
        options |= {"charset": "utf8mb4", "sql_mode": MySQL.sql_mode}
        if "passwd" in options:  # peewee's word, which pymysql warns of
            options["password"] = options.pop("passwd")
    return _ENGINES[scheme](name, thread_safe=not shared, **options)


def _require_driver(scheme: str) -> None:
    there = {"postgresql": peewee.psycopg2 or peewee.psycopg, "mysql": peewee.mysql, "sqlite": True}  # type: ignore[attr-defined]
    engine = "postgresql" if scheme == "postgres" else scheme
    if not there[engine]:
        extra = {"postgresql": "postgres"}.get(engine, engine)
        raise ConfigurationError(
            f"database: {scheme}:// needs a driver that is not installed; run `pip install '.[{extra}]'` in the "
            "checkout of qlmhook."
        )


def create_private(path: Path) -> None:
    """Create SQLite's file, which has the names of all customers in it, for its owner alone.

    What root creates in another's folder belongs to that other, whose service could not open it else.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:  # it is there, or the first transaction tells what is wrong
        return
    try:
        give_to_owner_of(path.absolute().parent, descriptor)
    finally:
        os.close(descriptor)


def give_to_owner_of(path: Path, descriptor: int) -> None:
    """Give an open file to whom a path belongs, where root runs us for another."""
    if os.geteuid() == 0:
        owner, file = path.stat(), os.fstat(descriptor)
        if owner.st_uid != file.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def limit_waiting(database: peewee.Database, seconds: float) -> None:
    """Let the next transaction of this thread wait so long for a writer of another program; SQLite only."""
    if isinstance(database, SQLite):
        connection = database.connection()  # type: ignore[no-untyped-call]
        connection.execute(f"PRAGMA busy_timeout = {max(0, int(seconds * 1000))}")


def limit_lock_waiting(database: peewee.Database, seconds: float) -> None:
    """Let the transaction that runs wait so long for a lock of a server; MySQL counts whole seconds, at least one."""
    if isinstance(database, peewee.PostgresqlDatabase):
        database.execute_sql(f"SET LOCAL lock_timeout = {max(1, int(seconds * 1000))}")  # type: ignore[no-untyped-call]
    elif isinstance(database, MySQL) and (whole := max(1, math.ceil(seconds))) != BUSY_SECONDS:
        database.execute_sql(f"SET SESSION innodb_lock_wait_timeout = {whole}")


def is_alone(database: peewee.Database) -> bool:
    """Tell whether no other connection has SQLite's file open: without one alone it can do without its log."""
    try:
        database.execute_sql("PRAGMA journal_mode = delete")  # type: ignore[no-untyped-call]
    except peewee.OperationalError as error:
        if getattr(getattr(error, "orig", None), "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise
        return False
    database.execute_sql("PRAGMA journal_mode = wal")  # type: ignore[no-untyped-call]
    return True
