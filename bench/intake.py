"""How many notifications a second the service takes in, and what a bare Flask application does beside it.

`python bench/intake.py --help`; docs/benchmark.md says what each figure means.
"""

import math
import os
import platform
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from aiosmtpd.controller import Controller
from qlmhook_avangate.simulation import wall_now

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import disk, orders, report, server, stored
from bench.client import Clients, Round
from bench.server import Server
from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.errors import QlmhookError
from qlmhook.web.gunicorn import settings

WARM_UP_SECONDS = 1.0
DISK_SECONDS = 1.0
EXPECTED_RATE = 600.0
"""Messages a second that are signed for the warm-up; later, three times as many as the round before took."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was asked for on the command line."""

    seconds: float
    clients: int
    workers: int
    database: str
    mail: bool

    @property
    def rounds(self) -> int:
        """Rounds of about a second, two at least."""
        return max(2, round(self.seconds))

    @property
    def round_seconds(self) -> float:
        """How long each round takes."""
        return self.seconds / self.rounds


@dataclass(kw_only=True)
class Target:
    """A server under load, and what was measured of it so far."""

    server: Server
    checked: bool
    warm_up: Round
    memory_before: list[float]
    rounds: list[Round] = field(default_factory=list)
    cpu: float = 0.0

    def measured(self) -> report.Measured:
        """Return the figures."""
        return report.Measured(
            name=self.server.name,
            rounds=self.rounds,
            cpu=self.cpu,
            memory_before=self.memory_before,
            memory_after=self.server.memory(),
        )


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(1, 3600), default=10, show_default=True, help="Of load on each server."
)
@click.option("--clients", type=click.IntRange(1, 64), default=8, show_default=True, help="Connections at a time.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes of each server.")
@click.option("--database", default="", metavar="URL", help="An empty database. Default: a temporary SQLite file.")
@click.option("--mail", is_flag=True, help="Send the mails as well, to an SMTP server in this process.")
def main(seconds: float, clients: int, workers: int, database: str, mail: bool) -> None:
    """Measure the intake of signed orders, in turn with a bare Flask application under the same load.

    Exits with 1 if a receipt was invalid or an order was lost.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended
    try:
        url = stored.empty_database(database) if database else ""
        plan = Plan(seconds=seconds, clients=clients, workers=workers, database=url, mail=mail)
        with tempfile.TemporaryDirectory(prefix="qlmhook-bench-") as folder:
            problems = _measure(plan, Path(folder))
    except QlmhookError as error:
        raise click.ClickException(str(error)) from error
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)


def _measure(plan: Plan, folder: Path) -> list[str]:
    """Run the whole benchmark and print it; return what is wrong."""
    url = plan.database or f"sqlite:///{folder / 'bench.db'}"
    with ExitStack() as stack:
        mail_port = stack.enter_context(_mail_server()) if plan.mail else None
        config = folder / "qlmhook.toml"
        config.write_text(server.configuration(url, mail_port), encoding="utf-8")
        engine = stored.prepare(load_settings({CONFIG_VARIABLE: str(config)}))
        _show_setting(plan, engine)
        service = stack.enter_context(server.qlmhook_server(config, workers=plan.workers))
        bare = stack.enter_context(server.bare_server(folder, workers=plan.workers))
        clients = Clients(plan.clients, first_at=wall_now())
        stack.callback(clients.close)
        targets = _warm_up(clients, service, bare)
        syncs = [_round_of_each(plan, clients, targets, folder) for _ in range(plan.rounds)]
        measured = [target.measured() for target in targets]

    report.show_table(*measured)
    report.show_disk(syncs)
    report.show_late(measured[0].rounds)
    return report.show_account([target.warm_up for target in targets] + _all_rounds(measured), stored.count(url))


def _warm_up(clients: Clients, *servers: Server) -> list[Target]:
    """Load each server once before it counts; its first answers take long."""
    clients.top_up(math.ceil(EXPECTED_RATE * WARM_UP_SECONDS))
    targets = []
    for one, checked in zip(servers, (True, False), strict=True):
        warm_up = clients.run(one.port, seconds=WARM_UP_SECONDS, checked=checked)
        targets.append(Target(server=one, checked=checked, warm_up=warm_up, memory_before=one.memory()))
    return targets


def _round_of_each(plan: Plan, clients: Clients, targets: list[Target], folder: Path) -> float:
    """Probe the disk and load one server after the other: what else the machine does falls on all alike.

    Returns the disk's syncs per second.
    """
    syncs = disk.fsyncs_per_second(folder, seconds=DISK_SECONDS / plan.rounds)
    for target in targets:
        if target.checked:
            rate = [target.warm_up, *target.rounds][-1].rate
            clients.top_up(math.ceil(3 * rate * plan.round_seconds) + 10 * plan.clients)
        cpu = target.server.cpu()
        target.rounds.append(clients.run(target.server.port, seconds=plan.round_seconds, checked=target.checked))
        target.cpu += target.server.cpu() - cpu
    return syncs


def _all_rounds(measured: list[report.Measured]) -> list[Round]:
    return [one for target in measured for one in target.rounds]


def _show_setting(plan: Plan, engine: str) -> None:
    order = orders.signed(0, wall_now())
    click.echo(
        f"qlmhook {version('qlmhook')}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{os.cpu_count()} cores\n"
        f"Engine: {engine}, {'as given' if plan.database else 'a temporary file'}; "
        f"mails {'are sent' if plan.mail else 'wait in the outbox'}\n"
        f"Server: gunicorn {version('gunicorn')}, workers: {plan.workers} ({settings.worker_class}), "
        f"threads of each: {settings.threads}\n"
        f"Load:   clients: {plan.clients}, rounds of each, in turn: {plan.rounds} of {plan.round_seconds:.2g} s\n"
        f"Order:  {order.body.count(b'=')} fields, {len(order.body):,} bytes, signed with "
        f"{' and '.join(orders.ALGORITHMS)}"
    )


class _Sink:
    """Takes every mail."""

    async def handle_DATA(self, smtp: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return "250 OK"


@contextmanager
def _mail_server() -> Iterator[int]:
    port = server.free_port()
    controller = Controller(_Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


if __name__ == "__main__":
    main()
