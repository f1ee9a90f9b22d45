"""Where a shop may be reached: by https, and by http where nothing leaves this machine."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields


class Url(fields.String):
    """A URL that a shop is asked or told something at, without user and password."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        url: str = super()._deserialize(value, attr, data, **options)
        try:
            parts = urlsplit(url)
            usable = parts.port != 0 and "@" not in parts.netloc and is_confidential(parts.scheme, parts.hostname or "")
        except ValueError:
            usable = False
        if not usable:
            raise ValidationError("must be an https:// URL without user and password; http:// is for this machine only")
        return url


def is_confidential(scheme: str, host: str) -> bool:
    """Tell whether nobody on the way can read along, to a host by its name or address."""
    return bool(host) and (scheme == "https" or (scheme == "http" and _is_this_machine(host)))


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
