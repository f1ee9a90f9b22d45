"""Reads what a verified notification says, and refuses what the database cannot keep or the core cannot use."""

import re

from qlmhook.domain.events import Event, EventKind, Message
from qlmhook.errors import MalformedNotification
from qlmhook.vendors.api import Notification, Vendor
from qlmhook.vendors.returned_values import LONGEST, Value, values_of


def read(vendor: Vendor, notification: Notification) -> Message:
    """Return what a verified notification says, checked for what the database can keep and the core can use.

    Raises MalformedNotification, or whatever a faulty plugin raises.
    """
    message = vendor.parse(notification)
    for value in values_of(message, unusual=True):
        _refuse_unusable(value)
    for event in message.events:
        _refuse_useless(event)
        _refuse_unclear_numbers(event)
    return message


def _refuse_unusable(value: Value) -> None:
    """A value of another type, or longer than the database keeps, would be our own fault when it is stored."""
    if not value.is_of_its_type:
        raise MalformedNotification(
            f"The plugin gave {value.path} as {type(value.value).__name__}: {str(value.value)[:80]!r}. Meant is "
            f"{getattr(value.hint, '__name__', value.hint)}."
        )
    for text in value.texts:
        if "\0" in text:
            raise MalformedNotification(f"{value.path} has a NUL character.")
        if not _is_unicode(text):  # JSON can carry half a character
            raise MalformedNotification(f"{value.path} has text that is not Unicode.")
        if len(text) > LONGEST.get(value.name, len(text)):
            raise MalformedNotification(f"{value.path} is longer than {LONGEST[value.name]} characters: {text[:80]!r}.")
    if value.is_out_of_range:
        raise MalformedNotification(f"{value.path} is {value.value.isoformat()}, which is no time in UTC.")
    if value.is_naive_time:
        raise MalformedNotification(
            f"{value.path} is {value.value.isoformat()}, a time without a zone: the plugin must give it a tzinfo, such "
            "as datetime.UTC."
        )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_ABOUT_MONEY = frozenset(EventKind) - {
    EventKind.PAID,
    EventKind.UNDER_REVIEW,
    EventKind.SUBSCRIPTION,
    EventKind.CUSTOMER,
}
"""What may be about a whole order."""


def _refuse_useless(event: Event) -> None:
    """An event that does not say what it is about would be taken for one that changes nothing."""
    told = f"The plugin's {event.kind.value} event"
    if not event.order_ref and event.kind not in (EventKind.SUBSCRIPTION, EventKind.CUSTOMER):
        raise MalformedNotification(f"{told} names no order: its order_ref is empty.")
    if event.unclear:
        return
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
    if not event.items and not event.whole_order:
        raise MalformedNotification(
            f"{told} names no line: give it items, or say whole_order=True if it is about all lines of its order."
        )
    lines = [item.line for item in event.items]
    twice = next((line for line in lines if line and lines.count(line) > 1), None)
    if twice is not None:
        raise MalformedNotification(
            f"{told} names line {twice[:80]!r} twice: put what is told of a line into one item."
        )
    for item in event.items:
        if event.kind is EventKind.SUBSCRIPTION and not (item.subscription_ref or item.group_ref):
            raise MalformedNotification(
                f"{told} names no subscription: give its item a subscription_ref or a group_ref."
            )
        if event.kind is not EventKind.SUBSCRIPTION and not item.line:
            raise MalformedNotification(f"{told} has an item without a line: name it, the same in every message.")


def _refuse_unclear_numbers(event: Event) -> None:
    if abs(event.sequence) >= 2**63:
        raise MalformedNotification(
            f"The sequence of the plugin's {event.kind.value} event has more than 64 bits; give a smaller number."
        )
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
