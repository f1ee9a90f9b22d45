"""What a form says under each name: single values, and arrays as PHP writes them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qlmhook.errors import MalformedNotification

_ARRAY = re.compile(r"(?P<name>[^\[\]]+)\[(?P<index>[0-9]{0,4})\]")


@dataclass(frozen=True)
class Form:
    """The fields of a form by name: a scalar is given once, an array `NAME[]` once for each of its elements.

    An array's name is kept without its brackets.
    """

    scalars: Mapping[str, str]
    arrays: Mapping[str, tuple[str, ...]]


def read_form(pairs: Iterable[tuple[str, str]]) -> Form:
    """Find out what a form says under each name; elements may carry their number or not, as PHP reads both.

    Raises MalformedNotification for a scalar that is given twice and an array that is misnumbered: mostly names are not
    signed, so neither the first nor the last of two values may win.
    """
    scalars: dict[str, str] = {}
    arrays: dict[str, list[str]] = {}
    for name, value in pairs:
        if array := _ARRAY.fullmatch(name) if name.endswith("]") else None:
            elements = arrays.setdefault(array["name"], [])
            if array["index"] and int(array["index"]) != len(elements):
                raise MalformedNotification(f"The field {_shown(name)} is out of order.")
            elements.append(value)
        elif name in scalars:
            raise MalformedNotification(f"The field {_shown(name)} is given more than once.")
        else:
            scalars[name] = value
    for name in arrays:
        if name in scalars:
            raise MalformedNotification(f"The field {_shown(name)} is given with and without brackets.")
    return Form(scalars, {name: tuple(elements) for name, elements in arrays.items()})


def _shown(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) <= 64 else ascii(name[:64])
