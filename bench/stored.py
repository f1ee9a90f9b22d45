"""What the database holds before a run and after it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import peewee

from bench import orders
from qlmhook.catalog import mappings
from qlmhook.config import Settings
from qlmhook.services.wiring import Service
from qlmhook.storage import models
from qlmhook.storage.database import Database, current_database

_SQLITE = "sqlite:///"
_POSTGRES_TABLES = "SELECT COUNT(*) FROM pg_catalog.pg_tables WHERE schemaname = ANY (current_schemas(false))"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """How many rows there are for each order: notifications that are done, licenses, mails, and confirmations done."""

    done: Counter[str]
    licensed: Counter[str]
    mails: Counter[str]
    confirmed: Counter[str]
    mails_sent: int

    def fulfilled(self) -> set[str]:
        """Return the orders that are done, and have one license and one mail, not two."""
        return {ref for ref in self.done if self.done[ref] == self.licensed[ref] == self.mails[ref] == 1}


def empty_database(url: str) -> str:
    """Return a URL that works from any folder; raises BadParameter if there is anything in the database."""
    if url.startswith(_SQLITE):
        path = Path(url.removeprefix(_SQLITE)).resolve()
        if path.exists() and path.stat().st_size:
            raise click.BadParameter("It must be an empty database: name a file that is not there yet.")
        return f"{_SQLITE}{path}"
    database = Database(url)
    with database.reading():
        tables = _tables()
    database.close()
    if tables:
        raise click.BadParameter(f"It must be an empty database; this one has {tables} tables.")
    return url


def prepare(settings: Settings, *, mapping: str = orders.MAPPING) -> str:
    """Create the tables, map the product that is ordered, and return the engine's name and version."""
    service = Service.open(settings)
    with service.database.transaction():
        mappings.save(f"pid_{orders.PRODUCT}", mapping, now=service.clock())
        engine = service.database.engine
    service.database.close()
    return engine


def count(url: str) -> Stored:
    """Count what is there for each order."""
    database = Database(url)
    done = models.Notification.state == "done"
    confirmed = (models.Outbox.kind == "confirmation") & (models.Outbox.state == "done")
    with database.reading():
        stored = Stored(
            done=_orders(models.Notification.select(models.Notification.order_ref).where(done)),
            licensed=_orders(models.License.select(models.License.order_ref)),
            mails=_orders(models.Outbox.select(models.Outbox.order_ref).where(models.Outbox.kind == "mail")),
            confirmed=_orders(models.Outbox.select(models.Outbox.order_ref).where(confirmed)),
            mails_sent=models.Outbox.select().where(models.Outbox.state == "done").count(),
        )
    database.close()
    return stored


def _tables() -> int:
    connected = current_database.obj
    if isinstance(connected, peewee.PostgresqlDatabase):  # get_tables looks at one schema, `public`, only
        return int(connected.execute_sql(_POSTGRES_TABLES).fetchone()[0])  # type: ignore[no-untyped-call]
    assert connected is not None
    return len(connected.get_tables())


def _orders(query: Iterable[Any]) -> Counter[str]:
    return Counter(row.order_ref for row in query)
