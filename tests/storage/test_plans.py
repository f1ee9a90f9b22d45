"""No statement that the service issues again and again reads a table from end to end, however many rows there are.

The statements are those of real runs over a filled database, and each engine is asked how it would carry them out.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import peewee
import pytest

from bench import constant, fill
from qlmhook.channels.confirmation import due as confirmation_due
from qlmhook.cli import doctor
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import ConfirmationPayload
from qlmhook.reports import listings, pages
from qlmhook.services.wiring import Service
from qlmhook.storage import models
from qlmhook.storage.database import current_database
from qlmhook.web.app import create_app
from tests.conftest import MailServer

pytestmark = [pytest.mark.every_engine, pytest.mark.own_database]

ORDERS = 2400
"""Enough for a planner to see that an index is the shorter way."""

MANY = 500
"""More rows than any statement without a limit is about."""

PAGE = 20
"""Rows of a page here: of a few thousand rows it would be no longer way to read all than to read 500 by an index."""

NOW = fill.BEGUN + fill.STORIES * fill.APART

SMALL = {
    "writer_lock",
    "schema_version",
    "server_property",
    "key_use",
    "tally",
    "operator_told",
    "refusal",
    "heartbeat",
}
"""Tables that do not grow with the orders; `operator_told` is asked by its unique column only."""


@dataclass(frozen=True)
class Issued:
    """A statement, with values that it had once."""

    sql: str
    values: tuple[Any, ...]

    @property
    def is_page(self) -> bool:
        """Whether it takes the beginning of a table in the order of its key, and no more of it."""
        return " LIMIT " in self.sql and " WHERE " not in self.sql

    @property
    def has_limit(self) -> bool:
        return " LIMIT " in self.sql

    def table_of(self, alias: str) -> str:
        """The table that an alias stands for."""
        names = {short: table for table, short in re.findall(r'["`](\w+)["`] AS ["`](t\d+)["`]', self.sql)}
        return str(names.get(alias, alias))


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A service over a filled database."""

    service: Service
    clock: fill.Clock
    number: Callable[[int], int] = fill.number_of


@pytest.fixture
def filled(database_url: str, tmp_path: Path, mail_server: MailServer) -> Iterator[Filled]:
    logging.getLogger("qlmhook").setLevel(logging.ERROR)
    clock = fill.Clock()
    service = fill.open_service(database_url, tmp_path, clock, mail_port=mail_server.port)
    fill.fill(service, clock, ORDERS, lambda told: None)
    clock.now = NOW
    with service.database.transaction():
        ids = [row.id for row in models.License.select(models.License.id).order_by(models.License.id).limit(ORDERS)]
        models.OrderName.add([{"vendor": "avangate", "order_ref": f"{id_}", "name": f"other {id_}"} for id_ in ids])
        decision = {"at": NOW, "action": "extend", "until": NOW + timedelta(days=900), "why": "paid by wire"}
        models.Decision.add([{"license": id_, **decision} for id_ in ids])
        holds = [{"notification": id_, "reason": "", "vendor": "avangate"} for id_ in ids]
        names = [
            {"order_ref": f"h{one['notification']}", "subscription_ref": f"s{one['notification']}"} for one in holds
        ]
        subjects = [{"cause": f"order h{one['notification']}"} for one in holds]
        models.Hold.add([a | b | c for a, b, c in zip(holds, names, subjects, strict=True)])
        if isinstance(current_database.obj, peewee.PostgresqlDatabase):
            current_database.obj.execute_sql("ANALYZE")  # type: ignore[no-untyped-call]
    yield Filled(service=service, clock=clock)
    logging.getLogger("qlmhook").setLevel(logging.NOTSET)
    service.database.close()


@contextmanager
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Issued]]:
    """Gather each statement that is issued, once, with its first values."""
    issued: dict[str, Issued] = {}
    execute = peewee.Database.execute_sql

    def execute_and_note(self: peewee.Database, sql: str, params: Any = None) -> Any:
        if sql.split()[0] in ("SELECT", "UPDATE", "DELETE") and ("FROM" in sql or sql.startswith("UPDATE")):
            issued.setdefault(sql, Issued(sql, tuple(params or ())))
        return execute(self, sql, params)  # type: ignore[no-untyped-call]

    with monkeypatch.context() as patch:
        patch.setattr(peewee.Database, "execute_sql", execute_and_note)
        yield issued


def faults_of(issued: Issued) -> list[str]:
    """What the engine would do with a statement that takes the longer the more rows there are."""
    connected: Any = current_database.obj
    if isinstance(connected, peewee.SqliteDatabase):
        return list(_on_sqlite(connected, issued))
    if isinstance(connected, peewee.PostgresqlDatabase):
        return list(_on_postgresql(connected, issued))
    return list(_on_mariadb(connected, issued))


def _on_sqlite(connected: Any, issued: Issued) -> Iterator[str]:
    for *_, step in connected.execute_sql(f"EXPLAIN QUERY PLAN {issued.sql}", issued.values):
        verb, name, *_ = step.split()
        if verb == "SCAN" and issued.table_of(name) not in SMALL and not issued.is_page:
            yield step
        if "TEMP B-TREE" in step and issued.has_limit:
            yield step


def _on_postgresql(connected: Any, issued: Issued) -> Iterator[str]:
    """Told to avoid scans: of so few rows it would rather read all."""
    connected.execute_sql("SET LOCAL enable_seqscan = off")
    told = connected.execute_sql(f"EXPLAIN (FORMAT JSON) {issued.sql}", issued.values).fetchone()[0]
    plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    is_page = issued.is_page or (plan["Node Type"] == "Limit" and plan["Total Cost"] < CHEAP)
    yield from _postgresql_faults(plan, issued, is_page=is_page, limited=False)


CHEAP = 100.0
"""A page costs less by PostgreSQL's estimate: it need not go far, for most rows pass what it asks for."""


def _postgresql_faults(node: dict[str, Any], issued: Issued, *, is_page: bool, limited: bool) -> Iterator[str]:
    kind, table = node["Node Type"], node.get("Relation Name", "")
    told = f"{kind} {table} {node.get('Index Name', '')} {node.get('Filter', '')}"
    is_by_index = kind.endswith(("Index Scan", "Index Only Scan"))
    if table not in SMALL and (kind == "Seq Scan" or (is_by_index and "Index Cond" not in node and not is_page)):
        yield told
    if kind == "Sort" and issued.has_limit:
        yield told
    limited = limited or kind == "Limit"
    if node["Plan Rows"] > MANY and not limited and kind != "ModifyTable":
        yield f"{told}: {node['Plan Rows']} rows"
    for inner in node.get("Plans", ()):
        yield from _postgresql_faults(inner, issued, is_page=is_page, limited=limited)


def _on_mariadb(connected: Any, issued: Issued) -> Iterator[str]:
    for _, _, table, way, _, key, _, _, rows, extra, *_ in connected.execute_sql(
        f"EXPLAIN {issued.sql}", issued.values
    ):
        told = f"{way} {issued.table_of(table or '')} {key} {rows} rows, {extra}"
        is_page = way == "index" and issued.has_limit and int(rows) <= 2 * PAGE
        if way in ("ALL", "index") and issued.table_of(table) not in SMALL and not is_page:
            yield told
        if "filesort" in (extra or "") and issued.has_limit:
            yield told
        if int(rows or 0) > MANY and not issued.has_limit:
            yield told


def refuse_scans(service: Service, issued: dict[str, Issued]) -> None:
    """Fail with every statement that reads more than it is about."""
    found = {}
    with service.database.reading():
        for one in issued.values():
            if faults := faults_of(one):
                found[one.sql] = faults
    assert issued
    assert not found, "\n".join(f"{sql}\n    {faults}" for sql, faults in found.items())


def test_intake_and_worker(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order, its repeat, renewal, refund and end; late, held and refused messages; and what goes out for them."""
    service, clock = filled.service, filled.clock
    old, other, third = filled.number(7), filled.number(8), filled.number(1203)
    with recording(monkeypatch) as issued:
        for body in (
            fill.ipn(1, clock.now),
            fill.ipn(1, clock.now),
            fill.ipn(2, clock.now, renews=old),
            fill.ipn(third, clock.now, status="REFUND"),
            fill.lcn(other, clock.now, status="PAUSED", expires=clock.now + timedelta(days=100)),
            fill.ipn(3, clock.now - timedelta(days=1500), renews=old, first_name="Jane"),
            fill.ipn(4, clock.now, product=fill.UNMAPPED),
            fill.ipn(4, clock.now + timedelta(days=1), product=fill.UNMAPPED),
            fill.ipn(5, clock.now, status="REFUND"),
            fill.ipn(6, clock.now, email=""),
        ):
            fill.tell(service, body)
        with service.database.transaction():
            queue.add(
                ConfirmationPayload(notification=1),
                now=clock.now,
                vendor="avangate",
                order_ref=str(filled.number(1)),
            )
        service.delivery.work_off()
        service.delivery.beat("worker")
        with service.database.transaction():
            service.alerts.tell(subject="Something", text="", now=clock.now, once=True)
            confirmation_due.obstacle(service.accounts.named("avangate"), str(filled.number(9)))
        for key in listings_keys(service, 2):
            service.decisions.decide(key, "suspend", why="asked for", operator="bob")
            service.decisions.decide(key, "reinstate", why="asked for", operator="bob")

    refuse_scans(service, issued)


def listings_keys(service: Service, count: int) -> list[str]:
    with service.database.reading():
        return [row["key"] for row in listings.each_license(now=NOW, status="active", limit=count)]


def test_monitoring_and_doctor(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    service = filled.service
    app = create_app(service.settings, clock=filled.clock)
    client = app.test_client()
    with recording(monkeypatch) as issued:
        service.delivery.beat("worker")
        assert client.get("/metrics").status_code == 200
        assert client.get("/readyz").status_code == 200
        for check in (doctor._accounts, doctor._database, doctor._clock, doctor._mail, doctor._mappings, doctor._work):
            list(check(service))
    app.extensions["qlmhook"].database.close()

    refuse_scans(service, issued)


def test_listings(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every filter of every listing, but a search inside texts."""
    monkeypatch.setattr(pages, "SIZE", PAGE)
    asked = constant.Asked(service=filled.service, number=filled.number(7), limit=None)
    with recording(monkeypatch) as issued, filled.service.database.reading():
        found = {name: sum(1 for _ in rows(asked)) for name, rows in constant.FILTERS.items()}
        found["license export"] = sum(1 for _ in listings.each_license_with_history(now=NOW))

    empty = {name for name, count in found.items() if not count}
    assert empty == {
        "notification list --state --order",
        "outbox list --state due",
        "outbox list --state --order",
    }
    refuse_scans(filled.service, issued)
