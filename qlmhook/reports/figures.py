"""How much there is of everything: kept in the database, so that all processes give the same answer."""

from dataclasses import dataclass
from datetime import datetime

import peewee

from qlmhook.inbox import notification_store
from qlmhook.outbox import queue
from qlmhook.storage import models, tallies


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
    """Return what is there now; a worker counts that gave a sign of life since then."""
    oldest = models.Outbox.select(peewee.fn.MIN(models.Outbox.begun_at)).where(models.Outbox.state == "due")
    return Figures(
        notifications=notifications(),
        outbox=outbox(),
        refused={row.reason: row.count for row in models.Refusal.select()},
        key_uses={(use.vendor, use.key_id): use.last_used_at for use in models.KeyUse.select()},
        due_since=oldest.scalar(),
        licenses=sum(tallies.by_vendor(models.License).values()),
        workers=workers(since=alive_since),
    )


def workers(*, since: datetime) -> int:
    """Count the outbox workers that gave a sign of life since then."""
    return models.Heartbeat.select().where(models.Heartbeat.at > since).count()


def notifications() -> dict[str, int]:
    """Return how many notifications there are in each state."""
    return {**dict.fromkeys(notification_store.STATES, 0), **tallies.by_state(models.Notification)}


def outbox() -> dict[str, int]:
    """Return how many rows of the outbox there are in each state."""
    return {**dict.fromkeys(queue.STATES, 0), **tallies.by_state(models.Outbox)}
