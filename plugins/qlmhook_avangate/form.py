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

from qlmhook.vendors import Customer, MalformedNotification

_ARRAY = re.compile(r"(?P<name>[^\[\]]+)\[(?P<index>[0-9]{0,4})\]")
_OFFSET = re.compile(r"(?:GMT|UTC)(?:(?P<sign>[+-])(?P<hours>[0-9]{1,2})(?::?(?P<minutes>[0-5][0-9]))?)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?: [0-9]{2}:[0-9]{2}:[0-9]{2})?")


END_OF_DAY = time(23, 59, 59)


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

    A date without a time means the end of that day, unless `day_means` says otherwise. The year 9999 stands for
    "never" and passes as it is.
    """

    def __init__(self, *, day_means: time = END_OF_DAY, **options: Any) -> None:
        super().__init__(**options)
        self._day_means = day_means

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> datetime | None:
        return wall_time(_scalar(value), self._day_means)


def wall_time(text: str, day_means: time = END_OF_DAY) -> datetime | None:
    """Parse `Y-m-d H:i:s` or `Y-m-d`; raises ValidationError for anything else."""
    if text == "":
        return None
    if not _DATE.fullmatch(text):
        raise ValidationError(f"{text[:40]!r} is no date of the form 2026-01-31 12:00:00")
    if text.startswith("0000-00-00"):
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValidationError(f"{text!r} is no date: {error}") from None
    return parsed if " " in text else datetime.combine(parsed, day_means)


def is_forever(date: datetime) -> bool:
    """9999-12-31 is how 2Checkout writes "does not expire"."""
    return date.year == 9999


def to_utc(date: datetime, zone: tzinfo) -> datetime:
    """Convert a wall time in `zone` to an aware UTC time.

    Of an hour that summer time repeats or leaves out, the later reading is meant: paid time is never cut short.
    """
    try:
        return max(date.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        return date.replace(tzinfo=UTC)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        raise ValidationError("is given as an array")
    return value


class Offset(fields.Field[tzinfo | None]):
    """TIMEZONE_OFFSET, such as GMT+03:00; empty when 2Checkout does not say."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> tzinfo | None:
        if _scalar(value) == "":
            return None
        match = _OFFSET.fullmatch(value)
        if match is None:
            raise ValidationError(f"{value[:40]!r} is no offset of the form GMT+03:00")
        offset = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
        if offset > timedelta(hours=14):
            raise ValidationError(f"{value!r} is further from GMT than any place")
        return timezone(-offset if match["sign"] == "-" else offset)


def customer_of(form: Form, *names: Mapping[str, str]) -> Customer:
    """Return who bought, each part from the first field that says it.

    Raises MalformedNotification for a part that is given as an array.
    """
    parts: dict[str, str] = {}
    for part, field in (pair for spelling in names for pair in spelling.items()):
        if field in form.arrays:
            raise MalformedNotification(f"{field}: Not a valid string.")
        parts[part] = parts.get(part) or form.scalars.get(field, "")
    return Customer(**{**parts, "email": parts["email"].strip()})


def explain(messages: Any, *, settings_page: str) -> str:
    """Turn a schema's messages into sentences; for what is missing they say where to tick it."""
    missing = sorted(name for name, errors in messages.items() if "Missing data for required field." in errors)
    if missing:
        tags = ", ".join(missing)
        return f"The notification lacks {tags}: tick it under Response Tags in 2Checkout's {settings_page}."
    return " ".join(f"{name}: {_first_sentence(errors)}" for name, errors in sorted(messages.items()))


def _first_sentence(errors: Any) -> str:
    """An array's errors are listed by element; one of them tells enough."""
    while isinstance(errors, dict):
        errors = next(iter(errors.values()))
    return str(errors[0]).rstrip(".") + "."
