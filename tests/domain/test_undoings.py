"""How many units refunds take, told once and again."""

from collections.abc import Sequence

import pytest

from qlmhook.domain.events import EventKind
from qlmhook.domain.undoings import Undoing, units_taken
from tests.support.made import day, line, told


def undoing(units: int | None, case: str = "") -> Undoing:
    return Undoing(fact=told(EventKind.REFUNDED, line(), case=case), units=units, learned_at=day(9))


@pytest.mark.parametrize(
    ("refunds", "taken"),
    [
        ([], 0),
        ([undoing(2)], 2),
        ([undoing(2), undoing(3)], 3),
        ([undoing(1, "a"), undoing(1, "b"), undoing(2, "c")], 4),
        ([undoing(1, "a"), undoing(2, "a")], 2),
        ([undoing(1, "a"), undoing(3)], 3),
        ([undoing(3, "a"), undoing(3, "b")], 5),
        ([undoing(None)], 5),
        ([undoing(7)], 5),
    ],
    ids=[
        "none",
        "one",
        "told again",
        "cases add up",
        "a case again",
        "with and without",
        "at most all",
        "whole",
        "more",
    ],
)
def test_of_five_units(refunds: Sequence[Undoing], taken: int) -> None:
    assert units_taken(refunds, 5) == taken
