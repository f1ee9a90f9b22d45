"""A stand-in for 2Checkout's end of the IDN."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import click

from qlmhook_avangate import simulation


class IdnServer(ThreadingHTTPServer):
    """Answers IDNs; `failure`, `code`, `times` and `delay` tell how to go wrong."""

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        key: str,
        *,
        failure: str = "",
        code: int | None = None,
        times: int | None = None,
        delay: float = 0.0,
        quiet: bool = False,
    ) -> None:
        super().__init__(address, _Handler)
        self.key = key
        self.confirmed: set[str] = set()
        self.delay = delay
        self.quiet = quiet
        self._failure = failure
        self._code = code
        self._left = times

    def next_failure(self) -> tuple[str, int | None]:
        """Return how to fail this time: a way, and a code to answer."""
        if self._left == 0:
            return "", None
        if self._left is not None:
            self._left -= 1
        return self._failure, self._code if self._failure == "code" else None


_UNLIKE_AN_ANSWER = {
    "html": (200, "<html><body>Welcome</body></html>"),
    "redirect": (302, ""),
    "error": (500, ""),
}


class _Handler(BaseHTTPRequestHandler):
    server: IdnServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fields = parse_qsl(body.decode(), keep_blank_values=True)
        failure, code = self.server.next_failure()
        time.sleep(self.server.delay)
        if failure in _UNLIKE_AN_ANSWER:
            status, answer = _UNLIKE_AN_ANSWER[failure]
        else:
            status = 200
            answer = simulation.idn_answer(fields, self.server.key, self.server.confirmed, code=code, failure=failure)
        if not self.server.quiet:
            click.echo(f"{dict(fields).get('ORDER_REF', '')} {failure or status} {answer}")
        if failure == "drop":  # the order is confirmed, but nobody is told
            self.close_connection = True
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Each answer is printed once, above."""
