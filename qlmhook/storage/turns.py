"""The writer's turn within a process: threads that wait for it at the same time share one transaction.

A commit waits for the disk. Who comes while nobody else waits has a transaction alone; the more wait, the fewer commits
there are for all of them. Each part has a savepoint, so that what it takes back is its own. Nobody goes on before the
commit, and if that fails it has failed for all.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from qlmhook.errors import Unavailable
from qlmhook.storage import faults

MOST = 16
"""How many parts a transaction has at most: other processes wait for its end."""


class Gone(Unavailable):
    """The transaction is lost with everything that was done in it."""


class Writer(Protocol):
    """What a turn gives: the lock that keeps other processes out, and a connection, for one thread at a time.

    Deadlines are seconds of the monotonic clock. Each method raises Unavailable.
    """

    def lock(self, deadline: float) -> None:
        """Have the lock by then."""

    def unlock(self) -> None:
        """Let the lock go."""

    def begin(self, deadline: float) -> None:
        """Begin a transaction."""

    def commit(self) -> None:
        """Commit the transaction, or take it back."""

    def roll_back(self) -> None:
        """Take the transaction back."""

    def savepoint(self) -> AbstractContextManager[object]:
        """Take back what the block did when it raises; raises Gone when that cannot be done."""


@dataclass(eq=False, kw_only=True)
class _Waiting:
    shares: bool
    has_it: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False, kw_only=True)
class _Transaction:
    """What runs, and what came of it; `last` is what its end sets free, where others may have a part in it."""

    is_shared: bool
    last: ExitStack
    parts: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    fault: Unavailable | None = None


class Turns:
    """Gives the turn to one thread after the other, in the order in which they came."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._mutex = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._is_taken = False
        self._owner = 0
        self._running: _Transaction | None = None

    @contextmanager
    def alone(self, patience: float) -> Iterator[None]:
        """Run the block while nobody else writes, also within another such block of the thread.

        Raises Unavailable when the turn does not come within so many seconds.
        """
        if self._is_mine:
            yield
            return
        deadline = time.monotonic() + patience
        self._take(patience, shares=False)
        with ExitStack() as last:
            last.callback(self._pass_on)
            self._writer.lock(deadline)
            last.callback(self._writer.unlock)
            yield

    @contextmanager
    def part(self, patience: float) -> Iterator[None]:
        """Run the block in a transaction, and go on once it is committed; raises Unavailable, then nothing is kept.

        Within `alone` it is a transaction of its own, within another part it is taken back with that.
        """
        is_mine = self._is_mine
        if is_mine and self._running is not None:
            with self._writer.savepoint():
                yield
            return
        deadline = time.monotonic() + patience
        if not is_mine:
            self._take(patience, shares=True)
        running = self._running or self._begin(deadline, is_alone=is_mine)
        running.parts += 1
        try:
            with self._writer.savepoint() if running.parts > 1 else ExitStack():
                yield
        except Gone as gone:
            self._end(running, self._writer.roll_back, fault=gone)
            raise
        except BaseException:
            if running.parts == 1:
                self._end(running, self._writer.roll_back)
            else:
                self._leave(running)
            raise
        self._leave(running)
        running.over.wait()
        if running.fault is not None:
            raise Unavailable(str(running.fault)) from running.fault

    def hold(self) -> None:
        """Keep every other thread of this process from writing until `let_go`."""
        self._take(threading.TIMEOUT_MAX, shares=False)

    def let_go(self) -> None:
        """Let the others go on."""
        self._pass_on()

    def forget_others(self) -> None:
        """Go on in a forked process, which has none of the threads that waited, nor of one that asked just then."""
        self._mutex = threading.Lock()
        self._waiting.clear()
        self._pass_on()

    @property
    def _is_mine(self) -> bool:
        return self._owner == threading.get_ident()

    def _take(self, patience: float, *, shares: bool) -> None:
        waiting = _Waiting(shares=shares)
        with self._mutex:
            if self._is_taken:
                self._waiting.append(waiting)
            else:
                self._is_taken = True
                waiting.has_it.set()
        if not waiting.has_it.wait(patience):
            with self._mutex:
                if not waiting.has_it.is_set():  # else it came at the last moment
                    self._waiting.remove(waiting)
                    raise faults.busy()
        self._owner = threading.get_ident()

    def _pass_on(self) -> None:
        self._owner = 0
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().has_it.set()
            else:
                self._is_taken = False

    def _begin(self, deadline: float, *, is_alone: bool) -> _Transaction:
        with ExitStack() as last:
            if not is_alone:
                last.callback(self._pass_on)
                self._writer.lock(deadline)
                last.callback(self._writer.unlock)
            self._writer.begin(deadline)
            self._running = _Transaction(is_shared=not is_alone, last=last.pop_all())
        return self._running

    def _leave(self, running: _Transaction) -> None:
        """Let the next who waits have a part in the transaction, or end it."""
        with self._mutex:
            others = self._waiting and self._waiting[0].shares
            if running.is_shared and others and running.parts < MOST:
                self._owner = 0
                self._waiting.popleft().has_it.set()
                return
        self._end(running, self._writer.commit)

    def _end(self, running: _Transaction, end: Callable[[], None], fault: Unavailable | None = None) -> None:
        try:
            with running.last:
                running.fault = fault
                self._running = None
                end()
        except BaseException as error:
            running.fault = running.fault or Unavailable(str(error))
            if not isinstance(error, Unavailable):
                raise
        finally:
            running.over.set()
