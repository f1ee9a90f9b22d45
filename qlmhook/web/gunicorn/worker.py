"""gunicorn's threaded worker, with an end to the patience for slow senders."""

import contextlib
import socket
import time
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.util import write_error
from gunicorn.workers.gthread import ThreadWorker

READ_SECONDS = 20
"""Until then a request must have arrived as a whole."""


_STATUS = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}


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
            keep = super().handle(conn)
        finally:
            self._deadlines.pop(conn, None)
        if not keep:
            # closing waits for the client to close too; gunicorn does that in its main loop, where all others wait
            conn.close(graceful=True)
            conn.close = _closed_already
        return keep

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that cannot be read without quoting it: its line may have the password in it."""
        if isinstance(exc, errors.ParseException):
            self.log.warning("A request from %s cannot be read: %s", (addr or ("a socket",))[0], type(exc).__name__)
            status = next((code for kind, code in _STATUS.items() if isinstance(exc, kind)), HTTPStatus.BAD_REQUEST)
            with contextlib.suppress(OSError):
                write_error(client, status.value, status.phrase, "The request cannot be read.")
        else:
            super().handle_error(req, client, addr, exc)

    def murder_pending(self) -> None:
        """Called by the main loop about once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in list(self._deadlines.items()):
            if deadline < now:
                with contextlib.suppress(OSError):  # it has gone by itself
                    conn.sock.shutdown(socket.SHUT_RD)


def _closed_already(graceful: bool = False) -> None:
    """What gunicorn calls once more when a connection is closed."""
