"""What tables look like: what a model says of its table, what an engine has, and in what they differ.

Compared is what decides whether the models work with the tables: types, whether a column may be empty, how text
compares, indexes and references. The order of columns does not count, nor does an index that an operator has added.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import peewee

from qlmhook.storage import engines


@dataclass(frozen=True, kw_only=True)
class Column:
    """The type in the engine's words, whether it may be empty, and whether text in it compares byte for byte."""

    type: str
    null: bool
    exact: bool = True


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A table's columns by name, its indexes and its references, each as (column, table, column)."""

    columns: Mapping[str, Column]
    indexes: frozenset[tuple[tuple[str, ...], bool]]
    references: frozenset[tuple[str, str, str]]


def differences(database: peewee.Database, models: Iterable[type[peewee.Model]]) -> list[str]:
    """Return a sentence for each thing in which the tables of a connected database are not what the models say."""
    return [sentence for model in models for sentence in _differences(database, model)]


def _differences(database: peewee.Database, model: type[peewee.Model]) -> Iterator[str]:
    table = model._meta.table_name
    if not database.table_exists(table):
        yield f"There is no table {table}."
        return
    is_, should = found(database, table), wanted(database, model)
    for name in sorted(is_.columns.keys() | should.columns.keys()):
        if name not in is_.columns:
            yield f"The table {table} has no column {name}."
        elif name not in should.columns:
            yield f"The table {table} has a column {name} that is not known."
        elif is_.columns[name] != should.columns[name]:
            yield f"The column {name} of the table {table} is {_told(is_, name)}; it should be {_told(should, name)}."
    for columns, unique in sorted(should.indexes - is_.indexes):
        yield f"The table {table} has no {'unique ' if unique else ''}index of {', '.join(columns)}."
    for columns, unique in sorted(is_.indexes - should.indexes):
        if unique:
            yield f"The table {table} has a unique index of {', '.join(columns)} that is not known."
    for column, other, _ in sorted(should.references - is_.references):
        yield f"The column {column} of the table {table} does not refer to {other}."
    for column, other, _ in sorted(is_.references - should.references):
        yield f"The column {column} of the table {table} refers to {other}, which is not known."


def _told(shape: Shape, name: str) -> str:
    column = shape.columns[name]
    return f"{column.type}{'' if column.null else ' not null'}{'' if column.exact else ' in an inexact collation'}"


def wanted(database: peewee.Database, model: type[peewee.Model]) -> Shape:
    """Return what a model's table looks like on the engine of a database."""
    fields = model._meta.sorted_fields
    return Shape(
        columns={
            field.column_name: Column(type=_type_of(database, field), null=field.null and not field.primary_key)
            for field in fields
        },
        indexes=frozenset(index_of(index) for index in model._meta.fields_to_index()),
        references=frozenset(
            (field.column_name, field.rel_model._meta.table_name, field.rel_field.column_name)
            for field in fields
            if isinstance(field, peewee.ForeignKeyField)
        ),
    )


def index_of(index: Any) -> tuple[tuple[str, ...], bool]:
    """Return the columns of a model's index, and whether it is unique."""
    return tuple(field.column_name for field in index._expressions), bool(index._unique)


_TYPES: Mapping[type[peewee.Database], Mapping[str, str]] = {
    peewee.SqliteDatabase: {
        "AUTO": "INTEGER",
        "BIGINT": "INTEGER",
        "BLOB": "BLOB",
        "BOOL": "INTEGER",
        "DATETIME": "DATETIME",
        "INT": "INTEGER",
        "TEXT": "TEXT",
        "VARCHAR": "VARCHAR",
    },
    peewee.PostgresqlDatabase: {
        "AUTO": "integer",
        "BIGINT": "bigint",
        "BLOB": "bytea",
        "BOOL": "boolean",
        "DATETIME": "timestamp without time zone",
        "INT": "integer",
        "TEXT": "text",
        "VARCHAR": "character varying",
    },
    peewee.MySQLDatabase: {
        "AUTO": "int",
        "BIGINT": "bigint",
        "BLOB": "longblob",
        "BOOL": "tinyint(1)",
        "DATETIME": "datetime(6)",
        "INT": "int",
        "TEXT": "longtext",
        "VARCHAR": "varchar",
    },
}
"""What each engine calls the type of a field when it is asked for the type of a column."""


_WIDTH = re.compile(r"\b((?:big)?int)\(\d+\)")
"""How wide a number is shown: MariaDB tells it, MySQL 8 no more."""


def _type_of(database: peewee.Database, field: Any) -> str:
    [names] = [names for engine, names in _TYPES.items() if isinstance(database, engine)]
    name = names[field.field_type]
    return f"{name}({field.max_length})" if isinstance(field, peewee.CharField) else name


def found(database: peewee.Database, table: str) -> Shape:
    """Return what a table of a connected database looks like."""
    inexact = _inexact(database, table)
    return Shape(
        columns={
            column.name: Column(
                type=_WIDTH.sub(r"\1", column.full_type or ""), null=column.null, exact=column.name not in inexact
            )
            for column in database.get_columns(table)
        },
        indexes=frozenset(
            (tuple(map(str, index.columns)), bool(index.unique))
            for index in database.get_indexes(table)
            if index.columns != ["id"]
        ),
        references=frozenset((key.column, key.dest_table, key.dest_column) for key in database.get_foreign_keys(table)),
    )


def _inexact(database: peewee.Database, table: str) -> set[str]:
    """Return the columns whose text does not compare byte for byte; other engines than MySQL know no such."""
    if not isinstance(database, peewee.MySQLDatabase):
        return set()
    rows = database.execute_sql(  # type: ignore[no-untyped-call]
        "SELECT column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name = %s AND collation_name IS NOT NULL",
        (table,),
    )
    return {name for name, collation in rows.fetchall() if collation not in engines.EXACT_COLLATIONS}


def orphans(database: peewee.Database) -> list[str]:
    """Return a sentence for each row that refers to one that is not there; servers keep such rows out themselves."""
    if not isinstance(database, peewee.SqliteDatabase):
        return []
    return [
        f"Row {row} of the table {table} refers to a row of {other} that is not there."
        for table, row, other, _ in database.execute_sql("PRAGMA foreign_key_check")  # type: ignore[no-untyped-call]
    ]
