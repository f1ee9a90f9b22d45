"""What of a verified notification is read, and what is refused: before it reaches the database."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from qlmhook_avangate.vendor import Avangate

from qlmhook.domain.events import Customer, Event, EventKind, Item, Message, Standing
from qlmhook.errors import MalformedNotification
from qlmhook.reports import listings
from qlmhook.services.check_message import read
from qlmhook.vendors.accounts import Account
from qlmhook.vendors.api import Notification, Outcome, Reply, Vendor, Verified
from qlmhook.vendors.testing import make_notification
from tests.conftest import KEY, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, signed
from tests.support.looking import alerts
from tests.support.sections import section

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NAIVE = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 (what a plugin must not return)
ITEM = Item(line="1", product_id="101")
PAID = Event(kind=EventKind.PAID, order_ref="1", at=NOON, placed_at=NOON, items=(ITEM,))
REVIEW = replace(PAID, kind=EventKind.UNDER_REVIEW)
REFUNDED = replace(PAID, kind=EventKind.REFUNDED)
WON = replace(PAID, kind=EventKind.CHARGEBACK_WON)
SUBSCRIPTION = replace(
    PAID, kind=EventKind.SUBSCRIPTION, items=(replace(ITEM, subscription_ref="S"),), standing=Standing()
)
CUSTOMER = replace(PAID, kind=EventKind.CUSTOMER, items=(), customer=Customer(email="ann@example.com"))


class Told(Vendor):
    """A shop whose every notification says the same."""

    plugin = "told"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.message = Message(kind="told", order_ref="1", order_status="PAID", **settings)

    def verify(self, notification: Notification) -> Verified:
        return Verified(endpoint="DEFAULT", algorithm="none", key=b"key")

    def parse(self, notification: Notification) -> Message:
        return self.message

    def receipt(self, notification: Notification, verified: Verified, outcome: Outcome) -> Reply:
        return Reply(body="taken")


def told(*events: Event, **parts: str) -> Vendor:
    return Told("told", {"events": events, **parts})


BODY = make_notification(b"{}", content_type="application/json")

TYPED = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
"""What a customer can type into a form: everything but a NUL, and no half of a character."""


@given(TYPED, TYPED, TYPED)
@example("\\u0000", "\\\\u0000", '"\\u0000"')
@example("\\x00", "%00", "&#0;")
@example("\x01\x02", "\x7f\x80\u2028", "\U0010ffff\ufffe")
def test_nothing_that_a_customer_types_is_refused(first_name: str, company: str, product: str) -> None:
    """Backslash, u and four zeros are six characters, and no NUL."""
    order = Order(first_name=first_name, extra=[("COMPANY", company)], lines=[Line(name=product)])
    vendor = Avangate("shop", {"shared_keys": [KEY]})

    [event] = read(vendor, make_notification(form_body(order.fields()))).events

    assert (event.customer.first_name, event.customer.company, event.items[0].product_name) == (
        first_name,
        company,
        product,
    )


def test_an_order_with_a_typed_escape_is_fulfilled(shop: Shop) -> None:
    shop.map("101")

    answer = shop.post_body(form_body(signed(Order(first_name=r"Ann\u0000").fields(), KEY, ["sha3_256"])))

    assert answer.status_code == 200
    with shop.service.database.reading():
        [license] = listings.licenses(now=shop.clock())
    assert license["customer"]["full_name"] == r"Ann\u0000 Smith"


@pytest.mark.parametrize(
    ("text", "complaint"), [("a\0b", "has a NUL character"), ("a\ud800b", "has text that is not Unicode")]
)
@pytest.mark.parametrize("place", ["customer", "item", "option", "reason", "merchant", "note", "unclear", "order_ref"])
def test_what_the_database_cannot_keep_is_refused_wherever_it_stands(place: str, text: str, complaint: str) -> None:
    events = {
        "customer": replace(PAID, customer=Customer(city=text)),
        "item": replace(PAID, items=(ITEM, replace(ITEM, product_name=text))),
        "option": replace(PAID, items=(replace(ITEM, options=("a", text)),)),
        "reason": replace(PAID, reason=text),
    }
    parts = {place: text} if place in ("merchant", "note", "unclear") else {}
    vendor = told(PAID, events.get(place, PAID if parts else replace(PAID, order_ref=text)), **parts)

    with pytest.raises(MalformedNotification, match=complaint):
        read(vendor, BODY)


@pytest.mark.parametrize("place", [0, 1])
def test_a_reference_that_is_too_long_is_refused_in_every_event(place: int) -> None:
    """Of one without items, too."""
    events = [replace(PAID, kind=EventKind.REFUNDED, items=(), whole_order=True) for _ in range(2)]
    events[place] = replace(events[place], order_ref="1" * 65)

    with pytest.raises(MalformedNotification, match=rf"events\[{place}\]\.order_ref is longer than 64 characters"):
        read(told(*events), BODY)


NAIVE_TIMES = [
    ("at", replace(PAID, at=NAIVE)),
    ("placed_at", replace(PAID, placed_at=NAIVE)),
    ("placed_at", replace(PAID, kind=EventKind.REFUNDED, items=(), whole_order=True, placed_at=NAIVE)),
    ("items[1].expires_at", replace(PAID, items=(ITEM, replace(ITEM, expires_at=NAIVE)))),
    ("standing.paused_from", replace(SUBSCRIPTION, standing=Standing(paused=True, paused_from=NAIVE))),
    ("standing.paused_until", replace(SUBSCRIPTION, standing=Standing(paused=True, paused_until=NAIVE))),
]


@pytest.mark.parametrize(("field", "event"), NAIVE_TIMES, ids=[f"{e.kind.value} {name}" for name, e in NAIVE_TIMES])
def test_a_time_without_a_zone_is_held_with_a_sentence_for_the_plugins_author(
    shop: Shop, field: str, event: Event
) -> None:
    """And the operator is told: it was stored, and no retry mends it."""
    sentence = (
        f"events[1].{field} is 2026-01-02T03:04:05, a time without a zone: the plugin must give it a tzinfo, such as "
        "datetime.UTC."
    )

    assert refused(shop, event) == sentence


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (replace(PAID, items=(replace(ITEM, line=7),)), "events[1].items[0].line as int: '7'. Meant is str."),  # type: ignore[arg-type]
        (replace(PAID, test="0"), "events[1].test as str: '0'. Meant is bool."),  # type: ignore[arg-type]
        (replace(PAID, items=[ITEM]), "events[1].items as list: "),  # type: ignore[arg-type]
    ],
    ids=["number", "text", "list"],
)
def test_a_value_of_another_type_is_held_with_a_sentence(shop: Shop, event: Event, complaint: str) -> None:
    """It would be our own fault when it is stored, and the shop would send it again and again."""
    assert refused(shop, event).startswith(f"The plugin gave {complaint}")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_utc_does_not_have_is_held_with_a_sentence(shop: Shop, text: str) -> None:
    told = replace(PAID, placed_at=datetime.fromisoformat(text))

    assert refused(shop, told) == f"events[1].placed_at is {text}, which is no time in UTC."


def test_every_general_id_is_as_short_as_the_others(shop: Shop) -> None:
    general = replace(PAID, items=(replace(ITEM, general_ids=("a", "b" * 65)),))

    assert refused(shop, general).startswith("events[1].items[0].general_ids is longer than 64 characters")


REFUSED = {
    "a payment of nothing": (replace(PAID, items=()), "paid event names no line: its items are empty."),
    "a review of nothing": (replace(REVIEW, items=()), "under_review event names no line: its items are empty."),
    "no subscription": (replace(SUBSCRIPTION, items=()), "subscription event names no line: its items are empty."),
    "no order": (replace(PAID, order_ref=""), "paid event names no order: its order_ref is empty."),
    "a refund of nothing": (
        replace(REFUNDED, items=()),
        "refunded event names no line: give it items, or say whole_order=True if it is about all lines of its order.",
    ),
    "some lines and all": (
        replace(REFUNDED, whole_order=True),
        "refunded event names lines and says whole_order: do one of the two.",
    ),
    "a payment of whatever it is": (
        replace(PAID, items=(), whole_order=True),
        "paid event says whole_order, which nothing of its kind can: it is for money that went back or is disputed.",
    ),
    "a review of whatever it is": (
        replace(REVIEW, items=(), whole_order=True),
        "under_review event says whole_order, which nothing of its kind can: it is for money that went back or is "
        "disputed.",
    ),
    "a line twice": (
        replace(REFUNDED, items=(ITEM, ITEM)),
        "refunded event names line '1' twice: put what is told of a line into one item.",
    ),
    "an item of no line": (
        replace(PAID, items=(replace(ITEM, line=""),)),
        "paid event has items[0] without a line: name it, the same in every message.",
    ),
    "an item of no subscription": (
        replace(SUBSCRIPTION, items=(ITEM,)),
        "subscription event names no subscription: give items[0] a subscription_ref or a group_ref.",
    ),
    "nobody's customer": (
        replace(CUSTOMER, order_ref=""),
        "customer event does not say whose customer it describes: give it a customer_ref or an order_ref.",
    ),
    "the customer of a line": (
        replace(CUSTOMER, items=(ITEM,)),
        "customer event names lines: it is about a customer alone, so leave out its items.",
    ),
    "a customer whom nothing is known of": (
        replace(CUSTOMER, customer=Customer()),
        "customer event describes nobody: its customer is empty.",
    ),
    "a product without an id": (
        replace(PAID, items=(ITEM, replace(ITEM, line="2", product_id=""))),
        "paid event has items[1] without a product_id: name what was bought, or say in problem why that is not known.",
    ),
    "a review of a product without an id": (
        replace(REVIEW, items=(replace(ITEM, product_id=""),)),
        "under_review event has items[0] without a product_id: name what was bought, or say in problem why that is "
        "not known.",
    ),
    "an end of what never ends": (
        replace(PAID, items=(replace(ITEM, lifetime=True, expires_at=NOON),)),
        "paid event gives items[0] lifetime and expires_at: it never ends, or it does.",
    ),
    "a subscription that stands nohow": (
        replace(SUBSCRIPTION, standing=None),
        "subscription event does not say how the subscription stands: give it a standing, Standing() if it goes on.",
    ),
    "grace before the end": (
        replace(SUBSCRIPTION, standing=Standing(grace_days=-1)),
        "subscription event gives -1 grace_days: the least is 0.",
    ),
    "nothing that changes": (
        replace(SUBSCRIPTION, standing=Standing(unchanged=True)),
        "subscription event says unchanged and nothing else: it stands beside replaces.",
    ),
    "a pause that is over first": (
        replace(SUBSCRIPTION, standing=Standing(paused=True, paused_from=NOON, paused_until=NOON - SECOND)),
        "subscription event tells of a pause that ends before it begins: compare paused_from and paused_until.",
    ),
    "a long sequence": (
        replace(PAID, sequence=2**63),
        "paid event has a sequence of more than 64 bits: give it a smaller number.",
    ),
    "no unit": (
        replace(PAID, items=(ITEM, replace(ITEM, line="2", quantity=0))),
        "paid event gives items[1] the quantity 0: the least is 1.",
    ),
    "no unit back": (
        replace(REFUNDED, items=(replace(ITEM, undone_quantity=0),)),
        "refunded event gives items[0] the undone_quantity 0: the least is 1, and None means all.",
    ),
    "money of no country": (
        replace(PAID, items=(replace(ITEM, amount=Decimal(1)),)),
        "paid event gives items[0] the amount 1 in '': meant are a number and a currency of three capital letters, "
        "such as EUR.",
    ),
}
"""Events that say nothing usable, and what the plugin's author is told."""


@pytest.mark.parametrize(("event", "sentence"), REFUSED.values(), ids=REFUSED)
def test_an_event_that_says_nothing_usable_is_refused(event: Event, sentence: str) -> None:
    with pytest.raises(MalformedNotification) as caught:
        read(told(PAID, event), BODY)

    assert str(caught.value) == f"The plugin's {sentence}"


STANDING = "it says how a subscription stands"
CASE = "it names a refund or a dispute"
UNITS = "it is for money that went back"
PROBLEM = "it holds an order's line; say it in unclear"
SOME_UNITS = (replace(ITEM, subscription_ref="S", undone_quantity=1),)
MISPLACED = [
    *(
        (replace(event, standing=Standing()), f"says standing, which nothing of its kind can: {STANDING}")
        for event in (PAID, REVIEW, REFUNDED, WON, CUSTOMER)
    ),
    *(
        (replace(event, case_ref="R-1"), f"says case_ref, which nothing of its kind can: {CASE}")
        for event in (PAID, REVIEW, SUBSCRIPTION, CUSTOMER)
    ),
    *(
        (
            replace(event, items=SOME_UNITS),
            f"gives items[0] undone_quantity, which nothing of its kind can have: {UNITS}",
        )
        for event in (PAID, REVIEW, SUBSCRIPTION)
    ),
    (
        replace(SUBSCRIPTION, items=(replace(ITEM, subscription_ref="S", problem="What?"),)),
        f"gives items[0] problem, which nothing of its kind can have: {PROBLEM}",
    ),
]
"""Events that say what an event of their kind cannot carry: nothing would come of it."""


@pytest.mark.parametrize(("event", "fault"), MISPLACED, ids=[f"{e.kind.value} {f[:21]}" for e, f in MISPLACED])
def test_what_nothing_would_come_of_is_refused(event: Event, fault: str) -> None:
    with pytest.raises(MalformedNotification) as caught:
        read(told(PAID, event), BODY)

    assert str(caught.value) == f"The plugin's {event.kind.value} event {fault}."


USED = {
    "a refund of units by its name": replace(REFUNDED, case_ref="R-1", items=SOME_UNITS),
    "a dispute of units by its name": replace(WON, case_ref="D-1", items=SOME_UNITS),
    "a refund as the shop told the sale": replace(
        REFUNDED, paid_at=NOON, customer_ref="C", items=(replace(ITEM, product_id="", problem="What?"),)
    ),
    "a line that nobody understands": replace(PAID, items=(replace(ITEM, product_id="", problem="What?"),)),
    "a moment's pause": replace(SUBSCRIPTION, standing=Standing(paused=True, paused_from=NOON, paused_until=NOON)),
    "a pause without a beginning": replace(SUBSCRIPTION, standing=Standing(paused=True, paused_until=NOON)),
    "dates of a pause that is none": replace(
        SUBSCRIPTION, standing=Standing(paused_from=NOON, paused_until=NOON - SECOND)
    ),
}
"""Events that the words of the refusals do not mean."""


@pytest.mark.parametrize("event", USED.values(), ids=USED)
def test_what_can_be_used_is_read(event: Event) -> None:
    assert read(told(event), BODY).events == (event,)


@pytest.mark.parametrize("part", ["note", "unclear", "incomplete"])
def test_a_message_without_events_says_why(part: str) -> None:
    assert read(told(**{part: "A sentence."}), BODY).events == ()


def test_a_message_that_says_nothing_is_refused() -> None:
    with pytest.raises(MalformedNotification) as caught:
        read(told(), BODY)

    assert str(caught.value) == (
        "The plugin's message has no events, and no note that says why: say in note why nothing is to be done."
    )


@pytest.mark.parametrize("event", [REVIEW, REFUNDED, SUBSCRIPTION, CUSTOMER], ids=lambda event: event.kind.value)
def test_an_event_that_a_person_must_look_at_need_say_no_more(event: Event) -> None:
    unclear = replace(event, items=(), unclear="Look the order up in the shop.")

    assert read(told(unclear), BODY).events == (unclear,)


def refused(shop: Shop, event: Event) -> str:
    """Receive a notification with this event beside a good one; return why it is held, as the operator is told."""
    account = Account(name="told", settings=section("told"), vendor=told(PAID, event))
    with pytest.raises(MalformedNotification) as caught:
        shop.service.intake.receive(account, BODY)
    with shop.service.database.reading():
        [row] = listings.notifications()
    [alert] = alerts(shop)

    assert (row["state"], row["reason"]) == ("held", str(caught.value))
    assert alert.startswith(str(caught.value))
    return str(caught.value)
