"""Carries a database of an earlier release to the tables of this one."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from qlmhook.storage import schema_version
from qlmhook.storage.backup import back_up
from qlmhook.storage.database import Database

MADE = "The database had no tables, or not all of them: they are made, of version {version}."
CURRENT = "The tables are of version {version} and as they should be: there is nothing to be done."
BACKED_UP = "The database as it was is in {file}."
NO_BACKUP = "A database on a server is not backed up by this command: make sure that you have a backup of it."
DONE = "The tables of version {found} are of version {version} now; references and tables are checked."


def upgrade(database: Database, *, now: datetime, tell: Callable[[str], None]) -> None:
    """Bring a database's tables to this release's version, while every other writer waits; tell what was done.

    Of two at once the second waits, and finds nothing to do. What was interrupted is done by the next one.
    Raises ConfigurationError for a database of a version that is not known, UpgradeFailed, Unavailable, Unstorable.
    """
    schema_version.version_of(database)  # nothing at all is written into another program's database
    with database.only_writer():
        found = schema_version.version_of(database)
        if found is None:
            tell(MADE.format(version=schema_version.make_tables(database)))
        else:
            _upgrade(database, found, now=now, tell=tell)


def _upgrade(database: Database, found: int, *, now: datetime, tell: Callable[[str], None]) -> None:
    schema_version.require_known(found)
    if found == schema_version.VERSION:
        schema_version.require_sound(database)
        tell(CURRENT.format(version=found))
        return
    database.require_nobody_else()
    if database.file is None:
        tell(NO_BACKUP)
    else:
        target = backup_of(database.file, found, now)
        back_up(database.file, target)
        tell(BACKED_UP.format(file=target))
    schema_version.migrate(database, found)
    tell(DONE.format(found=found, version=schema_version.VERSION))


def backup_of(file: Path, version: int, now: datetime) -> Path:
    """Return where the backup of a database of some version goes: beside it, named by version and time (UTC)."""
    return file.with_name(f"{file.stem}-version-{version}-{now:%Y%m%d-%H%M%S}{file.suffix}")
