"""What the service does, on a nearly empty database and on a filled one: `python bench/constant.py --help`.

docs/benchmark.md says what each figure means.
"""

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import click
from flask.testing import FlaskClient

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import fill, stored
from qlmhook.cli import doctor
from qlmhook.outbox import queue
from qlmhook.reports import listings
from qlmhook.services.wiring import Service
from qlmhook.storage import models
from qlmhook.storage.license_status import STATUSES
from qlmhook.web.app import create_app

NEARLY_EMPTY = 600
"""Orders: enough that each is renewed or refunded once only."""

NOW = fill.BEGUN + fill.STORIES * fill.APART

SHOWN = 10
"""Rows of a listing: so many there are of every state in both."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a listing is asked: about which order, and for how many rows."""

    service: Service
    number: int
    limit: int | None = SHOWN


def _by_status(status: str, asked: Asked) -> Iterator[Any]:
    return listings.each_license(now=NOW, status=status, limit=asked.limit)


FILTERS: Mapping[str, Callable[[Asked], Any]] = {
    "license list": lambda asked: listings.each_license(now=NOW, limit=asked.limit),
    "license list --order": lambda asked: listings.each_license(now=NOW, order=str(asked.number)),
    "license list --email": lambda asked: listings.each_license(now=NOW, email=fill.email_of(asked.number)),
    "license list --subscription": lambda asked: listings.each_license(
        now=NOW, subscription=fill.subscription_of(asked.number)
    ),
    **{f"license list --status {status}": partial(_by_status, status) for status in STATUSES},
    "license list --order --status": lambda asked: listings.each_license(
        now=NOW, order=str(asked.number), status="expired"
    ),
    "license list --search ORDER": lambda asked: listings.each_license(now=NOW, search=str(asked.number)),
    "license list --search ADDR": lambda asked: listings.each_license(now=NOW, search=fill.email_of(asked.number)),
    "notification list": lambda asked: listings.each_notification(limit=asked.limit),
    "notification list --order": lambda asked: listings.each_notification(order=str(asked.number)),
    "notification list --state done": lambda asked: listings.each_notification(state="done", limit=asked.limit),
    "notification list --state held": lambda asked: listings.each_notification(state="held", limit=asked.limit),
    "notification list --state --order": lambda asked: listings.each_notification(
        state="held", order=str(asked.number)
    ),
    "outbox list": lambda asked: listings.each_outbox_row(limit=asked.limit),
    "outbox list --order": lambda asked: listings.each_outbox_row(order=str(asked.number)),
    "outbox list --state done": lambda asked: listings.each_outbox_row(state="done", limit=asked.limit),
    "outbox list --state due": lambda asked: listings.each_outbox_row(state="due", limit=asked.limit),
    "outbox list --state --order": lambda asked: listings.each_outbox_row(state="due", order=str(asked.number)),
    "vendor list": lambda asked: listings.vendors(asked.service.accounts),
}
"""Every filter of every listing, but a search inside texts, which reads until it has found enough."""


class Place:
    """A database, and what is done there, each time with another order."""

    def __init__(self, url: str, folder: Path) -> None:
        folder.mkdir()
        self.clock = fill.Clock()
        self.clock.now = NOW
        self.service = fill.open_service(url, folder, self.clock)
        self.orders = self._count()
        self._client: FlaskClient = create_app(self.service.settings, clock=self.clock).test_client()
        self._run = int(time.time()) % 90_000  # where this was run before, other orders are told of
        self._new = count(900_000_000 + self._run * 1000)
        self._last = b""
        self.service.delivery.beat("worker")

    def _count(self) -> int:
        with self.service.database.reading():
            newest = models.License.select().order_by(models.License.id.desc())
            last = next(row.order_ref for row in newest.limit(1000) if row.order_ref < "900000000")
        return fill.index_of(int(last)) + 1

    def old(self, story: int, turn: int, turns: int) -> int:
        """Return the number of an order that was written, another for each turn, of five stories from this one on."""
        each = -(-self.orders // fill.STORIES)
        apart = max(1, 5 * each // turns)
        return fill.number_of(story * each + turn * apart + self._run % apart)

    def operations(self) -> Mapping[str, Callable[[int, int], Callable[[], object]]]:
        """Return what is measured: made ready for a turn, it is called once."""
        return {
            "first delivery": lambda turn, turns: self._telling(fill.ipn(next(self._new), self.clock.now)),
            "repeat": lambda turn, turns: self._repeat,
            "renewal of an old license": lambda turn, turns: self._telling(
                fill.ipn(next(self._new), self.clock.now, renews=self.old(0, turn, turns))
            ),
            "refund": lambda turn, turns: self._telling(
                fill.ipn(self.old(10, turn, turns), self.clock.now, status="REFUND")
            ),
            "LCN": lambda turn, turns: self._telling(
                fill.lcn(self.old(20, turn, turns), NOW, status="ACTIVE", expires=self.clock.now + timedelta(days=100))
            ),
            "late message, another name": lambda turn, turns: self._telling(
                fill.ipn(next(self._new), self._long_ago, renews=self.old(30, turn, turns), first_name="Jane")
            ),
            "claim and finish": lambda turn, turns: self._deliver,
            "doctor": lambda turn, turns: self._examine,
            "/metrics": lambda turn, turns: lambda: self._get("/metrics"),
            "/readyz": lambda turn, turns: self._after_a_beat(lambda: self._get("/readyz")),
            **{name: partial(self._listing, rows) for name, rows in FILTERS.items()},
        }

    @property
    def _long_ago(self) -> datetime:
        return self.clock.now - timedelta(days=700)

    def _telling(self, body: bytes) -> Callable[[], object]:
        self._last = body
        return self._repeat

    def _repeat(self) -> None:
        fill.tell(self.service, self._last)

    def _deliver(self) -> None:
        with self.service.database.transaction():
            row = queue.claim(self.clock())
        assert row is not None
        with self.service.database.transaction():
            queue.finish(row, self.clock())

    def _examine(self) -> None:
        for check in (doctor._accounts, doctor._database, doctor._clock, doctor._mappings, doctor._work):
            list(check(self.service))

    def _get(self, page: str) -> None:
        assert self._client.get(page).status_code == 200

    def _after_a_beat(self, ask: Callable[[], object]) -> Callable[[], object]:
        self.service.delivery.beat("worker")
        return ask

    def _listing(self, rows: Callable[[Asked], Any], turn: int, turns: int) -> Callable[[], object]:
        asked = Asked(service=self.service, number=self.old(40, turn, turns))

        def read() -> None:
            with self.service.database.reading():
                list(rows(asked))

        return read


def measure(places: tuple[Place, Place], turns: int) -> Iterator[tuple[str, float, float]]:
    """Yield each operation with its p50 in milliseconds in both places, which have their turns one after the other."""
    operations = [place.operations() for place in places]
    for name in operations[0]:
        seconds: tuple[list[float], list[float]] = ([], [])
        for turn in range(turns):
            for which in (0, 1) if turn % 2 else (1, 0):
                places[which].clock.now += timedelta(seconds=1)
                ready = operations[which][name](turn, turns)
                begun = time.perf_counter()
                ready()
                seconds[which].append(time.perf_counter() - begun)
        yield name, 1000 * statistics.median(seconds[0]), 1000 * statistics.median(seconds[1])


@click.command()
@click.argument("filled")
@click.option(
    "--empty", "empty", default="", metavar="URL", help="An empty database. Default: a temporary SQLite file."
)
@click.option("--turns", type=click.IntRange(5), default=40, show_default=True, help="Of each operation.")
@click.option("--limit", type=float, default=1.2, show_default=True, help="The greatest ratio that is no failure.")
def main(filled: str, empty: str, turns: int, limit: float) -> None:
    """Measure each operation on a database that bench/fill.py has filled, and on a nearly empty one of the same engine.

    What it takes in stays in both. Exits with 1 if an operation takes more than the limit times as long.
    """
    logging.getLogger("qlmhook").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qlmhook-constant-")))
        small = stored.empty_database(empty or f"sqlite:///{folder / 'small.db'}")
        clock = fill.Clock()
        (folder / "fill").mkdir()
        service = fill.open_service(small, folder / "fill", clock)
        fill.fill(service, clock, NEARLY_EMPTY, lambda told: None)
        service.database.close()
        places = Place(small, folder / "small"), Place(filled, folder / "filled")
        click.echo(f"{places[1].service.database.engine}, {places[1].orders:,} orders beside {places[0].orders:,}")
        click.echo(f"{'p50 in ms':<36}{'nearly empty':>14}{'filled':>10}{'ratio':>8}")
        wrong = []
        for name, before, after in measure(places, turns):
            ratio = after / before
            click.echo(f"{name:<36}{before:>14.2f}{after:>10.2f}{ratio:>8.2f}")
            wrong += [name] if ratio > limit else []
    if wrong:
        raise click.ClickException(f"More than {limit} times as long: {', '.join(wrong)}.")


if __name__ == "__main__":
    main()
