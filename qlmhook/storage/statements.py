"""Statements that are written as peewee's queries, made into SQL once, and run with other values each time.

Making the text of a query takes peewee many times as long as SQLite needs to answer it, so what every order asks is a
`Statement`: the query stands in the module that needs it, with `given("name")` where a value will be.
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import peewee

from qlmhook.storage.database import current_database

Row = TypeVar("Row", bound=peewee.Model)

Values = Mapping[str, Any]

_AS_THEY_ARE = (peewee.AutoField, peewee.IntegerField, peewee.BigIntegerField, peewee.CharField, peewee.TextField)
"""Fields whose values need no conversion when they are written or read."""


@dataclass(frozen=True)
class _Slot:
    """Stands among a statement's parameters for a value, or for one of a list, and how the engine is given it."""

    name: Hashable
    converter: Callable[[Any], Any] | None


class _Given(peewee.ColumnBase):
    def __init__(self, name: Any, field: Any = None) -> None:
        self.name = name
        self._field = field

    def __sql__(self, context: Any) -> Any:
        return self._put(context, self.name)

    def _put(self, context: Any, name: Hashable) -> Any:
        converter = self._field.db_value if self._field else context.state.converter
        if type(getattr(converter, "__self__", None)) in _AS_THEY_ARE:
            converter = None
        return context.value(_Slot(name, converter), converter=False)


class _AnyGiven(_Given):
    def __sql__(self, context: Any) -> Any:
        for place in range(context.state.sizes[self.name]):
            context.literal(", " if place else "(")
            self._put(context, (self.name, place))
        return context.literal(")")


def given(name: str, field: Any = None) -> Any:
    """Stand in a query for a value that is told when it is run, and written to the field if one is named."""
    return _Given(name, field)


def any_given(name: str) -> Any:
    """Stand behind `in_` for a list of values that is told when the query is run."""
    return _AnyGiven(name)


class _Text:
    """A statement as one engine reads it."""

    def __init__(self, query: Any, sizes: Mapping[str, int]) -> None:
        self.sql, parameters = _database().get_sql_context(sizes=sizes).parse(query)
        slots = [one if isinstance(one, _Slot) else _Slot(place, None) for place, one in enumerate(parameters)]
        self._constants = {place: one for place, one in enumerate(parameters) if not isinstance(one, _Slot)}
        self._steps = [(slot.name, slot.converter) for slot in slots]

    def parameters(self, values: Mapping[Any, Any]) -> list[Any]:
        """Return the parameters in their order."""
        if self._constants:
            values = {**values, **self._constants}
        return [values[name] if convert is None else convert(values[name]) for name, convert in self._steps]

    def run(self, values: Mapping[Any, Any]) -> Any:
        """Run the statement and return the cursor."""
        return _database().execute_sql(self.sql, self.parameters(values))


def _database() -> Any:
    return current_database.obj


class Statement(Generic[Row]):
    """A query as a function writes it, which is called when the query is first run on an engine.

    A list is made longer to the next power of two by repeating its last value, so that there are few texts; with an
    empty list nothing is found.
    """

    def __init__(self, write: Callable[[], Any]) -> None:
        self._write = write
        self._texts: dict[tuple[Any, ...], _Text] = {}
        self._models: _Models[Row] | None = None

    def all(self, **values: Any) -> list[Row]:
        """Return the rows that it finds."""
        cursor = self.run(**values)
        if cursor is None:
            return []
        if self._models is None:
            self._models = _Models(self._write())
        return [self._models.of_row(row) for row in cursor.fetchall()]

    def first(self, **values: Any) -> Row | None:
        """Return the first row that it finds, or None."""
        return next(iter(self.all(**values)), None)

    def run(self, **values: Any) -> Any:
        """Run it and return the cursor, or None for an empty list."""
        flat: dict[Any, Any] = {}
        sizes = {}
        for name, value in values.items():
            if not isinstance(value, list):
                flat[name] = value
            elif not value:
                return None
            else:
                sizes[name] = 1 << (len(value) - 1).bit_length()
                for place in range(sizes[name]):
                    flat[name, place] = value[place] if place < len(value) else value[-1]
        key = (type(_database()), *sizes.items())
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = _Text(self._write(), sizes)
        return text.run(flat)


class _Models(Generic[Row]):
    """Makes models of a query's rows: of the columns of its table, and of those that it joins by a reference."""

    def __init__(self, query: Any) -> None:
        columns = [column.unwrap() for column in query.selected_columns]
        places = range(len(columns))
        self._converters = [
            (place, columns[place].python_value) for place in places if type(columns[place]) not in _AS_THEY_ARE
        ]
        self._names = {
            model: [(place, columns[place].name) for place in places if columns[place].model is model]
            for model in [query.model, *(column.model for column in columns)]
        }
        self._own = self._names.pop(query.model)
        self._model: type[Row] = query.model
        self._references = {field.rel_model: field.name for field in query.model._meta.refs}

    def of_row(self, row: Sequence[Any]) -> Row:
        values = list(row)
        for place, convert in self._converters:
            if values[place] is not None:
                values[place] = convert(values[place])
        found: Row = self._made(self._model, values, self._own)
        for model, names in self._names.items():
            part = self._made(model, values, names)
            if part.__data__["id"] is not None:
                found.__rel__[self._references[model]] = part
        return found

    @staticmethod
    def _made(model: type[Any], values: Sequence[Any], names: Collection[tuple[int, str]]) -> Any:
        made = model(__no_default__=True)
        made.__data__ = {name: values[place] for place, name in names}
        return made


def insert(model: type[peewee.Model], rows: Sequence[Values]) -> Any:
    """Add rows, each with the same fields by name, in one statement; return the id where it is one row."""
    database = _database()
    text = _insertion(type(database).__name__, model, tuple(rows[0]), len(rows))
    cursor = text.run(rows[0] if len(rows) == 1 else _by_place(rows))
    if len(rows) > 1:
        return None
    return cursor.fetchone()[0] if database.returning_clause else cursor.lastrowid


def _by_place(rows: Sequence[Values]) -> dict[Any, Any]:
    return {(name, place): value for place, row in enumerate(rows) for name, value in row.items()}


@cache
def _insertion(engine: str, model: type[peewee.Model], names: Sequence[str], count: int) -> _Text:
    fields = model._meta.fields
    if count == 1:
        return _Text(model.insert({name: _Given(name, fields[name]) for name in names}), {})
    rows = [{name: _Given((name, place), fields[name]) for name in names} for place in range(count)]
    return _Text(model.insert_many(rows), {})


def update(row: peewee.Model, names: Sequence[str]) -> None:
    """Write these fields of a row that is in its table."""
    data = row.__data__
    _change(type(_database()).__name__, type(row), tuple(names)).run({name: data[name] for name in ("id", *names)})


@cache
def _change(engine: str, model: type[Any], names: Sequence[str]) -> _Text:
    columns = {name: _Given(name, model._meta.fields[name]) for name in names}
    return _Text(model.update(columns).where(model.id == given("id")), {})
