"""How 2Checkout's fields are read: dates, offsets, customers, and what every schema of them has."""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from qlmhook.vendors import Customer, Form, MalformedNotification, explain

_OFFSET = re.compile(r"(?:GMT|UTC)(?:(?P<sign>[+-])(?P<hours>[0-9]{1,2})(?::?(?P<minutes>[0-5][0-9]))?)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?: [0-9]{2}:[0-9]{2}:[0-9]{2})?")

END_OF_DAY = time(23, 59, 59)


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


def is_forever(date: datetime | None) -> bool:
    """9999-12-31 is how 2Checkout writes "does not expire"."""
    return date is not None and date.year == 9999


class WallTime(fields.Field[datetime | None]):
    """A date of 2Checkout's, in the account's wall time: "" and 0000-00-00 mean none.

    A date without a time means the end of that day, unless `day_means` says otherwise. The year 9999 stands for
    "never" and passes as it is.
    """

    def __init__(self, *, day_means: time = END_OF_DAY) -> None:
        super().__init__(load_default=None)
        self._day_means = day_means

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime | None:
        return wall_time(_scalar(value), self._day_means)


class Offset(fields.Field[tzinfo | None]):
    """TIMEZONE_OFFSET, such as GMT+03:00; empty when 2Checkout does not say."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tzinfo | None:
        if _scalar(value) == "":
            return None
        match = _OFFSET.fullmatch(value)
        if match is None:
            raise ValidationError(f"{value[:40]!r} is no offset of the form GMT+03:00")
        offset = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
        if offset > timedelta(hours=14):
            raise ValidationError(f"{value!r} is further from GMT than any place")
        return timezone(-offset if match["sign"] == "-" else offset)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        raise ValidationError("is given as an array")
    return value


class FormSchema(Schema):
    """The fields of one kind of notification that decide something. Those not named are signed, but not used."""

    settings_page: ClassVar[str]
    """Where the merchant ticks what is sent."""

    class Meta:
        unknown = EXCLUDE

    TIMEZONE_OFFSET = Offset(load_default=None)

    def read(self, form: Form) -> dict[str, Any]:
        """Return what a form says; raises MalformedNotification, which tells of a missing field where to tick it."""
        try:
            data: dict[str, Any] = self.load({**form.scalars, **form.arrays})
        except ValidationError as error:
            lacks = [name for name, said in error.messages_dict.items() if "Missing data for required field." in said]
            tick = f"tick it under Response Tags in 2Checkout's {self.settings_page}."
            told = f"The notification lacks {', '.join(sorted(lacks))}: {tick}" if lacks else explain(error.messages)
            raise MalformedNotification(told) from None
        return data


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
