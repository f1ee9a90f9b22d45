"""Every row of one database in another, of any engine: the same ids, times and bytes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import zip_longest
from typing import Any

import peewee

from qlmhook.errors import CopyFailed
from qlmhook.storage import faults, statements
from qlmhook.storage.database import Database, WriterLock, current_database
from qlmhook.storage.models import TABLES, SchemaVersion

BATCH = 100
"""Rows that are read at once, and the most that one statement writes."""

STATEMENT = 256 * 1024
"""Bytes and characters that one statement writes, unless one row has more: MySQL limits how long a statement may be."""

_Table = type[peewee.Model]
_Row = tuple[Any, ...]
_Reading = Callable[[], AbstractContextManager[None]]

CARRIED: Sequence[_Table] = [model for model in TABLES if model not in (WriterLock, SchemaVersion)]
"""The tables whose rows are carried, those first that others refer to; the rest has the same rows in every database."""


def filled(database: Database) -> list[str]:
    """Return the names of the tables that have rows; raises Unavailable, Unstorable."""
    there = database.columns(CARRIED)
    with database.reading():
        return [
            model._meta.table_name for model in CARRIED if model._meta.table_name in there and model.select().exists()
        ]


def counts(database: Database) -> dict[str, int]:
    """Return how many rows each table has; raises Unavailable, Unstorable."""
    with database.reading():
        return {model._meta.table_name: model.select().count() for model in CARRIED}


def batches(rows: Mapping[str, int]) -> int:
    """Return how often `carry` and `compare` call `step` each, for tables of so many rows."""
    return sum(-(-count // BATCH) for count in rows.values())


def carry(source: Database, *, step: Callable[[], None]) -> None:
    """Write the rows of a database into the tables of the running transaction's, and let the ids go on after them.

    Raises CopyFailed for rows that it does not take.
    """
    for model in CARRIED:
        last = 0
        for rows in _read(model, source.reading):
            _write(model, rows)
            last = _id_of(model, rows[-1])
            step()
        # MySQL and SQLite go on after the greatest id by themselves
        if last > 0 and isinstance(current_database.obj, peewee.PostgresqlDatabase):
            current_database.obj.execute_sql(  # type: ignore[no-untyped-call]
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (model._meta.table_name, last)
            )


def compare(source: Database, *, step: Callable[[], None]) -> None:
    """Raise CopyFailed at the first row that the running transaction's database has not as the source has it."""
    for model in CARRIED:
        ours = _read(model)
        for rows in _read(model, source.reading):
            _require_same(model, rows, next(ours, []))
            step()
        _require_same(model, [], next(ours, []))


def _require_same(model: _Table, rows: Sequence[_Row], ours: Sequence[_Row]) -> None:
    for row, our in zip_longest(rows, ours):
        if row != our:
            raise CopyFailed(
                f"Row {_id_of(model, row or our)} of the table {model._meta.table_name} is not the same in both "
                "databases. Nothing was kept in the new one."
            )


def _read(model: _Table, reading: _Reading = nullcontext) -> Iterator[list[_Row]]:
    """Yield the rows by id; between two batches the running transaction is again that of whom they are for."""
    last = None
    while True:
        with reading():
            rows = _after(model, last)
        if not rows:
            return
        yield rows
        last = _id_of(model, rows[-1])


def _after(model: Any, last: int | None) -> list[_Row]:
    query = model.select().order_by(model.id).limit(BATCH).tuples()
    if last is not None:
        query = query.where(model.id > last)
    return [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in query]


def _names(model: _Table) -> list[str]:
    return [field.name for field in model._meta.sorted_fields]


def _id_of(model: _Table, row: _Row) -> int:
    found: int = row[_names(model).index("id")]
    return found


def _write(model: _Table, rows: Sequence[_Row]) -> None:
    names = _names(model)
    try:
        for part in _parts(rows):
            statements.insert(model, [dict(zip(names, row, strict=True)) for row in part])
    except peewee.PeeweeException as error:
        database = current_database.obj
        assert database is not None
        raise CopyFailed(
            f"Rows {_id_of(model, rows[0])} to {_id_of(model, rows[-1])} of the table {model._meta.table_name} cannot "
            f"be copied, and nothing was kept in the new database. {faults.explained(database, error)}"
        ) from error


def _parts(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    part: list[_Row] = []
    size = 0
    for row in rows:
        takes = sum(len(value) for value in row if isinstance(value, str | bytes))
        if part and size + takes > STATEMENT:
            yield part
            part, size = [], 0
        part.append(row)
        size += takes
    yield part
