"""How many rows there are: kept as they come and go, for to count them takes the longer the more there are.

What changes in a transaction is added up, and written at its end.
"""

from collections import Counter

from qlmhook.storage import models
from qlmhook.storage.database import at_end
from qlmhook.storage.statements import Statement, given

Counted = type[models.Notification] | type[models.License] | type[models.Outbox]

_ADD = Statement[models.Tally](
    lambda: models.Tally.update(count=models.Tally.count + given("by")).where(
        models.Tally.vendor == given("vendor"),
        models.Tally.counted == given("counted"),
        models.Tally.state == given("state"),
    )
)


class _Changes:
    """What a transaction has changed."""

    def __init__(self) -> None:
        self.by: Counter[tuple[str, str, str]] = Counter()

    def __call__(self) -> None:
        for (vendor, counted, state), by in self.by.items():
            place = {"vendor": vendor, "counted": counted, "state": state}
            if by and not _ADD.run(by=by, **place).rowcount:
                models.Tally.create(count=by, **place)


def change(table: Counted, vendor: str, state: str, by: int) -> None:
    """Note that there are so many rows more, or fewer, in the running transaction."""
    at_end(_Changes).by[vendor, table._meta.table_name, state] += by


def move(table: Counted, vendor: str, old: str, new: str) -> None:
    """Note that a row has another state."""
    change(table, vendor, old, -1)
    change(table, vendor, new, 1)


def by_state(table: Counted) -> dict[str, int]:
    """Return how many rows there are in each state."""
    found: Counter[str] = Counter()
    for tally in _of(table):
        found[tally.state] += tally.count
    return dict(found)


def by_vendor(table: Counted) -> dict[str, int]:
    """Return how many rows there are of each account."""
    found: Counter[str] = Counter()
    for tally in _of(table):
        found[tally.vendor] += tally.count
    return dict(found)


def _of(table: Counted) -> list[models.Tally]:
    """There are as many as accounts and states, which is few."""
    return [tally for tally in models.Tally.select() if tally.counted == table._meta.table_name]
