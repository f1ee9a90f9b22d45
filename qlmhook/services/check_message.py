"""Reads what a verified notification says, and refuses what the database cannot keep or the core cannot use."""

from qlmhook.domain import usable
from qlmhook.domain.events import Message
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
    for fault in usable.silence_of(message):
        raise MalformedNotification(f"The plugin's message {fault}.")
    for event in message.events:
        for fault in usable.faults_of(event):
            raise MalformedNotification(f"The plugin's {event.kind.value} event {fault}.")
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
