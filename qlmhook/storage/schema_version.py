"""Which version the tables of a database have, and whether this release works with them."""

from collections.abc import Mapping

import peewee

from qlmhook.errors import ConfigurationError, UpgradeFailed
from qlmhook.storage import table_shape
from qlmhook.storage.database import Database
from qlmhook.storage.migrations import MIGRATIONS, version_1
from qlmhook.storage.migrations.table_changes import add_indexes
from qlmhook.storage.models import TABLES, SchemaVersion

VERSION = 2
"""The version of the tables that this release works with."""

MOST_TOLD = 5
"""Tables, or faults of them, that a sentence tells."""

_COLUMNS: Mapping[str, frozenset[str]] = {model._meta.table_name: frozenset(model._meta.columns) for model in TABLES}
"""The columns of this version's tables."""


def version_of(database: Database) -> int | None:
    """Return the version of a database's tables, or None where none of them is there, or not all that were begun.

    Tables whose number was never written are told by their columns. Raises ConfigurationError for such that have the
    columns of no version, Unavailable, Unstorable.
    """
    found = stored_version(database)
    if found is not None:
        return found
    there = database.columns(TABLES)
    if there == version_1.COLUMNS:
        return 1
    if there.items() <= _COLUMNS.items():
        return None
    more = ", …" if len(there) > MOST_TOLD else ""
    raise ConfigurationError(
        f"The database has tables that are called as those of qlmhook ({', '.join(sorted(there)[:MOST_TOLD])}{more}), "
        "but without the number of a version, and their columns are of none that is known. Name another database in "
        "the setting `database`, or restore a backup."
    )


def stored_version(database: Database) -> int | None:
    """Return the number in a database, or None where there is none; raises Unavailable."""
    table = SchemaVersion._meta.table_name
    if database.columns([SchemaVersion]) != {table: _COLUMNS[table]}:
        return None
    with database.reading():
        found: SchemaVersion | None = SchemaVersion.select().first()
    return None if found is None else found.version


def prepare(database: Database) -> None:
    """Make the tables if they are not there; raises ConfigurationError for those of another version, UpgradeFailed."""
    try:
        found = version_of(database)  # most starts find the tables; making them would lock orders out
        if found is None:
            with database.only_writer():  # of two first starts the second waits, and finds what the first one made
                found = version_of(database)
                found = make_tables(database) if found is None else found
        require_current(found)
    finally:
        database.close()  # a connection must not be inherited by a forked process


def make_tables(database: Database) -> int:
    """Make all tables that are not there, as the only writer; return their version.

    Raises UpgradeFailed where those that are there are not what they should be, Unavailable, Unstorable. The number is
    written last: until then nothing has changed, or on MySQL and MariaDB, the next one goes on.
    """
    with database.changing_tables() as connected:
        connected.create_tables(TABLES, safe=True)
        for model in TABLES:  # MySQL has no index that is made unless it is there
            add_indexes(connected, model)
        _require_sound(connected)
        SchemaVersion.create(version=VERSION)
    return VERSION


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
        if not SchemaVersion.select().exists():  # half of the way nobody could tell it by the tables
            SchemaVersion.create(version=found)
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
        raise UpgradeFailed(
            f"The tables are not what they should be. {' '.join(faults[:MOST_TOLD])}{more} Mend that with the "
            "database's own tools or restore a backup, and run `qlmhook upgrade` again (docs/operations.md, Upgrading)."
        )
