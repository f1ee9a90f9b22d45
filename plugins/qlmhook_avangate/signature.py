"""2Checkout's signatures: an HMAC over length-prefixed values, in and out.

Source: 2Checkout, "Calculate the IPN HASH signature" and "Webhooks upgrade to the SHA algorithm".
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from qlmhook.vendors import MalformedNotification, SignatureRejected, Verified, signed_with

SIGNATURE_FIELDS = {"SIGNATURE_SHA3_256": "sha3-256", "SIGNATURE_SHA2_256": "sha256", "HASH": "md5"}
"""The fields that carry a signature, strongest first, and the algorithm as the receipt's tag spells it."""

ALGORITHMS = tuple(SIGNATURE_FIELDS.values())

_HASHLIB_NAMES = {"sha3-256": "sha3_256", "sha256": "sha256", "md5": "md5"}


@dataclass(frozen=True, kw_only=True)
class Key:
    """A secret key, the endpoint that it belongs to, and the kinds of notifications that it signs."""

    endpoint: str
    secret: bytes = field(repr=False)
    label: str
    kinds: frozenset[str] = frozenset({"ipn", "lcn"})


def length_prefixed(values: Iterable[str]) -> bytes:
    """Return the values, each behind its length in UTF-8 bytes; an empty value is the one character 0."""
    encoded = [value.encode() for value in values]
    return b"".join(str(len(value)).encode() + value for value in encoded)


def sign(key: bytes, values: Iterable[str], algorithm: str) -> str:
    """Return the HMAC over the length-prefixed values as lower-case hex."""
    return _mac(key, length_prefixed(values), algorithm)


def _mac(key: bytes, data: bytes, algorithm: str) -> str:
    return hmac.new(key, data, _HASHLIB_NAMES[algorithm]).hexdigest()


def verify(fields: Sequence[tuple[str, str]], keys: Sequence[Key], allowed: Sequence[str]) -> Verified:
    """Return which key signed these fields.

    The strongest signature received decides: a weaker one never makes up for it. Every value but the
    signatures is signed, in the order received; names are not. All keys are tried, so that the time taken
    does not tell which one matched. Raises SignatureRejected, or MalformedNotification for two signatures
    in one field name.
    """
    algorithm, received = _strongest(fields)
    if algorithm not in allowed:
        raise SignatureRejected(
            f"The notification is signed with {algorithm}, which the setting algorithms does not allow."
        )
    signed = length_prefixed(value for name, value in fields if name not in SIGNATURE_FIELDS)
    key = signed_with(received, keys, lambda key: _mac(key.secret, signed, algorithm))
    if key is None:
        raise SignatureRejected("The signature does not match; check the secret key of this URL.")
    return Verified(endpoint=key.endpoint, algorithm=algorithm, key=key.secret, signed=signed)


def receipt(verified: Verified, values: Iterable[str], now: datetime) -> str:
    """Return the read receipt: signed with the key and the algorithm that verified the notification.

    `values` are what 2Checkout has signed besides the date: for an IPN the first product's id and name and
    IPN_DATE, for an LCN its LICENSE_CODE and EXPIRATION_DATE.
    Source: 2Checkout, "Read receipt response for 2Checkout".
    """
    date = now.astimezone(UTC).strftime("%Y%m%d%H%M%S")
    digest = sign(verified.key, (*values, date), verified.algorithm)
    if verified.algorithm == "md5":
        return f"<EPAYMENT>{date}|{digest}</EPAYMENT>"
    return f'<sig algo="{verified.algorithm}" date="{date}">{digest}</sig>'


def _strongest(fields: Sequence[tuple[str, str]]) -> tuple[str, str]:
    for name, algorithm in SIGNATURE_FIELDS.items():
        received = [value for field_name, value in fields if field_name == name]
        if len(received) > 1:
            raise MalformedNotification(f"The field {name} is given {len(received)} times.")
        if received and received[0]:
            return algorithm, received[0].lower()
    raise SignatureRejected("The notification carries no signature.")
