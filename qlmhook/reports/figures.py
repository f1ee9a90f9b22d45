"""How much there is of everything: counted in the database, so that all processes give the same answer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import peewee

from qlmhook.inbox import notification_store
from qlmhook.outbox import queue
from qlmhook.storage import models


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is counted: notifications and outbox rows by state, refused requests by reason, and the rest in sum.

    `key_uses` tells when each secret key last verified, by account and key id; `due_since` when the oldest row that
    is due was written.
    """

    notifications: dict[str, int]
    outbox: dict[str, int]
    refused: dict[str, int]
    key_uses: dict[tuple[str, str], datetime]
    due_since: datetime | None
    licenses: int
    workers: int


def count(*, alive_since: datetime) -> Figures:
    """Count what is there now; a worker counts that gave a sign of life since then."""
    oldest = models.Outbox.select(peewee.fn.MIN(models.Outbox.begun_at)).where(models.Outbox.state == "due")
    return Figures(
        notifications=_by_state(models.Notification, notification_store.STATES),
        outbox=_by_state(models.Outbox, queue.STATES),
        refused={row.reason: row.count for row in models.Refusal.select()},
        key_uses={(use.vendor, use.key_id): use.last_used_at for use in models.KeyUse.select()},
        due_since=oldest.scalar(),
        licenses=models.License.select().count(),
        workers=workers(since=alive_since),
    )


def workers(*, since: datetime) -> int:
    """Count the outbox workers that gave a sign of life since then."""
    return models.Heartbeat.select().where(models.Heartbeat.at > since).count()


def _by_state(table: type[models.Notification] | type[models.Outbox], states: tuple[str, ...]) -> dict[str, int]:
    counted: Any = table.select(table.state, peewee.fn.COUNT(table.id)).group_by(table.state).tuples()
    return {**dict.fromkeys(states, 0), **dict(counted)}
