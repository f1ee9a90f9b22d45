"""Opens what a command works with: the service, and the installed plugins."""

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


def load_installed(plugins: Plugins) -> Plugins:
    """Load every installed plugin, configured or not; what is wrong with one is told and stops no other."""
    for error in plugins.load_installed():
        complain(error)
    return plugins


def complain(sentence: object) -> None:
    """Tell on standard error what is wrong, and go on."""
    click.echo(f"qlmhook: {sentence}", err=True)
