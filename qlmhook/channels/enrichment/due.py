"""When a shop is to be asked for what its message only names: once for each message."""

from datetime import datetime

from qlmhook.outbox import payloads, queue
from qlmhook.outbox.payloads import EnrichmentPayload, Kind
from qlmhook.storage import models


def ask(row: models.Notification, *, now: datetime) -> None:
    """Let the worker ask the shop about a notification, unless that is under way."""
    waiting = models.Outbox.select().where(
        models.Outbox.vendor == row.vendor,
        models.Outbox.order_ref == row.order_ref,
        models.Outbox.kind == Kind.ENRICHMENT,
    )
    asked = [payloads.of(other, EnrichmentPayload).notification for other in waiting if other.state != queue.DEAD]
    if row.id not in asked:
        about = {"vendor": row.vendor, "order_ref": row.order_ref, "subject": f"notification {row.id}"}
        queue.add(EnrichmentPayload(notification=row.id), now=now, **about)
