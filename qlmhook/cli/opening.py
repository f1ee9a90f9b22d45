"""Opens the service for a command."""

import click

from qlmhook.config import load_settings
from qlmhook.services.wiring import Service


def open_service() -> Service:
    """Return the service of the current configuration; its database is closed when the command ends."""
    service = Service.open(load_settings())
    click.get_current_context().call_on_close(service.database.close)
    return service
