"""Real processes on loopback that a test starts, asks and ends, commands, and a network that it can cut."""

import http.client
import io
import logging
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO
from unittest import mock

from qlmhook.cli import main
from qlmhook.config import CONFIG_VARIABLE, ENVIRONMENT_PREFIX
from tests.conftest import QUERY, URL, free_port

PATIENCE = 60.0
ROOT = Path(__file__).parents[2]
NOTHING: Mapping[str, str] = {}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Look again and again until a condition holds; fail when it does not within PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {PATIENCE:g} seconds"
        time.sleep(0.01)


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]


def ask(
    port: int, method: str = "GET", target: str = "/healthz", *, body: bytes = b"", headers: Mapping[str, str] = FORM
) -> Answer:
    """Send one request to a port of loopback; raises OSError or HTTPException when no whole answer comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, target, body=body or None, headers=dict(headers))
        response = connection.getresponse()
        return Answer(status=response.status, text=response.read().decode(), headers=dict(response.headers))
    finally:
        connection.close()


class Server:
    """A server's process with its children, and everything that they print."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    @property
    def output(self) -> str:
        """Standard output and standard error; complete once the server has ended."""
        return self._log.read_text(encoding="utf-8")

    def post(self, body: bytes, target: str = f"{URL}?{QUERY}") -> Answer:
        return ask(self.port, "POST", target, body=body)

    def kill(self) -> None:
        """End all processes at once, as a loss of power would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self) -> None:
        """End it as an operator does; kill what is left of it after that."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        with suppress(ProcessLookupError):
            self.kill()

    def is_up(self) -> bool:
        assert self.process.poll() is None, f"the server ended by itself:\n{self.output}"
        with suppress(OSError, http.client.HTTPException):
            return ask(self.port).status == 200
        return False


def without_settings() -> dict[str, str]:
    """This process's environment with no variable that names settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if name != CONFIG_VARIABLE and not name.startswith(ENVIRONMENT_PREFIX)
    }


def environment(config: Path, overrides: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with another configuration; the overrides are QLMHOOK__… without the prefix."""
    settings = {f"{ENVIRONMENT_PREFIX}{name.upper()}": value for name, value in overrides.items()}
    # gunicorn puts its control socket into the home folder
    return {**without_settings(), "HOME": str(config.parent), CONFIG_VARIABLE: str(config), **settings}


@contextmanager
def running(
    *arguments: str, config: Path, port: int, cwd: Path | None = None, overrides: Mapping[str, str] = NOTHING
) -> Iterator[Server]:
    """Run Python with arguments that make it a server at a port, and wait until it answers."""
    log = config.with_name(f"server-{port}.log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment(config, overrides),
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, port, log)
    try:
        wait_until(server.is_up, "an answer of the server")
        yield server
    finally:
        server.stop()


@contextmanager
def serving(
    config: Path, *, workers: int = 1, port: int | None = None, overrides: Mapping[str, str] = NOTHING
) -> Iterator[Server]:
    """Run `qlmhook serve`."""
    port = port or free_port()
    arguments = ("-m", "qlmhook", "serve", "--bind", f"127.0.0.1:{port}", "--workers", str(workers))
    with running(*arguments, config=config, port=port, overrides=overrides) as server:
        yield server


def own_process(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of qlmhook in a process of its own, its output in pipes."""
    return subprocess.run(
        [sys.executable, "-m", "qlmhook", *arguments],
        env=environment(config, NOTHING),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def command(config: Path, *arguments: str, overrides: Mapping[str, str] = NOTHING) -> subprocess.CompletedProcess[str]:
    """Run a command of qlmhook as its console script does, but in this process, its output in pipes."""
    with _pipe() as stdout, _pipe() as stderr:
        status = _run(arguments, environment(config, overrides), stdout, stderr)
        return subprocess.CompletedProcess(arguments, status, _text(stdout), _text(stderr))


def command_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as `command` does, but in a folder, with no variable that names settings."""
    with chdir(folder), _pipe() as stdout, _pipe() as stderr:
        status = _run(arguments, without_settings(), stdout, stderr)
        return subprocess.CompletedProcess(arguments, status, _text(stdout), _text(stderr))


def command_on_a_terminal(config: Path, *arguments: str) -> str:
    """Run a command that must succeed, its output and its errors on one terminal; return what that shows."""
    terminal, end = pty.openpty()
    shown: list[bytes] = []
    reader = threading.Thread(target=lambda: shown.extend(_chunks(terminal)))
    reader.start()
    with open(end, "w", encoding="utf-8") as stream:  # noqa: PTH123
        status = _run(arguments, environment(config, NOTHING), stream, stream)
    reader.join()
    os.close(terminal)
    assert status == 0
    return b"".join(shown).decode()


def _run(arguments: Sequence[str], environ: Mapping[str, str], stdout: TextIO, stderr: TextIO) -> int:
    """Run the console script with what a process of its own would find; return its exit status."""
    log = logging.getLogger()
    with (
        mock.patch.dict(os.environ, environ, clear=True),
        mock.patch.object(os, "execv", _refuse_another_program),
        mock.patch.object(sys, "argv", ["qlmhook", *arguments]),
        mock.patch.object(log, "handlers", []),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        level, code = log.level, None
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        finally:
            log.setLevel(level)  # and not the attribute, for loggers remember what their root lets pass
    assert code is None or isinstance(code, int)
    return code or 0


def _refuse_another_program(path: str, arguments: Sequence[str]) -> NoReturn:
    raise AssertionError(f"this process would become {arguments}")


def _pipe() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(pipe: io.TextIOWrapper) -> str:
    assert isinstance(pipe.buffer, io.BytesIO)
    return pipe.buffer.getvalue().decode()


def _chunks(terminal: int) -> Iterator[bytes]:
    with suppress(OSError):  # Linux says so that the other end is closed
        while chunk := os.read(terminal, 65536):
            yield chunk


class Gate:
    """Passes TCP connections on to another address as long as it is open."""

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self._target = host, port
        self._sockets: list[socket.socket] = []

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self._sockets.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Cut every connection, and refuse new ones."""
        while self._sockets:
            with self._sockets.pop() as end, suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
