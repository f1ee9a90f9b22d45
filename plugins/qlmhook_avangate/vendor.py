"""The avangate vendor: settings, and the three steps of a notification."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import Schema, fields, validate

from qlmhook.vendors import (
    ConfigurationError,
    Form,
    Keys,
    MalformedNotification,
    Message,
    Notification,
    Outcome,
    Post,
    Reply,
    SignatureRejected,
    Texts,
    Url,
    Vendor,
    VendorDisabled,
    Verified,
    Zone,
    load_section,
    read_form,
)
from qlmhook_avangate import configuration, idn, ipn, lcn, signature

DEFAULT_ENDPOINT = "DEFAULT"
"""2Checkout's own name for the URLs of the account, as in NOTIFICATION_URL=DEFAULT."""


# Names are not signed: a message with the marks of the other kind was relabelled.
ONLY_IPN = {"REFNO", "ORDERNO", "ORDERSTATUS", "CUSTOMEREMAIL", "SALEDATE", "IPN_PNAME", "IPN_DATE", "IPN_QTY"}
ONLY_LCN = frozenset(
    {"LICENSE_CODE", "LICENSE_PRODUCT", "EXPIRATION_DATE", "EXPIRATION_DATE_TIME", "DATE_UPDATED", "DISABLED"}
    | {"RECURRING", "CHANGED_BY", "DISPATCH_REASON"}
)


class _IdnSchema(Schema):
    url = Url(load_default="https://secure.2checkout.com/order/idn.php")
    merchant = fields.String(load_default="")
    key = fields.String(load_default="")
    algorithm = fields.String(load_default="sha256", validate=validate.OneOf(signature.ALGORITHMS))
    hash_field = fields.String(load_default="ORDER_HASH", validate=validate.Regexp(r"[A-Z0-9_]{1,64}\Z"))
    timezone = Zone(load_default=None, optional=True)
    allow_private = fields.Boolean(load_default=False)


class _EndpointSchema(Schema):
    ipn_keys = Keys(load_default=list)
    lcn_keys = Keys(load_default=list)


class _SettingsSchema(Schema):
    shared_keys = Keys(load_default=list)
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

    plugin = "avangate"
    aliases = ("2checkout", "verifone")
    signature_fields = frozenset(signature.SIGNATURE_FIELDS)
    settings_template = configuration.TEMPLATE
    # Source: 2Checkout, "Secure webhooks", and a later copy of it; the list may grow.
    published_sources = ("91.220.121.0/25", "5.35.210.128/25", "184.106.7.192/29", "85.17.14.128/27", "162.221.60.0/22")

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        data = load_section(_SettingsSchema(), name, settings)
        self.timezone: ZoneInfo = data["timezone"]
        self._algorithms: list[str] = data["algorithms"]
        lowered = [endpoint.lower() for endpoint in data["endpoints"]]
        if len(set(lowered)) < len(lowered):
            raise ConfigurationError(f"vendors.{name}.endpoints: two endpoints differ only in letter case.")
        self._keys = list(_keys(data))
        own = data["idn"]
        key = own["key"].encode() or next((secret for _, secret in data["shared_keys"]), b"")
        self._idn = idn.IdnSettings(**{**own, "key": key, "timezone": own["timezone"] or self.timezone})

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


def _keys(data: Mapping[str, Any]) -> Iterator[signature.Key]:
    """An account's key signs both kinds; an endpoint has keys for each, and neither stands for the other."""
    for label, secret in data["shared_keys"]:
        yield signature.Key(endpoint=DEFAULT_ENDPOINT, secret=secret, label=label)
    for endpoint, lists in data["endpoints"].items():
        for kind in ("ipn", "lcn"):
            for label, secret in lists[f"{kind}_keys"]:
                yield signature.Key(endpoint=endpoint, secret=secret, label=label, kinds=frozenset({kind}))


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
    foreign = (form.scalars.keys() | form.arrays.keys()) & (ONLY_LCN if is_ipn else ONLY_IPN)
    if is_ipn == is_lcn or foreign or (is_lcn and form.arrays):
        raise MalformedNotification(
            "The notification must be either an IPN, with IPN_PID[], or an LCN, with LICENSE_CODE."
        )
    return is_ipn
