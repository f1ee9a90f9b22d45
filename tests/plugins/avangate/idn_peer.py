"""2Checkout's end of the IDN as a real server on loopback, which can be told to go wrong request by request.

Written from 2Checkout's documentation, "Instant Delivery Notification (IDN)", and that of its sibling platform,
PayU Romania, "IDN", not from the code under test.
"""

import re
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from tests.plugins.avangate.signer import Fields, digest

PATH = "/order/idn.php"
SIGNED = ("MERCHANT", "ORDER_REF", "ORDER_AMOUNT", "ORDER_CURRENCY", "IDN_DATE")
MISSING = {"ORDER_REF": 2, "ORDER_AMOUNT": 3, "ORDER_CURRENCY": 4}
MESSAGES = {
    1: "Confirmed",
    2: "ORDER_REF missing or incorrect",
    3: "ORDER_AMOUNT missing or incorrect",
    4: "ORDER_CURRENCY missing or incorrect",
    5: "IDN_DATE is not in the correct format",
    6: "Error confirming order",
    7: "Order already confirmed",
    8: "Unknown error",
    9: "Invalid ORDER_REF",
    10: "Invalid ORDER_AMOUNT",
    11: "Invalid ORDER_CURRENCY",
}
PAUSE = 0.02
"""Seconds between two bytes of an answer that drips."""


def signed_answer(order_ref: str, code: int, *, key: str, algorithm: str = "sha256") -> str:
    """The documented answer to an IDN."""
    values = [order_ref, str(code), MESSAGES.get(code, "?"), "2026-01-01 12:00:00"]
    return f"<EPAYMENT>{'|'.join([*values, digest(key, values, algorithm)])}</EPAYMENT>"


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came, its form's fields in their order."""

    method: str
    target: str
    headers: Mapping[str, str]
    fields: Fields

    def value(self, name: str) -> str:
        return dict(self.fields).get(name, "")


class IdnPeer:
    """Confirms orders as documented, unless a test says with `will` and `otherwise` how requests are treated.

    `confirmed` are the orders in the sequence of their confirmation, each once. `faults` says what was wrong with
    requests. `on_taking` is called with an order just before it is confirmed.
    """

    def __init__(
        self,
        key: str,
        *,
        algorithm: str = "sha256",
        hash_field: str = "ORDER_HASH",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.key = key
        self.algorithm = algorithm
        self.hash_field = hash_field
        self.requests: list[Received] = []
        self.confirmed: list[str] = []
        self.faults: list[str] = []
        self.on_taking: Callable[[str], None] = lambda order_ref: None
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self.otherwise: Treatment = as_documented
        self._script: deque[Treatment] = deque()
        self._server = _Server(self, port, tls)
        self.port = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}{PATH}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def will(self, *treatments: "Treatment") -> None:
        """Treat the next requests so, one after the other; those that follow are treated as `otherwise` says."""
        self._script.extend(treatments)

    def treat(self, received: Received) -> Iterable[bytes]:
        """Return the answer to a request, piece by piece."""
        with self._lock:
            self.requests.append(received)
            treatment = self._script.popleft() if self._script else self.otherwise
        return treatment(self, received)

    def take(self, received: Received) -> int:
        """Confirm an order unless something is wrong with the request; return the code for what became of it."""
        code, fault = self._judge(received)
        with self._lock:
            if fault:
                self.faults.append(fault)
                return code
            order_ref = received.value("ORDER_REF")
            if order_ref in self.confirmed:
                return 7
            self.on_taking(order_ref)
            self.confirmed.append(order_ref)
        return 1

    def says(self, received: Received, code: int, *, order_ref: str = "", key: str = "") -> bytes:
        """The signed answer to a request, for another order or with another key if these are given."""
        order_ref = order_ref or received.value("ORDER_REF")
        return signed_answer(order_ref, code, key=key or self.key, algorithm=self.algorithm).encode()

    def _judge(self, received: Received) -> tuple[int, str]:
        """Return nothing for a good request, else the answer's code and what is wrong."""
        if (received.method, received.target) != ("POST", PATH):
            return 8, f"{received.method} {received.target}"
        names = [name for name, _ in received.fields]
        if names != [*SIGNED, self.hash_field]:
            return next((code for name, code in MISSING.items() if name not in names), 8), f"The fields are {names}."
        for name, code in MISSING.items():
            if not received.value(name):
                return code, f"{name} is empty."
        if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", received.value("IDN_DATE")):
            return 5, f"IDN_DATE is {received.value('IDN_DATE')}."
        if received.value(self.hash_field) != digest(self.key, map(received.value, SIGNED), self.algorithm):
            return 8, "The hash does not match."
        return 0, ""


Treatment = Callable[[IdnPeer, Received], Iterable[bytes]]
"""How a request is treated: the pieces of its answer. The connection is closed behind them."""


def page(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def as_documented(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    """Confirm the order, or say what is wrong, or that it is confirmed already."""
    yield page(peer.says(received, peer.take(received)))


def answers(code: int) -> Treatment:
    """Answer a code and confirm nothing."""
    return lambda peer, received: [page(peer.says(received, code))]


def answers_with(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Treatment:
    """Answer with any page and confirm nothing."""
    return lambda peer, received: [page(body, status=status, headers=headers)]


def fails_after_taking(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    """Confirm the order, and break down on the way to a right answer."""
    yield page(peer.says(received, peer.take(received)), status=500)


def signs_with_another_key(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    yield page(peer.says(received, 1, key="another key"))


def speaks_of_another_order(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    yield page(peer.says(received, 1, order_ref="1" + received.value("ORDER_REF")))


def hangs_up_before_taking(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    yield b""


def hangs_up_after_taking(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    peer.take(received)
    yield b""


def breaks_off(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    """Confirm the order and hang up in the middle of the answer."""
    yield page(peer.says(received, peer.take(received)))[:-20]


def stays_silent(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    peer.closing.wait()
    yield b""


def takes_and_stays_silent(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    peer.take(received)
    return stays_silent(peer, received)


def drips(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    """Answer as documented, but byte by byte from the end of the head on, and never come to an end."""
    head, _, body = page(peer.says(received, peer.take(received)) + b" " * 10_000).partition(b"\r\n\r\n")
    yield head + b"\r\n\r\n"
    yield from _slowly(peer, body)


def drips_the_head(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    """Begin a header that never comes to an end."""
    yield b"HTTP/1.1 200 OK\r\nX-Padding: "
    yield from _slowly(peer, b"x" * 10_000)


def never_ends(peer: IdnPeer, received: Received) -> Iterator[bytes]:
    """Send a body as fast as it goes, until the client hangs up."""
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while not peer.closing.is_set():
        yield b"x" * 4096


def _slowly(peer: IdnPeer, content: bytes) -> Iterator[bytes]:
    for byte in content:
        if peer.closing.wait(PAUSE):
            return
        yield bytes([byte])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, peer: IdnPeer, port: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.peer = peer
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body))
        received = Received(method=self.command, target=self.path, headers=dict(self.headers), fields=fields)
        with suppress(OSError):  # the client hung up
            for piece in self.server.peer.treat(received):
                self.wfile.write(piece)

    def do_GET(self) -> None:
        self.do_POST()

    def do_CONNECT(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """What came is in `requests`."""
