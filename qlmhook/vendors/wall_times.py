"""Times of a shop that tells them as a clock on its wall shows them."""

from datetime import UTC, datetime, tzinfo
from typing import overload


@overload
def to_utc(wall: datetime, zone: tzinfo) -> datetime: ...


@overload
def to_utc(wall: None, zone: tzinfo) -> None: ...


def to_utc(wall: datetime | None, zone: tzinfo) -> datetime | None:
    """Convert a wall time in `zone` to an aware UTC time; None stays None.

    Of an hour that summer time repeats or leaves out, the later reading is meant: paid time is never cut short. At the
    ends of the calendar, where there is no UTC time, the wall's own stands for it.
    """
    if wall is None:
        return None
    try:
        return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        return wall.replace(tzinfo=UTC)
