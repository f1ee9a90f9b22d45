"""The status of a license: rules about its times, told once for Python and for the database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any


@dataclass(frozen=True)
class _Test:
    """A question about a time and now, asked of a value and of a column; the answer is yes or no, never unknown."""

    of_value: Callable[[datetime | None, datetime], bool]
    of_column: Callable[[Any, datetime], Any]


_KNOWN = _Test(lambda time, now: time is not None, lambda column, now: column.is_null(False))
_UNKNOWN = _Test(lambda time, now: time is None, lambda column, now: column.is_null())
_PAST = _Test(
    lambda time, now: time is not None and time <= now,
    lambda column, now: column.is_null(False) & (column <= now),
)
_NOT_PAST = _Test(lambda time, now: time is None or time > now, lambda column, now: column.is_null() | (column > now))
_NOT_AHEAD = _Test(
    lambda time, now: time is None or time <= now,
    lambda column, now: column.is_null() | (column <= now),
)

_Rule = Sequence[Mapping[str, _Test]]
"""Ways in which it applies; each needs all of its tests."""

_REVOKED: _Rule = [{"revoked_at": _KNOWN}]

_RULES: Mapping[str, _Rule] = {
    "revoked": _REVOKED,
    "suspended": [{"suspended_at": _PAST, "suspended_until": _NOT_PAST}],
    "expired": [{"ended_at": _KNOWN}, {"expires_at": _PAST, "grace_until": _NOT_AHEAD}],
}
"""The first that applies is the status; a license is active if none does."""

_BARRED: _Rule = [*_REVOKED, {"suspended_at": _PAST, "suspended_until": _UNKNOWN}]

STATUSES = ("active", *reversed(list(_RULES)))


def status_of(license: Any, now: datetime) -> str:
    """Return the status of a license, a row of the table."""
    return next((status for status, rule in _RULES.items() if _applies(rule, license, now)), "active")


def is_barred(license: Any, now: datetime) -> bool:
    """Tell whether a license may not be used until somebody says otherwise; a pause that ends by itself is no bar."""
    return _applies(_BARRED, license, now)


def has_status(table: Any, status: str, now: datetime) -> Any:
    """Return the condition of a query for the licenses that have a status of STATUSES."""
    earlier = list(_RULES)[: [*_RULES, "active"].index(status)]
    conditions = [~_condition(_RULES[name], table, now) for name in earlier]
    return reduce(and_, conditions + ([_condition(_RULES[status], table, now)] if status in _RULES else []))


def _applies(rule: _Rule, license: Any, now: datetime) -> bool:
    return any(all(test.of_value(getattr(license, name), now) for name, test in way.items()) for way in rule)


def _condition(rule: _Rule, table: Any, now: datetime) -> Any:
    ways = [reduce(and_, (test.of_column(getattr(table, name), now) for name, test in way.items())) for way in rule]
    return reduce(or_, ways)
