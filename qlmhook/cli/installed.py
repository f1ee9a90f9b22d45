"""Loads the installed plugins for the commands that work with all of them."""

import click

from qlmhook.vendors.loader import Plugins


def load_installed(plugins: Plugins) -> Plugins:
    """Load every installed plugin, configured or not; what is wrong with one is told and stops no other."""
    for error in plugins.load_installed():
        complain(error)
    return plugins


def complain(sentence: object) -> None:
    """Tell on standard error what is wrong, and go on."""
    click.echo(f"qlmhook: {sentence}", err=True)
