"""`vendor`: the accounts, and what is stored of them."""

import getpass

import click

from qlmhook.cli.apply_again import apply_held
from qlmhook.cli.open_service import open_service
from qlmhook.cli.output import as_json, limited, print_rows
from qlmhook.inbox import notification_store
from qlmhook.licensing import key_format
from qlmhook.reports import listings


@click.group()
def vendor() -> None:
    """See the accounts, and move what is stored of one that was renamed."""


@vendor.command("list")
@limited
@as_json
def list_(limit: int | None, as_json: bool) -> None:
    """List the accounts, those that are configured no more last."""
    service = open_service()
    with service.database.reading():
        rows = listings.vendors(service.accounts)[:limit]
    columns = ["name", "plugin", "enabled", "configured", "notifications", "licenses"]
    print_rows(rows, columns, as_json=as_json)


@vendor.command()
@click.argument("old")
@click.argument("new")
def rename(old: str, new: str) -> None:
    """Move what is stored of an account whose section is called NEW now."""
    service = open_service()
    renamed = service.renaming.rename(old, new, operator=getpass.getuser())
    name = renamed.account.name
    click.echo(f"Moved {renamed.notifications} notifications and {renamed.licenses} licenses from {old} to {name}.")
    for moved in renamed.properties:
        if moved.is_moved:
            click.echo(f"Renamed the property {moved.old} to {moved.new}.")
        else:
            click.echo(f"The property {moved.old} stays and has no effect any more: there is a {moved.new}.")
    for double in renamed.sold_twice:
        gone, stays = key_format.grouped(double.gone.key), key_format.grouped(double.stays.key)
        click.echo(f"Order {double.gone.order_ref} got a second license: {gone} is revoked, {stays} stays.")
    with service.database.reading():
        held = notification_store.held_of(name)
    apply_held(service, held)
