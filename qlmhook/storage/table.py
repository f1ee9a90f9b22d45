"""What every table is made of: its base, and times in UTC on every engine."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import peewee

from qlmhook.storage import statements
from qlmhook.storage.database import current_database

if TYPE_CHECKING:
    _Known = peewee.DateTimeField[datetime]
    _Optional = peewee.DateTimeField[datetime | None]
else:
    _Known = _Optional = peewee.DateTimeField

_BATCH = 100
"""How many rows one statement writes."""


class _Utc:
    """Stores UTC without a zone, gives aware datetimes, on every engine."""

    def db_value(self, value: datetime | None) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def python_value(self, value: Any) -> datetime | None:
        naive = datetime.fromisoformat(value) if isinstance(value, str) else value
        return None if naive is None else naive.replace(tzinfo=UTC)


class UtcField(_Utc, _Known):
    """A time that is always known."""


class OptionalUtcField(_Utc, _Optional):
    """A time, or None for never or not yet."""

    def __init__(self, **options: Any) -> None:
        super().__init__(null=True, **options)


class Table(peewee.Model):
    """Base of all tables: the database is the one whose transaction is running."""

    id = peewee.AutoField()
    _dirty: set[str]

    class Meta:
        database = current_database
        legacy_table_names = False

    def save(self, force_insert: bool = False, only: Any = None) -> int:
        """Write what was set: a new row, or the changed fields of one that is in the table."""
        if self.id is None or force_insert:
            self.id = statements.insert(type(self), [self.__data__])
        elif self._dirty:
            statements.update(self, sorted(self._dirty))
        self._dirty.clear()
        return 1

    @classmethod
    def add(cls, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, each with the same fields, a hundred in a statement."""
        for start in range(0, len(rows), _BATCH):
            statements.insert(cls, rows[start : start + _BATCH])
