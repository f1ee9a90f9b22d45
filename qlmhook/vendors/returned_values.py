"""Everything that a plugin returned, value by value: of which type it is, and how long."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

LONGEST: Mapping[str, int] = {
    "endpoint": 128,
    "kind": 16,
    "order_ref": 64,
    "order_status": 64,
    "subscription_ref": 64,
    "merchant": 64,
    "also_known_as": 64,
    "customer_ref": 64,
    "case_ref": 64,
    "line": 64,
    "product_id": 64,
    "general_ids": 64,
    "group_ref": 64,
}
"""How many characters the service keeps of what a plugin returns; a longer value cannot be stored."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """A field's value, and where it stands."""

    path: str
    name: str
    value: Any
    hint: Any

    @property
    def is_of_its_type(self) -> bool:
        """Tell whether the value is what the field is declared to be."""
        return _fits(self.value, self.hint)

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, or the texts, that this is."""
        parts = self.value if isinstance(self.value, tuple) else (self.value,)
        return tuple(part for part in parts if isinstance(part, str) and not isinstance(part, Enum))

    @property
    def is_naive_time(self) -> bool:
        """Tell whether this is a time without a zone."""
        return isinstance(self.value, datetime) and self.value.utcoffset() is None

    @property
    def is_out_of_range(self) -> bool:
        """Tell whether this is an aware time before the first year in UTC, or after the last."""
        try:
            return self.value.astimezone(UTC) is None if isinstance(self.value, datetime) else False
        except OverflowError:
            return not self.is_naive_time


def values_of(part: Any, path: str = "") -> Iterator[Value]:
    """Yield the value of every field of a dataclass, and of those that it is made of."""
    hints = _hints(part.__class__)
    for field in fields(part):
        value, place = getattr(part, field.name), f"{path}{field.name}"
        yield Value(path=place, name=field.name, value=value, hint=hints[field.name])
        if is_dataclass(value):
            yield from values_of(value, f"{place}.")
        elif isinstance(value, tuple | list):
            for index, element in enumerate(value):
                if is_dataclass(element):
                    yield from values_of(element, f"{place}[{index}].")


@cache
def _hints(model: Any) -> dict[str, Any]:
    return get_type_hints(model)


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(element, get_args(hint)[0]) for element in value)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))
