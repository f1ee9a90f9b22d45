"""SQLite's writers in a queue: a lock on a file beside the database, which is waited for with a limit."""

import contextlib
import fcntl
import os
import stat
import threading
import time
from pathlib import Path

from qlmhook.errors import Unavailable
from qlmhook.storage import engines, faults


class NoLock:
    """Stands where the engine has locks of its own."""

    def acquire(self, deadline: float) -> None:
        """There is nothing to have."""

    def release(self) -> None:
        """There is nothing to let go."""


class FileLock:
    """Puts the processes that write to SQLite in a queue: its own busy handler sleeps and retries, and some wait long.

    It also keeps commits and checkpoints of several processes apart (SQLite 3.7.0 to 3.51.2 can corrupt the
    database when both run at once), because a checkpoint runs at the end of a commit. For one thread at a time.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = Path(f"{database}.lock")
        self._descriptor = -1
        self._waiter: _Waiter | None = None

    def acquire(self, deadline: float) -> None:
        """Have the lock; raises Unavailable when it was not free by then (seconds of the monotonic clock)."""
        self._descriptor = self._locked(deadline)

    def release(self) -> None:
        """Let the lock go."""
        _release(self._descriptor)

    def _locked(self, deadline: float) -> int:
        """Return the lock file's descriptor once the lock is ours."""
        try:
            descriptor = self._open()
        except OSError as error:
            raise Unavailable(f"The lock file {self._path} cannot be used: {str(error.strerror).lower()}.") from error
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        if self._waiter is not None and self._waiter.wanted_again():
            os.close(descriptor)
        else:
            self._waiter = _Waiter(descriptor)
        if not self._waiter.has_it_by(deadline):
            raise faults.busy()
        descriptor, self._waiter = self._waiter.descriptor, None
        return descriptor

    def _open(self) -> int:
        """Whoever can open the file can stop all writers, so it is the database's owner's alone."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with contextlib.suppress(OSError):
            if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
                os.fchmod(descriptor, 0o600)
            engines.give_to_owner_of(self._database, descriptor)
        return descriptor


class _Waiter:
    """Waits for the lock in a thread of its own, because flock itself knows no limit; whoever gave up may come back."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._mutex = threading.Lock()
        self._wanted = True
        self._over = False
        self._has_it = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="qlmhook-lock", daemon=True)
        self._thread.start()

    def has_it_by(self, deadline: float) -> bool:
        """Wait until then; tell whether the lock is there. If not, it is let go when it comes."""
        if self._has_it.wait(max(0.0, deadline - time.monotonic())):
            return True
        with self._mutex:
            self._wanted = self._has_it.is_set()
            return self._wanted

    def wanted_again(self) -> bool:
        """Ask for the lock that was given up; tell whether it is still waited for."""
        with self._mutex:
            self._wanted = self._thread.is_alive() and not self._over  # it does not survive a fork
            return self._wanted

    def _wait(self) -> None:
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        with self._mutex:
            if self._wanted:
                self._has_it.set()
                return
            self._over = True
        _release(self.descriptor)


def _release(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing alone would not do it where a fork has a copy
    os.close(descriptor)
