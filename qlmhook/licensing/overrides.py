"""What an operator's decisions make of a license: they are laid over what the facts say, the newest word counts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from qlmhook.domain.entitlement import Entitlement
from qlmhook.domain.grants import Grant
from qlmhook.domain.purchases import Extension
from qlmhook.domain.restrictions import Bar
from qlmhook.storage import models
from qlmhook.storage.statements import Statement, any_given

Decisions = Mapping[int, Sequence[models.Decision]]
"""The decisions about licenses by the license's id, oldest first."""


_OF_LICENSES = Statement[models.Decision](
    lambda: (
        models.Decision.select().where(models.Decision.license.in_(any_given("licenses"))).order_by(models.Decision.id)
    )
)


def of_licenses(license_ids: Iterable[int]) -> dict[int, list[models.Decision]]:
    """Return what operators decided about these licenses."""
    found: dict[int, list[models.Decision]] = {}
    for decision in _OF_LICENSES.all(licenses=list(license_ids)):
        found.setdefault(decision.license_id, []).append(decision)
    return found


def extensions(decisions: Iterable[models.Decision]) -> tuple[Extension, ...]:
    """Return when a license was extended, and until when."""
    return tuple((decision.at, decision.until) for decision in decisions if decision.until is not None)


def lay_over(
    license: models.License,
    entitlement: Entitlement,
    grant: Grant,
    decisions: Iterable[models.Decision],
    now: datetime,
) -> dict[str, Any]:
    """Return the columns that facts and decisions make together: bars and ends."""
    revoked, suspended = list(grant.revoked), list(entitlement.suspended)
    expires_at, ended_at = grant.expires_at, entitlement.ended_at
    for decision in decisions:
        bar = Bar(why=decision.why, learned_at=decision.at)
        if decision.action == "revoke":
            revoked.append(bar)
        elif decision.action == "suspend":
            suspended.append(bar)
        elif decision.action == "reinstate":
            revoked = [bar for bar in revoked if bar.learned_at > decision.at]
            suspended = [bar for bar in suspended if bar.learned_at > decision.at]
        elif decision.action == "extend" and expires_at is not None and decision.until is not None:
            expires_at = max(expires_at, decision.until)
            ended_at = ended_at if ended_at is not None and ended_at >= decision.until else None
    return {
        "revoked_at": license.revoked_at or now if revoked else None,
        **suspension(suspended, license.suspended_at or now),
        "barred_why": next((bar.why for bar in [*revoked, *suspended]), ""),
        "expires_at": expires_at,
        "ended_at": ended_at,
    }


def suspension(bars: Iterable[Bar], since: datetime) -> dict[str, Any]:
    """Return the columns of a suspension: one without an end outlasts a pause."""
    lasting = sorted(bars, key=lambda bar: bar.begins_at is not None or bar.ends_at is not None)
    if not lasting:
        return {"suspended_at": None, "suspended_until": None}
    return {"suspended_at": lasting[0].begins_at or since, "suspended_until": lasting[0].ends_at}
