"""The status of a license: rules about its times, and where in the indexes of its times those of a status stand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_Test = Callable[[datetime | None, datetime], bool]
"""A question about a time and now."""


def _known(time: datetime | None, now: datetime) -> bool:
    return time is not None


def _unknown(time: datetime | None, now: datetime) -> bool:
    return time is None


def _past(time: datetime | None, now: datetime) -> bool:
    return time is not None and time <= now


def _ahead(time: datetime | None, now: datetime) -> bool:
    return time is not None and time > now


def _not_past(time: datetime | None, now: datetime) -> bool:
    return not _past(time, now)


def _not_ahead(time: datetime | None, now: datetime) -> bool:
    return not _ahead(time, now)


_Rule = Sequence[Mapping[str, _Test]]
"""Ways in which it applies; each needs all of its tests."""

_REVOKED: _Rule = [{"revoked_at": _known}]

_RULES: Mapping[str, _Rule] = {
    "revoked": _REVOKED,
    "suspended": [{"suspended_at": _past, "suspended_until": _not_past}],
    "expired": [{"ended_at": _known}, {"expires_at": _past, "grace_until": _not_ahead}],
}
"""The first that applies is the status; a license is active if none does."""

_BARRED: _Rule = [*_REVOKED, {"suspended_at": _past, "suspended_until": _unknown}]

STATUSES = ("active", *reversed(list(_RULES)))

_CONDITIONS: Mapping[_Test, Callable[[Any, datetime], Any]] = {
    _known: lambda column, now: column >= datetime.min.replace(tzinfo=UTC),  # SQLite has no index for IS NOT NULL
    _unknown: lambda column, now: column.is_null(),
    _past: lambda column, now: column <= now,
    _ahead: lambda column, now: column > now,
}
"""Each is one range of an index."""


@dataclass(frozen=True)
class Range:
    """The licenses of which a time passes a test."""

    name: str
    test: _Test

    @property
    def has_times(self) -> bool:
        """Whether all of them have the time."""
        return self.test is not _unknown

    def has(self, license: Any, now: datetime) -> bool:
        """Tell whether a license is one of them."""
        return self.test(getattr(license, self.name), now)

    def of_column(self, table: Any, now: datetime) -> Any:
        """Return the condition of a query for them."""
        return _CONDITIONS[self.test](getattr(table, self.name), now)


_RANGES: Mapping[str, Sequence[Range]] = {
    "revoked": [Range("revoked_at", _known)],
    "suspended": [Range("suspended_at", _past)],
    "expired": [Range("ended_at", _known), Range("expires_at", _past)],
    "active": [Range("grace_until", _ahead), Range("expires_at", _ahead), Range("expires_at", _unknown)],
}


def ranges(status: str) -> Sequence[Range]:
    """Return ranges in which all licenses of a status are, and others that have another one besides."""
    return _RANGES[status]


def status_of(license: Any, now: datetime) -> str:
    """Return the status of a license, a row of the table."""
    return next((status for status, rule in _RULES.items() if _applies(rule, license, now)), "active")


def is_barred(license: Any, now: datetime) -> bool:
    """Tell whether a license may not be used until somebody says otherwise; a pause that ends by itself is no bar."""
    return _applies(_BARRED, license, now)


def _applies(rule: _Rule, license: Any, now: datetime) -> bool:
    return any(all(test(getattr(license, name), now) for name, test in way.items()) for way in rule)
