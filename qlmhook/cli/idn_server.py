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
    ) -> None:
        super().__init__(address, _Handler)
        self.key = key
        self.confirmed: set[str] = set()
        self.delay = delay
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


class _Handler(BaseHTTPRequestHandler):
    server: IdnServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fields = parse_qsl(body.decode(), keep_blank_values=True)
        failure, code = self.server.next_failure()
        time.sleep(self.server.delay)
        if failure == "drop":
            self.close_connection = True
            self.connection.close()
            click.echo("dropped")
            return
        answers = {"html": (200, "<html><body>Welcome</body></html>"), "redirect": (302, ""), "error": (500, "")}
        right = simulation.idn_answer(fields, self.server.key, self.server.confirmed, code=code, failure=failure)
        status, answer = answers.get(failure, (200, right))
        click.echo(f"{dict(fields).get('ORDER_REF', '')} {status} {answer}")
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Each answer is printed once, above."""
