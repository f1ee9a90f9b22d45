"""`copy`: carries everything to another database."""

import click

from qlmhook.cli.output import print_rows, progress
from qlmhook.config import load_settings
from qlmhook.errors import ConfigurationError
from qlmhook.services.copy_database import copy as carry_over
from qlmhook.storage.database import Database

NEXT = (
    "Every row is copied, and compared with what it was. Set `database` in qlmhook.toml to the URL of --to, and start "
    "the service; the old database is as it was."
)


@click.command()
@click.option("--to", "url", required=True, metavar="URL", help="The database that everything goes to; it is empty.")
def copy(url: str) -> None:
    """Copy everything to another database, of any engine; stop the service first."""
    context = click.get_current_context()
    source = Database(load_settings().database)
    context.call_on_close(source.close)
    target = _open(url)
    context.call_on_close(target.close)
    rows = carry_over(source, target, progress=progress)
    table = [{"table": name, "rows": count} for name, count in rows.items()]
    print_rows(table, ["table", "rows"], as_json=False)
    click.echo(NEXT)


def _open(url: str) -> Database:
    try:
        return Database(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"--to: {str(error).removeprefix('database: ')}") from error
