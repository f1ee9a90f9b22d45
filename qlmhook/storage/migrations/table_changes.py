"""What a migration does to a table. Doing it twice is doing it once, and no row passes through this process."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import peewee

from qlmhook.storage import table_shape
from qlmhook.storage.database import current_database


class FrozenTable(peewee.Model):
    """Base of the tables as a migration knows them; `models` has them as they are today."""

    _schema: ClassVar[Any]

    class Meta:
        database = current_database
        legacy_table_names = False


NOTHING: Mapping[str, str | int] = {}


def reshape(database: peewee.Database, model: type[FrozenTable], *, filled: Mapping[str, str | int] = NOTHING) -> None:
    """Give a table the columns, types and indexes of a frozen model; make the table if it is not there.

    `filled` has, for each new column that is never empty, what the rows have in it that are there already. A model
    may leave out columns that stay as they are, unless SQLite has to make the table anew: that is when a type
    changes or a new column is never empty. No other table may refer to it then.
    """
    table = model._meta.table_name
    if not database.table_exists(table):
        model._schema.create_table()
    is_, should = table_shape.found(database, table), table_shape.wanted(database, model)
    new = {name: column for name, column in should.columns.items() if name not in is_.columns}
    changed = {
        name for name in should.columns.keys() - new.keys() if is_.columns[name].type != should.columns[name].type
    }
    if not isinstance(database, peewee.SqliteDatabase):
        _alter(database, model, new=new.keys(), changed=changed, filled=filled)
    elif changed or not all(column.null for column in new.values()):
        _make_anew(database, model, is_.columns.keys(), filled)
    else:
        for name in new:
            _run(database, f"ALTER TABLE {table} ADD COLUMN {_definition(database, model, name)}")
    add_indexes(database, model)


def rename_column(database: peewee.Database, model: type[FrozenTable], old: str, new: str) -> None:
    """Give a column its name in a frozen model; `reshape` makes its indexes anew, which are named for the column."""
    table = model._meta.table_name
    if old not in table_shape.found(database, table).columns:
        return
    is_mysql = isinstance(database, peewee.MySQLDatabase)
    for index in database.get_indexes(table):
        if old in index.columns:
            _run(database, f"DROP INDEX {index.name}{f' ON {table}' if is_mysql else ''}")
    if is_mysql:  # MariaDB knows RENAME COLUMN from 10.5 only
        _run(database, f"ALTER TABLE {table} CHANGE COLUMN {old} {_definition(database, model, new)}")
    else:
        _run(database, f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def drop_index(database: peewee.Database, table: str, *columns: str) -> None:
    """Drop the index of these columns, which another one has taken the place of."""
    for index in database.get_indexes(table):
        if index.columns == list(columns) and not index.unique:
            of_table = f" ON {table}" if isinstance(database, peewee.MySQLDatabase) else ""
            _run(database, f"DROP INDEX {index.name}{of_table}")


def _alter(
    database: peewee.Database,
    model: type[FrozenTable],
    *,
    new: Collection[str],
    changed: Collection[str],
    filled: Mapping[str, str | int],
) -> None:
    """Change a table of a server in one statement; the defaults only serve to fill what is there, and are no part."""
    table = model._meta.table_name
    steps = [f"ADD COLUMN {_definition(database, model, name)}{_default(filled, name)}" for name in sorted(new)]
    if isinstance(database, peewee.MySQLDatabase):
        steps += [f"MODIFY COLUMN {_definition(database, model, name)}" for name in sorted(changed)]
    else:
        steps += [f"ALTER COLUMN {name} TYPE {_type(database, model, name)}" for name in sorted(changed)]
    if steps:
        _run(database, f"ALTER TABLE {table} {', '.join(steps)}")
    if filled:
        _run(database, f"ALTER TABLE {table} {', '.join(f'ALTER COLUMN {name} DROP DEFAULT' for name in filled)}")


def _make_anew(
    database: peewee.Database, model: type[FrozenTable], known: Collection[str], filled: Mapping[str, str | int]
) -> None:
    """Source: SQLite, "ALTER TABLE", "Making Other Kinds Of Table Schema Changes"."""
    table = model._meta.table_name
    statement, _ = model._schema._create_table(safe=False).query()
    _run(database, statement.replace(f'CREATE TABLE "{table}"', f'CREATE TABLE "new_{table}"', 1))
    columns = [field.column_name for field in model._meta.sorted_fields]
    values = [f'"{name}"' if name in known else _literal(filled[name]) for name in columns]
    names = ", ".join(f'"{name}"' for name in columns)
    indexes = [index.sql for index in database.get_indexes(table) if index.sql]
    _run(database, f"INSERT INTO new_{table} ({names}) SELECT {', '.join(values)} FROM {table} ORDER BY id")  # noqa: S608
    _run(database, f"DROP TABLE {table}")
    _run(database, f"ALTER TABLE new_{table} RENAME TO {table}")
    for index in indexes:
        _run(database, index)


def add_indexes(database: peewee.Database, model: type[peewee.Model]) -> None:
    """Add the indexes of a model that its table lacks."""
    there = table_shape.found(database, model._meta.table_name).indexes
    for index in model._meta.fields_to_index():
        if table_shape.index_of(index) not in there:
            schema: Any = peewee.SchemaManager(model)
            _run(database, schema._create_index(index, safe=False).query()[0])


def _definition(database: peewee.Database, model: type[FrozenTable], name: str) -> str:
    context: Any = database.get_sql_context()
    return str(context.sql(model._meta.columns[name].ddl(context)).query()[0])


def _type(database: peewee.Database, model: type[FrozenTable], name: str) -> str:
    context: Any = database.get_sql_context()
    return str(context.sql(model._meta.columns[name].ddl_datatype(context)).query()[0])


def _default(filled: Mapping[str, str | int], name: str) -> str:
    return f" DEFAULT {_literal(filled[name])}" if name in filled else ""


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _run(database: peewee.Database, statement: str) -> None:
    database.execute_sql(statement)  # type: ignore[no-untyped-call]
