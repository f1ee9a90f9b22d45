"""Checks of `parse`, each for every message: what the core is told can be used, and depends on the message alone."""

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from qlmhook.domain.events import Event, EventKind, Item, Message
from qlmhook.errors import MalformedNotification
from qlmhook.vendors.api import Outcome
from qlmhook.vendors.returned_values import LONGEST, Value, values_of
from qlmhook.vendors.testing import odd_bodies
from qlmhook.vendors.testing.messages import NOON
from qlmhook.vendors.testing.plugin_under_test import PluginUnderTest, attempt, expect_none
from qlmhook.vendors.testing.watched_builtins import watched

_PRODUCT_ID = re.compile(r"[0-9A-Za-z_.-]+")
_CURRENCY = re.compile(r"[A-Z]{3}")
_SHOWN = 20


class Meaning(PluginUnderTest):
    """Whatever a message says, it is said in words that the core can use."""

    def test_every_message_is_understood(self) -> None:
        """None of the shop's messages makes the plugin stumble."""
        faults = []
        for name, notification in self._notifications(but={"unreadable", "unknown"}).items():
            told = attempt(self._understand, notification)
            if not isinstance(told, Message):
                faults.append(f"parse() of the message `{name}` must return a Message: {told!r}.")
            elif told.incomplete:
                faults.append(f"The message `{name}` is incomplete after enrich(), too: {told.incomplete}")

        expect_none(faults)

    def test_every_value_is_of_its_type(self) -> None:
        """JSON has numbers where the core wants texts."""
        expect_none(
            f"{where} is {value.value!r}, a {type(value.value).__name__}; it must be {value.hint}."
            for where, value in self._values()
            if not value.is_of_its_type
        )

    def test_every_time_is_aware(self) -> None:
        """A time without a zone means another instant on another machine."""
        expect_none(
            f"{where} is {value.value.isoformat()}, a time without a zone: give it a tzinfo, such as datetime.UTC."
            for where, value in self._values()
            if value.is_naive_time
        )

    def test_what_is_returned_fits_the_database(self) -> None:
        """A value that is too long could not be stored."""
        proofs = map(self._verified, self._notifications().values())
        values = [*self._values(), *((value.path, value) for proof in proofs if proof for value in values_of(proof))]

        expect_none(
            f"{where} has {len(text)} characters, and the service keeps {LONGEST[value.name]}: {text[:80]!r}."
            for where, value in values
            if value.name in LONGEST
            for text in value.texts
            if len(text) > LONGEST[value.name]
        )

    def test_every_event_says_what_it_is_about(self) -> None:
        """The core refuses an event that names too little, or two things at once."""
        expect_none(f"An event of `{name}` {fault}." for name, event in self._events() for fault in _unusable(event))

    def test_the_lines_of_an_order_are_distinct(self) -> None:
        """Each line has a name of its own: two of one name would become one license."""
        faults = []
        for name, event in self._events():
            lines = [item.line for item in event.items]
            if len(set(lines)) < len(lines):
                faults.append(f"Two items of `{name}` have the same `line`, of {lines}: number those of one product.")

        expect_none(faults)

    def test_every_product_can_be_mapped(self) -> None:
        """A product's id becomes a part of a property's name, which cannot have every character."""
        expect_none(
            f"The product {product_id!r} of `{name}` can have no property pid_…: use letters, digits, `_`, `.` and `-`."
            for name, event in self._events()
            for item in event.items
            for product_id in (item.product_id, *item.general_ids)
            if isinstance(product_id, str) and product_id and not _PRODUCT_ID.fullmatch(product_id)
        )

    def test_an_amount_has_its_currency(self) -> None:
        """A number alone cannot be added to others."""
        expect_none(
            f"An item of `{name}` has the amount {item.amount} in the currency {item.currency!r}: say it as ISO 4217 "
            "does, in three capital letters."
            for name, event in self._events()
            for item in event.items
            if item.amount is not None and not (_is_number(item.amount) and _CURRENCY.fullmatch(item.currency))
        )

    def test_nothing_is_kept_between_calls(self) -> None:
        """One object serves all threads, and messages come late, twice and in any order."""
        notifications = self._notifications(but={"unreadable"})
        understood, used = self._understood(), self._vendor()
        for name in [*notifications, *reversed(notifications)]:
            told = attempt(self._understand, notifications[name], used)

            assert name not in understood or told == understood[name], (
                f"The message `{name}` says something else when other messages came before: keep nothing between calls."
            )

    def test_no_clock_is_read(self) -> None:
        """The time is given: `received_at` with a notification, `outcome.at` with a receipt."""
        vendor = self._vendor()
        for name, notification in self._notifications(but={"unreadable"}).items():
            with watched() as calls:
                attempt(self._understand, notification, vendor)
                verified = self._verified(notification)
                if verified:
                    attempt(vendor.receipt, notification, verified, Outcome(at=NOON))

            assert not calls.clocks, (
                f"{calls.clocks[0]} is called for `{name}`: what is applied again next year would say something else. "
                "Take the time from the message, from notification.received_at or outcome.at."
            )

    def test_parsing_needs_neither_headers_nor_arguments(self) -> None:
        """A stored notification has its body, content type, time of receipt and enrichment; the rest is not kept."""
        understood = self._understood()
        for name, notification in self._notifications().items():
            stored = replace(notification, headers={}, arguments={})
            told = attempt(self._understand, stored)

            assert name not in understood or told == understood[name], (
                f"parse() of `{name}` without headers and arguments gives {told!r}: read the body alone."
            )

    def test_an_unknown_kind_of_message_is_noted_and_does_nothing(self) -> None:
        """Vendors add kinds of messages: an error would make them send the new one again and again."""
        told = attempt(self._understand, self._notifications()["unknown"])

        assert isinstance(told, Message), f"parse() of `unknown` must return a Message with a note: {told!r}."
        assert told.note, "The Message of `unknown` must say in `note` why nothing is done."
        assert not told.events, f"The Message of `unknown` must have no events: {told.events}."

    def test_an_unreadable_message_is_malformed(self) -> None:
        """A genuine message that cannot be acted on is kept for the operator, under this error."""
        told = attempt(self._understand, self._notifications()["unreadable"])

        assert isinstance(told, MalformedNotification), (
            f"parse() of `unreadable` must raise MalformedNotification with a sentence of what is missing: {told!r}."
        )

    def test_a_message_of_another_shape_is_malformed_or_understood(self) -> None:
        """A shop changes its messages one day; an exception of Python's would have them sent for ever."""
        vendor, understood = self._vendor(), self._understood()
        readable = [notification for name, notification in self._notifications().items() if name in understood]
        faults = []
        for other in odd_bodies.of_another_shape(readable):
            told = attempt(vendor.parse, other)
            if not isinstance(told, Message | MalformedNotification):
                faults.append(f"parse() must raise MalformedNotification for {other.body!r:.400}: {told!r}.")

        expect_none(faults[:_SHOWN])

    def test_json_that_is_nested_deeply_is_malformed(self) -> None:
        """The reader of JSON gives up with RecursionError, which is no ValueError."""
        paid = self._notifications()["paid"]
        if not paid.content_type.endswith("json"):
            pytest.skip("The shop posts no JSON.")
        told = attempt(self._vendor().parse, odd_bodies.with_body(paid, odd_bodies.NESTED))

        assert isinstance(told, MalformedNotification), (
            f"parse() must raise MalformedNotification for `[` a hundred thousand times: {told!r}. Catch "
            "RecursionError beside ValueError where JSON is read."
        )

    def test_a_time_without_utc_is_malformed_or_understood(self) -> None:
        """A time of the year 1 or 9999 with an offset cannot be told in UTC: datetime raises OverflowError."""
        vendor, understood = self._vendor(), self._understood()
        faults = []
        for name, notification in self._notifications().items():
            for other in odd_bodies.with_times_without_utc(notification) if name in understood else ():
                told = attempt(vendor.parse, other)
                if not isinstance(told, Message | MalformedNotification):
                    faults.append(f"parse() must raise MalformedNotification for {other.body!r:.400}: {told!r}.")

        expect_none(faults[:_SHOWN])

    def _values(self) -> Iterator[tuple[str, Value]]:
        """Every value of every message, with where it stands in words."""
        for name, message in self._understood().items():
            for value in values_of(message):
                yield f"{value.path} of the message `{name}`", value


def _is_number(amount: object) -> bool:
    """What is no Decimal is another check's matter."""
    return not isinstance(amount, Decimal) or amount.is_finite()


def _unusable(event: Event) -> Iterator[str]:
    """Say what the core has against an event, in words that follow "An event"."""
    told = event.kind.name
    about_orders = event.kind not in (EventKind.SUBSCRIPTION, EventKind.CUSTOMER)
    if about_orders and not event.order_ref:
        yield f"is {told} and has no order_ref: name the order"
    if event.kind in (EventKind.PAID, EventKind.SUBSCRIPTION):
        if not event.items:
            yield f"is {told} and has no items: name the lines"
        if event.whole_order:
            yield f"is {told} and says whole_order, which is for money that goes back: leave it out"
    elif event.kind is EventKind.CUSTOMER:
        if event.items or event.whole_order:
            yield "is CUSTOMER and names lines: leave out items and whole_order"
        if not (event.customer_ref or event.order_ref):
            yield "is CUSTOMER and says whose: set customer_ref or order_ref"
    elif event.items and event.whole_order:
        yield f"is {told}, names lines and says whole_order, too: do one of both"
    elif not (event.items or event.whole_order or event.unclear):
        yield f"is {told} and names nothing: give it items, or say whole_order=True if it is about all of them"
    for item in event.items:
        yield from (f"is {told}, and {fault}" for fault in _unusable_item(event.kind, item))


def _unusable_item(kind: EventKind, item: Item) -> Iterator[str]:
    if kind is EventKind.SUBSCRIPTION and not (item.subscription_ref or item.group_ref):
        yield "an item has neither subscription_ref nor group_ref: name the subscription"
    if kind is not EventKind.SUBSCRIPTION and not item.line:
        yield "an item has no line: name it, the same in every message"
    if kind is EventKind.PAID and not item.product_id:
        yield f"the item {item.line!r} has no product_id: name what was bought"
    if item.quantity < 1:
        yield f"the item {item.line!r} has the quantity {item.quantity}: the least is 1"
    if item.undone_quantity is not None and item.undone_quantity < 1:
        yield f"the item {item.line!r} has the undone_quantity {item.undone_quantity}: say how many, or None for all"
