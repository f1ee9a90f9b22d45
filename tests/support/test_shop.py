"""The tests' own shop can say everything that the contract has words for."""

from dataclasses import MISSING, Field, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from qlmhook.domain.events import Customer, Event, EventKind, Item, Message, Standing
from qlmhook.errors import SignatureRejected
from qlmhook.vendors.testing import make_notification
from tests.conftest import PlainShop
from tests.support.shop import HEADER, JSON, SECRET, Plain, body_of, event, message, signature

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=30, microseconds=5)

ITEM = Item(
    line="1",
    product_id="price_1",
    general_ids=("prod_1", "family"),
    product_name="Ährenkeks",
    quantity=5,
    subscription_ref="si_1",
    group_ref="sub_1",
    expires_at=LATER,
    lifetime=True,
    options=("large", "red"),
    undone_quantity=2,
    amount=Decimal("19.90"),
    currency="EUR",
    problem="Its quantity is a word.",
)
STANDING = Standing(
    stopped=True,
    paused=True,
    paused_from=NOON,
    paused_until=LATER,
    expired=True,
    final=True,
    grace_days=3,
    replaces=True,
    unchanged=True,
)
CUSTOMER = Customer(**{part.name: f"a {part.name}" for part in fields(Customer)})
EVENT = Event(
    kind=EventKind.SUBSCRIPTION,
    order_ref="1",
    also_known_as=("ch_1", "in_1"),
    at=NOON,
    placed_at=LATER,
    paid_at=LATER,
    sequence=7,
    test=True,
    customer=CUSTOMER,
    customer_ref="cus_1",
    items=(ITEM, Item(line="2", product_id="102")),
    whole_order=True,
    standing=STANDING,
    case_ref="dp_1",
    reason="a reason",
    detail="a detail",
    unclear="Somebody must look.",
)
MESSAGE = Message(
    kind="news",
    order_ref="1",
    order_status="NEW",
    subscription_ref="sub_1",
    merchant="m",
    events=(EVENT, event(EventKind.PAID, ITEM)),
    note="a note",
    unclear="unclear",
    incomplete="incomplete",
)


@pytest.mark.parametrize("whole", [MESSAGE, EVENT, ITEM, STANDING, CUSTOMER], ids=lambda whole: type(whole).__name__)
def test_every_field_differs_from_its_default(whole: Any) -> None:
    """So a field that the contract is given later is said here, too."""
    assert [part.name for part in fields(whole) if getattr(whole, part.name) == _default(part)] == []


def _default(part: Field[Any]) -> Any:
    return part.default if part.default is not MISSING else None


def test_a_message_is_understood_as_it_was_meant() -> None:
    assert Plain("plain", {"secrets": SECRET}).parse(make_notification(body_of(MESSAGE), content_type=JSON)) == MESSAGE


def test_what_the_shop_was_asked_for_counts_in_place_of_the_message() -> None:
    told = make_notification(body_of(MESSAGE), content_type=JSON)
    notification = replace(told, enrichment=body_of(message(EVENT)))

    assert Plain("plain", {"secrets": SECRET}).parse(notification) == message(EVENT)


@pytest.mark.parametrize("headers", [{}, {HEADER: ""}, {HEADER: signature(b"other").decode()}])
def test_a_message_that_is_not_signed_is_refused(headers: dict[str, str]) -> None:
    notification = make_notification(body_of(MESSAGE), content_type=JSON, headers=headers)

    with pytest.raises(SignatureRejected):
        Plain("plain", {"secrets": SECRET}).verify(notification)


def test_a_message_takes_effect(plain_shop: PlainShop) -> None:
    plain_shop.map("101")

    answer = plain_shop.tell(event(EventKind.PAID, Item(line="1", product_id="101")))

    assert (answer.status_code, answer.content_type) == (200, JSON)
