"""The database: connections and transactions.

There is one writer at a time, on every engine: a notification's transaction reads what is there before it
decides what to write, and with a single writer no other transaction can come between.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import peewee

from qlmhook.errors import Unavailable
from qlmhook.storage import engines, faults
from qlmhook.storage.filelock import FileLock, NoLock
from qlmhook.storage.turns import Gone, Turns

_current: ContextVar[peewee.Database | None] = ContextVar("qlmhook_database", default=None)

Ending = TypeVar("Ending", bound=Callable[[], None])

_endings: ContextVar[dict[Callable[[], Any], Callable[[], None]]] = ContextVar("qlmhook_endings")


def at_end(kind: Callable[[], Ending]) -> Ending:
    """Return what is called at the end of the running transaction, before it is committed: one of each kind."""
    ending: Any = _endings.get().setdefault(kind, kind())
    found: Ending = ending
    return found


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
    """SQLite, PostgreSQL, MySQL or MariaDB, as its URL says; raises ConfigurationError for one that cannot be used."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._peewee = engines.open_database(url)
        self._writer = _Writer(engines.open_database(url, shared=True), self.file)
        self._turns = Turns(self._writer)

    @property
    def file(self) -> Path | None:
        """SQLite's file, or None for a server."""
        return Path(self._peewee.database) if isinstance(self._peewee, peewee.SqliteDatabase) else None

    @property
    def engine(self) -> str:
        """The engine's name and version, for `doctor` and the benchmark."""
        name = type(self._peewee).__name__.removesuffix("Database").lower()
        version = self._peewee.server_version
        if isinstance(version, int):  # PostgreSQL: 150020 is 15.20
            version = divmod(version, 10_000)
        return f"{name} {'.'.join(map(str, version))}"

    @contextmanager
    def transaction(self, *, patience: float | None = None) -> Iterator[None]:
        """Run the block as the only writer; commit at its end, roll back when it raises.

        It may share the commit with other threads that waited with it.

        Raises Unavailable when the database cannot be reached, written to or had within so many seconds (BUSY_SECONDS
        unless told), Unstorable when it does not take what it is given; nothing is stored then.
        """
        with self._writer.faults_told(), self._turns.part(engines.BUSY_SECONDS if patience is None else patience):
            token = _current.set(self._writer.peewee)
            endings: dict[Callable[[], Any], Callable[[], None]] = {}
            endings_token = _endings.set(endings)
            try:
                yield
                for ending in endings.values():
                    ending()
            finally:
                _endings.reset(endings_token)
                _current.reset(token)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Run the block, which only reads, without waiting for a writer; raises Unavailable, Unstorable."""
        if _current.get() is self._writer.peewee:  # what the transaction around it wrote is there
            yield
            return
        with self._faults_told(), self._connected(), self._peewee.atomic(*self._reading_mode):
            yield

    def columns(self, models: Iterable[type[peewee.Model]]) -> Mapping[str, frozenset[str]]:
        """Return the names of the columns of these tables, by table, without those that are not there.

        Raises Unavailable, Unstorable.
        """
        with self.reading():
            there = {model._meta.table_name for model in models}.intersection(self._peewee.get_tables())
            return {table: frozenset(column.name for column in self._peewee.get_columns(table)) for table in there}

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Run the block, which has as many transactions as it needs, while every other writer waits.

        Raises Unavailable, also when the turn does not come within UPGRADE_SECONDS, and Unstorable.
        """
        with contextlib.ExitStack() as locked:
            if self.file is not None:
                locked.enter_context(self._turns.alone(engines.UPGRADE_SECONDS))
            self._make_writer_lock()
            if self.file is None:  # by a connection of its own: MySQL ends a transaction at each change of a table
                holder = Database(self._url)
                locked.callback(holder.close)
                locked.enter_context(holder.transaction(patience=engines.UPGRADE_SECONDS))
            yield

    def _make_writer_lock(self) -> None:
        """Make the row that every writer locks, unless it is there; several processes may do so at once."""
        for attempt in range(1, 6):
            try:
                if not self._has_writer_lock():
                    with self._connected(), self._peewee.atomic():
                        self._peewee.create_tables([WriterLock], safe=True)
                        WriterLock.insert(id=_WRITER).on_conflict_ignore().execute()
                return
            except peewee.DatabaseError as error:
                # PostgreSQL's IF NOT EXISTS can fail when two processes create the same table, and MySQL's rows lock
                # each other out
                self.close()
                if attempt == 5:
                    raise faults.explained(self._peewee, error) from error
                time.sleep(0.2 * attempt)

    def _has_writer_lock(self) -> bool:
        if not self.columns([WriterLock]):
            return False
        with self.reading():
            return bool(WriterLock.select().exists())

    @contextmanager
    def changing_tables(self) -> Iterator[peewee.Database]:
        """Run the block of the only writer; what it changed is kept at its end, or at once on MySQL and MariaDB.

        Raises Unavailable, Unstorable.
        """
        try:
            with self._connected():
                if isinstance(self._peewee, peewee.MySQLDatabase):
                    yield self._peewee
                    return
                with self._peewee.atomic():
                    engines.limit_lock_waiting(self._peewee, engines.BUSY_SECONDS)
                    yield self._peewee
        except peewee.PeeweeException as error:
            raise faults.explained(self._peewee, error) from error

    def require_nobody_else(self) -> None:
        """Raise Unavailable when another process has SQLite's file open; a server does not tell.

        What a release does that still runs when the tables become another's is lost without a word there: SQLite
        skips a row that lacks a new column where a repeated row was to be skipped.
        """
        if self.file is None:
            return
        deadline = time.monotonic() + engines.BUSY_SECONDS
        with self._faults_told(), self._connected():
            while not engines.is_alone(self._peewee):
                if time.monotonic() > deadline:
                    raise Unavailable(f"The database {self.file} is in use by another process: stop the service first.")
                time.sleep(0.1)

    def write_nothing(self) -> None:
        """Write something and take it back, which needs all that storing an order needs; raises Unavailable."""
        faults.require_room(self._peewee)
        with self.transaction():
            WriterLock.insert(id=_NO_WRITER).execute()
            WriterLock.delete().where(WriterLock.id == _NO_WRITER).execute()

    def hold_still(self) -> None:
        """Before a fork: keep every other thread of this process from writing, and leave nothing open to a child."""
        self._turns.hold()
        self._writer.close()

    def go_on(self, *, in_child: bool) -> None:
        """After a fork, on both sides."""
        if in_child:
            self._turns.forget_others()
        else:
            self._turns.let_go()

    def close(self) -> None:
        """Close this thread's connection and the writer's; the next transaction opens another."""
        self._close(patience=engines.BUSY_SECONDS)

    def _close(self, *, patience: float) -> None:
        """SQLite's last connection writes its log into the file when it closes: no other process may write then."""
        with contextlib.suppress(Unavailable), self._turns.alone(patience):
            self._peewee.close()
            self._writer.close()
        self._peewee.close()

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        try:
            yield
        except peewee.PeeweeException as error:
            if not faults.is_fault(error):
                raise
            self._close(patience=0)
            raise faults.explained(self._peewee, error) from error

    @contextmanager
    def _connected(self) -> Iterator[None]:
        _connect(self._peewee)
        token = _current.set(self._peewee)
        try:
            yield
        finally:
            _current.reset(token)

    @property
    def _reading_mode(self) -> tuple[str, ...]:
        return ("DEFERRED",) if isinstance(self._peewee, peewee.SqliteDatabase) else ()


class _Writer:
    """The connection that writes: a process has one, and the thread uses it whose turn it is."""

    def __init__(self, database: peewee.Database, file: Path | None) -> None:
        self.peewee = database
        self._lock: FileLock | NoLock = NoLock() if file is None else FileLock(file)
        self._is_suspect = False

    def lock(self, deadline: float) -> None:
        self._lock.acquire(deadline)

    def unlock(self) -> None:
        self._lock.release()

    def begin(self, deadline: float) -> None:
        with self.faults_told():
            if self._is_suspect:
                self.close()
            _connect(self.peewee)
            patience = max(0.0, deadline - time.monotonic())
            engines.limit_waiting(self.peewee, patience)
            self.peewee.begin()
            try:
                if not isinstance(self.peewee, peewee.SqliteDatabase):
                    engines.limit_lock_waiting(self.peewee, patience)
                    WriterLock.select().for_update().execute(self.peewee)
            except BaseException:
                self.roll_back()
                raise

    def commit(self) -> None:
        with self.faults_told():
            try:
                self.peewee.commit()
            except BaseException:
                self.roll_back()
                raise

    def roll_back(self) -> None:
        try:
            self.peewee.rollback()
        except peewee.PeeweeException:
            self._is_suspect = True

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        point = self.peewee.savepoint()
        with self._loss_told():
            point.__enter__()
        try:
            yield
        except BaseException:
            with self._loss_told():
                point.rollback(begin=False)
            raise
        with self._loss_told():
            point.commit(begin=False)

    def close(self) -> None:
        """Close the connection; the next transaction opens another."""
        self.peewee.close()
        self._is_suspect = False

    @contextmanager
    def faults_told(self) -> Iterator[None]:
        """Raise Unavailable or Unstorable for the driver's faults, after which the connection is not trusted."""
        try:
            yield
        except peewee.PeeweeException as error:
            if not faults.is_fault(error):
                raise
            self._is_suspect = True
            raise faults.explained(self.peewee, error) from error

    @contextmanager
    def _loss_told(self) -> Iterator[None]:
        try:
            yield
        except peewee.PeeweeException as error:
            self._is_suspect = True
            told = error.__context__ if isinstance(error.__context__, peewee.PeeweeException) else error
            raise Gone(str(faults.explained(self.peewee, told))) from error


def _connect(database: peewee.Database) -> None:
    """Connect, also where a server that was restarted left a dead connection behind."""
    if not database.is_closed() and not isinstance(database, peewee.SqliteDatabase):
        try:
            database.execute_sql("SELECT 1")  # type: ignore[no-untyped-call]
        except (peewee.OperationalError, peewee.InterfaceError):
            database.close()
    database.connect(reuse_if_open=True)


class WriterLock(peewee.Model):
    """One row that every writing transaction locks first, where the engine has row locks."""

    id = peewee.IntegerField(primary_key=True)

    class Meta:
        database = current_database
        table_name = "writer_lock"


_WRITER, _NO_WRITER = 1, 2
"""The id of the row, and of one that is never there."""
