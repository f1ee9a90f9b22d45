"""What Prometheus can ask: counted in the database, so that all processes give the same answer."""

from collections.abc import Iterator
from typing import Any

import peewee
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from qlmhook import ledger, models, outbox
from qlmhook.delivery import ALIVE_FOR
from qlmhook.service import Service


def registry(service: Service) -> CollectorRegistry:
    """Return a registry that reads the service's database when it is asked."""
    collected = CollectorRegistry(auto_describe=False)
    collected.register(_Counts(service))
    return collected


class _Counts(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: finding the names out would already ask the database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count what is there now."""
        now = self._service.clock()
        with self._service.database.reading():
            notifications = _by_state(models.Notification, ledger.STATES)
            rows = _by_state(models.Outbox, outbox.STATES)
            licenses = models.License.select().count()
            oldest = models.Outbox.select(peewee.fn.MIN(models.Outbox.created_at)).where(models.Outbox.state == "due")
            waiting_since = oldest.scalar(as_tuple=False)
            workers = models.Heartbeat.select().where(models.Heartbeat.at > now - ALIVE_FOR).count()
        waited = (now - waiting_since).total_seconds() if waiting_since else 0.0

        yield _family("qlmhook_notifications", "Verified notifications by state.", notifications)
        yield _family("qlmhook_outbox", "Rows of the outbox by state.", rows)
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
