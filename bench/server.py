"""The two servers under load, and what Linux tells of their processes."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import urllib3

from bench import orders
from qlmhook.config import CONFIG_VARIABLE, ENVIRONMENT_PREFIX

PATIENCE = 30
ROOT = Path(__file__).resolve().parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running gunicorn."""

    name: str
    port: int
    master: int

    def workers(self) -> list[int]:
        """Return the ids of its worker processes; none where there is no /proc."""
        return [int(entry.name) for entry in _PROC.glob("[0-9]*") if _parent(entry) == self.master]

    def memory(self) -> list[float]:
        """Return the resident memory of each worker in MiB."""
        return sorted(resident(pid) for pid in self.workers())

    def cpu(self) -> float:
        """Return the processor time that its workers have used, in seconds."""
        return sum(_cpu(pid) for pid in self.workers())


def configuration(database: str, mail_port: int | None) -> str:
    """Return the service's settings; without a mail server the outbox worker is off."""
    return f"""
database = {json.dumps(database)}
worker = {"false" if mail_port is None else "true"}
[mail]
host = "127.0.0.1"
port = {mail_port or 25}
sender = "Licensing <licensing@example.com>"
[vendors.avangate]
user = "bench"
password = "bench"
shared_keys = ["{orders.SECRET}"]
"""


@contextmanager
def qlmhook_server(config: Path, *, workers: int) -> Iterator[Server]:
    """Run `qlmhook serve`."""
    arguments = ["qlmhook", "serve"]
    with running("qlmhook", arguments, config.parent, workers=workers, config=str(config)) as server:
        yield server


@contextmanager
def bare_server(folder: Path, *, workers: int) -> Iterator[Server]:
    """Run the bare Flask application with the same gunicorn settings."""
    with running("bare Flask", gunicorn_of("bench.bare:app"), folder, workers=workers, config="") as server:
        yield server


def gunicorn_of(application: str) -> list[str]:
    """Return the arguments that run another application with the service's settings of gunicorn."""
    return ["gunicorn", "--config", "python:qlmhook.web.gunicorn.settings", application]


@contextmanager
def running(
    name: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    workers: int,
    config: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Server]:
    """Run a server until the block ends, with these variables more."""
    home = folder / f"home of {name}"  # gunicorn keeps its control socket there
    home.mkdir()
    log = home / "log"
    environ = {key: value for key, value in os.environ.items() if not key.startswith(ENVIRONMENT_PREFIX)}
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments, "--bind", f"127.0.0.1:{port}", "--workers", str(workers)],
            env={**environ, CONFIG_VARIABLE: config, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), **environment},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(port, process, log)
        yield Server(name=name, port=port, master=process.pid)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, by force if it does not end."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if urllib3.request("GET", f"http://127.0.0.1:{port}/healthz", retries=False, timeout=1).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"The server did not start:\n{log.read_text(errors='replace')}")


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _parent(entry: Path) -> int:
    return int((_stat(entry) or ["", "0"])[1])


def _cpu(pid: int) -> float:
    stat = _stat(_PROC / str(pid))
    return (int(stat[11]) + int(stat[12])) / _TICKS if stat else 0.0


def _stat(entry: Path) -> list[str]:
    """Return /proc/<pid>/stat behind the command's name, which may hold anything; empty if the process ended."""
    try:
        return (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB; 0 where there is no /proc."""
    try:
        lines = (_PROC / str(pid) / "status").read_text(errors="replace").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
