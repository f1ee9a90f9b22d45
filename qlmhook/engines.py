"""What one engine does otherwise than the others: how it is opened, how strict it is, and how its faults are told."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import peewee
from playhouse import db_url

from qlmhook.errors import ConfigurationError, QlmhookError, Unavailable, Unstorable
from qlmhook.form import MAX_BODY

BUSY_SECONDS = 10
"""Until then a writer must have its turn; the vendor is told to send again after that."""

DISK_FULL = "The database {path} cannot be written: the disk is full."
BUSY = "The database is busy: another writer has kept it for more than {seconds} seconds."


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
            sql = f"{sql} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={self._exact_collation()}"
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

    def _exact_collation(self) -> str:
        """Return the server's collation that compares bytes, if it has one without ignoring trailing blanks."""
        cursor = super().execute_sql("SHOW COLLATION LIKE %s", (r"utf8mb4\_%bin",))  # type: ignore[no-untyped-call]
        known = {row[0] for row in cursor.fetchall()}
        return next(name for name in ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin") if name in known)


def _ignores(on_conflict: Any) -> bool:
    return bool(on_conflict._action) and on_conflict._action.lower() == "ignore"


_ENGINES: dict[str, type[peewee.Database]] = {
    "sqlite": SQLite,
    "postgresql": peewee.PostgresqlDatabase,
    "postgres": peewee.PostgresqlDatabase,
    "mysql": MySQL,
}


def open_database(url: str) -> peewee.Database:
    """Return the database of a URL, not connected yet; raises ConfigurationError."""
    if url in ("sqlite://", "sqlite:///", "sqlite:///:memory:"):
        raise ConfigurationError("database: SQLite in memory is not shared between threads; name a file.")
    try:
        scheme = urlsplit(url).scheme
        options = db_url.parse(url, unquote_user=True, unquote_password=True)  # type: ignore[no-untyped-call]
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
    if scheme == "mysql":
        options |= {"charset": "utf8mb4", "sql_mode": MySQL.sql_mode}
        if "passwd" in options:  # peewee's word, which pymysql warns of
            options["password"] = options.pop("passwd")
    return _ENGINES[scheme](name, **options)


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


ROOM = 4 * MAX_BODY
"""What the largest notification takes on SQLite's disk: its body, what it says, both in the log of the database too."""


def require_room(database: peewee.Database) -> None:
    """Raise Unavailable when SQLite's disk has no room for another notification, whatever else can be written."""
    if isinstance(database, SQLite):
        path = Path(database.database)
        with contextlib.suppress(OSError):  # the next transaction tells what is wrong
            if shutil.disk_usage(path.absolute().parent).free < ROOM:
                raise Unavailable(DISK_FULL.format(path=path))


def limit_waiting(database: peewee.Database, seconds: float) -> None:
    """Let the next transaction of this thread wait so long for a writer of another program; SQLite only."""
    if isinstance(database, SQLite):
        connection = database.connection()  # type: ignore[no-untyped-call]
        connection.execute(f"PRAGMA busy_timeout = {max(0, int(seconds * 1000))}")


# Source: SQLite, "Result and Error Codes": what a statement or its values are at fault for.
_SQLITE_STATEMENT = frozenset({1, 18, 19, 20, 25})
_SQLITE_BUSY, _SQLITE_READONLY, _SQLITE_FULL, _SQLITE_CANTOPEN, _SQLITE_NOTADB = 5, 8, 13, 14, 26

# Source: MySQL, "Server Error Message Reference": faults of the server, not of a statement or its values.
_MYSQL_SERVER = frozenset(
    {1021, 1037, 1038, 1040, 1041, 1043, 1044, 1045, 1049, 1053, 1077, 1079, 1080, 1114, 1129, 1130, 1152, 1154, 1155}
    | {1156, 1157, 1158, 1159, 1160, 1161, 1180, 1203, 1205, 1206, 1213, 1226, 1290, 1317, 1637, 1836, 1927, 1969, 3024}
)
_MYSQL_CLIENT = range(2000, 3000)
_MYSQL_BUSY = 1205

# Source: PostgreSQL, "PostgreSQL Error Codes".
_POSTGRESQL_LIMIT_EXCEEDED = "54"
_POSTGRESQL_BUSY = "55P03"


def is_fault(error: peewee.PeeweeException) -> bool:
    """Tell a fault of the database or its connection from one of the program, such as a unique key that is broken.

    SQLite says no more than DatabaseError of a file that is broken, or no database at all.
    """
    return isinstance(error, peewee.OperationalError | peewee.InterfaceError) or type(error) is peewee.DatabaseError


def explained(database: peewee.Database, error: peewee.PeeweeException) -> QlmhookError:
    """Return a driver's error as ours: Unavailable for a fault of the database, Unstorable for one of the values."""
    code = _code(error)
    if code in (_SQLITE_BUSY, _MYSQL_BUSY, _POSTGRESQL_BUSY):
        return Unavailable(BUSY.format(seconds=BUSY_SECONDS))
    if isinstance(database, SQLite):
        sentence = _about_file(Path(database.database), code)
        if sentence:
            return Unavailable(sentence)
    told = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.?')}."
    if _blames_values(code):
        return Unstorable(f"The database does not take this: {told}")
    return Unavailable(f"The database is not available: {told}")


def _code(error: peewee.PeeweeException) -> int | str | None:
    """Return SQLite's result code, PostgreSQL's SQLSTATE or MySQL's number of an error."""
    driver = getattr(error, "orig", None)
    if (extended := getattr(driver, "sqlite_errorcode", None)) is not None:
        return int(extended) & 0xFF
    if driver is not None and driver.args and isinstance(driver.args[0], int):
        return driver.args[0]
    return getattr(driver, "sqlstate", None)


def _blames_values(code: int | str | None) -> bool:
    if isinstance(code, str):
        return code.startswith(_POSTGRESQL_LIMIT_EXCEEDED)
    if code is None or code in _MYSQL_SERVER or code in _MYSQL_CLIENT:
        return False
    return code > 1000 or code in _SQLITE_STATEMENT


def _about_file(path: Path, code: int | str | None) -> str:
    """Return what is the matter with SQLite's file, in a sentence, or nothing if it is not the file."""
    if code == _SQLITE_FULL:
        return DISK_FULL.format(path=path)
    if code == _SQLITE_READONLY:
        return f"The database {path} cannot be written: {_obstacle(path) or 'this user may only read it'}."
    if code == _SQLITE_CANTOPEN:
        return f"The database {path} cannot be opened: {_obstacle(path) or 'files beside it cannot be made'}."
    if code == _SQLITE_NOTADB:
        return f"The database {path} cannot be used: it is no database of SQLite."
    return ""


def _obstacle(path: Path) -> str:
    if not path.absolute().parent.is_dir():
        return f"there is no folder {path.absolute().parent}"
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        return f"this user may not write in the folder {path.absolute().parent}"
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        return str(error.strerror).lower()
    return ""
