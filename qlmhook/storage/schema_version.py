"""Which version the tables of a database have, and whether this release works with them."""

import peewee

from qlmhook.errors import ConfigurationError, UpgradeFailed
from qlmhook.storage import table_shape
from qlmhook.storage.database import Database, WriterLock
from qlmhook.storage.migrations import MIGRATIONS
from qlmhook.storage.models import TABLES, SchemaVersion

VERSION = 2
"""The version of the tables that this release works with."""

MOST_TOLD = 5
"""Faults of the tables that a sentence tells."""


def stored_version(database: Database) -> int | None:
    """Return the version of a database's tables, or None where there are no tables; raises Unavailable."""
    if not database.has_table(SchemaVersion):
        return None
    with database.reading():
        found: SchemaVersion | None = SchemaVersion.select().first()
    return None if found is None else found.version


def prepare(database: Database) -> None:
    """Create the tables if they are not there; raises ConfigurationError for those of another version."""
    try:
        found = stored_version(database)  # most starts find the tables; creating them would lock orders out
        require_current(_create(database) if found is None else found)
    finally:
        database.close()  # a connection must not be inherited by a forked process


def _create(database: Database) -> int:
    database.create_tables(TABLES)
    with database.transaction():  # two first starts meet here: the second waits for the first one's row
        WriterLock.insert(id=1).on_conflict_ignore().execute()
        found = SchemaVersion.select().first() or SchemaVersion.create(version=VERSION)
    version: int = found.version
    return version


def require_current(found: int) -> None:
    """Raise ConfigurationError for tables of another version than this release works with."""
    require_known(found)
    if found < VERSION:
        raise ConfigurationError(
            f"The database has tables of version {found}, this qlmhook works with {VERSION}. Stop the service and run "
            "`qlmhook upgrade`."
        )


def require_known(found: int) -> None:
    """Raise ConfigurationError for tables of a version that this release neither works with nor can upgrade."""
    if found > VERSION:
        raise ConfigurationError(
            f"The database has tables of version {found}, this qlmhook works with {VERSION}. Install the qlmhook that "
            "upgraded it, or restore the backup from before the upgrade."
        )
    if not all(version in MIGRATIONS for version in range(found + 1, VERSION + 1)):
        raise ConfigurationError(
            f"The database has tables of version {found}, this qlmhook works with {VERSION} and knows no way there. "
            "Restore a backup, or put back the number in the table schema_version if it was changed by hand."
        )


def migrate(database: Database, found: int) -> None:
    """Make the tables of this release from those of version `found`, as the only writer.

    Raises UpgradeFailed when rows or tables are not what they should be then, Unavailable, Unstorable. The number is
    written last: until then nothing has changed, or on MySQL and MariaDB, it can be done again.
    """
    with database.changing_tables() as connected:
        _require_none(table_shape.orphans(connected))
        for version in range(found + 1, VERSION + 1):
            MIGRATIONS[version](connected)
        _require_sound(connected)
        SchemaVersion.update(version=VERSION).execute()


def require_sound(database: Database) -> None:
    """Raise UpgradeFailed when a row refers to one that is not there, or a table is not what the models say."""
    with database.changing_tables() as connected:
        _require_sound(connected)


def _require_sound(connected: peewee.Database) -> None:
    _require_none([*table_shape.orphans(connected), *table_shape.differences(connected, TABLES)])


def _require_none(faults: list[str]) -> None:
    if faults:
        more = f" {len(faults) - MOST_TOLD} more are not told." if len(faults) > MOST_TOLD else ""
        raise UpgradeFailed(f"The tables are not what they should be. {' '.join(faults[:MOST_TOLD])}{more}")
