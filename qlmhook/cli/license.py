"""`license`: what was issued."""

import json

import click

from qlmhook import licenses, listing
from qlmhook.cli.output import as_json, limited, print_fields, print_rows, printable
from qlmhook.config import load_settings
from qlmhook.service import Service


@click.group("license")
def license_() -> None:
    """Find and show licenses."""


@license_.command("list")
@click.option("--order", default="", metavar="REF", help="Of this order.")
@click.option("--email", default="", metavar="ADDR", help="Of the customer with this address.")
@click.option("--subscription", default="", metavar="REF", help="Of this subscription.")
@click.option("--status", default="", type=click.Choice(["", *listing.STATUSES]), help="With this status.")
@click.option("--search", default="", metavar="TEXT", help="With this in key, order, product or customer.")
@limited
@as_json
def list_(
    order: str, email: str, subscription: str, status: str, search: str, limit: int | None, as_json: bool
) -> None:
    """List licenses, oldest first."""
    service = Service.open(load_settings())
    with service.database.reading():
        rows = listing.licenses(
            now=service.clock(),
            order=order,
            email=email,
            subscription=subscription,
            status=status,
            search=search,
            limit=limit,
        )
    for row in rows if not as_json else []:
        row["email"] = (row["customer"] or {}).get("email")
    columns = ["key", "status", "product_name", "order_ref", "email", "activations", "expires_at"]
    print_rows(rows, columns, as_json=as_json)


@license_.command()
@click.argument("key")
@as_json
def show(key: str, as_json: bool) -> None:
    """Show a license and everything that happened to it."""
    service = Service.open(load_settings())
    with service.database.reading():
        license = licenses.find(key)
        row = listing.license_row(license, service.clock())
        history = listing.license_history(license)
    if as_json:
        click.echo(json.dumps([{**row, "history": history}], indent=2, ensure_ascii=False))
        return
    print_fields(row)
    click.echo("history:")
    for entry in history:
        click.echo(f"  {entry['at']}  {entry['change']} by {entry['actor']}: {printable(entry['why'])}")
        for name, value in entry["after"].items():
            click.echo(f"    {name}: {printable(entry['before'].get(name, ''))} -> {printable(value)}")
