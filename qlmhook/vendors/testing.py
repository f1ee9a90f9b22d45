"""What the tests of a vendor plugin inherit: the facts that must be true of every vendor.

This module needs pytest, which is only in the extra `test`: `pip install "qlmhook[test]"`. The service itself never
imports it. docs/plugins.md shows it in use.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest

from qlmhook.domain.events import EventKind, Item, Message
from qlmhook.errors import ConfigurationError, MalformedNotification, Refused, SignatureRejected, VendorDisabled
from qlmhook.vendors.api import Notification, Outcome, Reply, Vendor, Verified
from qlmhook.vendors.form import FORM, parse_form
from qlmhook.vendors.loader import Plugins

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When a notification of `make_notification` is received, unless a test says otherwise."""

LONGEST: Mapping[str, int] = {
    "endpoint": 128,
    "kind": 16,
    "order_ref": 64,
    "order_status": 64,
    "line": 64,
    "product_id": 64,
    "subscription_ref": 64,
}
"""How many characters the database keeps of what a plugin returns; a longer value cannot be stored."""

RUBBISH = (b"", b"\xff\xfe", b"=", b"{", b"[]", b"{}", b"null", b"true", b"0", b'"text"', b"<xml/>", b"%", b"a=%00")
"""Bodies that no vendor sends."""

_DIGEST = re.compile(r"[0-9A-Fa-f]{32}")


def make_notification(
    body: bytes,
    *,
    content_type: str = FORM,
    headers: Mapping[str, str] | None = None,
    arguments: Mapping[str, str] | None = None,
    received_at: datetime = NOON,
) -> Notification:
    """Return the notification that the service makes of a request.

    `headers` and `arguments` may be spelled in any letter case, as in a request. `arguments` are those of the URL
    without `is_vendor`, `is_user` and `is_pwd`. Raises MalformedNotification or TooLarge for a body that should be
    a form and is none.
    """
    mimetype = content_type.partition(";")[0].strip().lower()
    return Notification(
        content_type=mimetype,
        body=body,
        fields=parse_form(body) if mimetype == FORM else (),
        headers={name.title(): value for name, value in (headers or {}).items()},
        arguments={name.lower(): value for name, value in (arguments or {}).items()},
        received_at=received_at,
    )


class VendorContract(ABC):
    """Facts about a vendor: inherit them as `class TestMyShop(VendorContract)` and fill in what is abstract.

    Sign the notifications with code of the tests' own, written from the vendor's documentation. A signer that is
    imported from the plugin makes the same mistake on both sides, and the tests pass.
    """

    vendor_class: ClassVar[type[Vendor]]
    """The class under test."""
    key: ClassVar[str]
    """The secret that the notifications are signed with, as the settings spell it."""
    other_key: ClassVar[str] = "another-Secret2!"
    """A secret of the same shape that signs nothing."""

    @abstractmethod
    def settings(self, *keys: str) -> dict[str, Any]:
        """Return the settings of an account that has these secrets, newest first; it may have none."""

    @abstractmethod
    def paid_order(self) -> Notification:
        """Return a genuine notification that an order of two or more lines is paid, signed with `key`.

        Let two lines be of the same product if the vendor can send that: their names are easily mixed up.
        """

    @abstractmethod
    def unsigned_order(self) -> Notification:
        """Return the same notification without a signature."""

    @abstractmethod
    def unknown_message(self) -> Notification:
        """Return a genuine, signed notification of a kind that the plugin has never heard of."""

    @abstractmethod
    def unreadable_message(self) -> Notification:
        """Return a signed notification that lacks what is needed to act, such as the order's reference."""

    def changed_orders(self) -> Iterator[Notification]:
        """Yield the paid order with one signed byte changed, at every place in turn.

        A form is changed in its values, any other body in all its bytes. Override this if the vendor signs less.
        """
        genuine = self.paid_order()
        if genuine.content_type != FORM:
            for place, octet in enumerate(genuine.body):
                yield replace(genuine, body=genuine.body[:place] + bytes([octet ^ 1]) + genuine.body[place + 1 :])
            return
        pairs = [pair for pair in genuine.body.split(b"&") if pair]
        for place, (name, value) in enumerate(genuine.fields):
            if name not in self.vendor_class.signature_fields:
                changed = value[:-1] + ("1" if value.endswith("0") else "0")
                body = b"&".join([*pairs[:place], urlencode({name: changed}).encode(), *pairs[place + 1 :]])
                yield make_notification(body, headers=genuine.headers, arguments=genuine.arguments)

    def make_vendor(self, *keys: str) -> Vendor:
        """Return an account named `shop` with these secrets."""
        return self.vendor_class("shop", self.settings(*keys))

    def test_an_entry_point_of_the_plugins_name_registers_the_vendor(self) -> None:
        """The plugin is found by the name that a configuration gives."""
        plugins = Plugins()
        plugins.load([self.vendor_class.plugin])

        assert self.vendor_class in plugins.vendors().values(), (
            f"The entry point {self.vendor_class.plugin!r} does not lead here."
        )

    def test_the_vendors_names_are_in_lower_case(self) -> None:
        """Names are compared without letter case, so the plugin spells its own in one way."""
        names = (self.vendor_class.plugin, *self.vendor_class.aliases)

        assert [name for name in names if not re.fullmatch(r"[a-z0-9_-]+", name)] == []

    def test_the_content_type_is_one_that_the_vendor_posts(self) -> None:
        """The service answers every other content type with 415."""
        assert self.paid_order().content_type in self.vendor_class.content_types

    def test_a_setting_that_does_not_exist_is_named(self) -> None:
        """A misspelt setting stops the start-up with a sentence that names its section and its key."""
        with pytest.raises(ConfigurationError, match=r"vendors\.shop\.no_such_setting"):
            self.vendor_class("shop", {**self.settings(self.key), "no_such_setting": "1"})

    def test_a_genuine_notification_is_verified(self) -> None:
        """The proof says which endpoint, which algorithm and which key."""
        verified = self.make_vendor(self.key).verify(self.paid_order())

        assert isinstance(verified, Verified)
        assert verified.endpoint
        assert verified.algorithm
        assert verified.key

    def test_one_changed_byte_is_refused(self) -> None:
        """Nothing that is signed can be changed."""
        vendor = self.make_vendor(self.key)
        vendor.verify(self.paid_order())
        changed = list(self.changed_orders())

        assert changed, "changed_orders() yields nothing."
        assert [notification.body for notification in changed if not _refuses(vendor, notification)] == []

    def test_an_unsigned_notification_is_rejected(self) -> None:
        """No signature is no proof."""
        with pytest.raises(SignatureRejected):
            self.make_vendor(self.key).verify(self.unsigned_order())

    def test_a_notification_signed_with_another_key_is_rejected(self) -> None:
        """A signature counts only with a key of the settings."""
        with pytest.raises(SignatureRejected):
            self.make_vendor(self.other_key).verify(self.paid_order())

    def test_without_a_key_the_vendor_is_disabled(self) -> None:
        """An account without a key takes nothing, signed or not."""
        vendor = self.make_vendor()

        for notification in (self.paid_order(), self.unsigned_order()):
            with pytest.raises(VendorDisabled):
                vendor.verify(notification)

    def test_any_key_of_the_settings_may_verify(self) -> None:
        """While a key is changed, notifications come signed with the old one and with the new one."""
        notification = self.paid_order()
        alone = self.make_vendor(self.key).verify(notification)

        assert self.make_vendor(self.other_key, self.key).verify(notification) == alone
        assert self.make_vendor(self.key, self.other_key).verify(notification) == alone

    def test_rubbish_is_refused(self) -> None:
        """What is no message of the vendor's gets a refusal, and not an internal error."""
        vendor = self.make_vendor(self.key)
        genuine = self.paid_order()
        content_type, headers = genuine.content_type, genuine.headers

        for body in RUBBISH:
            with pytest.raises(Refused):
                vendor.verify(make_notification(body, content_type=content_type, headers=headers))

    def test_a_signature_of_strange_letters_is_refused(self) -> None:
        """`hmac.compare_digest` raises TypeError for text outside ASCII; bytes are what it compares."""
        vendor = self.make_vendor(self.key)
        genuine = self.paid_order()
        signatures = self.vendor_class.signature_fields
        strange = [
            replace(
                genuine,
                headers=dict.fromkeys(genuine.headers, text),
                fields=tuple((name, text if name in signatures else value) for name, value in genuine.fields),
            )
            for text in ("é", "", " ", "0" * 100_000)
        ]
        unlike = [notification for notification in strange if notification != genuine]

        assert [notification for notification in unlike if not _refuses(vendor, notification)] == []

    def test_a_refusal_tells_no_secret(self) -> None:
        """The text of a refusal is sent to whoever asked: it has neither the key nor a digest in it."""
        vendor = self.make_vendor(self.key)
        refused = [self.unsigned_order(), *self.changed_orders()]
        texts = {_refusal(vendor, notification) for notification in refused}

        assert [text for text in texts if self.key in text or _DIGEST.search(text)] == []

    def test_a_paid_order_is_a_paid_event_with_its_lines(self) -> None:
        """The core learns which order is paid and what was bought."""
        message = self._parse(self.paid_order())

        assert [event.kind for event in message.events] == [EventKind.PAID]
        assert message.kind
        assert message.order_status
        assert message.order_ref == message.events[0].order_ref != ""
        assert len(message.events[0].items) > 1, "paid_order() has fewer than two lines."
        assert all(item.product_id and item.quantity > 0 for item in message.events[0].items)
        assert [item.problem for item in message.events[0].items if item.problem] == []

    def test_the_lines_of_an_order_are_distinct(self) -> None:
        """Each line has a name of its own: two of one name would become one license."""
        lines = [item.line for item in self._items(self.paid_order())]

        assert "" not in lines
        assert len(set(lines)) == len(lines)

    def test_every_product_can_be_mapped(self) -> None:
        """A product's id becomes a part of a property's name, which cannot have every character."""
        product_ids = [item.product_id for item in self._items(self.paid_order())]

        assert [product_id for product_id in product_ids if not re.fullmatch(r"[0-9A-Za-z_.-]+", product_id)] == []

    def test_every_time_is_aware(self) -> None:
        """A time without a zone means another instant on another machine."""
        [event] = self._parse(self.paid_order()).events
        times = [event.at, event.placed_at, *(item.expires_at for item in event.items if item.expires_at)]

        assert [time for time in times if time.utcoffset() is None] == []

    def test_parsing_depends_on_the_notification_alone(self) -> None:
        """The same message gives the same facts, whatever came between and whichever process reads it."""
        vendor = self.make_vendor(self.key)
        first = vendor.parse(self.paid_order())
        vendor.parse(self.unknown_message())

        assert vendor.parse(self.paid_order()) == first
        assert self.make_vendor(self.key).parse(self.paid_order()) == first

    def test_parsing_needs_neither_headers_nor_arguments(self) -> None:
        """A stored notification is applied again from its body and content type; nothing else of it is kept."""
        for notification in (self.paid_order(), self.unknown_message()):
            stored = replace(notification, headers={}, arguments={})

            assert self._parse(stored) == self._parse(notification)

    def test_an_unknown_kind_of_message_is_noted_and_does_nothing(self) -> None:
        """Vendors add kinds of messages: an error would make them send the new one again and again."""
        vendor = self.make_vendor(self.key)
        vendor.verify(self.unknown_message())
        message = vendor.parse(self.unknown_message())

        assert message.events == ()
        assert message.note != ""

    def test_an_unreadable_message_is_malformed(self) -> None:
        """A genuine message that cannot be acted on is kept for the operator, under this error."""
        vendor = self.make_vendor(self.key)
        vendor.verify(self.unreadable_message())

        with pytest.raises(MalformedNotification):
            vendor.parse(self.unreadable_message())

    def test_what_is_returned_fits_the_database(self) -> None:
        """A value that is too long could not be stored."""
        vendor = self.make_vendor(self.key)
        parts: list[Verified | Message | Item] = [vendor.verify(self.paid_order()), *self._items(self.paid_order())]
        parts += [self._parse(self.paid_order()), self._parse(self.unknown_message())]
        lengths = {(name, len(getattr(part, name, ""))) for part in parts for name in LONGEST}

        assert [(name, length) for name, length in lengths if length > LONGEST[name]] == []

    def test_the_receipt_is_the_same_at_the_same_time(self) -> None:
        """A receipt is made of the notification, the proof and the time, and of nothing else."""
        for notification in (self.paid_order(), self.unknown_message()):
            receipt = self._receipt(notification)

            assert receipt == self._receipt(notification)
            assert receipt.body != ""
            assert "/" in receipt.content_type

    def test_the_receipt_tells_no_secret(self) -> None:
        """The receipt leaves the house: the key is not in it."""
        assert self.key not in self._receipt(self.paid_order()).body

    def test_what_is_logged_tells_no_secret(self) -> None:
        """The texts that tracebacks and logs show of these objects have neither the key nor the body in them."""
        vendor = self.make_vendor(self.key)
        notification = self.paid_order()
        verified = vendor.verify(notification)
        shown = " ".join(f"{part!r} {part}" for part in (vendor, notification, verified, self._receipt(notification)))

        assert self.key not in shown
        assert repr(verified.key)[2:-1] not in shown
        assert repr(notification.body)[2:-1] not in shown

    def _parse(self, notification: Notification) -> Message:
        return self.make_vendor(self.key).parse(notification)

    def _items(self, notification: Notification) -> tuple[Item, ...]:
        return tuple(item for event in self._parse(notification).events for item in event.items)

    def _receipt(self, notification: Notification) -> Reply:
        vendor = self.make_vendor(self.key)
        return vendor.receipt(notification, vendor.verify(notification), Outcome(at=NOON))


def _refuses(vendor: Vendor, notification: Notification) -> bool:
    return _refusal(vendor, notification) != ""


def _refusal(vendor: Vendor, notification: Notification) -> str:
    """Return the sentence with which a notification is refused, or nothing when it is verified."""
    try:
        vendor.verify(notification)
    except Refused as refused:
        return str(refused) or type(refused).__name__
    return ""
