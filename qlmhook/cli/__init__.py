"""The operator's commands."""

import logging
import sys

import click

from qlmhook import __version__
from qlmhook.cli.demo import demo
from qlmhook.cli.doctor import doctor
from qlmhook.cli.license import license_
from qlmhook.cli.mail import mail
from qlmhook.cli.notification import notification
from qlmhook.cli.outbox import outbox_
from qlmhook.cli.property import property_
from qlmhook.cli.server import init, serve, worker
from qlmhook.cli.simulate import simulate
from qlmhook.cli.upgrade import upgrade
from qlmhook.cli.vendor import vendor
from qlmhook.errors import QlmhookError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qlmhook")
def commands() -> None:
    """Turn a sale into a delivered software license.

    Settings come from the file that QLMHOOK_CONFIG names (default: qlmhook.toml) and from QLMHOOK__… variables.
    """


for command in (
    demo,
    init,
    serve,
    worker,
    property_,
    license_,
    notification,
    outbox_,
    mail,
    vendor,
    simulate,
    doctor,
    upgrade,
):
    commands.add_command(command)


def main() -> None:
    """Run a command; exit with 0 when it did its work, 1 when it failed, 2 when it was called wrongly."""
    logging.basicConfig(level=logging.ERROR, format="qlmhook: %(message)s")
    try:
        commands(prog_name="qlmhook")
    except (QlmhookError, OSError) as error:
        click.echo(f"qlmhook: {error}", err=True)
        sys.exit(1)
