"""Carries everything that is stored to another database, of the same engine or another."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from qlmhook.errors import CopyFailed, QlmhookError
from qlmhook.storage import copying, schema_version
from qlmhook.storage.database import Database

Progress = Callable[[int, str], AbstractContextManager[Callable[[], None]]]
"""Shows how far it is: gets the number of steps and what they do, and gives what is called after each."""


def copy(source: Database, target: Database, *, progress: Progress) -> Mapping[str, int]:
    """Carry every row to an empty database, compare all, and only then keep it; return how many rows each table has.

    Every other writer of both databases waits. Of two at once the second waits, and finds rows. What is interrupted
    leaves no row. Raises CopyFailed, ConfigurationError for a source of another version, UpgradeFailed for one that is
    not as it should be, Unavailable, Unstorable.
    """
    if source.file is None:  # nothing is written into another program's database, the row that writers lock neither
        _require_rows(source)
    with source.only_writer():
        _require_rows(source)
        _require_empty(target)  # before it is locked: it could be the source
        source.require_nobody_else()
        schema_version.require_sound(source)
        with target.only_writer():
            if _require_empty(target) is None:
                schema_version.make_tables(target)
            schema_version.require_sound(target)
            return _copy(source, target, progress)


def _copy(source: Database, target: Database, progress: Progress) -> Mapping[str, int]:
    rows = copying.counts(source)
    steps = copying.batches(rows)
    with target.changing_tables() as connected, connected.atomic():  # rows are one transaction on MySQL, too
        with progress(steps, "Copying") as step:
            copying.carry(source, step=step)
        with progress(steps, "Comparing") as step:
            copying.compare(source, step=step)
    return rows


def _require_rows(source: Database) -> None:
    """Raise CopyFailed without any row: such a database could be its own empty target, and would wait for itself."""
    found = schema_version.version_of(source)
    if found is not None:
        schema_version.require_current(found)
    if not copying.filled(source):
        raise CopyFailed("The database of the setting `database` has no rows: there is nothing to copy.")


def _require_empty(target: Database) -> int | None:
    """Return the version of an empty database's tables, or None where they are to be made."""
    try:
        found = schema_version.version_of(target)
        filled = copying.filled(target) if found in (None, schema_version.VERSION) else []
    except QlmhookError as error:
        raise CopyFailed(f"The database of --to cannot be used. {error}") from error
    if found not in (None, schema_version.VERSION):
        raise CopyFailed(
            f"The database of --to has tables of version {found}, this qlmhook works with {schema_version.VERSION}. "
            "Name an empty database."
        )
    if filled:
        more = ", …" if len(filled) > schema_version.MOST_TOLD else ""
        raise CopyFailed(
            f"The database of --to has rows already, in {', '.join(filled[: schema_version.MOST_TOLD])}{more}. "
            "Nothing was changed: name an empty database."
        )
    return found
