"""How a service starts: beside one that works, with a database of its own, and not with one that it does not know."""

import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from qlmhook import models
from qlmhook.errors import SourceRefused
from qlmhook.events import Message
from qlmhook.registry import Account
from qlmhook.service import Service
from qlmhook.vendor import Notification, Reply, Vendor, Verified
from tests.avangate.orders import Line, Order
from tests.avangate.signer import form_body, signed
from tests.conftest import KEY, QUERY, URL, OpenShop, Shop
from tests.server import FORM, command
from tests.test_registry import section

ORDERS = 60
CUSTOMERS = 4


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_start_locks_no_order_out_and_no_order_locks_a_start_out(shop: Shop) -> None:
    """One service after the other starts on the database of one that takes orders."""
    orders = [Order(refno=f"{920000000 + number}", lines=[Line(ref=f"REF{number}")]) for number in range(ORDERS)]
    shares = [orders[number::CUSTOMERS] for number in range(CUSTOMERS)]
    shop.map("101")

    def buy(share: list[Order]) -> list[int]:
        client = shop.app.test_client()
        bodies = [form_body(signed(order.fields(), KEY, ["sha3_256"])) for order in share]
        statuses = [client.post(f"{URL}?{QUERY}", data=body, headers=FORM).status_code for body in bodies]
        shop.service.database.close()
        return statuses

    with ThreadPoolExecutor(CUSTOMERS) as customers:
        buying = [customers.submit(buy, share) for share in shares]
        starts = 0
        while not all(share.done() for share in buying):
            Service.open(shop.service.settings).database.close()
            starts += 1

    assert [status for share in buying for status in share.result()] == [200] * ORDERS
    assert starts > 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_file_of_the_database_is_its_owners_alone(open_shop: OpenShop, tmp_path: Path) -> None:
    """The names of all customers are in it."""
    open_shop().map("101")

    assert stat.S_IMODE((tmp_path / "test.db").stat().st_mode) == 0o600


def test_tables_of_another_version_are_left_alone(open_shop: OpenShop, tmp_path: Path) -> None:
    """What is wrong is said in one sentence."""
    shop = open_shop()
    with shop.service.database.transaction():
        models.SchemaVersion.update(version=99).execute()

    finished = command(tmp_path / "qlmhook.toml", "property", "set", "pid_101", "ignore")

    sentence = f"The database has tables of version 99, this qlmhook works with {models.SCHEMA_VERSION}."
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == f"qlmhook: {sentence}\n"
    with shop.service.database.reading():
        assert list(models.ServerProperty.select()) == []


class Secretive(Vendor):
    """A shop that does not say where its notifications come from."""

    plugin = "secretive"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        pass

    def verify(self, notification: Notification) -> Verified:
        raise NotImplementedError

    def parse(self, notification: Notification) -> Message:
        raise NotImplementedError

    def receipt(self, notification: Notification, verified: Verified, now: datetime) -> Reply:
        raise NotImplementedError


@pytest.mark.parametrize("source", ["192.0.2.7", "91.220.121.21", "127.0.0.1", "2001:db8::7", "::1", ""])
def test_where_nothing_is_published_the_published_sources_admit_nobody(source: str) -> None:
    """An empty list would otherwise mean everybody."""
    settings = replace(section("secretive"), sources=["published"])
    account = Account(name="secretive", settings=settings, vendor=Secretive("secretive", {}))

    with pytest.raises(SourceRefused):
        account.refuse_stranger(source)
