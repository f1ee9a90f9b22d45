"""`property`: what to license for a shop's product."""

import json
from pathlib import Path
from typing import TextIO

import click

from qlmhook.catalog import mappings, parser
from qlmhook.catalog.arguments import ARGUMENTS
from qlmhook.cli.apply_again import apply_held
from qlmhook.cli.open_service import open_service
from qlmhook.cli.output import as_json, limited, print_rows, progress
from qlmhook.errors import NotFound, PropertyError
from qlmhook.services.wiring import Service


@click.group("property")
def property_() -> None:
    """Set and check server properties."""


@property_.command("set")
@click.argument("name")
@click.argument("value")
def set_(name: str, value: str) -> None:
    """Store a property, say what it means, and apply what was held for want of it."""
    service = open_service()
    with service.database.transaction():
        checked = mappings.save(name, value, now=service.clock())
        _refuse_unknown_maker(service, checked)
    for remark in [*checked.warnings, *_missing_templates(service, checked)]:
        click.echo(f"Warning: {remark}", err=True)
    _explain(name, checked)
    apply_held(service, service.intake.freed_by([name]))


@property_.command()
@click.argument("name")
def get(name: str) -> None:
    """Print a property's value."""
    with open_service().database.reading():
        value = mappings.property_value(name)
    if value is None:
        raise NotFound(f"There is no property {name}.")
    click.echo(value)


@property_.command("list")
@limited
@as_json
def list_(limit: int | None, as_json: bool) -> None:
    """List the properties."""
    with open_service().database.reading():
        rows = [{"name": row.name, "value": row.value} for row in mappings.every()[:limit]]
    print_rows(rows, ["name", "value"], as_json=as_json)


@property_.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a property."""
    with open_service().database.transaction():
        mappings.remove(name)
    click.echo(f"Removed {name}.")


@property_.command()
def check() -> None:
    """Check all properties; exit with 1 if one cannot be used."""
    service = open_service()
    wrong = 0
    with service.database.reading():
        for row in mappings.every():
            try:
                checked = mappings.recheck(row)
                _refuse_unknown_maker(service, checked)
            except PropertyError as error:
                wrong += 1
                click.echo(f"{row.name}: {error}")
                continue
            remarks = [*checked.warnings, *_missing_templates(service, checked)]
            click.echo(f"{row.name}: {' '.join(remarks) or 'ok'}")
    if wrong:
        raise PropertyError(f"{wrong} of the properties cannot be used.")


@property_.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
def import_(file: TextIO) -> None:
    """Store the properties of a JSON file {"name": "value", …}, all or none, and apply what was held."""
    try:
        entries = json.load(file)
    except ValueError as error:
        raise PropertyError(f"{file.name} is no JSON: {error}.") from error
    if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
        raise PropertyError(f'{file.name} must hold one JSON object {{"name": "value", …}}.')
    service = open_service()
    # those that others splice in, or are laid over, come first
    names = sorted(entries, key=lambda name: (parser.is_mapping(name), len(name)))
    with service.database.transaction(), progress(len(names), "Storing") as step:
        for name in names:
            try:
                _refuse_unknown_maker(service, mappings.save(name, entries[name], now=service.clock()))
            except PropertyError as error:
                raise PropertyError(f"{name}: {error} Nothing was stored.") from error
            step()
    click.echo(f"Stored {len(names)} properties.")
    apply_held(service, service.intake.freed_by(names))


@property_.command()
@click.option("--to", "path", type=click.Path(dir_okay=False, path_type=Path), help="A file; default: print.")
def export(path: Path | None) -> None:
    """Print all properties as the JSON that `import` reads."""
    with open_service().database.reading():
        text = json.dumps({row.name: row.value for row in mappings.every()}, indent=2, ensure_ascii=False)
    if path:
        path.write_text(text + "\n", encoding="utf-8")
    else:
        click.echo(text)


def _explain(name: str, checked: parser.Checked) -> None:
    if checked.value == parser.IGNORE:
        click.echo(f"Stored {name}: this product gets no license.")
        return
    if not parser.is_mapping(name):
        click.echo(f"Stored {name}: arguments that other properties can add with is_args={name}.")
        return
    click.echo(f"Stored {name}:")
    for argument, text in sorted(checked.effective.items()):
        if argument in ARGUMENTS:
            click.echo(f"  {argument} = {text}  ({ARGUMENTS[argument].meaning})")
    if "is_emailtemplate" not in checked.effective:
        click.echo("  No mail will be sent: is_emailtemplate is not given.")


def _refuse_unknown_maker(service: Service, checked: parser.Checked) -> None:
    service.key_makers.refuse_unknown(checked.effective.get("is_keymaker", ""))


def _missing_templates(service: Service, checked: parser.Checked) -> list[str]:
    return [
        f"There is no mail template {name!r} yet; the mail waits until there is."
        for name in mappings.template_names(checked)
        if not service.templates.exists(name)
    ]
