"""Fills a database as if the service had sold for years: `python bench/fill.py --help`.

Some stories are told to the service itself: orders, renewals, refunds, ended subscriptions, orders that are held. Their
rows are read, and written again and again with other names and keys, in bulk.
"""

import hashlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import peewee
from qlmhook_avangate import simulation

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import orders, server, stored
from qlmhook.catalog import mappings
from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.inbox import fact_json
from qlmhook.licensing import key_format
from qlmhook.outbox import queue
from qlmhook.services.wiring import Service
from qlmhook.storage import engines, models
from qlmhook.vendors.api import Notification
from qlmhook.vendors.form_body import FORM, parse_form

BEGUN = datetime(2021, 1, 4, 9, 0, tzinfo=UTC)
STORIES = 60
KINDS = 10
"""Stories that happen at one time; what follows differs."""

APART = timedelta(days=30)
"""So many stories so far apart are five years."""

FIRST_NUMBER = 300_000_000
"""Of the orders that are told; those that are written follow at WRITTEN."""

WRITTEN = 400_000_000

ALIKE = 10
"""Orders of one story that are written one after the other, before others of the same time."""

BATCH = 1000
"""Orders that are written in a transaction."""

UNMAPPED = "99999999"

STORY = [
    models.Notification,
    models.Fact,
    models.Hold,
    models.Customer,
    models.License,
    models.FulfilledLine,
    models.Audit,
    models.Outbox,
    models.MailedLicense,
]
"""The tables in which a story has rows, those first that others refer to."""

Row = dict[str, Any]
Story = Mapping[type[peewee.Model], Sequence[Row]]
"""The rows of a story, as the engine has them, by table."""

Rows = dict[Any, list[tuple[Any, ...]]]


def subscription_of(number: int) -> str:
    """Return the subscription of an order that was written."""
    return f"SUB{number}"


def email_of(number: int) -> str:
    """Return the address of its buyer."""
    return f"john.doe.{number}@example.com"


class Clock:
    """The time that the service is told."""

    def __init__(self) -> None:
        self.now = BEGUN

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, kw_only=True)
class Told:
    """A story that the service was told: the number in its names, and what it stored."""

    number: int
    rows: Story


def ipn(number: int, now: datetime, *, renews: int = 0, **changes: Any) -> bytes:
    """Return a signed order; one that renews is of the same subscription and buyer as another."""
    of = renews or number
    line = simulation.Line(
        product_id=changes.pop("product", orders.PRODUCT),
        name="Benchmark™, one year",
        subscription_ref=subscription_of(of),
        expires=f"{now + timedelta(days=365):%Y-%m-%d %H:%M:%S}",
    )
    paid = f"{now:%Y-%m-%d %H:%M:%S}"
    filled = dict(orders.FILLED) | {"PAYMENTDATE": paid, "COMPLETE_DATE": paid, "AVANGATE_CUSTOMER_REFERENCE": str(of)}
    extra = [*filled.items(), *((name, "") for name in orders.EMPTY), *changes.pop("extra", ())]
    order = simulation.Order(
        order_ref=str(number), lines=[line], email=changes.pop("email", email_of(of)), now=now, extra=extra, **changes
    )
    return simulation.signed_body(simulation.ipn_fields(order), orders.SECRET, orders.ALGORITHMS)


def lcn(number: int, now: datetime, *, status: str, expires: datetime) -> bytes:
    """Return a signed change of an order's subscription."""
    subscription = simulation.Subscription(
        ref=subscription_of(number),
        product_id=orders.PRODUCT,
        expires=f"{expires:%Y-%m-%d %H:%M:%S}",
        status=status,
        email=email_of(number),
        now=now,
    )
    return simulation.signed_body(simulation.lcn_fields(subscription), orders.SECRET, orders.ALGORITHMS)


def tell(service: Service, body: bytes) -> None:
    """Let the service take a signed message in."""
    account = service.accounts.named("avangate")
    notification = Notification(
        content_type=FORM, body=body, fields=parse_form(body), received_at=service.clock(), enrichment=b""
    )
    service.intake.receive(account, notification)


def deliver(service: Service, *, fails: bool) -> None:
    """Write down that what is due went out, or is given up, as the worker does."""
    while True:
        with service.database.transaction():
            row = queue.claim(service.clock())
        if row is None:
            return
        with service.database.transaction():
            queue.describe(row, subject="Your license of Benchmark")
            if fails:
                queue.fail(row, "550 No such user", permanent=True, now=service.clock())
            else:
                queue.finish(row, service.clock())


def tell_story(service: Service, clock: Clock, place: int, number: int) -> None:
    """Let an order, and in some stories what became of it, happen at the story's time."""
    kind = place % KINDS
    clock.now = BEGUN + (place - kind) * APART
    mapped = UNMAPPED if place == STORIES - 1 else orders.PRODUCT  # one is held
    tell(service, ipn(number, clock.now, product=mapped))
    if kind == 6:
        clock.now += timedelta(days=20)
        tell(service, ipn(number, clock.now, status="REFUND"))
    elif kind == 7:
        clock.now += timedelta(days=200)
        tell(service, lcn(number, clock.now, status="EXPIRED", expires=clock.now))
    elif kind == 8:
        clock.now += timedelta(days=100)
        tell(service, lcn(number, clock.now, status="DISABLED", expires=clock.now + timedelta(days=265)))
    elif kind == 9 and mapped == orders.PRODUCT:
        clock.now += timedelta(days=360)
        tell(service, ipn(number + STORIES, clock.now, renews=number))
    clock.now += timedelta(minutes=1)
    deliver(service, fails=place == 5)


def read_story(service: Service, number: int, since: Mapping[Any, int]) -> Told:
    """Return what was stored since then, as it is in the database."""
    with service.database.reading():
        rows = {
            table: [_raw(row) for row in table.select().where(table.id > since[table]).order_by(table.id)]
            for table in map(_with_id, STORY)
        }
    return Told(number=number, rows=rows)


def _raw(row: Any) -> Row:
    values = {field.column_name: field.db_value(row.__data__[field.name]) for field in row._meta.sorted_fields}
    return {name: bytes(value) if isinstance(value, memoryview) else value for name, value in values.items()}


def _with_id(table: type[peewee.Model]) -> Any:
    return table


def newest(service: Service) -> dict[Any, int]:
    """Return the greatest id of each table."""
    with service.database.reading():
        return {
            table: table.select(peewee.fn.MAX(table.id)).scalar() or 0 for table in map(_with_id, models.TABLES[1:])
        }


class Variations:
    """Writes a story's rows for other orders."""

    def __init__(self, told: Told, newest: dict[Any, int]) -> None:
        self._told = told
        self._newest = newest
        self._places = {
            (table, row["id"]): place for table, rows in told.rows.items() for place, row in enumerate(rows)
        }
        self._names = [str(told.number), str(told.number + STORIES)]
        self._references = {
            table: {
                field.column_name: field.rel_model
                for field in table._meta.sorted_fields
                if isinstance(field, peewee.ForeignKeyField)
            }
            for table in STORY
        }

    def add(self, made: Rows, numbers: Iterable[int]) -> None:
        """Add the rows of these orders to each table's, as tuples in the order of its columns."""
        for number in numbers:
            first = dict(self._newest)
            for table, rows in self._told.rows.items():
                for place, row in enumerate(rows):
                    made[table].append(tuple(self._varied(table, row, place, number, first).values()))
                self._newest[table] += len(rows)

    def _varied(self, table: Any, row: Row, place: int, number: int, first: Mapping[Any, int]) -> Row:
        names = str(number), str(number + STORIES)
        new = {column: self._renamed(value, names) for column, value in row.items()}
        new["id"] = first[table] + place + 1
        for column, other in self._references[table].items():
            if row[column] is not None:
                new[column] = first[other] + self._places[other, row[column]] + 1
        if table is models.Notification:
            for column in ("digest", "signed_digest"):
                new[column] = hashlib.sha256(f"{row[column]} {number}".encode()).hexdigest()
        elif table is models.Fact:
            new["digest"] = fact_json.digest_of(new["vendor"], json.loads(new["data"]))
        elif table is models.License:
            new["key"] = _key(row["key"][0], number, new["unit"])
        elif table is models.Audit and row["actor"].startswith("notification "):
            told_by = int(row["actor"].split()[1])
            new["actor"] = f"notification {first[models.Notification] + self._places[models.Notification, told_by] + 1}"
        return new

    def _renamed(self, value: Any, names: Sequence[str]) -> Any:
        if isinstance(value, str):
            for old, new in zip(self._names, names, strict=True):
                value = value.replace(old, new)
        elif isinstance(value, bytes):
            for old, new in zip(self._names, names, strict=True):
                value = value.replace(old.encode(), new.encode())
        return value


def _key(letter: str, number: int, unit: int) -> str:
    drawn = hashlib.sha256(f"{number} {unit}".encode()).digest()[: key_format.RANDOM_LENGTH]
    start = letter + "".join(key_format.ALPHABET[byte % 32] for byte in drawn)
    return start + key_format.check_character(start)


def numbers_of(count: int) -> Iterator[tuple[int, range]]:
    """Yield, for each story, the numbers of the orders that it is written for, the oldest story first.

    Of the numbers every other block is left out, for those of renewals.
    """
    each = -(-count // STORIES)
    written = 0
    for place in range(STORIES):
        size = min(each, count - written)
        yield place, range(written, written + size)
        written += size


def number_of(index: int) -> int:
    """Return the number of the order that was written at a place."""
    block, rest = divmod(index, STORIES)
    return WRITTEN + block * 2 * STORIES + rest


def index_of(number: int) -> int:
    """Return the place at which an order, or its renewal, was written."""
    block, rest = divmod(number - WRITTEN, 2 * STORIES)
    return block * STORIES + rest % STORIES


def fill(service: Service, clock: Clock, count: int, tell_progress: Callable[[str], None]) -> None:
    """Tell the stories, and write them for so many orders."""
    with service.database.transaction():
        mappings.save(f"pid_{orders.PRODUCT}", orders.MAPPING, now=BEGUN)
    told = []
    for place in range(STORIES):
        since = newest(service)
        number = FIRST_NUMBER + place * 2 * STORIES
        tell_story(service, clock, place, number)
        told.append(read_story(service, number, since))
    tell_progress(f"{STORIES} stories are told.")
    last, tallies = newest(service), _tallies(service)
    begun = time.monotonic()
    written = [(Variations(told[place], last), indexes) for place, indexes in numbers_of(count)]
    for first in range(0, STORIES, KINDS):
        of_one_time = written[first : first + KINDS]
        made: Rows = defaultdict(list)
        for start in range(0, len(of_one_time[0][1]), ALIKE):
            for variations, indexes in of_one_time:
                variations.add(made, map(number_of, indexes[start : start + ALIKE]))
            if len(made[models.Customer]) >= BATCH:
                write(service, made)
                made.clear()
        write(service, made)
        tell_progress(f"{of_one_time[-1][1].stop:,} orders are written, {time.monotonic() - begun:.0f} s.")
    _finish(service, told, count, tallies)


def write(service: Service, rows: Rows) -> None:
    """Add rows to each table, as tuples in the order of its columns."""
    with service.database.transaction():
        connection: Any = models.Notification._meta.database.obj
        for table in STORY:
            if not rows.get(table):
                continue
            columns = [field.column_name for field in table._meta.sorted_fields]
            quote, slot = connection.quote[0], connection.param
            names = ", ".join(f"{quote}{column}{quote}" for column in columns)
            slots = ", ".join([slot] * len(columns))
            with closing(connection.cursor()) as cursor:
                cursor.executemany(
                    f"INSERT INTO {table._meta.table_name} ({names}) VALUES ({slots})",
                    rows[table],
                )


def _tallies(service: Service) -> dict[tuple[str, str, str], int]:
    with service.database.reading():
        return {(row.counted, row.vendor, row.state): row.count for row in models.Tally.select()}


def _finish(service: Service, told: Sequence[Told], count: int, tallies: Mapping[tuple[str, str, str], int]) -> None:
    """Count what was written, let the next ids follow, and let the engine know its tables."""
    counted: dict[tuple[str, str, str], int] = defaultdict(int, tallies)
    for place, indexes in numbers_of(count):
        for row in told[place].rows[models.Notification]:
            counted["notification", row["vendor"], row["state"]] += len(indexes)
        for row in told[place].rows[models.License]:
            counted["license", row["vendor"], ""] += len(indexes)
        for row in told[place].rows[models.Outbox]:
            counted["outbox", "", row["state"]] += len(indexes)
    with service.database.transaction():
        models.Tally.delete().execute()
        models.Tally.add(
            [
                {"counted": table, "vendor": vendor, "state": state, "count": n}
                for (table, vendor, state), n in counted.items()
            ]
        )
        connection: Any = models.Notification._meta.database.obj
        server: Any = connection
        for table in STORY:
            name = table._meta.table_name
            if isinstance(connection, peewee.PostgresqlDatabase):
                server.execute_sql(f"SELECT setval('{name}_id_seq', (SELECT MAX(id) FROM {name}) + 1)")
                server.execute_sql(f"ANALYZE {name}")
    if isinstance(connection, engines.MySQL):
        with service.database.reading():
            names = ", ".join(table._meta.table_name for table in STORY)
            models.Notification._meta.database.obj.execute_sql(f"ANALYZE TABLE {names}")


def open_service(url: str, folder: Path, clock: Clock, *, mail_port: int | None = None) -> Service:
    """Return a service on a database, whose configuration is in the folder."""
    config = folder / "qlmhook.toml"
    config.write_text(server.configuration(url, mail_port), encoding="utf-8")
    chosen = {
        "QLMHOOK__WORKER": "false",
        "QLMHOOK__MAIL__OPERATOR": "operator@example.com",
        "QLMHOOK__VENDORS__AVANGATE__REVOKE_ON_REFUND": "true",
    }
    return Service.open(load_settings({CONFIG_VARIABLE: str(config), **chosen}), clock=clock)


@click.command()
@click.argument("url")
@click.option("--orders", "count", type=click.IntRange(1), default=1_000_000, show_default=True, help="To write.")
def main(url: str, count: int) -> None:
    """Fill the empty database at URL with orders of five years."""
    begun = time.monotonic()
    url = stored.empty_database(url)
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="qlmhook-fill-") as folder:
        service = open_service(url, Path(folder), clock)
        fill(service, clock, count, click.echo)
        with service.database.reading():
            tallies = models.Tally.select().order_by(models.Tally.counted, models.Tally.state)
            for tally in tallies:
                click.echo(f"{tally.counted:>14} {tally.state:<8} {tally.count:>10,}")
        service.database.close()
    click.echo(f"Filled {url} in {time.monotonic() - begun:.0f} s.")


if __name__ == "__main__":
    main()
