"""Settings of an account: what the core reads of its section, and what the schemas of plugins are made with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate

from qlmhook.errors import ConfigurationError

PUBLISHED = "published"


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """What the core needs to know of an account; `section` is the plugin's part."""

    plugin: str
    enabled: bool
    user: str
    password: str = field(repr=False)
    sources: list[IPv4Network | IPv6Network | str]
    test_orders: str
    revoke_on_refund: bool
    revoke_on_cancel: bool
    section: Mapping[str, Any] = field(repr=False)


class Texts(fields.Field[list[str]]):
    """A list of texts: a TOML array, or from the environment one text, lines, or a JSON array."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> list[str]:
        if isinstance(value, str):
            value = self._from_text(value)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise ValidationError("must be a list of texts")
        return [text for text in value if text.strip()]

    @staticmethod
    def _from_text(text: str) -> Any:
        if text.startswith("["):
            try:
                return json.loads(text)
            except ValueError:
                pass
        return text.splitlines()


class Keys(Texts):
    """A list of secret keys as `Texts` reads it: each in bytes, behind its name, such as secret_keys[0]."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        texts = super()._deserialize(value, attr, data, **options)
        return [(f"{attr}[{place}]", text.encode()) for place, text in enumerate(texts)]


class Zone(fields.Field[ZoneInfo | None]):
    """A time zone by its name, such as Europe/Bucharest; where it is `optional`, empty means None."""

    def __init__(self, *, optional: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._optional = optional

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> ZoneInfo | None:
        if value == "" and self._optional:
            return None
        try:
            return ZoneInfo(value)
        except (KeyError, ValueError, OSError, TypeError):
            raise ValidationError(f"{value!r} is no time zone; one is named like Europe/Bucharest") from None


class _Sources(Texts):
    """Networks, or the word "published" for those that the shop names."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        texts = super()._deserialize(value, attr, data, **options)
        try:
            return [text if text == PUBLISHED else ip_network(text) for text in texts]
        except ValueError as error:
            raise ValidationError(f"{error}; networks like 192.0.2.0/24 are meant, or {PUBLISHED!r}") from None


class AccountSchema(Schema):
    """What the core reads of an account's section; all other keys are the plugin's."""

    class Meta:
        unknown = EXCLUDE

    plugin = fields.String(load_default="")
    enabled = fields.Boolean(load_default=True)
    user = fields.String(load_default="")
    password = fields.String(load_default="")
    sources = _Sources(load_default=list)
    test_orders = fields.String(load_default="issue", validate=validate.OneOf(["issue", "ignore"]))
    revoke_on_refund = fields.Boolean(load_default=False)
    revoke_on_cancel = fields.Boolean(load_default=False)

    @post_load(pass_original=True)
    def _keep_the_plugins_part(self, data: dict[str, Any], original: Any, **_: Any) -> dict[str, Any]:
        section = {key: value for key, value in original.items() if key not in self.fields}
        return {**data, "section": section}


def load_section(schema: Schema, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Check a vendor's section of the configuration.

    Raises ConfigurationError that names each wrong key of `[vendors.<name>]`.
    """
    try:
        data: dict[str, Any] = schema.load(settings)
    except ValidationError as error:
        raise ConfigurationError(explain(error.messages, f"vendors.{name}")) from None
    return data


def explain(messages: Any, key: str = "") -> str:
    """Turn marshmallow's messages into sentences that name each key; a list has its first wrong element told."""
    if isinstance(messages, dict):
        if messages and all(isinstance(name, int) for name in messages):
            return explain(messages[min(messages)], key)
        return " ".join(explain(inner, _below(key, name)) for name, inner in messages.items())
    text = " ".join(str(message) for message in messages).rstrip(".")
    return f"{key}: {'there is no such setting' if text == 'Unknown field' else text}."


def _below(key: str, name: Any) -> str:
    if name in ("key", "value"):  # marshmallow's own level between a Dict's key and its value
        return key
    return f"{key}.{name}" if key else str(name)
