"""What a real `qlmhook serve` makes of clients that do not close, and of requests that are none."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.conftest import KEY, PASSWORD, QUERY, URL, USER
from tests.support.server import PATIENCE, Server, ask, serving, wait_until

pytestmark = pytest.mark.slow

FORM = "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded"
SECRET = "hush-Passw0rd"
SECONDS = 5.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process."""
    config = tmp_path_factory.mktemp("gunicorn") / "qlmhook.toml"
    config.write_text(
        f'worker = false\n[vendors.avangate]\nuser = "{USER}"\npassword = "{PASSWORD}"\nshared_keys = ["{KEY}"]\n',
        encoding="utf-8",
    )
    with serving(config) as server:
        yield server


def exchange(port: int, request: bytes) -> str:
    """Send what no HTTP library would and no more; return all that is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with suppress(ConnectionError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def status_of(answer: str) -> int:
    return int(answer.split()[1])


def test_clients_that_do_not_close_delay_nobody(server: Server) -> None:
    """They ask for the connection to be closed, and keep their own end open; each has its answer."""
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with ExitStack() as connections:
        lingering = [
            connections.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
            for _ in range(30)
        ]
        for connection in lingering:
            connection.sendall(request)
        begun = time.monotonic()
        status = ask(server.port).status
        seconds = time.monotonic() - begun
        answers = [connection.recv(65536) for connection in lingering]

    assert status == 200
    assert seconds < SECONDS
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(f"POST {URL}?is_user=tom&is_pwd={SECRET} more-{SECRET} HTTP/1.1".encode(), id="a blank"),
        pytest.param(f"POST {URL}?is_user=tom&is_pwd=\xe4{SECRET} HTTP/1.1".encode("latin-1"), id="a raw byte"),
        pytest.param(f"POST {URL}?is_user=tom&is_pwd=ä{SECRET} HTTP/1.1".encode(), id="raw UTF-8"),
        pytest.param(f"POST {URL}?is_user=tom&is_pwd={SECRET}".encode(), id="no version"),
        pytest.param(f"POST {URL}?is_user=tom&is_pwd={SECRET} HTTP/x".encode(), id="a wrong version"),
    ],
)
def test_a_request_line_that_cannot_be_read_is_quoted_nowhere(server: Server, line: bytes) -> None:
    """It may have the password in it: neither the answer nor the log has."""
    logged = len(server.output)

    answer = exchange(server.port, line + b"\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
    wait_until(lambda: len(server.output) > logged, "a line in the log")

    assert 400 <= status_of(answer) < 500
    assert SECRET not in answer
    assert SECRET not in server.output


def test_a_path_with_a_line_break_makes_one_line_of_the_access_log(server: Server) -> None:
    """Nobody forges another."""
    path = '/begin%0a127.0.0.1 "GET /forged HTTP/1.1" 200'.replace(" ", "%20")

    status = ask(server.port, "GET", path).status
    wait_until(lambda: "/begin" in server.output, "the line in the log")
    ask(server.port, "GET", "/end")
    wait_until(lambda: "/end" in server.output, "the next line in the log")

    assert status == 404
    [line] = [line for line in server.output.splitlines() if "/begin" in line]
    assert "/forged" in line
    assert [line for line in server.output.splitlines() if "/forged" in line] == [line]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param("Transfer-Encoding: chunked\r\n\r\n10\r\na=b", id="a chunk that breaks off"),
        pytest.param("Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n", id="no last chunk"),
        pytest.param("Content-Length: 100\r\n\r\na=b", id="a body that breaks off"),
    ],
)
def test_a_body_that_breaks_off_is_the_senders_fault(server: Server, request_: str) -> None:
    """It is not answered as a fault of ours, with 503."""
    answer = exchange(server.port, f"POST {URL}?{QUERY} HTTP/1.1\r\n{FORM}\r\n{request_}".encode())

    assert status_of(answer) == 400
