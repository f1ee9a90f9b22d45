"""Everything that a plugin returned, value by value: of which type it is, and how long."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

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

_SHORT = min(LONGEST.values())


class Value(NamedTuple):
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


def values_of(part: Any, path: str = "", *, unusual: bool = False) -> Iterator[Value]:
    """Yield the value of every field of a dataclass, and of those that it is made of.

    With `unusual` those are left out that nobody can have anything against, which most are: short texts in ASCII, where
    texts are meant.
    """
    for name, hint in _hints(part.__class__).items():
        value = getattr(part, name)
        if unusual and hint is str and _is_usual(value):
            continue
        place = f"{path}{name}"
        yield Value(place, name, value, hint)
        if is_dataclass(value):
            yield from values_of(value, f"{place}.", unusual=unusual)
        elif isinstance(value, tuple | list):
            for index, element in enumerate(value):
                if is_dataclass(element):
                    yield from values_of(element, f"{place}[{index}].", unusual=unusual)


def _is_usual(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _SHORT and value.isascii() and "\0" not in value


@cache
def _hints(model: Any) -> dict[str, Any]:
    hints = get_type_hints(model)
    return {field.name: hints[field.name] for field in fields(model)}


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(element, get_args(hint)[0]) for element in value)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))
