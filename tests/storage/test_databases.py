"""A database that a released version left is upgraded and gone on with; databases/README.md tells what is in it."""

from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from qlmhook.reports import listings
from qlmhook.reports.listings import Row
from qlmhook.services.upgrade_database import upgrade
from qlmhook.storage import models
from qlmhook.storage.database import Database
from qlmhook.storage.license_status import STATUSES
from tests.conftest import OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.support.released import LEFT, load

pytestmark = [pytest.mark.own_database, pytest.mark.every_engine]

ACCOUNTS = {
    "vendors__avangate__revoke_on_refund": "true",
    "vendors__avangate__revoke_on_cancel": "true",
    "vendors__outlet__plugin": "avangate",
    "vendors__outlet__shared_keys": "synthetic-Outlet1!",
}
RENEWAL = Order(
    refno="900000901",
    email="c900000101@example.com",
    sale_date="2026-06-15 10:00:00",
    ipn_date="20260615100500",
    lines=[Line(ref="REF900000101", expires="2028-01-01 00:00:00")],
)


@pytest.fixture
def shop(open_shop: OpenShop, database_url: str) -> Shop:
    """The service of today on the upgraded database of 0.1.0, when that was left."""
    load(database_url)
    database = Database(database_url)
    upgrade(database, now=datetime.fromisoformat(LEFT["now"]), tell=print)
    database.close()
    shop = open_shop(**ACCOUNTS)
    shop.clock.now = datetime.fromisoformat(LEFT["now"])
    return shop


def licenses(shop: Shop) -> list[Row]:
    with shop.service.database.reading():
        return listings.licenses(now=shop.clock())


def what_counts(shop: Shop) -> dict[str, Any]:
    """Every row of the tables that a repeat must leave as they are, and the state of each notification.

    When a customer's parts were told is written down when the first message of an address comes after the upgrade.
    """
    tables = set(models.TABLES) - {models.Notification, models.Hold, models.KeyUse, models.Customer}
    customers = [field for field in models.Customer._meta.sorted_fields if field is not models.Customer.told]
    with shop.service.database.reading():
        rows: dict[str, Any] = {table.__name__: sorted(table.select().tuples().execute()) for table in tables}
        rows["Customer"] = sorted(models.Customer.select(*customers).tuples().execute())
        rows["Notification"] = sorted((row.id, row.state, row.reason) for row in models.Notification.select())
    return rows


def test_every_license_is_listed_in_its_status(shop: Shop) -> None:
    told = ("vendor", "order_ref", "line", "unit", "status", "expires_at")

    found = [{name: row[name] for name in told} for row in licenses(shop)]

    assert found == [{name: row[name] for name in told} for row in LEFT["licenses"]]
    for status in STATUSES:
        with shop.service.database.reading():
            rows = listings.licenses(now=shop.clock(), status=status)
        assert len(rows) == Counter(row["status"] for row in LEFT["licenses"])[status]


def test_a_license_is_renewed_under_its_key(shop: Shop) -> None:
    [before] = [row for row in licenses(shop) if (row["vendor"], row["order_ref"]) == ("avangate", "900000101")]

    answer = shop.post(RENEWAL.fields())

    [after] = [row for row in licenses(shop) if row["key"] == before["key"]]
    assert answer.status_code == 200
    assert (before["expires_at"], after["expires_at"]) == ("2026-12-31T22:00:00Z", "2027-12-31T22:00:00Z")
    assert len(licenses(shop)) == len(LEFT["licenses"])


def test_messages_that_are_known_are_receipted_and_change_nothing(shop: Shop) -> None:
    before = what_counts(shop)
    with shop.service.database.reading():
        known = [models.Notification.get_by_id(number) for number in (1, 40, 60)]

    answers = [shop.post_body(bytes(row.body)) for row in known]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    with shop.service.database.reading():
        assert [models.Notification.get_by_id(row.id).copies for row in known] == [row.copies + 1 for row in known]
    assert what_counts(shop) == before


def test_what_was_due_goes_out(shop: Shop) -> None:
    """Here to no mail server: each is tried, the mail of the worker that died included once its lease is over."""
    shop.clock.now = datetime.fromisoformat("2026-06-15T12:10:00Z")
    with shop.service.database.reading():
        waiting = models.Outbox.select().where(models.Outbox.state.in_(["due", "leased"])).count()

    tried = shop.service.delivery.work_off()

    assert tried == waiting == 4
