"""The avangate vendor: settings, and the three steps of a notification."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from marshmallow import Schema, ValidationError, fields, validate

from qlmhook.vendors import (
    ConfigurationError,
    MalformedNotification,
    Message,
    Notification,
    Outcome,
    Post,
    Reply,
    SignatureRejected,
    Texts,
    Vendor,
    VendorDisabled,
    Verified,
    Zone,
    load_section,
)
from qlmhook_avangate import configuration, idn, ipn, lcn, signature
from qlmhook_avangate.form import Form, read_form
from qlmhook_avangate.idn import IdnSettings

DEFAULT_ENDPOINT = "DEFAULT"
"""2Checkout's own name for the URLs of the account, as in NOTIFICATION_URL=DEFAULT."""


# Names are not signed: a message with the marks of the other kind was relabelled.
ONLY_IPN = frozenset(
    {"REFNO", "ORDERNO", "ORDERSTATUS", "CUSTOMEREMAIL", "SALEDATE", "IPN_PNAME", "IPN_DATE", "IPN_QTY"}
)
ONLY_LCN = frozenset(
    {"LICENSE_CODE", "LICENSE_PRODUCT", "EXPIRATION_DATE", "EXPIRATION_DATE_TIME", "DATE_UPDATED", "DISABLED"}
    | {"RECURRING", "CHANGED_BY", "DISPATCH_REASON"}
)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        usable = False
    local = usable and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not usable or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise ValidationError("must be an https:// URL without user and password; http:// is for this machine only")


class _IdnSchema(Schema):
    url = fields.String(load_default="https://secure.2checkout.com/order/idn.php", validate=_check_url)
    merchant = fields.String(load_default="")
    key = fields.String(load_default="")
    algorithm = fields.String(load_default="sha256", validate=validate.OneOf(signature.ALGORITHMS))
    hash_field = fields.String(load_default="ORDER_HASH", validate=validate.Regexp(r"[A-Z0-9_]{1,64}\Z"))
    timezone = Zone(load_default=None, optional=True)
    allow_private = fields.Boolean(load_default=False)


class _EndpointSchema(Schema):
    ipn_keys = Texts(load_default=list)
    lcn_keys = Texts(load_default=list)


class _SettingsSchema(Schema):
    shared_keys = Texts(load_default=list)
    algorithms = Texts(
        load_default=lambda: ["sha3-256", "sha256"],
        validate=validate.ContainsOnly(signature.ALGORITHMS, error="one or more of {choices} are meant"),
    )
    timezone = Zone(load_default=lambda: ZoneInfo("Europe/Bucharest"))
    endpoints = fields.Dict(
        keys=fields.String(validate=validate.Length(1, 100)), values=fields.Nested(_EndpointSchema), load_default=dict
    )
    idn = fields.Nested(_IdnSchema, load_default=lambda: _IdnSchema().load({}))


class Avangate(Vendor):
    """One 2Checkout account."""

    plugin: ClassVar[str] = "avangate"
    aliases: ClassVar[tuple[str, ...]] = ("2checkout", "verifone")
    signature_fields: ClassVar[frozenset[str]] = frozenset(signature.SIGNATURE_FIELDS)
    settings_template: ClassVar[str] = configuration.TEMPLATE
    # Source: 2Checkout, "Secure webhooks", and a later copy of it; the list may grow.
    published_sources: ClassVar[tuple[str, ...]] = (
        "91.220.121.0/25",
        "5.35.210.128/25",
        "184.106.7.192/29",
        "85.17.14.128/27",
        "162.221.60.0/22",
    )

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        data = load_section(_SettingsSchema(), name, settings)
        self.timezone: ZoneInfo = data["timezone"]
        self._algorithms: list[str] = data["algorithms"]
        lowered = [endpoint.lower() for endpoint in data["endpoints"]]
        if len(set(lowered)) < len(lowered):
            raise ConfigurationError(f"vendors.{name}.endpoints: two endpoints differ only in letter case.")
        self._keys = _keys(data["shared_keys"], data["endpoints"])
        self._idn = self._idn_settings(data["idn"], data["shared_keys"])

    def _idn_settings(self, data: Mapping[str, Any], shared_keys: list[str]) -> IdnSettings:
        key = data["key"] or next(iter(shared_keys), "")
        return IdnSettings(**{**data, "key": key.encode(), "timezone": data["timezone"] or self.timezone})

    def verify(self, notification: Notification) -> Verified:
        """Check the signature over all fields; raises SignatureRejected, VendorDisabled, MalformedNotification."""
        if not self._keys:
            raise VendorDisabled("No shared key is configured for this vendor, so nothing can be verified.")
        kinds = _claimed_kinds(notification)
        keys = [key for key in self._keys if kinds <= key.kinds]
        if endpoint := notification.arguments.get("is_endpoint"):
            keys = [key for key in keys if key.endpoint.lower() == endpoint.lower()]
            if not keys:
                raise SignatureRejected("The endpoint that is_endpoint names has no key for this kind of notification.")
        return signature.verify(notification.fields, keys, self._algorithms)

    def keys(self) -> Mapping[str, bytes]:
        """Return every configured key by endpoint and list."""
        return {f"{key.endpoint} {key.label}": key.secret for key in self._keys}

    def parse(self, notification: Notification) -> Message:
        """Translate an IPN or LCN, told apart by their fields; raises MalformedNotification."""
        form = read_form(notification.fields)
        if _is_ipn(form):
            return ipn.parse(form, self.timezone)
        return lcn.parse(form, self.timezone, notification.received_at)

    def receipt(self, notification: Notification, verified: Verified, outcome: Outcome) -> Reply:
        """Return the read receipt that stops 2Checkout's retries."""
        form = read_form(notification.fields)
        values = ipn.receipt_values(form) if _is_ipn(form) else lcn.receipt_values(form)
        return Reply(body=signature.receipt(verified, values, outcome.at) + "\n")

    def confirm(self, notification: Notification, post: Post, now: datetime) -> str:
        """Send the IDN for an IPN's order; raises DeliveryFailed."""
        form = read_form(notification.fields)
        fields = idn.request_fields(form, self._idn, now)
        answer = post(self._idn.url, fields, allow_private=self._idn.allow_private)
        return idn.read_answer(answer, form.scalars["REFNO"], self._idn)


def _keys(shared_keys: list[str], endpoints: Mapping[str, Mapping[str, list[str]]]) -> list[signature.Key]:
    """An account's key signs both kinds; an endpoint has keys for each, and neither stands for the other."""
    keys = [
        signature.Key(endpoint=DEFAULT_ENDPOINT, secret=secret.encode(), label=f"shared_keys[{index}]")
        for index, secret in enumerate(shared_keys)
    ]
    for endpoint, lists in endpoints.items():
        for kind in ("ipn", "lcn"):
            for index, secret in enumerate(lists[f"{kind}_keys"]):
                label = f"{kind}_keys[{index}]"
                keys.append(
                    signature.Key(endpoint=endpoint, secret=secret.encode(), label=label, kinds=frozenset({kind}))
                )
    return keys


def _claimed_kinds(notification: Notification) -> frozenset[str]:
    """Return which kinds a notification says it is of, before anything of it can be believed.

    What says nothing, or both, can only be signed by a key for both kinds.
    """
    names = {name.partition("[")[0] for name, _ in notification.fields}
    claimed = {kind for kind, mark in (("ipn", "IPN_PID"), ("lcn", "LICENSE_CODE")) if mark in names}
    return frozenset(claimed or {"ipn", "lcn"})


def _is_ipn(form: Form) -> bool:
    """Tell an IPN from an LCN; a message with the marks of both, or of neither, is none of 2Checkout's."""
    is_ipn, is_lcn = "IPN_PID" in form.arrays, "LICENSE_CODE" in form.scalars
    names = form.scalars.keys() | form.arrays.keys()
    foreign = names & (ONLY_LCN if is_ipn else ONLY_IPN)
    if is_ipn == is_lcn or foreign or (is_lcn and form.arrays):
        raise MalformedNotification(
            "The notification must be either an IPN, with IPN_PID[], or an LCN, with LICENSE_CODE."
        )
    return is_ipn
