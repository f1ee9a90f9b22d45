"""The kept counts are what counting would give, whatever happens to the rows."""

from collections import Counter
from datetime import timedelta

import pytest

from qlmhook.domain.events import EventKind, Item
from qlmhook.inbox import notification_store
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import AlertPayload
from qlmhook.reports import figures, listings
from qlmhook.storage import models, tallies
from tests.conftest import PlainShop
from tests.support.shop import event

pytestmark = pytest.mark.every_engine


def counted(shop: PlainShop) -> dict[str, Counter[str]]:
    with shop.service.database.reading():
        return {
            "notifications": Counter(row.state for row in models.Notification.select()),
            "outbox": Counter(row.state for row in models.Outbox.select()),
            "licenses": Counter(row.vendor for row in models.License.select()),
        }


def kept(shop: PlainShop) -> dict[str, Counter[str]]:
    with shop.service.database.reading():
        licenses = tallies.by_vendor(models.License)
        return {
            "notifications": +Counter(figures.notifications()),
            "outbox": +Counter(figures.outbox()),
            "licenses": +Counter(licenses),
        }


def sell(shop: PlainShop, order: str, product: str = "101") -> None:
    shop.tell(event(EventKind.PAID, Item(line="1", product_id=product, quantity=2), order=order))


def test_through_the_life_of_orders_and_mails(plain_shop: PlainShop) -> None:
    """Issued, repeated, held, set free, dismissed; leased, postponed, failed, given up, sent, tried again, removed."""
    shop, database = plain_shop, plain_shop.service.database
    shop.map("101")
    for order, product in (("1", "101"), ("1", "101"), ("2", "102"), ("3", "103"), ("4", "101")):
        sell(shop, order, product)
    shop.map("102")
    [freed] = shop.service.intake.freed_by(["pid_102"])
    shop.service.intake.replay(freed)
    for ending in ("postpone", "fail", "give up", "finish"):
        with database.transaction():
            row = queue.claim(shop.clock())
            assert row is not None
        with database.transaction():
            if ending == "postpone":
                queue.postpone(row, "not yet", shop.clock(), again_at=shop.clock())
            elif ending == "finish":
                queue.finish(row, shop.clock())
            else:
                queue.fail(row, "refused", permanent=ending == "give up", now=shop.clock())
    shop.clock.now += timedelta(days=1)
    with database.reading():
        [waiting] = listings.notifications(state="held")
    with database.transaction():
        lost = queue.claim(shop.clock())
        notification_store.dismiss(notification_store.get(waiting["id"]), "by hand", shop.clock())
        queue.remove(queue.add(AlertPayload(text=""), now=shop.clock()))
    shop.clock.now += queue.LEASE
    with database.transaction():
        again = queue.claim(shop.clock())
    assert lost is not None
    assert again is not None
    with database.transaction():  # its lease ran out
        queue.finish(lost, shop.clock())
    with database.reading():
        [dead] = models.Outbox.select().where(models.Outbox.state == queue.DEAD)
    with database.transaction():
        queue.retry(dead.id, shop.clock())

    assert len(counted(shop)["outbox"]) > 2
    assert kept(shop) == counted(shop)


def add_and_fail(shop: PlainShop) -> None:
    queue.add(AlertPayload(text=""), now=shop.clock())
    raise LookupError


def test_what_is_taken_back_does_not_count(plain_shop: PlainShop) -> None:
    """A part of a transaction, too."""
    database = plain_shop.service.database
    with database.transaction():
        queue.add(AlertPayload(text=""), now=plain_shop.clock())
        with pytest.raises(LookupError), database.transaction():
            add_and_fail(plain_shop)

    assert kept(plain_shop)["outbox"] == {"due": 1} == counted(plain_shop)["outbox"]
