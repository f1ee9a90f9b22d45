"""How much is read, for how long, and what a flood costs: against real server processes on loopback."""

import http.client
import re
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qlmhook.web.gunicorn import settings
from tests.conftest import KEY, PASSWORD, QUERY, URL, USER, free_port
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed
from tests.support.effort import EFFORT
from tests.support.server import PATIENCE, Answer, Server, ask, running, serving, wait_until

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
TARGET = f"{URL}?{QUERY}"
FORM = "application/x-www-form-urlencoded"

IMPATIENT = """
from qlmhook.web.gunicorn.settings import *
import qlmhook.web.gunicorn.worker

qlmhook.web.gunicorn.worker.READ_SECONDS = 1
"""
"""gunicorn's settings of the package, but a request must have arrived within a second."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A configuration and its database."""

    config: Path
    database: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("limits")
    config = folder / "qlmhook.toml"
    config.write_text(
        f'worker = false\n[vendors.avangate]\nuser = "{USER}"\npassword = "{PASSWORD}"\nshared_keys = ["{KEY}"]\n',
        encoding="utf-8",
    )
    return Place(config=config, database=folder / "qlmhook.db")


@pytest.fixture(scope="module")
def server(place: Place) -> Iterator[Server]:
    """Two processes without outbox workers, so that nothing is written but for what a test sends."""
    with serving(place.config, workers=2) as server:
        yield server


def head(*lines: str, target: str = TARGET) -> bytes:
    """The head of a request with a form."""
    return "\r\n".join([f"POST {target} HTTP/1.1", "Host: localhost", f"Content-Type: {FORM}", *lines, "", ""]).encode()


def whole(body: bytes) -> list[bytes]:
    """A request that says how long it is."""
    return [head(f"Content-Length: {len(body)}"), body]


def chunked(body: bytes, size: int = 65536) -> list[bytes]:
    """A request in pieces, which does not say how many."""
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    chunks = (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return [head("Transfer-Encoding: chunked"), b"".join([*chunks, b"0\r\n\r\n"])]


def exchange(port: int, parts: list[bytes]) -> Answer:
    """Send a request as it is; the server may answer before it has read all of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        return answer_on(connection)


def answer_on(connection: socket.socket) -> Answer:
    response = http.client.HTTPResponse(connection)
    response.begin()
    with closing(response):
        return Answer(status=response.status, text=response.read().decode(), headers=dict(response.headers))


def body_of(order: Order, *extra: tuple[str, str]) -> bytes:
    return form_body(signed([*extra, *order.fields()], KEY, ["sha3_256"]))


def is_receipted(answer: Answer, order: Order) -> bool:
    return answer.status == 200 and receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha3_256")


def numbered(count: int, start: int = 0) -> list[Order]:
    return [Order(refno=f"{910000000 + number}", lines=[Line(ref="")]) for number in range(start, start + count)]


Framing = Callable[[bytes], list[bytes]]
framings = pytest.mark.parametrize("framing", [whole, chunked], ids=["whole", "chunked"])


class TestSize:
    """1 MiB, 5,000 fields and 64 KiB a value, however the body is framed."""

    @framings
    @pytest.mark.parametrize(
        ("body", "says"),
        [
            pytest.param(b"&" * (MIB + 1), "The body is over 1048576 bytes.", id="body"),
            pytest.param(b"&".join([b"a=b"] * 5001), "The form has 5001 fields; at most 5000 are read.", id="fields"),
            pytest.param(b"a=b&c=" + b"x" * 65537, "The value of field 2 of the form is over 65536 bytes.", id="value"),
            pytest.param(
                b"a=%41%C3%A4" + "ä".encode() * 32767,
                "The value of field 1 of the form is over 65536 bytes.",
                id="bytes",
            ),
        ],
    )
    def test_each_limit_has_its_own_sentence(self, server: Server, framing: Framing, body: bytes, says: str) -> None:
        """With 413; a value is measured in bytes, without its percent-encoding."""
        answer = exchange(server.port, framing(body))

        assert (answer.status, answer.text) == (413, f"{says}\n")

    @framings
    @pytest.mark.parametrize(
        "text",
        [pytest.param("x" * 65536, id="ASCII"), pytest.param("ä" * 32768, id="UTF-8")],
    )
    def test_a_value_at_the_limit_is_read(self, server: Server, framing: Framing, text: str) -> None:
        """Beside others it makes a message of nearly a mebibyte."""
        order = Order()
        values = [(f"NOTE{number}", text) for number in range(2)]

        assert is_receipted(exchange(server.port, framing(body_of(order, *values))), order)

    @pytest.mark.parametrize("size", [1, 1000, MIB])
    def test_an_order_in_chunks_is_receipted(self, server: Server, size: int) -> None:
        """Of any size."""
        order = Order()

        assert is_receipted(exchange(server.port, chunked(body_of(order), size)), order)

    @pytest.mark.parametrize("length", [2 * MIB, 10 * 1024 * MIB])
    def test_a_body_that_is_announced_too_long_is_not_waited_for(self, server: Server, length: int) -> None:
        answer = exchange(server.port, [head(f"Content-Length: {length}")])

        assert answer.status == 413

    def test_a_body_without_an_end_is_not_read_to_it(self, server: Server) -> None:
        """The answer comes soon after the limit."""
        chunk = b"%x\r\n%s\r\n" % (65536, b"x" * 65536)
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            with suppress(ConnectionError):
                connection.sendall(head("Transfer-Encoding: chunked"))
                for _ in range(17):
                    connection.sendall(chunk)

            assert answer_on(connection).status == 413

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            pytest.param(head(target=f"{TARGET}&x={'y' * 8190}"), 414, id="a long URL"),
            pytest.param(head(f"X: {'y' * 8190}"), 431, id="a long header"),
            pytest.param(head(*(f"X-{number}: y" for number in range(101))), 431, id="many headers"),
            pytest.param(head("Content-Length: 3", "Transfer-Encoding: chunked"), 400, id="two lengths"),
            pytest.param(head("Content-Length: -1"), 400, id="a negative length"),
        ],
    )
    def test_a_head_beyond_reason_is_refused(self, server: Server, request_: bytes, status: int) -> None:
        """With a 4xx of its own."""
        assert exchange(server.port, [request_]).status == status


def counted(server: Server) -> dict[str, int]:
    """The refusals by reason that /metrics tells, asked often enough for each process to have added its own."""

    def ask_one(_: int) -> dict[str, int]:
        text = ask(server.port, "GET", "/metrics").text
        found = re.findall(r'^qlmhook_refused_total\{reason="(.*)"\} (\d+)\.0$', text, re.MULTILINE)
        return {reason: int(count) for reason, count in found}

    with ThreadPoolExecutor(4) as clients:
        return max(clients.map(ask_one, range(8)), key=lambda counts: sum(counts.values()))


FLOOD = 60 * EFFORT
BAD = form_body(signed(Order().fields(), "another key", ["sha3_256"]))


def flood(server: Server, count: int) -> list[int]:
    """Send messages with a wrong signature from four clients at once; return the statuses."""
    with ThreadPoolExecutor(4) as clients:
        return list(clients.map(lambda _: server.post(BAD).status, range(count)))


class TestFlood:
    """Messages with wrong signatures."""

    def test_they_write_nothing_to_the_database(self, server: Server, place: Place) -> None:
        """Not one byte, however many they are."""
        with closing(sqlite3.connect(place.database)) as connection:
            before = connection.execute("PRAGMA data_version").fetchone()
            statuses = flood(server, FLOOD)

            assert set(statuses) == {403}
            assert connection.execute("PRAGMA data_version").fetchone() == before

    def test_beside_them_every_good_message_is_receipted_and_each_of_them_is_counted(
        self, tmp_path: Path, place: Place
    ) -> None:
        """By its reason, whichever process refused it and whichever is asked."""
        config = tmp_path / "qlmhook.toml"
        config.write_bytes(place.config.read_bytes())
        orders = numbered(FLOOD // 5)
        with serving(config, workers=2) as server, ThreadPoolExecutor(5) as customers:
            flooding = customers.submit(flood, server, FLOOD)
            receipted = list(customers.map(lambda order: is_receipted(server.post(body_of(order)), order), orders))
            others = [exchange(server.port, framing(b"&" * (MIB + 1))).status for framing in (whole, chunked)]
            others += [server.post(BAD, f"{URL}?is_user={USER}&is_pwd=wrong").status]
            expected = {"SignatureRejected": FLOOD, "TooLarge": 2, "WrongCredentials": 1}

            assert receipted == [True] * len(orders)
            assert set(flooding.result()) == {403}
            assert others == [413, 413, 401]
            wait_until(lambda: counted(server) == expected, "the counts of both processes")


@dataclass(kw_only=True)
class Drips:
    """Clients that send a byte now and then, and begin anew when they are cut off."""

    port: int
    beginnings: list[bytes]
    cut: int = 0
    _connections: list[socket.socket] = field(default_factory=list)

    def begin(self) -> None:
        for beginning in self.beginnings:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            connection.sendall(beginning)
            connection.setblocking(False)
            self._connections.append(connection)

    def go_on(self, stop: threading.Event) -> None:
        while not stop.wait(0.05):
            for number, connection in enumerate(self._connections):
                if not self._drip(connection):
                    self.cut += 1
                    connection.close()
                    again = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
                    again.sendall(self.beginnings[number])
                    again.setblocking(False)
                    self._connections[number] = again

    @staticmethod
    def _drip(connection: socket.socket) -> bool:
        """Send a byte; whether the server still listens."""
        try:
            connection.send(b"x")
            return connection.recv(4096) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def end(self) -> None:
        for connection in self._connections:
            connection.close()


IN_THE_HEAD = f"POST {TARGET} HTTP/1.1\r\nHost: localhost\r\nX: ".encode()
IN_THE_BODY = head("Content-Length: 100000") + b"a="
IN_A_CHUNK = head("Transfer-Encoding: chunked") + b"10000\r\na="


@pytest.mark.parametrize(
    "beginning",
    [IN_THE_HEAD, IN_THE_BODY, IN_A_CHUNK],
    ids=["in the head", "in the body", "in a chunk"],
)
def test_slow_senders_do_not_keep_good_messages_out(place: Place, beginning: bytes) -> None:
    """More of them than there are threads, and they never give up: they are cut off, and every order is receipted."""
    wrapper = place.config.with_name("impatient.py")
    wrapper.write_text(IMPATIENT, encoding="utf-8")
    port = free_port()
    arguments = ("-m", "gunicorn", "--config", str(wrapper), "--workers", "1", "--bind", f"127.0.0.1:{port}")
    orders = numbered(8, start=100)
    stop = threading.Event()
    with running(*arguments, "qlmhook.web.app:create_app()", config=place.config, port=port) as server:
        drips = Drips(port=port, beginnings=[beginning] * (settings.threads + 4))
        drips.begin()
        with ThreadPoolExecutor(len(orders) + 1) as threads:
            dripping = threads.submit(drips.go_on, stop)
            try:
                receipted = list(threads.map(lambda order: is_receipted(server.post(body_of(order)), order), orders))
                wait_until(lambda: drips.cut > 0, "the end of the patience with slow senders")
            finally:
                stop.set()
            dripping.result()
        drips.end()

    assert receipted == [True] * 8
