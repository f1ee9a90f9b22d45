"""What the schemas of settings share: a list field that the environment can fill, and readable errors."""

import json
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from qlmhook.errors import ConfigurationError


class Texts(fields.Field[list[str]]):
    """A list of texts: a TOML array, or from the environment one text, lines, or a JSON array."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> list[str]:
        if isinstance(value, str):
            value = self._from_text(value)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise ValidationError("must be a list of texts")
        return [text for text in value if text]

    @staticmethod
    def _from_text(text: str) -> Any:
        if text.startswith("["):
            try:
                return json.loads(text)
            except ValueError:
                pass
        return text.splitlines()


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
    """Turn marshmallow's messages into sentences that name each key."""
    if isinstance(messages, dict):
        return " ".join(explain(inner, _below(key, name)) for name, inner in messages.items())
    text = " ".join(str(message) for message in messages).rstrip(".")
    return f"{key}: {'there is no such setting' if text == 'Unknown field' else text}."


def _below(key: str, name: Any) -> str:
    if name in ("key", "value"):  # marshmallow's own level between a Dict's key and its value
        return key
    return f"{key}.{name}" if key else str(name)
