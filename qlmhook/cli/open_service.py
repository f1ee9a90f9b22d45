"""Opens what a command works with: the service."""

import click

from qlmhook.config import load_settings
from qlmhook.services.wiring import Service
from qlmhook.vendors.loader import Plugins


def open_service() -> Service:
    """Return the service of the current configuration; its database is closed when the command ends."""
    context = click.get_current_context()
    service = Service.open(load_settings(), plugins=context.find_object(Plugins))
    context.call_on_close(service.database.close)
    return service
