"""`serve` and `worker`."""

import os
import signal
import sys

import click

from qlmhook.cli.listen_address import checked_bind, refuse_taken
from qlmhook.cli.open_service import open_service
from qlmhook.services.worker import Worker


@click.command()
@click.option(
    "--bind",
    default="127.0.0.1:8000",
    show_default=True,
    metavar="HOST:PORT",
    callback=checked_bind,
    help="Where to listen.",
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
def serve(bind: str, workers: int) -> None:
    """Serve under gunicorn, the outbox worker included."""
    open_service().database.close()
    refuse_taken(bind)
    arguments = ["--config", "python:qlmhook.web.gunicorn.settings", "--bind", bind, "--workers", str(workers)]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *arguments, "qlmhook.web.app:create_app()"])  # noqa: S606


@click.command()
def worker() -> None:
    """Run the outbox worker alone, until it is stopped."""
    service = open_service()
    running = Worker(service.delivery, service.refusals)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.request_stop())
    running.run()
