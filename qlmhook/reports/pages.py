"""Rows of a table page by page: however many there are, a page is in memory, and each is found by a key."""

from collections.abc import Collection, Iterator
from typing import Any

import peewee

from qlmhook.storage.database import current_database

SIZE = 500
"""Rows of a page."""


def size_for(limit: int | None) -> int:
    """Return how many rows a page has where no more than `limit` are wanted."""
    return SIZE if limit is None else min(limit, SIZE)


def by_id(query: Any, size: int, *alike: Any) -> Iterator[Any]:
    """Yield the rows that a query finds, in the order in which they were added.

    `alike` are columns that are null in all of them, and with which the index begins: PostgreSQL must be told to go
    along it, MariaDB would sort if it were.
    """
    key = query.model.id
    order = (*alike, key) if isinstance(current_database.obj, peewee.PostgresqlDatabase) else (key,)
    rows = list(query.order_by(*order).limit(size))
    while rows:
        yield from rows
        if len(rows) < size:
            return
        rows = list(query.where(key > rows[-1].id).order_by(*order).limit(size))


def by_time(query: Any, time: Any, size: int) -> Iterator[Any]:
    """Yield the rows that a query finds by the time in a column, and those of one time as they were added.

    The query must have no row without a time. A page is asked for in two: with `(time, id) > (…)`, or with an OR,
    MariaDB would read all rows of the pages before.
    """
    key = query.model.id
    rows = list(query.order_by(time, key).limit(size))
    while rows:
        yield from rows
        if len(rows) < size:
            return
        last = getattr(rows[-1], time.name)
        rows = list(query.where(time == last, key > rows[-1].id).order_by(key).limit(size))
        if len(rows) < size:
            rows = [*rows, *query.where(time > last).order_by(time, key).limit(size - len(rows))]


def by_ids(query: Any, ids: Collection[int], size: int) -> Iterator[Any]:
    """Yield the rows that have these ids, in their order."""
    key = query.model.id
    every = sorted(ids)
    for start in range(0, len(every), size):
        yield from query.where(key.in_(every[start : start + size])).order_by(key)
