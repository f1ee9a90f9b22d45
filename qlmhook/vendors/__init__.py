"""What a plugin is, what it sees and may import, and the accounts that the configuration makes of it.

All that a plugin's author needs is imported from here: `from qlmhook.vendors import Vendor, Event, hookimpl`.
"""

from qlmhook.domain.events import Customer, Event, EventKind, Item, Message, Standing
from qlmhook.errors import ConfigurationError, DeliveryFailed, MalformedNotification, SignatureRejected, VendorDisabled
from qlmhook.vendors.api import Answer, Get, IssuedLicense, Notification, Outcome, Post, Reply, Vendor, Verified
from qlmhook.vendors.form_body import FORM, parse_form
from qlmhook.vendors.hooks import hookimpl
from qlmhook.vendors.settings import Texts, Zone, explain, load_section

__all__ = [
    "FORM",
    "Answer",
    "ConfigurationError",
    "Customer",
    "DeliveryFailed",
    "Event",
    "EventKind",
    "Get",
    "IssuedLicense",
    "Item",
    "MalformedNotification",
    "Message",
    "Notification",
    "Outcome",
    "Post",
    "Reply",
    "SignatureRejected",
    "Standing",
    "Texts",
    "Vendor",
    "VendorDisabled",
    "Verified",
    "Zone",
    "explain",
    "hookimpl",
    "load_section",
    "parse_form",
]
