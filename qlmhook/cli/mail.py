"""`mail`: sends a license's mail again."""

import click

from qlmhook.cli.open_service import open_service
from qlmhook.licensing import licenses


@click.group()
def mail() -> None:
    """Mail licenses again."""


@mail.command()
@click.argument("key")
@click.option("--to", default="", metavar="ADDR", help="Another address than the customer's.")
def resend(key: str, to: str) -> None:
    """Write a new mail with a license to its customer; the worker sends it."""
    service = open_service()
    with service.database.transaction():
        row = service.mailing.resend(licenses.find(key), to=to, now=service.clock())
        click.echo(f"Outbox row {row.id} mails {key} to {row.to}.")
