"""What Prometheus can ask: the figures of the database in its words."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from qlmhook.reports import figures
from qlmhook.services.deliver import ALIVE_FOR
from qlmhook.services.wiring import Service


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
            counted = figures.count(alive_since=now - ALIVE_FOR)
        waited = (now - counted.due_since).total_seconds() if counted.due_since else 0.0

        yield _family("qlmhook_notifications", "Verified notifications by state.", counted.notifications)
        yield _family("qlmhook_outbox", "Rows of the outbox by state.", counted.outbox)
        refused = CounterMetricFamily("qlmhook_refused", "Requests refused, by reason.", labels=["reason"])
        for reason, count in counted.refused.items():
            refused.add_metric([reason], count)
        yield refused
        used = GaugeMetricFamily(
            "qlmhook_key_last_used_timestamp_seconds", "When a secret key last verified.", labels=["vendor", "key_id"]
        )
        for (vendor, key_id), last_used_at in counted.key_uses.items():
            used.add_metric([vendor, key_id], last_used_at.timestamp())
        yield used
        yield GaugeMetricFamily("qlmhook_outbox_oldest_seconds", "How long the oldest row has waited.", value=waited)
        yield GaugeMetricFamily("qlmhook_licenses", "Licenses issued.", value=counted.licenses)
        yield GaugeMetricFamily("qlmhook_workers", "Outbox workers alive.", value=counted.workers)


def _family(name: str, text: str, counts: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family
