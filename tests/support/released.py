"""Databases that released versions left, and what is in a database, asked of the engine itself."""

import json
from pathlib import Path
from typing import Any

from tests.support.engines import engine_of, execute

DATABASES = Path(__file__).parents[1] / "storage" / "databases"
LEFT: dict[str, Any] = json.loads((DATABASES / "0.1.0.json").read_text(encoding="utf-8"))
"""When 0.1.0 left its database, and with which licenses."""

Table = list[dict[str, Any]]
"""The rows of a table, in the order of their arrival."""

_CATALOGS = {
    "sqlite": (
        "SELECT 'column', m.name, p.name, p.type, p.'notnull', p.dflt_value, p.pk "
        "FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table'",
        "SELECT 'index', m.name, i.name, i.'unique', (SELECT group_concat(name) FROM pragma_index_info(i.name)) "
        "FROM sqlite_master m, pragma_index_list(m.name) i WHERE m.type = 'table'",
        "SELECT 'reference', m.name, f.'from', f.'table', f.'to', f.on_delete "
        "FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'",
    ),
    "postgresql": (
        "SELECT 'column', r.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.collname, "
        "split_part(pg_get_expr(d.adbin, d.adrelid), '(', 1) FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid "
        "LEFT JOIN pg_collation c ON c.oid = a.attcollation "
        "LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum WHERE r.relkind = 'r' "
        "AND r.relnamespace = current_schema()::regnamespace AND a.attnum > 0 AND NOT a.attisdropped",
        "SELECT 'index', tablename, indexname, replace(indexdef, schemaname || '.', '') FROM pg_indexes "
        "WHERE schemaname = current_schema()",
        "SELECT 'reference', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = current_schema()::regnamespace",
    ),
    "mariadb": (
        "SELECT 'column', table_name, column_name, column_type, is_nullable, column_default, collation_name, extra "
        "FROM information_schema.columns WHERE table_schema = DATABASE()",
        "SELECT 'index', table_name, index_name, non_unique, GROUP_CONCAT(column_name ORDER BY seq_in_index) "
        "FROM information_schema.statistics WHERE table_schema = DATABASE() GROUP BY 2, 3, 4",
        "SELECT 'reference', table_name, column_name, referenced_table_name, referenced_column_name "
        "FROM information_schema.key_column_usage "
        "WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL",
        "SELECT 'table', table_name, engine, table_collation FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_name <> 'writer_lock'",  # it has no text
    ),
}


def load(url: str) -> None:
    """Put the database that 0.1.0 left into an empty one."""
    execute(url, (DATABASES / f"0.1.0-{engine_of(url)}.sql").read_text(encoding="utf-8"))


def catalog(url: str) -> list[tuple[Any, ...]]:
    """Every table, column, index and reference, with all that the engine tells of it but where a column stands."""
    return sorted((row for query in _CATALOGS[engine_of(url)] for row in execute(url, query)), key=str)


def rows(url: str) -> dict[str, Table]:
    """Everything that is stored, by table."""
    quote = "`" if engine_of(url) == "mariadb" else '"'
    columns: dict[str, list[str]] = {}
    for kind, table, column, *_ in catalog(url):
        if kind == "column":
            columns.setdefault(table, []).append(column)
    return {
        table: [
            dict(zip(names, row, strict=True))
            for row in execute(
                url, f"SELECT {', '.join(quote + name + quote for name in names)} FROM {table} ORDER BY id"
            )
        ]
        for table, names in columns.items()
    }


def version(url: str) -> int:
    """The number of the tables."""
    [(number,)] = execute(url, "SELECT version FROM schema_version")
    return int(number)
