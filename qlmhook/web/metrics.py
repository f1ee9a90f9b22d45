"""What Prometheus can ask: counted in the database, so that all processes give the same answer."""

from collections.abc import Iterator
from typing import Any

import peewee
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from qlmhook.inbox import notification_store
from qlmhook.outbox import queue
from qlmhook.services.deliver import ALIVE_FOR
from qlmhook.services.wiring import Service
from qlmhook.storage import models


def registry(service: Service) -> CollectorRegistry:
    """Return a registry that reads the service's database when it is asked."""
    collected = CollectorRegistry(auto_describe=False)
    collected.register(_Counts(service))
    return collected


class _Counts(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterator[Metric]:
        """Nothing: finding the names out would already ask the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Count what is there now."""
        self._service.refusals.store()
        now = self._service.clock()
        with self._service.database.reading():
            notifications = _by_state(models.Notification, notification_store.STATES)
            rows = _by_state(models.Outbox, queue.STATES)
            licenses = models.License.select().count()
            oldest = models.Outbox.select(peewee.fn.MIN(models.Outbox.created_at)).where(models.Outbox.state == "due")
            waiting_since = oldest.scalar()
            refusals = {row.reason: row.count for row in models.Refusal.select()}
            key_uses = [(use.vendor, use.key_id, use.last_used_at.timestamp()) for use in models.KeyUse.select()]
            workers = models.Heartbeat.select().where(models.Heartbeat.at > now - ALIVE_FOR).count()
        waited = (now - waiting_since).total_seconds() if waiting_since else 0.0

        yield _family("qlmhook_notifications", "Verified notifications by state.", notifications)
        yield _family("qlmhook_outbox", "Rows of the outbox by state.", rows)
        refused = CounterMetricFamily("qlmhook_refused", "Requests refused, by reason.", labels=["reason"])
        for reason, count in refusals.items():
            refused.add_metric([reason], count)
        yield refused
        used = GaugeMetricFamily(
            "qlmhook_key_last_used_timestamp_seconds", "When a secret key last verified.", labels=["vendor", "key_id"]
        )
        for vendor, key_id, timestamp in key_uses:
            used.add_metric([vendor, key_id], timestamp)
        yield used
        yield GaugeMetricFamily("qlmhook_outbox_oldest_seconds", "How long the oldest row has waited.", value=waited)
        yield GaugeMetricFamily("qlmhook_licenses", "Licenses issued.", value=licenses)
        yield GaugeMetricFamily("qlmhook_workers", "Outbox workers alive.", value=workers)


def _by_state(table: type[models.Notification] | type[models.Outbox], states: tuple[str, ...]) -> dict[str, int]:
    counted: Any = table.select(table.state, peewee.fn.COUNT(table.id)).group_by(table.state).tuples()
    return {**dict.fromkeys(states, 0), **dict(counted)}


def _family(name: str, text: str, counts: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family
