"""gunicorn's threaded worker, with an end to the patience for slow senders."""

import contextlib
import socket
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

READ_SECONDS = 20
"""Until then a request must have arrived as a whole."""


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]
    """Stops listening to a connection whose request drips in, so that its thread is free again.

    gunicorn waits without end once the first byte has come, and a few slow senders would take all threads.
    """

    def init_process(self) -> None:
        """Start serving; called in the worker process."""
        self._deadlines: dict[Any, float] = {}
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Serve one request of a connection, in a thread."""
        self._deadlines[conn] = time.monotonic() + READ_SECONDS
        try:
            return super().handle(conn)
        finally:
            self._deadlines.pop(conn, None)

    def murder_pending(self) -> None:
        """Called by the main loop about once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in list(self._deadlines.items()):
            if deadline < now:
                with contextlib.suppress(OSError):  # it has gone by itself
                    conn.sock.shutdown(socket.SHUT_RD)
