"""Reads what a verified notification says, and refuses what the database cannot keep or the core cannot use."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from qlmhook.domain.events import Event, EventKind, Message
from qlmhook.errors import MalformedNotification
from qlmhook.vendors.api import Notification, Vendor

LONGEST_KIND = 16
LONGEST_REFERENCE = 64


def read(vendor: Vendor, notification: Notification) -> Message:
    """Return what a verified notification says, checked for what the database can keep.

    Raises MalformedNotification, or whatever a faulty plugin raises.
    """
    message = vendor.parse(notification)
    text = "".join(_texts(asdict(message)))
    if "\0" in text:
        raise MalformedNotification("The notification has a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can carry half a character
        raise MalformedNotification("The notification has text that is not Unicode.") from None
    for name in ("kind", "order_ref", "order_status", "subscription_ref", "merchant"):
        _refuse_too_long(name, getattr(message, name))
    for event in message.events:
        for name in ("order_ref", "customer_ref", "case_ref"):
            _refuse_too_long(f"event.{name}", getattr(event, name))
        for other in event.also_known_as:
            _refuse_too_long("event.also_known_as", other)
        for item in event.items:
            for name in ("line", "product_id", "subscription_ref", "group_ref"):
                _refuse_too_long(f"item.{name}", getattr(item, name))
        _refuse_useless(event)
        _refuse_unclear_times(event)
        _refuse_unclear_numbers(event)
    return message


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a message that was taken apart into dicts and tuples."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


_ABOUT_MONEY = frozenset(EventKind) - {EventKind.PAID, EventKind.SUBSCRIPTION, EventKind.CUSTOMER}
"""What may be about a whole order."""


def _refuse_useless(event: Event) -> None:
    """An event that does not say what it is about would be taken for one that changes nothing."""
    told = f"The plugin's {event.kind.value} event"
    if not event.order_ref and event.kind not in (EventKind.SUBSCRIPTION, EventKind.CUSTOMER):
        raise MalformedNotification(f"{told} names no order: its order_ref is empty.")
    if event.kind is EventKind.CUSTOMER:
        if event.items or not (event.customer_ref or event.order_ref):
            raise MalformedNotification(
                f"{told} must name whose customer it describes, by customer_ref or order_ref alone."
            )
        return
    if event.whole_order and (event.items or event.kind not in _ABOUT_MONEY):
        raise MalformedNotification(
            f"{told} says whole_order and cannot: that is for money that went back, without items."
        )
    if not event.items and event.kind not in _ABOUT_MONEY:
        raise MalformedNotification(f"{told} names no line: its items are empty.")
    if not event.items and not event.whole_order and not event.unclear:
        raise MalformedNotification(
            f"{told} names no line: give it items, or say whole_order=True if it is about all lines of its order."
        )
    for item in event.items:
        if event.kind is EventKind.SUBSCRIPTION and not (item.subscription_ref or item.group_ref):
            raise MalformedNotification(
                f"{told} names no subscription: give its item a subscription_ref or a group_ref."
            )
        if event.kind is not EventKind.SUBSCRIPTION and not item.line:
            raise MalformedNotification(f"{told} has an item without a line: name it, the same in every message.")


def _refuse_unclear_times(event: Event) -> None:
    times: dict[str, datetime | None] = {"at": event.at, "placed_at": event.placed_at, "paid_at": event.paid_at}
    times |= {f"items[{place}].expires_at": item.expires_at for place, item in enumerate(event.items)}
    if event.standing is not None:
        times |= {f"standing.{name}": getattr(event.standing, name) for name in ("paused_from", "paused_until")}
    for name, time in times.items():
        if time is not None and time.utcoffset() is None:
            raise MalformedNotification(
                f"The {name} of the plugin's {event.kind.value} event is {time.isoformat()}, a time without a zone: "
                "give it a tzinfo, such as datetime.UTC."
            )


def _refuse_unclear_numbers(event: Event) -> None:
    for place, item in enumerate(event.items):
        where = f"of items[{place}] in the plugin's {event.kind.value} event"
        if item.quantity < 1:
            raise MalformedNotification(f"The quantity {where} is {item.quantity}; the least is 1.")
        if item.undone_quantity is not None and item.undone_quantity < 1:
            raise MalformedNotification(f"The undone_quantity {where} is {item.undone_quantity}; the least is 1.")
        if item.amount is not None and not (item.amount.is_finite() and re.fullmatch(r"[A-Z]{3}", item.currency)):
            raise MalformedNotification(
                f"The amount {where} is {item.amount} in {item.currency[:20]!r}; meant are a number and a currency of "
                "three capital letters, such as EUR."
            )


def _refuse_too_long(name: str, text: str) -> None:
    limit = LONGEST_KIND if name == "kind" else LONGEST_REFERENCE
    if len(text) > limit:
        raise MalformedNotification(f"{name} is longer than {limit} characters: {text[:80]!r}.")
