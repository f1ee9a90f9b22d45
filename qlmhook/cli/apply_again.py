"""Applies stored notifications again, one by one, for the commands that do so."""

import logging
from collections.abc import Collection
from dataclasses import dataclass

import click

from qlmhook.cli.output import progress
from qlmhook.errors import QlmhookError
from qlmhook.reports import figures
from qlmhook.services.wiring import Service
from qlmhook.storage import models

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What came of it: the notifications as they are now, and a sentence for each that could not be tried."""

    rows: list[models.Notification]
    failures: list[str]


def replay_each(service: Service, ids: Collection[int], label: str) -> Replayed:
    """Apply notifications again; whatever one of them does, the others are applied too."""
    rows, failures = [], []
    with progress(len(ids), label) as step:
        for notification_id in ids:
            try:
                rows.append(service.intake.replay(notification_id))
            except QlmhookError as error:
                failures.append(f"Notification {notification_id}: {error}")
            except Exception as error:
                logger.debug("Notification %s could not be applied", notification_id, exc_info=True)
                told = " ".join(f"{type(error).__name__}: {error}".partition("\n")[0].split())
                failures.append(f"Notification {notification_id}: an internal error: {told.rstrip('.')}.")
            step()
    return Replayed(rows=rows, failures=failures)


def apply_held(service: Service, ids: Collection[int]) -> None:
    """Apply these of the held notifications, and say what came of it and how many are held still."""
    with service.database.reading():
        count = figures.notifications()["held"]
    if not count:
        return
    replayed = replay_each(service, ids, "Applying what was held")
    for failure in replayed.failures:
        click.echo(failure, err=True)
    applied = sum(row.state != "held" for row in replayed.rows)
    failed = len(replayed.failures)
    rest = {"still held": count - applied - failed, "failed": failed}
    told = ", ".join(f"{number} {what}" for what, number in rest.items() if number)
    click.echo(f"Applied {applied} of {count} held notifications{told and f' ({told})'}.")
