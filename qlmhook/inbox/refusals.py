"""Counts refused requests: in memory, and now and then in the database, so that a flood costs no writes."""

import threading
from collections import Counter

from qlmhook.storage import models
from qlmhook.storage.database import Database


class Refusals:
    """The refusals of this process by reason."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, reason: str) -> None:
        """Count one refusal."""
        with self._lock:
            self._counts[reason] += 1

    def lock(self) -> None:
        """Keep every other thread out until `unlock`."""
        self._lock.acquire()

    def unlock(self) -> None:
        """Let the others go on."""
        self._lock.release()

    def store(self) -> None:
        """Add what was counted since the last time to the database; raises Unavailable, and loses nothing then."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with self._database.transaction():
                for reason, count in counts.items():
                    row = models.Refusal.get_or_none(models.Refusal.reason == reason)
                    row = row or models.Refusal(reason=reason, count=0)
                    row.count += count
                    row.save()
        except BaseException:
            with self._lock:
                self._counts.update(counts)
            raise
