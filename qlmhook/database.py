"""The database: connections, transactions, and the one place that knows one engine from another.

There is one writer at a time, on every engine: a notification's transaction reads what is there before it
decides what to write, and with a single writer no other transaction can come between.
"""

import contextlib
import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

import peewee
from playhouse.db_url import connect

from qlmhook.errors import ConfigurationError, Unavailable

_current: ContextVar[peewee.Database | None] = ContextVar("qlmhook_database", default=None)


class _CurrentDatabase(peewee.DatabaseProxy):
    """Resolves to the database whose transaction is running, so that two services can live in one process."""

    @property
    def obj(self) -> peewee.Database | None:
        return _current.get()

    @obj.setter
    def obj(self, database: peewee.Database | None) -> None:
        pass  # peewee initializes its proxies with None


current_database = _CurrentDatabase()


class Database:
    """Whatever peewee's `db_url` opens; raises ConfigurationError for a URL it does not understand."""

    def __init__(self, url: str) -> None:
        self._peewee = _open(url)
        self._lock = _writer_lock(self._peewee)

    @property
    def engine(self) -> str:
        """The engine's name and version, for `doctor` and the benchmark."""
        name = type(self._peewee).__name__.removesuffix("Database").lower()
        version = self._peewee.server_version
        if isinstance(version, int):  # PostgreSQL: 150020 is 15.20
            version = divmod(version, 10_000)
        return f"{name} {'.'.join(map(str, version))}"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as the only writer; commit at its end, roll back when it raises.

        Raises Unavailable when the database cannot be reached or is busy for too long; nothing is stored then.
        """
        try:
            with self._lock, self._connected(), self._peewee.atomic():
                self._become_writer()
                yield
        except _AWAY as error:
            self.close()
            raise Unavailable(f"The database is not available: {_one_line(error)}") from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Run the block, which only reads, without waiting for a writer; raises Unavailable."""
        try:
            with self._connected(), self._peewee.atomic(*self._reading_mode):
                yield
        except _AWAY as error:
            self.close()
            raise Unavailable(f"The database is not available: {_one_line(error)}") from error

    def has_table(self, model: type[peewee.Model]) -> bool:
        """Tell whether a table is there; raises Unavailable."""
        with self.reading():
            return bool(self._peewee.table_exists(model._meta.table_name))

    def create_tables(self, models: list[type[peewee.Model]]) -> None:
        """Create the tables that are missing; several processes may do so at once."""
        for attempt in range(1, 6):
            try:
                with self._lock, self._connected(), self._peewee.atomic():
                    self._peewee.create_tables(models, safe=True)
                return
            except peewee.DatabaseError as error:
                # PostgreSQL's IF NOT EXISTS can fail when two processes create the same table
                self.close()
                if attempt == 5:
                    raise Unavailable(f"The tables cannot be created: {_one_line(error)}") from error
                time.sleep(0.2 * attempt)

    def lock(self) -> None:
        """Keep every other thread of this process from writing until `unlock`; SQLite only."""
        self._lock.hold()

    def unlock(self) -> None:
        """Let the others go on."""
        self._lock.let_go()

    def close(self) -> None:
        """Close this thread's connection; the next transaction opens another."""
        with contextlib.ExitStack() as locked:
            with contextlib.suppress(peewee.OperationalError):
                locked.enter_context(self._lock)  # SQLite's last connection checkpoints when it closes
            if not self._peewee.is_closed():
                self._peewee.close()

    @contextmanager
    def _connected(self) -> Iterator[None]:
        self._reconnect()
        token = _current.set(self._peewee)
        try:
            yield
        finally:
            _current.reset(token)

    def _reconnect(self) -> None:
        """A server that was restarted leaves dead connections behind: notice before the work starts."""
        if not self._peewee.is_closed() and not isinstance(self._peewee, peewee.SqliteDatabase):
            try:
                self._peewee.execute_sql("SELECT 1")  # type: ignore[no-untyped-call]
            except _AWAY:
                self._peewee.close()
        self._peewee.connect(reuse_if_open=True)

    @property
    def _reading_mode(self) -> tuple[str, ...]:
        return ("DEFERRED",) if isinstance(self._peewee, peewee.SqliteDatabase) else ()

    def _become_writer(self) -> None:
        if isinstance(self._peewee, peewee.PostgresqlDatabase):
            self._peewee.execute_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")  # type: ignore[no-untyped-call]
        if not isinstance(self._peewee, peewee.SqliteDatabase):
            WriterLock.select().for_update().execute()


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.?')}."


class WriterLock(peewee.Model):
    """One row that every writing transaction locks first, where the engine has row locks."""

    id = peewee.IntegerField(primary_key=True)

    class Meta:
        database = current_database
        table_name = "writer_lock"


BUSY_SECONDS = 10
"""Until then a writer must have its turn; the vendor is told to send again after that."""

_AWAY = (peewee.OperationalError, peewee.InterfaceError)


def _open(url: str) -> peewee.Database:
    if url in ("sqlite://", "sqlite:///", "sqlite:///:memory:"):
        raise ConfigurationError("database: SQLite in memory is not shared between threads; name a file.")
    options: dict[str, Any] = {}
    scheme = urlsplit(url).scheme
    if "sqlite" in scheme and scheme != "sqlite":
        raise ConfigurationError(f"database: {scheme}:// is not kept safe here; write sqlite:///.")
    if scheme == "sqlite":
        _create_private(Path(url.removeprefix("sqlite:///").partition("?")[0]))
        options = {
            "pragmas": {
                "journal_mode": "wal",
                "synchronous": "full",
                "foreign_keys": 1,
                "busy_timeout": 5_000,
            },
            "lock_type": "IMMEDIATE",
            "timeout": 5,
        }
    try:
        database = connect(url, unquote_user=True, unquote_password=True, **options)
    except Exception as error:
        raise ConfigurationError(
            f"database: the URL cannot be used ({type(error).__name__}); sqlite:///, postgresql:// or mysql:// is "
            "meant, and the extra [postgres] or [mysql] must be installed."
        ) from error
    assert isinstance(database, peewee.Database)
    return database


def _create_private(path: Path) -> None:
    """SQLite would make the file readable by others, with the names of all customers in it."""
    with contextlib.suppress(OSError):  # the first transaction tells what is wrong
        path.touch(mode=0o600, exist_ok=True)


class _NoLock:
    def hold(self) -> None:
        pass

    def let_go(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class _FileLock:
    """Puts SQLite's writers in a queue: its own busy handler sleeps and retries, and some wait for long.

    It also keeps commits and checkpoints of several processes apart (SQLite 3.7.0 to 3.51.2 can corrupt the
    database when both run at once), because a checkpoint runs at the end of a commit. Re-entrant by thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._depth = 0
        self._file: TextIO | None = None

    def hold(self) -> None:
        """Keep this process's other threads out."""
        self._threads.acquire()

    def let_go(self) -> None:
        """Let them in again."""
        self._threads.release()

    def __enter__(self) -> None:
        if not self._threads.acquire(timeout=BUSY_SECONDS):
            raise peewee.OperationalError("the writer's lock was not free in time")
        if self._depth == 0:
            try:
                self._file = self._path.open("w")
                fcntl.flock(self._file, fcntl.LOCK_EX)
            except OSError as error:
                self._threads.release()
                raise peewee.OperationalError(f"the lock file {self._path} cannot be used: {error}") from error
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self._file is not None:
            self._file.close()
            self._file = None
        self._threads.release()


def _writer_lock(database: peewee.Database) -> _NoLock | _FileLock:
    if isinstance(database, peewee.SqliteDatabase):
        return _FileLock(Path(f"{database.database}.lock"))
    return _NoLock()
