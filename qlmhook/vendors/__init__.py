"""What a plugin is, what it sees and may import, and the accounts that the configuration makes of it.

All that a plugin's author needs is imported from here: `from qlmhook.vendors import Vendor, Event, hookimpl`.
"""

from qlmhook.domain.events import Customer, Event, EventKind, Item, Message, Standing
from qlmhook.errors import (
    ConfigurationError,
    DeliveryFailed,
    KeyNotMade,
    MalformedNotification,
    SignatureRejected,
    VendorDisabled,
)
from qlmhook.vendors.amounts import money
from qlmhook.vendors.api import Answer, Get, IssuedLicense, Notification, Outcome, Post, Reply, Vendor, Verified
from qlmhook.vendors.form_body import FORM, parse_form
from qlmhook.vendors.form_fields import Form, read_form
from qlmhook.vendors.hooks import hookimpl
from qlmhook.vendors.key_maker import KeyMaker, KeyRequest
from qlmhook.vendors.settings import Keys, Texts, Zone, explain, load_section
from qlmhook.vendors.signatures import signed_with
from qlmhook.vendors.urls import Url
from qlmhook.vendors.wall_times import to_utc

__all__ = [
    "FORM",
    "Answer",
    "ConfigurationError",
    "Customer",
    "DeliveryFailed",
    "Event",
    "EventKind",
    "Form",
    "Get",
    "IssuedLicense",
    "Item",
    "KeyMaker",
    "KeyNotMade",
    "KeyRequest",
    "Keys",
    "MalformedNotification",
    "Message",
    "Notification",
    "Outcome",
    "Post",
    "Reply",
    "SignatureRejected",
    "Standing",
    "Texts",
    "Url",
    "Vendor",
    "VendorDisabled",
    "Verified",
    "Zone",
    "explain",
    "hookimpl",
    "load_section",
    "money",
    "parse_form",
    "read_form",
    "signed_with",
    "to_utc",
]
