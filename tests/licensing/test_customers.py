"""The row of a customer: what counts of all that was told of an address, in whichever order it came."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from qlmhook.domain.events import EventKind, Item, Standing
from qlmhook.inbox import fact_store
from qlmhook.storage import models
from tests.conftest import PlainShop
from tests.support.made import ANN
from tests.support.shop import event

ITEM = Item(line="1", product_id="101", subscription_ref="S")
FIRST = event(EventKind.PAID, ITEM, order="1", on=1, customer=replace(ANN, company="First", phone="1"))
MOVED = event(
    EventKind.SUBSCRIPTION,
    ITEM,
    order="",
    on=5,
    customer=replace(ANN, company="Moved", city="Oslo"),
    standing=Standing(),
)
AGAIN = event(EventKind.PAID, ITEM, order="1", on=9, paid_at=None, customer=replace(ANN, company="First", phone="1"))
RENEWAL = event(EventKind.PAID, ITEM, order="2", on=12, customer=replace(ANN, company="", phone="2"))


@pytest.fixture
def sold(plain_shop: PlainShop) -> PlainShop:
    plain_shop.map("101")
    return plain_shop


def stored(shop: PlainShop) -> dict[str, Any]:
    with shop.service.database.reading():
        [row] = models.Customer.select()
    return {name: row.__data__[name] for name in ("company", "phone", "city")}


@pytest.mark.parametrize("messages", list(permutations([FIRST, MOVED, RENEWAL])), ids=lambda messages: "")
def test_of_each_part_the_newest_that_was_told_counts_however_late_it_comes(sold: PlainShop, messages: Any) -> None:
    for message in messages:
        assert sold.tell(message).status_code == 200

    assert stored(sold) == {"company": "Moved", "phone": "2", "city": "Oslo"}


def test_an_order_that_is_sent_again_names_nobody_anew(sold: PlainShop) -> None:
    for message in (FIRST, MOVED, AGAIN):
        sold.tell(message)

    assert stored(sold)["company"] == "Moved"


def test_what_was_told_is_not_read_again(sold: PlainShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many orders an address has: its row says when each part was told."""
    sold.tell(FIRST)
    sold.tell(RENEWAL)
    monkeypatch.setattr(fact_store, "of_customer", None)

    sold.tell(MOVED)

    assert stored(sold)["company"] == "Moved"


def test_a_row_of_an_earlier_release_learns_it_from_all_that_was_told(sold: PlainShop) -> None:
    sold.tell(FIRST)
    sold.tell(RENEWAL)
    with sold.service.database.transaction():
        models.Customer.update(told=None, phone="", company="").execute()

    sold.tell(MOVED)

    assert stored(sold) == {"company": "Moved", "phone": "2", "city": "Oslo"}
