"""The avangate vendor: settings, and the three steps of a notification."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from marshmallow import Schema, ValidationError, fields, validate

from qlmhook.errors import MalformedNotification, VendorDisabled
from qlmhook.events import Message
from qlmhook.schemas import Texts, load_section
from qlmhook.vendor import Notification, Reply, Vendor, Verified
from qlmhook_avangate import ipn, signature
from qlmhook_avangate.form import Form, read_form

DEFAULT_ENDPOINT = "DEFAULT"
"""2Checkout's own name for the URLs of the account, as in NOTIFICATION_URL=DEFAULT."""


class _Zone(fields.Field[ZoneInfo]):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> ZoneInfo:
        try:
            return ZoneInfo(value)
        except (KeyError, ValueError, OSError, TypeError):
            raise ValidationError(f"{value!r} is no time zone; one is named like Europe/Bucharest") from None


class _SettingsSchema(Schema):
    shared_keys = Texts(load_default=list)
    algorithms = Texts(
        load_default=lambda: ["sha3-256", "sha256"],
        validate=validate.ContainsOnly(signature.ALGORITHMS, error="one or more of {choices} are meant"),
    )
    timezone = _Zone(load_default=lambda: ZoneInfo("Europe/Bucharest"))


class Avangate(Vendor):
    """One 2Checkout account."""

    plugin: ClassVar[str] = "avangate"
    aliases: ClassVar[tuple[str, ...]] = ("2checkout", "verifone")
    signature_fields: ClassVar[frozenset[str]] = frozenset(signature.SIGNATURE_FIELDS)

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        data = load_section(_SettingsSchema(), name, settings)
        self.timezone: ZoneInfo = data["timezone"]
        self._algorithms: list[str] = data["algorithms"]
        self._keys = [
            signature.Key(endpoint=DEFAULT_ENDPOINT, secret=secret.encode()) for secret in data["shared_keys"]
        ]

    def verify(self, notification: Notification) -> Verified:
        """Check the signature over all fields; raises SignatureRejected, VendorDisabled, MalformedNotification."""
        if not self._keys:
            raise VendorDisabled("No shared key is configured for this vendor, so nothing can be verified.")
        return signature.verify(notification.fields, self._keys, self._algorithms)

    def parse(self, notification: Notification) -> Message:
        """Translate an IPN; raises MalformedNotification."""
        return ipn.parse(self._form(notification), self.timezone)

    def receipt(self, notification: Notification, verified: Verified, now: datetime) -> Reply:
        """Return the read receipt that stops 2Checkout's retries."""
        values = ipn.receipt_values(self._form(notification))
        return Reply(body=signature.receipt(verified, values, now) + "\n")

    def _form(self, notification: Notification) -> Form:
        form = read_form(notification.fields)
        if "IPN_PID" not in form.arrays:
            raise MalformedNotification("The notification is no IPN: it has no IPN_PID[] field.")
        return form
