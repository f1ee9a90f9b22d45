"""The database's faults in sentences: which file, what is the matter, and whether the values are to blame."""

import contextlib
import os
import shutil
from pathlib import Path

import peewee

from qlmhook.errors import QlmhookError, Unavailable, Unstorable
from qlmhook.storage import engines

DISK_FULL = "The database {path} cannot be written: the disk is full."

ROOM = 4 * 1024 * 1024
"""What the largest notification takes on SQLite's disk: its body, what it says, both in the log of the database too."""


def require_room(database: peewee.Database) -> None:
    """Raise Unavailable when SQLite's disk has no room for another notification, whatever else can be written."""
    if isinstance(database, peewee.SqliteDatabase):
        path = Path(database.database)
        with contextlib.suppress(OSError):  # the next transaction tells what is wrong
            if shutil.disk_usage(path.absolute().parent).free < ROOM:
                raise Unavailable(DISK_FULL.format(path=path))


def busy() -> Unavailable:
    """Return the error of a writer that did not have its turn in time."""
    return Unavailable(
        f"The database is busy: another writer has kept it for more than {engines.BUSY_SECONDS} seconds."
    )


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
        return busy()
    if isinstance(database, peewee.SqliteDatabase):
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
