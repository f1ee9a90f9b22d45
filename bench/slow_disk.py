"""What threads gain that share a commit, on a disk whose every sync takes longer.

`python bench/slow_disk.py --help`; docs/benchmark.md says what is compared.
"""

import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from qlmhook_avangate.simulation import wall_now

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import server, stored
from bench.client import Clients, Round
from bench.server import Server
from qlmhook.config import CONFIG_VARIABLE, load_settings

_SLOW_SYNC = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_longer(void) { usleep(atoi(getenv("SLOW_SYNC_MICROSECONDS"))); }

int fsync(int file) {
    wait_longer();
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fsync"))(file);
}

int fdatasync(int file) {
    wait_longer();
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fdatasync"))(file);
}
"""

PER_ROUND = 4000
"""Messages that are signed for a round of a second."""


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Seconds of load on each.")
@click.option("--sync", type=click.FloatRange(0, 1000), default=4, show_default=True, help="Milliseconds more a sync.")
@click.option("--clients", type=click.IntRange(1, 64), default=16, show_default=True, help="Connections at a time.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes of each server.")
def main(rounds: int, sync: float, clients: int, workers: int) -> None:
    """Load the service in turn with one that commits each request alone, on a disk that syncs more slowly.

    Needs a C compiler, for a library that is put before the C library's.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended
    with tempfile.TemporaryDirectory(prefix="qlmhook-slow-") as folder, ExitStack() as stack:
        slower = {
            "LD_PRELOAD": str(_library(Path(folder))),
            "SLOW_SYNC_MICROSECONDS": str(int(sync * 1000)),
        }
        servers = []
        for name, arguments in (("shared", ["qlmhook", "serve"]), ("alone", server.gunicorn_of("bench.alone:app"))):
            config = Path(folder) / f"{name}.toml"
            config.write_text(server.configuration(f"sqlite:///{folder}/{name}.db", None), encoding="utf-8")
            stored.prepare(load_settings({CONFIG_VARIABLE: str(config)}))
            running = server.running(
                name, arguments, Path(folder), workers=workers, config=str(config), environment=slower
            )
            servers.append(stack.enter_context(running))
        crowd = Clients(clients, first_at=wall_now())
        stack.callback(crowd.close)
        found = _measured(servers, crowd, rounds)
    for name, of_server in found.items():
        seconds, requests = sum(one.seconds for one in of_server), sum(one.requests for one in of_server)
        click.echo(f"{name:8}{requests / seconds:8,.0f} requests per second")
    problems = [problem for of_server in found.values() for one in of_server for problem in _problems(one)]
    shared, alone = (sum(one.requests / one.seconds for one in of_server) for of_server in found.values())
    click.echo(f"Ratio:  {shared / alone:.2f}, with {sync:g} ms more for each sync, {clients} clients")
    for problem in problems[:5]:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)


def _measured(servers: list[Server], crowd: Clients, rounds: int) -> dict[str, list[Round]]:
    """Load one server after the other, a second each; the first round warms up."""
    found: dict[str, list[Round]] = {one.name: [] for one in servers}
    for number in range(rounds + 1):
        for one in servers:
            crowd.top_up(PER_ROUND if number == 0 else PER_ROUND // 2)
            result = crowd.run(one.port, seconds=1, checked=True)
            if number:
                found[one.name].append(result)
    return found


def _problems(one: Round) -> list[str]:
    return [problem for sample in one.samples for problem in sample.problems]


def _library(folder: Path) -> Path:
    """Compile the library that makes each sync take longer."""
    source, library = folder / "slow_sync.c", folder / "slow_sync.so"
    source.write_text(_SLOW_SYNC, encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


if __name__ == "__main__":
    main()
