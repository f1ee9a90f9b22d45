"""What a vendor plugin is: it proves where a notification is from, says what it means, and answers it."""

import hmac
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar, Protocol

from qlmhook.domain.events import Message
from qlmhook.errors import DeliveryFailed
from qlmhook.vendors.form_body import FORM


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What the vendor sent, as it was sent.

    `fields` are the form's names and values in the order received, repeats and blanks kept, percent-decoded;
    empty when the content type is no form. `arguments` are the URL's, names in lower case, credentials removed.
    `enrichment` is what `Vendor.enrich` found out about it afterwards; empty until then.
    """

    content_type: str
    body: bytes = field(repr=False)
    fields: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    arguments: Mapping[str, str] = field(default_factory=dict)
    received_at: datetime
    enrichment: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The proof that a notification is the vendor's: which key of which endpoint, which algorithm.

    `signed` is what the signature covers, where that is less than the whole notification, such as values without
    their names: a second notification that covers the same with another meaning is then refused.
    """

    endpoint: str
    algorithm: str
    key: bytes = field(repr=False)
    signed: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The answer that tells the vendor that its notification was taken."""

    body: str = field(repr=False)
    content_type: str = "text/html; charset=utf-8"
    status: int = 200


@dataclass(frozen=True, kw_only=True)
class IssuedLicense:
    """A license that a message is about, for shops that are answered with the key.

    `key` is grouped with dashes, as customers see it; `order_ref` and `line` are the plugin's own names of what was
    bought, `unit` counts the keys of a line from 1.
    """

    key: str = field(repr=False)
    order_ref: str
    line: str
    unit: int
    product_id: str
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a notification that is stored and applied: when, and the licenses that its paid orders have."""

    at: datetime
    licenses: Sequence[IssuedLicense] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a shop answered."""

    status: int
    body: str = field(repr=False)


class Post(Protocol):
    """Posts a form for a plugin, which does no I/O of its own.

    https only, but for this machine; no redirects; private addresses only with `allow_private`. Raises
    DeliveryFailed when there is no complete answer.
    """

    def __call__(self, url: str, fields: Mapping[str, str], *, allow_private: bool = False) -> Answer: ...


class Get(Protocol):
    """Asks a shop for what a notification only names, for a plugin, which does no I/O of its own.

    `headers` carry the plugin's credentials. https only, but for this machine; no redirects; private addresses only
    with `allow_private`. Raises DeliveryFailed when there is no complete answer.
    """

    def __call__(
        self, url: str, headers: Mapping[str, str] | None = None, *, allow_private: bool = False
    ) -> Answer: ...


def key_id(key: bytes) -> str:
    """Return a short name for a secret key that tells nothing about it."""
    return hmac.new(key, b"qlmhook key id", "sha256").hexdigest()[:8]


class Vendor(ABC):
    """One merchant account at one shop.

    The core calls `verify`, then `parse`, stores and applies what that returned, and only then asks for the
    `receipt`. A plugin does no I/O and keeps no state between calls; one instance serves all threads.
    """

    plugin: ClassVar[str]
    """The name that `plugin = "…"` and the entry point carry."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Further values of is_vendor that mean this plugin."""
    content_types: ClassVar[tuple[str, ...]] = (FORM,)
    """What the vendor posts; everything else is answered with 415."""
    signature_fields: ClassVar[frozenset[str]] = frozenset()
    """Form fields that are signatures: no part of what is said, when repeats are recognized and in listings."""
    published_sources: ClassVar[tuple[str, ...]] = ()
    """The networks that the shop says it posts from, for the setting `sources = ["published"]`."""
    settings_template: ClassVar[str] = ""
    """What `qlmhook init` writes below the settings that all accounts have: commented lines of TOML."""
    timezone: tzinfo = UTC
    """Where a day begins and ends, for dates without a time in a product's mapping."""

    @abstractmethod
    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        """Check the settings and keep what is needed.

        `settings` is this instance's section of the configuration without the keys that the core uses itself
        (plugin, enabled, user, password, sources, test_orders, revoke_on_refund, revoke_on_cancel).
        Raises ConfigurationError, naming the key.
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
    def receipt(self, notification: Notification, verified: Verified, outcome: Outcome) -> Reply:
        """Return the answer for a notification that is stored and applied; never raise."""

    def keys(self) -> Mapping[str, bytes]:
        """Return the configured keys by what to call them, for `doctor` and the metrics to show their last use."""
        return {}

    def enrich(self, notification: Notification, get: Get) -> bytes:
        """Ask the shop for what an incomplete message only names, and return what is to be stored beside it.

        Called by the worker after a `parse` that said `incomplete`, possibly more than once; `parse` then sees the
        result in `notification.enrichment`. Raises DeliveryFailed, permanent when trying again is no use. The default
        is for shops whose messages are complete.
        """
        raise DeliveryFailed("This shop's messages are complete; there is nothing to ask for.", permanent=True)

    def confirm(self, notification: Notification, post: Post, now: datetime) -> str:
        """Tell the shop that a notification's order is fulfilled, and return what it answered.

        Called for orders with `is_sendresponse=true`, possibly more than once: the shop may have taken a
        confirmation whose answer was lost. Raises DeliveryFailed, permanent when trying again is no use. The
        default is for shops that need no confirmation.
        """
        raise DeliveryFailed("This shop takes no confirmations; remove is_sendresponse.", permanent=True)
