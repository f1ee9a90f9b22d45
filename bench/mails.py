"""Drains an outbox of due mails with worker processes into a mail server on loopback: `python bench/mails.py --help`.

One order is told to the service, and its rows are written again with other names and keys for as many mails as are
wanted. The rate is of the mails between the first and the last that arrive.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from email.parser import BytesHeaderParser
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
from aiosmtpd.controller import Controller

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import fill, orders, server, stored
from qlmhook.catalog import mappings
from qlmhook.config import CONFIG_VARIABLE, ENVIRONMENT_PREFIX
from qlmhook.services.wiring import Service
from qlmhook.storage import models

ASIDE = 1000
"""Mails after which a worker's memory is first read: by then it has everything that it needs."""


class Sink:
    """Takes every mail, and keeps when it came, in which session, and its Message-ID."""

    def __init__(self) -> None:
        self.arrived: list[float] = []
        self.sessions: set[Any] = set()
        self.message_ids: Counter[str] = Counter()

    async def handle_DATA(self, smtp: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.arrived.append(time.monotonic())
        self.sessions.add(session.peer)
        self.message_ids[BytesHeaderParser().parsebytes(envelope.content)["Message-ID"]] += 1
        return "250 OK"


def serve_sink(port: int, asked: Connection) -> None:
    """Run the mail server in a process of its own: answer True with how many mails came, None with the sink."""
    sink = Sink()
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    controller.start()
    asked.send(0)
    while asked.recv():
        asked.send(len(sink.arrived))
    controller.stop()
    asked.send(sink)


def write_due_mails(service: Service, clock: fill.Clock, count: int) -> None:
    """Let so many orders have been sold whose mails are due."""
    with service.database.transaction():
        mappings.save(f"pid_{orders.PRODUCT}", orders.MAPPING, now=clock())
    since = fill.newest(service)
    fill.tell(service, fill.ipn(fill.FIRST_NUMBER, clock()))
    told = fill.read_story(service, fill.FIRST_NUMBER, since)
    variations = fill.Variations(told, fill.newest(service))
    for first in range(1, count, fill.BATCH):
        made: fill.Rows = {table: [] for table in fill.STORY}
        variations.add(made, (fill.number_of(index) for index in range(first, min(first + fill.BATCH, count))))
        fill.write(service, made)
    with service.database.transaction():
        models.Tally.update(count=models.Tally.count * count).execute()


def drain(config: Path, workers: int, mails: int, sink: Connection) -> Sequence[tuple[float, float]]:
    """Run the workers until all mails have arrived; return the memory of each in MiB, early on and at the end."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(ENVIRONMENT_PREFIX)}
    command = [sys.executable, "-m", "qlmhook", "worker"]
    with ExitStack() as running:
        processes = []
        for _ in range(workers):
            process = subprocess.Popen(command, env={**environ, CONFIG_VARIABLE: str(config)}, cwd=server.ROOT)
            running.callback(server.end, process)
            processes.append(process)
        _wait_for(sink, min(ASIDE, mails), processes)
        early = [server.resident(process.pid) for process in processes]
        _wait_for(sink, mails, processes)
        return list(zip(early, [server.resident(process.pid) for process in processes], strict=True))


def _wait_for(sink: Connection, mails: int, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    came, since = 0, time.monotonic()
    while came < mails:
        time.sleep(0.1)
        sink.send(True)
        now = sink.recv()
        if now > came:
            came, since = now, time.monotonic()
        if time.monotonic() - since > server.PATIENCE or any(process.poll() is not None for process in processes):
            raise RuntimeError(f"Of {mails} mails only {came} arrived.")


@click.command()
@click.argument("url")
@click.option("--mails", type=click.IntRange(2), default=2000, show_default=True, help="That are due.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
def main(url: str, mails: int, workers: int) -> None:
    """Fill the empty database at URL with due mails, and let workers send them."""
    url = stored.empty_database(url)
    port = server.free_port()
    clock = fill.Clock()
    with tempfile.TemporaryDirectory(prefix="qlmhook-mails-") as folder:
        service = fill.open_service(url, Path(folder), clock, mail_port=port)
        write_due_mails(service, clock, mails)
        with service.database.reading():
            click.echo(service.database.engine)
        service.database.close()
        asked, answers = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=serve_sink, args=(port, answers), daemon=True)
        process.start()
        asked.recv()
        memory = drain(Path(folder) / "qlmhook.toml", workers, mails, asked)
        asked.send(None)
        sink: Sink = asked.recv()
        with service.database.reading():
            states = Counter(row.state for row in models.Outbox.select(models.Outbox.state).iterator())
        service.database.close()
    if set(sink.message_ids.values()) != {1} or states != {"done": mails}:
        raise RuntimeError(f"Not each mail went out once: {len(sink.message_ids)} different ones, {dict(states)}.")
    click.echo(f"{(mails - 1) / (sink.arrived[-1] - sink.arrived[0]):.0f} mails a second from {workers} workers")
    click.echo(f"{mails} mails, each once, in {len(sink.sessions)} SMTP sessions")
    click.echo(f"memory in MiB, early and at the end: {', '.join(f'{a:.0f} → {b:.0f}' for a, b in memory)}")


if __name__ == "__main__":
    main()
