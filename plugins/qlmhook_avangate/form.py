"""Reads 2Checkout's form: scalar fields once, array fields one element per order line.

Field names are not part of the signature, so a message that repeats a scalar, or numbers an array out of
order, is not one that 2Checkout made, whatever its signature says.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from marshmallow import ValidationError, fields

from qlmhook.errors import MalformedNotification

_ARRAY = re.compile(r"(?P<name>[^\[\]]+)\[(?P<index>\d{0,4})\]")
_OFFSET = re.compile(r"(?:GMT|UTC)(?:(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?: \d{2}:\d{2}:\d{2})?")


@dataclass(frozen=True)
class Form:
    """The fields of a notification by name; an array's name is kept without its brackets."""

    scalars: Mapping[str, str]
    arrays: Mapping[str, tuple[str, ...]]

    def merged(self) -> dict[str, Any]:
        """Return scalars and arrays together, as a schema loads them."""
        return {**self.scalars, **self.arrays}


def read_form(pairs: Iterable[tuple[str, str]]) -> Form:
    """Group the fields; raises MalformedNotification for a repeated scalar or a misnumbered array."""
    scalars: dict[str, str] = {}
    arrays: dict[str, list[str]] = {}
    for name, value in pairs:
        array = _ARRAY.fullmatch(name)
        if array is None:
            if name in scalars:
                raise MalformedNotification(f"The field {_shown(name)} is given more than once.")
            scalars[name] = value
            continue
        elements = arrays.setdefault(array["name"], [])
        if array["index"] and int(array["index"]) != len(elements):
            raise MalformedNotification(f"The field {_shown(name)} is out of order.")
        elements.append(value)
    for name in arrays:
        if name in scalars:
            raise MalformedNotification(f"The field {_shown(name)} is given with and without brackets.")
    return Form(scalars, {name: tuple(elements) for name, elements in arrays.items()})


def _shown(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) <= 64 else ascii(name[:64])


class WallTime(fields.Field[datetime | None]):
    """A date of 2Checkout's, in the account's wall time: "" and 0000-00-00 mean none.

    A date without a time means the end of that day. The year 9999 stands for "never" and passes as it is.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> datetime | None:
        return wall_time(value)


def wall_time(text: str) -> datetime | None:
    """Parse `Y-m-d H:i:s` or `Y-m-d`; raises ValidationError for anything else."""
    if text == "" or text.startswith("0000-00-00"):
        return None
    if not _DATE.fullmatch(text):
        raise ValidationError(f"{text[:40]!r} is no date of the form 2026-01-31 12:00:00")
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValidationError(f"{text!r} is no date: {error}") from None
    return parsed if " " in text else datetime.combine(parsed, time(23, 59, 59))


def is_forever(date: datetime) -> bool:
    """9999-12-31 is how 2Checkout writes "does not expire"."""
    return date.year == 9999


def to_utc(date: datetime, zone: tzinfo) -> datetime:
    """Convert a wall time in `zone` to an aware UTC time; of an hour that occurs twice, the later is meant.

    Paid time is never cut short by an ambiguous clock.
    """
    try:
        return date.replace(tzinfo=zone, fold=1).astimezone(UTC)
    except OverflowError:
        return date.replace(tzinfo=UTC)


class Offset(fields.Field[tzinfo | None]):
    """TIMEZONE_OFFSET, such as GMT+03:00; empty when 2Checkout does not say."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> tzinfo | None:
        if value == "":
            return None
        match = _OFFSET.fullmatch(value)
        if match is None:
            raise ValidationError(f"{value[:40]!r} is no offset of the form GMT+03:00")
        offset = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
        if offset > timedelta(hours=14):
            raise ValidationError(f"{value!r} is further from GMT than any place")
        return timezone(-offset if match["sign"] == "-" else offset)
