"""2Checkout's fields, arrays, dates and offsets."""

from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from marshmallow import ValidationError
from qlmhook_avangate.form import Offset, is_forever, wall_time

from qlmhook.errors import MalformedNotification
from qlmhook.vendors import read_form, to_utc

BUCHAREST = ZoneInfo("Europe/Bucharest")
NEW_YORK = ZoneInfo("America/New_York")
EAST = timezone(timedelta(hours=2))


def test_arrays_are_kept_apart_from_scalars() -> None:
    """An array has one element per order line, blanks kept, under its name without brackets."""
    form = read_form([("REFNO", "1"), ("IPN_PID[]", "101"), ("IPN_PID[]", "102"), ("IPN_INFO[]", ""), ("NOTE", "")])

    assert form.scalars == {"REFNO": "1", "NOTE": ""}
    assert form.arrays == {"IPN_PID": ("101", "102"), "IPN_INFO": ("",)}


@pytest.mark.parametrize("names", [("A[]", "A[]"), ("A[0]", "A[1]"), ("A[]", "A[1]"), ("A[0]", "A[]")])
def test_elements_may_carry_their_number(names: tuple[str, str]) -> None:
    """Numbers may be written or left out, as PHP reads both."""
    assert read_form([(names[0], "x"), (names[1], "y")]).arrays == {"A": ("x", "y")}


def test_interleaved_arrays_are_regrouped() -> None:
    """Fields that go line by line give the same arrays as fields that go array by array."""
    by_line = [("IPN_PID[]", "101"), ("IPN_QTY[]", "1"), ("IPN_PID[]", "102"), ("IPN_QTY[]", "3")]

    assert read_form(by_line).arrays == {"IPN_PID": ("101", "102"), "IPN_QTY": ("1", "3")}


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["REFNO", "REFNO"], "REFNO is given more than once"),
        (["A[1]"], r"A\[1\] is out of order"),
        (["A[0]", "A[0]"], r"A\[0\] is out of order"),
        (["A[]", "A[2]"], r"A\[2\] is out of order"),
        (["A", "A[]"], "A is given with and without brackets"),
        (["A[0]", "A"], "A is given with and without brackets"),
    ],
)
def test_a_form_that_php_would_not_send_is_malformed(names: list[str], complaint: str) -> None:
    """Names are not signed: neither the last nor the first of two values may win."""
    with pytest.raises(MalformedNotification, match=complaint):
        read_form([(name, str(number)) for number, name in enumerate(names)])


@pytest.mark.parametrize(
    ("name", "shown"), [("\x1b[2J", r"'\\x1b\[2J'"), ("Größe", r"'Gr\\xf6\\xdfe'"), ("N" * 65, "'N{64}'")]
)
def test_a_strange_name_is_shown_escaped_and_cut_off(name: str, shown: str) -> None:
    """A name is the sender's text: it may not draw on the terminal of whoever reads the log."""
    with pytest.raises(MalformedNotification, match=f"The field {shown} is given"):
        read_form([(name, "1"), (name, "2")])


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2027-01-31 08:09:10", "2027-01-31T08:09:10"),
        ("2027-01-31", "2027-01-31T23:59:59"),
        ("9999-12-31 23:59:59", "9999-12-31T23:59:59"),
        ("9999-12-31", "9999-12-31T23:59:59"),
    ],
)
def test_the_dates_that_2checkout_sends(text: str, time: str) -> None:
    """A date alone means the end of that day."""
    assert wall_time(text) == datetime.fromisoformat(time)


@pytest.mark.parametrize("text", ["", "0000-00-00 00:00:00", "0000-00-00"])
def test_blanks_and_zeros_are_no_date(text: str) -> None:
    """This is how 2Checkout writes that there is none yet."""
    assert wall_time(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "2027-02-29",
        "2027-13-01",
        "2027-01-31 08:09",
        "2027-01-31T08:09:10",
        "2027-01-31 08:09:10+02:00",
        "2027-01-31 08:09:10\n",
        " 2027-01-31",
        "31/01/2027",
        "20270131",
        "2027-W04-7",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    """Other forms, and days that no calendar has, are not guessed at."""
    with pytest.raises(ValidationError, match="is no date"):
        wall_time(text)


@pytest.mark.parametrize(("date", "forever"), [("9999-12-31", True), ("9998-12-31", False)])
def test_the_year_9999_is_forever(date: str, forever: bool) -> None:
    """It is how 2Checkout writes a lifetime."""
    assert is_forever(datetime.fromisoformat(date)) is forever


@pytest.mark.parametrize(
    ("wall", "zone", "utc"),
    [
        pytest.param("2026-01-01 10:00:00", BUCHAREST, "2026-01-01 08:00:00Z", id="two hours ahead in winter"),
        pytest.param("2026-07-01 10:00:00", BUCHAREST, "2026-07-01 07:00:00Z", id="three hours ahead in summer"),
        pytest.param("2026-10-25 03:30:00", BUCHAREST, "2026-10-25 01:30:00Z", id="the later of two"),
        pytest.param("9999-12-31 23:59:59", NEW_YORK, "9999-12-31 23:59:59Z", id="the end of time"),
        pytest.param("0001-01-01 00:00:00", EAST, "0001-01-01 00:00:00Z", id="the beginning of time"),
    ],
)
def test_wall_times_in_utc(wall: str, zone: tzinfo, utc: str) -> None:
    """The zone's own summer time counts, and the ends of the calendar do not overflow."""
    assert to_utc(datetime.fromisoformat(wall), zone) == datetime.fromisoformat(utc)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("GMT+03:00", 180),
        ("GMT-05:00", -300),
        ("GMT+05:30", 330),
        ("GMT-03:30", -210),
        ("GMT+0200", 120),
        ("GMT+2", 120),
        ("UTC+02:00", 120),
        ("GMT+14:00", 840),
        ("GMT", 0),
        ("GMT+00:00", 0),
    ],
)
def test_offsets(text: str, minutes: int) -> None:
    """TIMEZONE_OFFSET is how far the account's wall is ahead of Greenwich."""
    offset = Offset().deserialize(text)
    assert offset is not None

    assert offset.utcoffset(None) == timedelta(minutes=minutes)


def test_a_blank_offset_is_none() -> None:
    """2Checkout does not say, so the account's zone counts."""
    assert Offset().deserialize("") is None


@pytest.mark.parametrize(
    "text", ["+03:00", "GMT +03:00", "GMT+", "GMT+3:0", "GMT+14:01", "GMT-99", "Europe/Bucharest", "GMT+03:00\n"]
)
def test_what_is_no_offset_is_refused(text: str) -> None:
    """A wrong zone would shift every date of the message."""
    with pytest.raises(ValidationError, match=r"is no offset|further from GMT"):
        Offset().deserialize(text)
