"""What a clock on a shop's wall shows, in UTC."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from qlmhook.vendors import to_utc

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        pytest.param("2026-03-29 02:30:00", "2026-03-29 01:30:00Z", id="an hour that is left out"),
        pytest.param("2026-10-25 02:30:00", "2026-10-25 01:30:00Z", id="an hour that comes twice"),
        pytest.param("2026-10-25 03:00:00", "2026-10-25 02:00:00Z", id="the hour after that"),
    ],
)
def test_the_later_reading_is_meant(wall: str, utc: str) -> None:
    """Paid time is never cut short."""
    assert to_utc(datetime.fromisoformat(wall), BERLIN) == datetime.fromisoformat(utc)


@pytest.mark.parametrize("text", ["0001-01-01 00:00:00", "9999-12-31 23:59:59"])
def test_the_ends_of_the_calendar_are_aware_in_any_zone(text: str) -> None:
    wall = datetime.fromisoformat(text)
    found = [to_utc(wall, zone) for zone in (UTC, BERLIN, ZoneInfo("America/New_York"))]

    assert {time.tzinfo for time in found} == {UTC}
    assert {time.year for time in found} == {wall.year}


def test_no_time_is_none() -> None:
    """A shop that has not said when has not said when in UTC either."""
    assert to_utc(None, BERLIN) is None
