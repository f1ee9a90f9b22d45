"""`notification`: what the vendors sent."""

import json

import click

from qlmhook.cli.apply_again import replay_each
from qlmhook.cli.open_service import open_service
from qlmhook.cli.output import as_csv, as_json, limited, print_fields, print_rows, printable
from qlmhook.errors import QlmhookError
from qlmhook.inbox import notification_store
from qlmhook.reports import listings
from qlmhook.vendors.form_body import FORM


@click.group()
def notification() -> None:
    """Find, show and replay notifications."""


@notification.command("list")
@click.option("--state", default="", type=click.Choice(["", *notification_store.STATES]), help="In this state.")
@click.option("--order", default="", metavar="REF", help="About this order.")
@limited
@as_json
@as_csv
def list_(state: str, order: str, limit: int | None, as_json: bool, as_csv: bool) -> None:
    """List notifications, oldest first."""
    columns = ["id", "received_at", "vendor", "kind", "order_ref", "order_status", "state", "reason"]
    with open_service().database.reading():
        rows = listings.each_notification(state=state, order=order, limit=limit)
        print_rows(rows, columns, as_json=as_json, as_csv=as_csv)


@notification.command()
@click.argument("notification_id", metavar="ID", type=int)
@as_json
def show(notification_id: int, as_json: bool) -> None:
    """Show a notification with its fields, without its signatures, or with its body if it is no form."""
    service = open_service()
    with service.database.reading():
        stored = notification_store.get(notification_id)
        row = listings.notification_row(stored)
        vendor = service.accounts.named(stored.vendor).vendor
        fields = [
            [name, value]
            for name, value in notification_store.restore(stored).fields
            if name not in vendor.signature_fields
        ]
        body = None if stored.content_type == FORM else bytes(stored.body).decode("utf-8", "replace")
    if as_json:
        click.echo(json.dumps([{**row, "fields": fields, "body": body}], indent=2, ensure_ascii=False))
        return
    print_fields(row)
    if body is None:
        click.echo("fields:")
        for name, value in fields:
            click.echo(f"  {printable(name)} = {printable(value)}")
    else:
        click.echo(f"body ({printable(stored.content_type)}):")
        for line in _for_people(body).splitlines():
            click.echo(f"  {printable(line)}".rstrip())


def _for_people(body: str) -> str:
    """Indent what is JSON; leave the rest as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body


@notification.command()
@click.argument("notification_ids", metavar="ID...", type=int, nargs=-1, required=True)
def replay(notification_ids: tuple[int, ...]) -> None:
    """Apply notifications again; what they did already is not done twice."""
    replayed = replay_each(open_service(), notification_ids, "Replaying")
    for row in replayed.rows:
        click.echo(f"{row.id}: {row.state}{f' ({printable(row.reason)})' if row.reason else ''}")
    if len(replayed.failures) == 1:
        raise QlmhookError(replayed.failures[0])
    if replayed.failures:
        click.echo("\n".join(replayed.failures), err=True)
        raise QlmhookError(f"{len(replayed.failures)} of {len(notification_ids)} notifications could not be applied.")


@notification.command()
@click.argument("notification_id", metavar="ID", type=int)
@click.option("--why", required=True, help="The reason, kept with the notification.")
def dismiss(notification_id: int, why: str) -> None:
    """Close a held notification without applying it: you have done by hand what there was to do."""
    service = open_service()
    with service.database.transaction():
        row = notification_store.get(notification_id)
        if row.state != "held":
            raise QlmhookError(f"Notification {notification_id} is not held; it is {row.state}.")
        notification_store.dismiss(row, why, service.clock())
    click.echo(f"Dismissed {notification_id}.")
