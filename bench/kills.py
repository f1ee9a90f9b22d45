"""What is left after random kills: every receipt that was given must have its license, one mail and one confirmation.

`python bench/kills.py --help`; docs/benchmark.md says what is killed and what is counted.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from email import message_from_bytes
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import click
from aiosmtpd.controller import Controller
from qlmhook_avangate.simulation import wall_now

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import orders, server, stored
from bench.client import HEADERS, PATH
from qlmhook.config import CONFIG_VARIABLE, ENVIRONMENT_PREFIX, load_settings
from qlmhook.errors import QlmhookError
from qlmhook.outbox import queue
from qlmhook.storage import models
from qlmhook.storage.database import Database, current_database

CUSTOMERS = 4
WORKERS = 2
LONGEST_PAUSE = 0.3
"""Seconds from the first receipt after a kill to the next kill, at most."""

PATIENCE = 60.0
"""Seconds until a receipt must come again after a kill."""

LONGEST_WAIT = queue.LEASE.total_seconds() + PATIENCE
"""A row that a killed worker had in its hands is due again when its lease is over."""

CONFIRMED = "&is_sendresponse=true"

_CONNECTIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}
_CUT = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


class Sink:
    """A mail server that keeps the Message-IDs of what it takes, by recipient."""

    def __init__(self) -> None:
        self.mails: dict[str, Counter[str]] = {}

    async def handle_DATA(self, smtp: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        ids = self.mails.setdefault(envelope.rcpt_tos[0], Counter())
        ids[str(message_from_bytes(envelope.content)["Message-ID"])] += 1
        return "250 OK"


class Service:
    """`qlmhook serve` and the outbox worker beside it, which are started again when they were killed."""

    def __init__(self, config: Path) -> None:
        self.port = server.free_port()
        self._config = config
        self._serve = self._start("serve", "--bind", f"127.0.0.1:{self.port}", "--workers", str(WORKERS))
        self._worker = self._start("worker")

    def kill_a_web_worker(self) -> bool:
        """Kill one process of gunicorn, which starts another; tell whether there was one."""
        pids = server.Server(name="", port=self.port, master=self._serve.pid).workers()
        if pids:
            with suppress(ProcessLookupError):
                os.kill(random.choice(pids), signal.SIGKILL)
        return bool(pids)

    def kill_gunicorn(self) -> bool:
        """Kill all of gunicorn at once, and start it again."""
        _kill(self._serve)
        self._serve = self._start("serve", "--bind", f"127.0.0.1:{self.port}", "--workers", str(WORKERS))
        return True

    def kill_the_outbox_worker(self) -> bool:
        """Kill what sends mails and confirmations, and start it again."""
        _kill(self._worker)
        self._worker = self._start("worker")
        return True

    def close(self) -> None:
        """End both."""
        _kill(self._serve)
        _kill(self._worker)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
        home = str(self._config.parent)
        with (self._config.parent / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "qlmhook", *arguments],
                env={**environ, CONFIG_VARIABLE: str(self._config), "HOME": home, "XDG_RUNTIME_DIR": home},
                cwd=server.ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Customers:
    """Threads that post signed orders as a shop does: each again and again until its receipt is there."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._first_at = wall_now()
        self._numbers = count()
        self._stopping = threading.Event()
        self.receipted: list[int] = []
        self._threads = [threading.Thread(target=self._buy, daemon=True) for _ in range(CUSTOMERS)]
        for thread in self._threads:
            thread.start()

    def wait_for_receipt(self) -> None:
        """Wait until one more receipt is there; raises RuntimeError when none comes."""
        there, deadline = len(self.receipted), time.monotonic() + PATIENCE
        while len(self.receipted) == there:
            if time.monotonic() > deadline:
                raise RuntimeError(f"No receipt came for {PATIENCE:g} seconds.")
            time.sleep(0.005)

    def stop(self) -> None:
        """Let each customer get the receipt that it waits for, and no other."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _buy(self) -> None:
        while not self._stopping.is_set():
            order = orders.signed(next(self._numbers), self._first_at)
            while orders.receipt_problem(self._post(order.body), order.number, self._first_at):
                time.sleep(0.02)
            self.receipted.append(order.number)

    def _post(self, body: bytes) -> str:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        with suppress(OSError, HTTPException):
            connection.request("POST", PATH, body, HEADERS)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            connection.close()
            return text if answer.status == 200 else ""
        connection.close()
        return ""


def cut_a_connection(database: Database) -> bool:
    """Let the database's server end one of the service's connections; tell whether there was one."""
    with database.reading():
        engine = database.engine.partition(" ")[0]
        if engine not in _CUT:
            return False
        found = [int(row[0]) for row in _ask(_CONNECTIONS[engine])]
        if found:
            _ask(_CUT[engine].format(random.choice(found)))
    return bool(found)


def _ask(statement: str) -> list[Any]:
    assert current_database.obj is not None
    cursor = current_database.obj.execute_sql(statement)  # type: ignore[no-untyped-call]
    return list(cursor.fetchall())


@click.command()
@click.option("--kills", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many.")
@click.option("--seed", type=int, default=None, help="Of the choice of victims and pauses. Default: another each time.")
@click.option("--database", default="", metavar="URL", help="An empty database. Default: a temporary SQLite file.")
@click.option("--spare-outbox", is_flag=True, help="Kill no outbox worker: its rows need five minutes to come again.")
def main(kills: int, seed: int | None, database: str, spare_outbox: bool) -> None:
    """Kill a service under load at random, then look for what is missing or there twice.

    Exits with 1 if anything is.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all processes are ended
    seed = random.randrange(10**6) if seed is None else seed
    random.seed(seed)
    try:
        url = stored.empty_database(database) if database else ""
        with tempfile.TemporaryDirectory(prefix="qlmhook-kills-") as folder:
            problems = _run(kills, Path(folder), url or f"sqlite:///{folder}/kills.db", spare_outbox=spare_outbox)
    except QlmhookError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Seed:     {seed}")
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)


def _run(kills: int, folder: Path, url: str, *, spare_outbox: bool) -> list[str]:
    with ExitStack() as stack:
        sink = Sink()
        mail_port, shop_port = server.free_port(), server.free_port()
        mail_server = Controller(sink, hostname="127.0.0.1", port=mail_port)
        mail_server.start()
        stack.callback(mail_server.stop)
        config = folder / "qlmhook.toml"
        config.write_text(_configuration(url, mail_port, shop_port), encoding="utf-8")
        engine = stored.prepare(load_settings({CONFIG_VARIABLE: str(config)}), mapping=orders.MAPPING + CONFIRMED)
        click.echo(f"Engine:   {engine}; customers: {CUSTOMERS}; web workers: {WORKERS}")
        stack.enter_context(_shop(config, shop_port))
        service = Service(config)
        stack.callback(service.close)
        database = Database(url)
        stack.callback(database.close)
        customers = Customers(service.port)
        done = _kill_at_random(kills, service, customers, database, spare_outbox=spare_outbox)
        customers.stop()
        click.echo("Kills:    " + ", ".join(f"{what}: {times}" for what, times in sorted(done.items())))
        _wait_for_outbox(database)
        return _problems(customers.receipted, stored.count(url), sink.mails, database)


def _kill_at_random(
    kills: int, service: Service, customers: Customers, database: Database, *, spare_outbox: bool
) -> Counter[str]:
    victims: dict[str, Callable[[], bool]] = {
        "web workers": service.kill_a_web_worker,
        "gunicorn": service.kill_gunicorn,
        "outbox workers": service.kill_the_outbox_worker,
        "connections": lambda: cut_a_connection(database),
    }
    if spare_outbox:
        del victims["outbox workers"]
    done: Counter[str] = Counter()
    while done.total() < kills:
        customers.wait_for_receipt()
        time.sleep(random.uniform(0, LONGEST_PAUSE))
        victim = random.choice(list(victims))
        done[victim] += victims[victim]()
    customers.wait_for_receipt()
    return done


def _wait_for_outbox(database: Database) -> None:
    """Wait until nothing is left to go out, or for as long as a lease lasts."""
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        with database.reading():
            left = models.Outbox.select().where(models.Outbox.state.in_(["due", "leased"])).count()
        if not left:
            return
        time.sleep(1)


def _problems(
    receipted: list[int], found: stored.Stored, mails: Mapping[str, Counter[str]], database: Database
) -> list[str]:
    """Return what is missing or there twice, and print what was counted."""
    refs = {orders.order_ref(number): number for number in receipted}
    lost = sorted(refs.keys() - found.fulfilled())
    unconfirmed = sorted(ref for ref in refs if found.confirmed[ref] != 1)
    twice = sorted(ref for ref in found.done if max(found.done[ref], found.licensed[ref], found.mails[ref]) > 1)
    unmailed = sorted(ref for ref, number in refs.items() if not mails.get(orders.email(number)))
    two_mails = sorted(address for address, ids in mails.items() if len(ids) > 1)
    again = sum(ids.total() - len(ids) for ids in mails.values())
    click.echo(
        f"Orders:   {len(refs):,} receipted; {len(found.done):,} done, {found.licensed.total():,} licenses, "
        f"{found.mails_sent:,} rows of the outbox done\n"
        f"Mails:    {sum(len(ids) for ids in mails.values()):,}; handed over once more after a kill, with the same "
        f"Message-ID: {again}"
    )
    problems = [f"Receipted, and not done, licensed and mailed once each: {', '.join(lost[:5])}."] if lost else []
    problems += [f"Receipted, and not confirmed once: {', '.join(unconfirmed[:5])}."] if unconfirmed else []
    problems += [f"There twice: {', '.join(twice[:5])}."] if twice else []
    problems += [f"No mail came: {', '.join(unmailed[:5])}."] if unmailed else []
    problems += [f"Two mails came: {', '.join(two_mails[:5])}."] if two_mails else []
    return problems + list(_faults_of_file(database))


def _faults_of_file(database: Database) -> Iterator[str]:
    if database.file is not None:
        with database.reading():
            [(verdict,)] = _ask("PRAGMA integrity_check")
            orphans = _ask("PRAGMA foreign_key_check")
        if verdict != "ok" or orphans:
            yield f"The database is not sound: {verdict}, {len(orphans)} rows refer to nothing."


@contextmanager
def _shop(config: Path, port: int) -> Iterator[None]:
    """Run 2Checkout's stand-in that takes confirmations."""
    arguments = ["simulate", "idn-server", "--bind", f"127.0.0.1:{port}", "--key", orders.SECRET]
    with (config.parent / "shop.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "qlmhook", *arguments], cwd=server.ROOT, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _configuration(url: str, mail_port: int, shop_port: int) -> str:
    plain = server.configuration(url, mail_port).replace("worker = true", "worker = false")
    return f"""{plain}
[vendors.avangate.idn]
url = "http://127.0.0.1:{shop_port}/order/idn.php"
merchant = "BENCH"
allow_private = true
"""


if __name__ == "__main__":
    main()
