"""Checks of `parse`, each for every message: what the core is told can be used, and depends on the message alone."""

import re
import time
from dataclasses import replace
from datetime import timedelta
from functools import cached_property

import pytest

from qlmhook.domain import usable
from qlmhook.domain.events import Event, Message
from qlmhook.errors import MalformedNotification
from qlmhook.vendors.api import Notification, Outcome, Vendor, Verified
from qlmhook.vendors.returned_values import LONGEST, Value, values_of
from qlmhook.vendors.testing import odd_bodies
from qlmhook.vendors.testing.messages import NOON
from qlmhook.vendors.testing.plugin_under_test import PluginUnderTest, attempt, expect_none
from qlmhook.vendors.testing.server_zone import server_in
from qlmhook.vendors.testing.watched_builtins import watched

_PRODUCT_ID = re.compile(r"[0-9A-Za-z_.-]+")
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
            f"{value.path} of the message `{name}` is {value.value!r}, a {type(value.value).__name__}; it must be "
            f"{value.hint}."
            for name, value in self._values
            if not value.is_of_its_type
        )

    def test_every_time_is_aware(self) -> None:
        """A time without a zone means another instant on another machine."""
        expect_none(
            f"{value.path} of the message `{name}` is {value.value.isoformat()}, a time without a zone: give it a "
            "tzinfo, such as datetime.UTC."
            for name, value in self._values
            if value.is_naive_time
        )

    def test_what_is_returned_fits_the_database(self) -> None:
        """A value that is too long could not be stored."""
        proofs = {name: self._verified(notification) for name, notification in self._notifications().items()}
        proven = [(name, value) for name, proof in proofs.items() if proof for value in values_of(proof)]

        expect_none(
            f"{value.path} of the message `{name}` has {len(text)} characters, and the service keeps "
            f"{LONGEST[value.name]}: {text[:80]!r}."
            for name, value in [*self._values, *proven]
            if value.name in LONGEST
            for text in value.texts
            if len(text) > LONGEST[value.name]
        )

    def test_every_event_says_what_it_is_about(self) -> None:
        """The core refuses what names too little, two things at once, or what nothing would come of."""
        expect_none(
            f"The message `{name}` {fault}."
            for name, message in self._understood.items()
            for fault in usable.silence_of(message)
            if name != "unknown"
        )
        expect_none(
            f"The {event.kind.name} event of `{name}` {fault}."
            for name, event in self._typed_events
            for fault in usable.useless_in(event)
        )

    def test_the_lines_of_an_order_are_distinct(self) -> None:
        """Each line has a name of its own: two of one name would become one license."""
        expect_none(
            f"The {event.kind.name} event of `{name}` {fault}. Number those of one product."
            for name, event in self._typed_events
            for fault in usable.lines_told_twice_in(event)
        )

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
            f"The {event.kind.name} event of `{name}` {fault}."
            for name, event in self._typed_events
            for fault in usable.amounts_unclear_in(event)
        )

    def test_nothing_is_kept_between_calls(self) -> None:
        """One object serves all threads, and messages come late, twice and in any order."""
        notifications = self._notifications(but={"unreadable"})
        understood, used = self._understood, self._vendor()
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

    def test_nothing_is_opened(self) -> None:
        """The service does what I/O there is: a request must not wait for a file or for another machine."""
        vendor = self._vendor()
        for name, notification in self._notifications(but={"unreadable"}).items():
            self._use(vendor, notification)  # what is read once, such as the data of a time zone, is read now
            with watched() as calls:
                self._use(vendor, notification)

            assert not calls.opened, (
                f"{calls.opened[0]} is called for `{name}`: open neither files nor connections in verify(), parse() "
                "and receipt(). What is the same for ever belongs into the module, what the shop must be asked for "
                "into enrich()."
            )

    def test_times_are_those_of_the_message(self) -> None:
        """What is sent again later was still said, and paid, when it was."""
        for name, message in self._understood.items():
            later = replace(self._notifications()[name], received_at=NOON + timedelta(days=40))
            told = attempt(lambda later=later: _clear(self._understand(later)))

            assert told == _clear(message), (
                f"The message `{name}` says something else when it comes later: take `at`, `placed_at` and `paid_at` "
                "from the message. A shop that sends no time leaves received_at alone: override this check then, with "
                "that reason."
            )

    def test_the_zone_of_the_server_has_no_part(self) -> None:
        """A time without a zone is the shop's, and another instant on a server somewhere else."""
        if not hasattr(time, "tzset"):
            pytest.skip("This system has one zone for all programs.")
        for name in self._understood:
            notification = self._notifications()[name]
            told = []
            for zone in ("EAST-13", "WEST+11"):
                with server_in(zone):
                    told.append(attempt(self._understand, notification))

            assert told[0] == told[1], (
                f"The message `{name}` says something else on a server in another zone: give a time without a zone "
                "that of the shop, such as with to_utc, before anything else is done with it."
            )

    def test_nothing_is_told_twice(self) -> None:
        """One thing that happened is one event."""
        expect_none(
            f"`{name}` tells the same {event.kind.name} of {event.order_ref!r} twice: return one event for it."
            for name, message in self._understood.items()
            for event in message.events
            if message.events.count(event) > 1
        )

    def test_parsing_needs_neither_headers_nor_arguments(self) -> None:
        """A stored notification has its body, content type, time of receipt and enrichment; the rest is not kept."""
        understood = self._understood
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
        vendor, understood = self._vendor(), self._understood
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
        vendor, understood = self._vendor(), self._understood
        faults = []
        for name, notification in self._notifications().items():
            for other in odd_bodies.with_times_without_utc(notification) if name in understood else ():
                told = attempt(vendor.parse, other)
                if not isinstance(told, Message | MalformedNotification):
                    faults.append(f"parse() must raise MalformedNotification for {other.body!r:.400}: {told!r}.")

        expect_none(faults[:_SHOWN])

    def _use(self, vendor: Vendor, notification: Notification) -> None:
        """Let a plugin do with a notification what the service lets it do in a request."""
        attempt(vendor.parse, notification)
        verified = attempt(vendor.verify, notification)
        if isinstance(verified, Verified):
            attempt(vendor.receipt, notification, verified, Outcome(at=NOON))

    @cached_property
    def _values(self) -> list[tuple[str, Value]]:
        """Every value of every message, with the message's name."""
        return [(name, value) for name, message in self._understood.items() for value in values_of(message)]

    @cached_property
    def _typed_events(self) -> list[tuple[str, Event]]:
        """The events of messages whose values are what they should be; that all are is two checks of their own."""
        strange = {name for name, value in self._values if not value.is_of_its_type or value.is_naive_time}
        return [(name, event) for name, event in self._events() if name not in strange]


def _clear(message: Message) -> Message:
    """Return a message without the orders that a person must look at: what cannot be read may be dated anyhow."""
    return replace(message, events=tuple(event for event in message.events if not event.unclear))
