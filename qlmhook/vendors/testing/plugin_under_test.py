"""What a plugin's author fills in, and how the checks see the plugin by it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

import pytest

from qlmhook.domain.events import Event, EventKind, Item, Message
from qlmhook.errors import DeliveryFailed
from qlmhook.vendors.api import Answer, Notification, Outcome, Reply, Vendor, Verified
from qlmhook.vendors.testing import odd_bodies
from qlmhook.vendors.testing.messages import NOON, Messages


class PluginUnderTest(ABC):
    """A plugin under test.

    Sign with code of the tests' own, written from the vendor's documentation. A signer that is imported from the
    plugin makes the same mistake on both sides, and the tests pass.
    """

    vendor_class: ClassVar[type[Vendor]]
    """The class under test."""
    key: ClassVar[str]
    """The secret that the notifications are signed with, as the settings spell it."""
    other_key: ClassVar[str] = "another-Secret2!"
    """A secret of the same shape that signs nothing."""
    tolerance: ClassVar[timedelta | None] = None
    """How old a signature may be when it comes; None for a shop whose signatures carry no time."""
    sells_single_lines: ClassVar[bool] = False
    """An order of this shop is always one line."""

    @abstractmethod
    def settings(self, *keys: str) -> dict[str, Any]:
        """Return the settings of an account that has these secrets, newest first; it may have none."""

    @abstractmethod
    def messages(self) -> Messages:
        """Return everything that the shop can send about one sale."""

    @abstractmethod
    def sign(self, body: bytes, key: str, at: datetime) -> Notification:
        """Return the notification that the shop makes of a body, signed with a secret, at a time.

        It is called with every body of `messages()`, and with others that no shop sends.
        """

    def answer(self, url: str, headers: Mapping[str, str] | None = None, *, allow_private: bool = False) -> Answer:
        """Return what the shop answers a plugin that asks; override this where messages are incomplete."""
        raise DeliveryFailed("The tests play no shop that can be asked: override answer().", permanent=True)

    def unsigned(self, notification: Notification) -> Notification:
        """Return a notification without its signature; override this where it is in a body that is no form."""
        return odd_bodies.without_signature(notification, self.vendor_class.signature_fields)

    def changed(self, notification: Notification) -> Iterator[Notification]:
        """Yield a notification with one signed byte changed; override this where the vendor signs less."""
        return odd_bodies.with_one_byte_changed(notification, self.vendor_class.signature_fields)

    def make_vendor(self, *keys: str) -> Vendor:
        """Return an account named `shop` with these secrets."""
        return self.vendor_class("shop", self.settings(*keys))

    def _vendor(self) -> Vendor:
        return self.make_vendor(self.key)

    @cached_property
    def _signed(self) -> dict[str, Notification]:
        """Every message, signed, by its name."""
        return {name: self.sign(body, self.key, NOON) for name, body in self.messages().named()}

    def _notifications(self, *, but: Collection[str] = ()) -> dict[str, Notification]:
        """Every message, signed, by its name; without those of some names."""
        return {name: notification for name, notification in self._signed.items() if name not in but}

    def _understand(self, notification: Notification, vendor: Vendor | None = None) -> Message:
        """Return what a notification says, once the shop was asked for what is missing in it."""
        vendor = vendor or self._vendor()
        message = vendor.parse(notification)
        if message.incomplete:
            enrichment = vendor.enrich(_stored(notification), self.answer)
            message = vendor.parse(replace(notification, enrichment=enrichment))
        return message

    @cached_property
    def _understood(self) -> dict[str, Message]:
        """What each message says, of those that can be read; that they can is a check of its own."""
        found = {}
        for name, notification in self._notifications(but={"unreadable"}).items():
            message = attempt(self._understand, notification)
            if isinstance(message, Message):
                found[name] = message
        return found

    def _events(self) -> list[tuple[str, Event]]:
        """Every event of every message, with the message's name."""
        return [(name, event) for name, message in self._understood.items() for event in message.events]

    def _said(self, *names: str) -> dict[str, Message]:
        """What the messages of these names say; the check is skipped where there is none."""
        understood = {name: message for name, message in self._understood.items() if name in names}
        if not understood:
            pytest.skip(f"messages() has no {' and no '.join(names)}: a shop that sends none need not be checked.")
        return understood

    def _sale(self) -> Event:
        """The event of the paid order."""
        paid = self._understood.get("paid")
        for event in paid.events if paid else ():
            if event.kind == "paid":
                return event
        pytest.skip("The message `paid` has no PAID event, which another check says.")

    def _names_of_the_sale(self) -> set[str]:
        """Every name that some message joins with the paid order's."""
        groups = [names_of(event) for _, event in self._events()]
        names = names_of(self._sale())
        for _ in groups:
            names |= {name for group in groups if group & names for name in group}
        return names

    def _verified(self, notification: Notification) -> Verified | None:
        verified = attempt(self._vendor().verify, notification)
        return verified if isinstance(verified, Verified) else None

    def _receipts(self, outcome: Outcome) -> Iterator[tuple[str, Reply]]:
        """The receipt of each message, where there is one; that there is one is a check of its own."""
        for name, notification in self._notifications(but={"unreadable"}).items():
            verified = self._verified(notification)
            if verified:
                reply = attempt(self._vendor().receipt, notification, verified, outcome)
                if isinstance(reply, Reply):
                    yield name, reply


def attempt(function: Callable[..., object], *arguments: Any) -> object:
    """Return what a plugin returns, or the exception that it raises."""
    try:
        return function(*arguments)
    except Exception as error:
        return error


def events_of(message: Message, kind: EventKind) -> list[Event]:
    """Return the events of one kind."""
    return [event for event in message.events if event.kind is kind]


def names_of(*events: Event) -> set[str]:
    """Return every name that events give their order."""
    return {name for event in events for name in (event.order_ref, *event.also_known_as)} - {""}


def lines_of(event: Event) -> dict[str, Item]:
    """Return the items of an event by the names of their lines."""
    return {item.line: item for item in event.items}


def _stored(notification: Notification) -> Notification:
    """Return what is left of a notification when it is read from the database."""
    return replace(notification, headers={}, arguments={})


def refusal(vendor: Vendor, notification: Notification) -> str:
    """Return what a notification is not taken with, or nothing when it is verified."""
    told = attempt(vendor.verify, notification)
    return (str(told) or type(told).__name__) if isinstance(told, Exception) else ""


def expect_none(faults: Iterable[str]) -> None:
    """Fail with one sentence for each fault."""
    told = "\n".join(dict.fromkeys(faults))

    assert not told, told
