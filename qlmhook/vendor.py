"""What a vendor plugin is: it proves where a notification is from, says what it means, and answers it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar

from qlmhook.events import Message


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What the vendor sent, as it was sent.

    `fields` are the form's names and values in the order received, repeats and blanks kept, percent-decoded;
    empty when the content type is no form. `arguments` are the URL's, names in lower case, credentials removed.
    """

    content_type: str
    body: bytes = field(repr=False)
    fields: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    arguments: Mapping[str, str] = field(default_factory=dict)
    received_at: datetime


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The proof that a notification is the vendor's: which key of which endpoint, which algorithm."""

    endpoint: str
    algorithm: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The answer that tells the vendor that its notification was taken."""

    body: str = field(repr=False)
    content_type: str = "text/html; charset=utf-8"


class Vendor(ABC):
    """One merchant account at one shop.

    The core calls `verify`, then `parse`, stores and applies what that returned, and only then asks for the
    `receipt`. A plugin does no I/O and keeps no state between calls; one instance serves all threads.
    """

    plugin: ClassVar[str]
    """The name that `plugin = "…"` and the entry point carry."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Further values of is_vendor that mean this plugin."""
    content_types: ClassVar[tuple[str, ...]] = ("application/x-www-form-urlencoded",)
    """What the vendor posts; everything else is answered with 415."""
    signature_fields: ClassVar[frozenset[str]] = frozenset()
    """Form fields that are signatures: a listing of the notification leaves them out."""
    timezone: tzinfo = UTC
    """Where a day begins and ends, for dates without a time in a product's mapping."""

    @abstractmethod
    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        """Check the settings and keep what is needed.

        `settings` is this instance's section of the configuration without the keys that the core uses itself
        (plugin, enabled, user, password, test_orders). Raises ConfigurationError, naming the key.
        """

    @abstractmethod
    def verify(self, notification: Notification) -> Verified:
        """Return the proof that the vendor sent this, or raise SignatureRejected or VendorDisabled.

        Compare with `hmac.compare_digest` on bytes, and do the same work for every configured key.
        """

    @abstractmethod
    def parse(self, notification: Notification) -> Message:
        """Return what a verified notification says, or raise MalformedNotification."""

    @abstractmethod
    def receipt(self, notification: Notification, verified: Verified, now: datetime) -> Reply:
        """Return the answer for a notification that is stored and applied; never raise."""
