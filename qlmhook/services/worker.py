"""The outbox worker: a loop that works off what is due."""

import logging
import os
import socket
import threading
import time
from datetime import timedelta

from qlmhook.errors import Unavailable
from qlmhook.inbox.refusals import Refusals
from qlmhook.services.deliver import POLL_SECONDS, Delivery

logger = logging.getLogger(__name__)

HEARTBEAT_EVERY = timedelta(seconds=10)


class Worker:
    """A thread that works the outbox off for as long as the process lives."""

    def __init__(self, delivery: Delivery, refusals: Refusals) -> None:
        self._delivery = delivery
        self._refusals = refusals
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = threading.Event()
        self._next_beat = 0.0
        self._thread = threading.Thread(target=self.run, name="qlmhook-outbox", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread finish the row at hand, and wait for it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def request_stop(self) -> None:
        """Ask `run` to return after the row at hand; fit for a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`; a database that is away is waited for."""
        while not self._stopping.is_set():
            try:
                self._beat_if_due()
                if self._delivery.work_off(self._goes_on):
                    continue
            except Unavailable as error:
                logger.warning("The outbox waits: %s", error)
            except Exception:
                logger.exception("The outbox worker met an error and goes on")
            self._stopping.wait(POLL_SECONDS)
        self._delivery.close()

    def _goes_on(self) -> bool:
        return not self._stopping.is_set() and not self._is_beat_due()

    def _is_beat_due(self) -> bool:
        return time.monotonic() >= self._next_beat

    def _beat_if_due(self) -> None:
        if not self._is_beat_due():
            return
        self._delivery.beat(self._name)
        self._refusals.store()
        self._next_beat = time.monotonic() + HEARTBEAT_EVERY.total_seconds()
