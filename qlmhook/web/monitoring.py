"""What whoever runs the service asks it: does it live, can it work, how much is there."""

from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from qlmhook.reports import figures
from qlmhook.services.deliver import ALIVE_FOR
from qlmhook.web import metrics
from qlmhook.web.plain_answers import plain, service


def ping() -> Response:
    """QLM's PingHttp. Source: QLM, "PingHttp"."""
    now = service().clock()
    body = (
        '<?xml version="1.0" encoding="utf-8"?>\n<QuickLicenseManager><result>OK</result>'
        f"<serverDate>{now:%Y-%m-%dT%H:%M:%SZ}</serverDate>"
        f"<serverVersion>qlmhook</serverVersion></QuickLicenseManager>\n"
    )
    return Response(body, content_type="text/xml; charset=utf-8")


def health() -> Response:
    """The process answers."""
    return plain("ok", 200)


def readiness() -> Response:
    """The database takes a writer, and an outbox worker is alive."""
    now = service().clock()
    service().database.write_nothing()
    with service().database.reading():
        alive = figures.workers(since=now - ALIVE_FOR)
    if not alive:
        return plain("No outbox worker is alive: mails are not going out.", 503)
    return plain("ready", 200)


def show_metrics() -> Response:
    """Prometheus' text format."""
    return Response(generate_latest(metrics.registry(service())), content_type=CONTENT_TYPE_LATEST)
