"""`license`: what was issued."""

import getpass
import json
from datetime import date

import click

from qlmhook.cli.open_service import open_service
from qlmhook.cli.output import as_csv, as_json, limited, print_fields, print_json, print_rows, printable
from qlmhook.licensing import licenses
from qlmhook.reports import listings
from qlmhook.storage.license_status import STATUSES


class Day(click.ParamType):  # type: ignore[type-arg]
    """A day as people write it."""

    name = "day"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the date, or say what is meant."""
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; one is written as 2026-12-31.", param, ctx)


@click.group("license")
def license_() -> None:
    """Find, show and change licenses."""


@license_.command("list")
@click.option("--order", default="", metavar="REF", help="Of this order, the first or a renewal.")
@click.option("--email", default="", metavar="ADDR", help="Of the customer with this address.")
@click.option("--subscription", default="", metavar="REF", help="Of this subscription.")
@click.option("--status", default="", type=click.Choice(["", *STATUSES]), help="With this status.")
@click.option("--search", default="", metavar="TEXT", help="With this in key, order, product or customer.")
@limited
@as_json
@as_csv
def list_(
    order: str, email: str, subscription: str, status: str, search: str, limit: int | None, as_json: bool, as_csv: bool
) -> None:
    """List licenses, oldest first."""
    service = open_service()
    columns = ["key", "status", "product_name", "order_ref", "email", "activations", "expires_at"]
    with service.database.reading():
        rows = listings.each_license(
            now=service.clock(),
            order=order,
            email=email,
            subscription=subscription,
            status=status,
            search=search,
            limit=limit,
        )
        if not as_json and not as_csv:
            rows = (row | {"email": row["customer"]["email"]} for row in rows)
        print_rows(rows, columns, as_json=as_json, as_csv=as_csv)


@license_.command()
@click.argument("key")
@as_json
def show(key: str, as_json: bool) -> None:
    """Show a license and everything that happened to it."""
    service = open_service()
    with service.database.reading():
        license = licenses.find(key)
        row = listings.license_row(license, service.clock()) | listings.confirmation(license)
        history = listings.license_history(license)
    if as_json:
        click.echo(json.dumps([{**row, "history": history}], indent=2, ensure_ascii=False))
        return
    print_fields(row)
    click.echo("history:")
    for entry in history:
        click.echo(f"  {entry['at']}  {entry['change']} by {entry['actor']}: {printable(entry['why'])}")
        for name, value in entry["after"].items():
            click.echo(f"    {name}: {printable(entry['before'].get(name, ''))} -> {printable(value)}")


@license_.command()
@click.argument("key")
@click.option("--why", required=True, help="The reason, for the license's history.")
def revoke(key: str, why: str) -> None:
    """Take a license away."""
    _decide(key, "revoke", why)


@license_.command()
@click.argument("key")
@click.option("--why", default="", help="The reason, for the license's history.")
def suspend(key: str, why: str) -> None:
    """Take a license away for a while."""
    _decide(key, "suspend", why)


@license_.command()
@click.argument("key")
@click.option("--why", default="", help="The reason, for the license's history.")
def reinstate(key: str, why: str) -> None:
    """Give a revoked or suspended license back."""
    _decide(key, "reinstate", why)


@license_.command()
@click.argument("key")
@click.option("--until", required=True, type=Day(), metavar="YYYY-MM-DD", help="The license's last day.")
@click.option("--why", default="", help="The reason, for the license's history.")
def extend(key: str, until: date, why: str) -> None:
    """Let a license run longer."""
    _decide(key, "extend", why, until=until)


@license_.command()
@click.option("--status", default="", type=click.Choice(["", *STATUSES]), help="With this status.")
def export(status: str) -> None:
    """Print all licenses, with their history, as one JSON array."""
    service = open_service()
    with service.database.reading():
        print_json(listings.each_license_with_history(now=service.clock(), status=status))


def _decide(key: str, action: str, why: str, *, until: date | None = None) -> None:
    service = open_service()
    before, after = service.decisions.decide(key, action, why=why, operator=getpass.getuser(), until=until)
    now = service.clock()
    end = f"{after.expires_at:%Y-%m-%d %H:%M} UTC" if after.expires_at else "never"
    click.echo(f"{key}: {before.status(now)} -> {after.status(now)}, expires {end}")
