"""Reads what a verified notification says, and refuses what the database cannot keep or the core cannot use."""

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
        _refuse_too_long("event.order_ref", event.order_ref)
        for item in event.items:
            for name in ("line", "product_id", "subscription_ref"):
                _refuse_too_long(f"item.{name}", getattr(item, name))
        _refuse_incomplete(event)
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


def _refuse_incomplete(event: Event) -> None:
    """These are the plugin's mistakes, and its author reads the sentence."""
    told = event.kind.value
    if not event.items and event.kind in (EventKind.PAID, EventKind.SUBSCRIPTION):
        raise MalformedNotification(f"The plugin's {told} event names no line: its items are empty.")
    times: dict[str, datetime | None] = {"at": event.at, "placed_at": event.placed_at, "paid_at": event.paid_at}
    times |= {f"items[{place}].expires_at": item.expires_at for place, item in enumerate(event.items)}
    if event.standing is not None:
        times |= {f"standing.{name}": getattr(event.standing, name) for name in ("paused_from", "paused_until")}
    for name, time in times.items():
        if time is not None and time.utcoffset() is None:
            raise MalformedNotification(
                f"The {name} of the plugin's {told} event is {time.isoformat()}, a time without a zone: give it a "
                "tzinfo, such as datetime.UTC."
            )


def _refuse_too_long(name: str, text: str) -> None:
    limit = LONGEST_KIND if name == "kind" else LONGEST_REFERENCE
    if len(text) > limit:
        raise MalformedNotification(f"{name} is longer than {limit} characters: {text[:80]!r}.")
