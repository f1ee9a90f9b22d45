"""The web application."""

import atexit
import logging
import os

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from qlmhook.config import Settings, load_settings
from qlmhook.services.receive import Clock
from qlmhook.services.wiring import Service, utc_now
from qlmhook.services.worker import Worker
from qlmhook.web.page_of_path import create_core

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, *, clock: Clock = utc_now) -> Flask:
    """Make the application from its settings, by default those of QLMHOOK_CONFIG and the environment.

    Where the setting `worker` is on, an outbox worker runs beside it in every process that serves it. Raises
    ConfigurationError, Unavailable.
    """
    settings = settings or load_settings()
    _log_to_stderr()
    service = Service.open(settings, clock=clock)
    _warn_of_strays(service)
    app = create_core(service)
    if hops := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops
        )
    if settings.worker:
        _start_worker(service)
        # gunicorn --preload makes the application before it forks, and threads do not survive a fork
        os.register_at_fork(
            before=service.hold_still, after_in_parent=service.go_on, after_in_child=lambda: _go_on_in_child(service)
        )
    return app


def _warn_of_strays(service: Service) -> None:
    """A section that was renamed would sell everything anew: what its customers have is stored by the old name."""
    for name in service.accounts.strays:
        logger.warning("Vendor %s: %s.", name, service.accounts.complaint(name))


def _go_on_in_child(service: Service) -> None:
    service.go_on(in_child=True)
    _start_worker(service)


def _start_worker(service: Service) -> None:
    worker = Worker(service.delivery, service.refusals)
    worker.start()
    atexit.register(worker.stop)  # a mail that is being handed over is written down before the process ends


def _log_to_stderr() -> None:
    """Set up logging unless whoever runs us has done so."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
