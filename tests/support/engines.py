"""The database engines that the tests run on: SQLite always, PostgreSQL and MariaDB where a server is found."""

import os
import sqlite3
import uuid
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import psycopg
import pymysql
from pymysql.constants import CLIENT

from qlmhook.storage import models, schema_version
from qlmhook.storage.database import Database, WriterLock

POSTGRES = os.environ.get("QLMHOOK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
# PyMySQL would read the machine's certificates for each connection, which takes it longer than most statements
MARIADB = os.environ.get("QLMHOOK_TEST_MARIADB", "mysql://root@127.0.0.1:3306/?ssl_disabled=true")

ENGINES = ("sqlite", "postgresql", "mariadb")
VARIABLES: Mapping[str, str] = {"postgresql": "QLMHOOK_TEST_POSTGRES", "mariadb": "QLMHOOK_TEST_MARIADB"}
PORTS: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306}


def mysql_connection(url: str) -> "pymysql.connections.Connection[Any]":
    """Connect to a server, or to a database of it, that takes several statements at once."""
    place = urlsplit(url)
    return pymysql.connect(
        host=place.hostname or "127.0.0.1",
        port=place.port or PORTS["mysql"],
        user=unquote(place.username or ""),
        password=unquote(place.password or ""),
        database=place.path.lstrip("/") or None,
        connect_timeout=2,
        ssl_disabled="ssl_disabled=true" in place.query,
        autocommit=True,
        client_flag=CLIENT.MULTI_STATEMENTS,
    )


def engine_of(url: str) -> str:
    """Return which of the engines a URL is for."""
    scheme = urlsplit(url).scheme
    return "mariadb" if scheme == "mysql" else scheme


def version(engine: str) -> str:
    """Return the version of an engine, or nothing where no server is found."""
    try:
        if engine == "postgresql":
            with psycopg.connect(POSTGRES, connect_timeout=2) as connection:
                return ".".join(map(str, divmod(connection.info.server_version, 10_000)))
        if engine == "mariadb":
            return str(execute(MARIADB, "SELECT VERSION()")[0][0]).partition("-")[0]
    except (psycopg.OperationalError, pymysql.OperationalError):
        return ""
    return sqlite3.sqlite_version


def engines_for(
    test: str, can: Sequence[str], found: Collection[str], *, sqlite: bool = False, every: bool = False
) -> set[str]:
    """Return on which of the engines that it can run on a test is to run; one that needs none can run on "" alone.

    It is one that is found, another for each test, unless a mark says otherwise: SQLite, or every engine. Where none
    of them is found a test is for all of them, so that it is told as skipped.
    """
    there = [engine for engine in can if engine in found]
    if every or not there:
        return set(can)
    if sqlite and "sqlite" in there:
        return {"sqlite"}
    return {there[zlib.crc32(test.encode()) % len(there)]}


@contextmanager
def empty_database(engine: str, folder: Path) -> Iterator[str]:
    """The URL of a database that is there as long as the block runs: a file, a schema, or a database of a server."""
    name = f"qlmhook_{uuid.uuid4().hex}"
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'test.db'}"
    elif engine == "postgresql":
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        yield f"{POSTGRES}?options=-csearch_path%3D{name}"
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {name} CASCADE")
    else:
        execute(MARIADB, f"CREATE DATABASE {name}")
        yield urlsplit(MARIADB)._replace(path=f"/{name}").geturl()
        execute(MARIADB, f"DROP DATABASE {name}")


class Shelf:
    """One database with tables for each engine, emptied before each test: most tests are shorter than making tables.

    Of SQLite's file each test gets a copy. A test that changes the tables themselves, or needs that there are none, is
    marked with `own_database`.
    """

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._prepared = b""
        self._stack = ExitStack()

    def take(self, engine: str, folder: Path) -> str:
        """Return the URL of an engine's database, which has no rows but those that are always there."""
        if engine == "sqlite":
            return self._copy(folder / "test.db")
        if engine not in self._urls:
            url = self._stack.enter_context(empty_database(engine, Path()))
            schema_version.prepare(Database(url))
            self._urls[engine] = url
        elif engine == "postgresql":
            execute(self._urls[engine], "SET lock_timeout = '5s'; " + "; ".join(map(self._restart, _TABLES)))
        else:
            self._empty_mariadb(self._urls[engine])
        return self._urls[engine]

    def _copy(self, file: Path) -> str:
        if not self._prepared:
            with TemporaryDirectory() as folder, empty_database("sqlite", Path(folder)) as url:
                schema_version.prepare(Database(url))
                self._prepared = (Path(folder) / "test.db").read_bytes()
        file.touch(0o600)
        file.write_bytes(self._prepared)
        return f"sqlite:///{file}"

    def close(self) -> None:
        """Drop the databases."""
        self._stack.close()

    @staticmethod
    def _restart(table: str) -> str:
        return f"DELETE FROM {table}; SELECT setval('{table}_id_seq', 1, false)"

    @staticmethod
    def _empty_mariadb(url: str) -> None:
        with closing(mysql_connection(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 5, autocommit = 0")
            filled = [table for table in _TABLES if cursor.execute(f"DELETE FROM {table}")]
            connection.commit()
            for table in filled:
                cursor.execute(f"ALTER TABLE {table} AUTO_INCREMENT = 1")


_TABLES = [
    table._meta.table_name for table in reversed(models.TABLES) if table not in (models.SchemaVersion, WriterLock)
]
"""The tables that are emptied, those first that refer to others."""


def execute(url: str, script: str) -> list[tuple[Any, ...]]:
    """Run SQL beside the service, one statement or many; return the rows of the last one."""
    run = {"sqlite": _on_sqlite, "postgresql": _on_postgresql, "mariadb": _on_mariadb}[engine_of(url)]
    return run(url, script)


def _on_sqlite(url: str, script: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        if ";" in script:
            connection.executescript(script)
            return []
        return list(connection.execute(script))


def _on_postgresql(url: str, script: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(script.encode())
        return list(cursor.fetchall()) if cursor.description else []


def _on_mariadb(url: str, script: str) -> list[tuple[Any, ...]]:
    with closing(mysql_connection(url)) as connection, connection.cursor() as cursor:
        cursor.execute(script)
        rows = list(cursor.fetchall())
        while cursor.nextset():
            rows = list(cursor.fetchall())
        return rows


@contextmanager
def with_password(url: str, password: str) -> Iterator[str]:
    """The same database for a user with a password; PostgreSQL takes any where it asks for none."""
    place = urlsplit(url)
    if place.scheme == "postgresql":
        yield place._replace(netloc=_with_login(place, place.username or "", place.password or password)).geturl()
        return
    user = place.path[1:25]
    execute(MARIADB, f"CREATE USER {user} IDENTIFIED BY '{password}'; GRANT ALL ON {place.path[1:]}.* TO {user}")
    yield place._replace(netloc=_with_login(place, user, password)).geturl()
    execute(MARIADB, f"DROP USER {user}")


def _with_login(place: SplitResult, user: str, password: str) -> str:
    return f"{user}:{password}@{place.netloc.rpartition('@')[2]}"
