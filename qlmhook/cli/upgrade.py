"""`upgrade`: carries the database to the tables of this release."""

import click

from qlmhook.config import load_settings
from qlmhook.services.upgrade_database import upgrade as carry_forward
from qlmhook.services.wiring import utc_now
from qlmhook.storage.database import Database


@click.command()
def upgrade() -> None:
    """Bring the database to this release's tables, after a backup; stop the service first."""
    database = Database(load_settings().database)
    click.get_current_context().call_on_close(database.close)
    carry_forward(database, now=utc_now(), tell=click.echo)
