"""`outbox`: what goes out."""

import click

from qlmhook.cli.open_service import open_service
from qlmhook.cli.output import as_csv, as_json, limited, print_rows
from qlmhook.outbox import queue
from qlmhook.reports import listings


@click.group("outbox")
def outbox_() -> None:
    """See what goes out, and send it."""


@outbox_.command("list")
@click.option("--state", default="", type=click.Choice(["", *queue.STATES]), help="In this state.")
@click.option("--order", default="", metavar="REF", help="About this order.")
@limited
@as_json
@as_csv
def list_(state: str, order: str, limit: int | None, as_json: bool, as_csv: bool) -> None:
    """List the outbox, oldest first."""
    columns = ["id", "kind", "state", "attempts", "due_at", "order_ref", "to", "subject", "answer", "last_error"]
    with open_service().database.reading():
        rows = listings.each_outbox_row(state=state, order=order, limit=limit)
        print_rows(rows, columns, as_json=as_json, as_csv=as_csv)


@outbox_.command()
@click.argument("row_ids", metavar="ID...", type=int, nargs=-1, required=True)
def retry(row_ids: tuple[int, ...]) -> None:
    """Make rows due again, whatever became of them: a mail that went out goes out once more."""
    service = open_service()
    with service.database.transaction():
        for row_id in row_ids:
            queue.retry(row_id, service.clock())
    click.echo(f"Due again: {', '.join(map(str, row_ids))}. `qlmhook outbox run` sends what is due at once.")


@outbox_.command()
def run() -> None:
    """Send what is due, and return."""
    click.echo(f"Tried {open_service().delivery.work_off()} rows.")
