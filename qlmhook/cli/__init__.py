"""The operator's commands."""

import logging
import sys

import click

from qlmhook import __version__
from qlmhook.cli.all_commands import CommandsOfPlugins
from qlmhook.errors import QlmhookError


@click.group(cls=CommandsOfPlugins, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qlmhook")
def commands() -> None:
    """Turn a sale into a delivered software license.

    Settings come from the file that QLMHOOK_CONFIG names (default: qlmhook.toml) and from QLMHOOK__… variables.
    """


def main() -> None:
    """Run a command; exit with 0 when it did its work, 1 when it failed, 2 when it was called wrongly."""
    logging.basicConfig(level=logging.ERROR, format="qlmhook: %(message)s")
    try:
        commands(prog_name="qlmhook")
    except (QlmhookError, OSError) as error:
        click.echo(f"qlmhook: {error}", err=True)
        sys.exit(error.exit_code if isinstance(error, QlmhookError) else QlmhookError.exit_code)
