"""`plugin`: begins a plugin of one's own."""

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from qlmhook.errors import QlmhookError
from qlmhook.vendors.loader import installed_names

TEMPLATE = files("qlmhook.cli") / "plugin_template"
SUFFIX = ".txt"
"""What the template's files end with, so that nothing takes them for modules of qlmhook."""

LONGEST_NAME = 32


@click.group()
def plugin() -> None:
    """Write a plugin for a shop that has none."""


@plugin.command()
@click.argument("name", metavar="NAME")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def new(name: str, folder: Path) -> None:
    """Write a plugin that works, with its tests, to begin with."""
    written = {path: _named(source.read_text(encoding="utf-8"), name) for path, source in _template(name)}
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise QlmhookError(f"{folder} is there already; name a folder that is empty, or none.")
    for path, text in written.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
        click.echo(f"Wrote {folder / path}")
    click.echo(f"Next: pip install -e '{folder}[test]', and run pytest there. {folder / 'README.md'} says more.")


def _template(name: str) -> Iterator[tuple[str, Traversable]]:
    """Yield each file of the template with the path that it gets; raises QlmhookError for a name that cannot be."""
    if not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{LONGEST_NAME - 1}}}", name):
        raise QlmhookError(
            f"{name!r} cannot be a plugin's name: up to {LONGEST_NAME} lower-case letters, digits and _ are meant."
        )
    if name in installed_names():
        raise QlmhookError(f"A plugin named {name!r} is installed already; name yours otherwise.")
    for path, source in _below(TEMPLATE):
        if re.search(rf"\b{_class_name(name)}\b", source.read_text(encoding="utf-8")):
            raise QlmhookError(f"A plugin cannot be called {name!r}: {_class_name(name)} is a word of its module.")
        yield _named(path.removesuffix(SUFFIX), name), source


def _below(folder: Traversable, path: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _below(entry, f"{path}{entry.name}/")
        else:
            yield path + entry.name, entry


def _named(text: str, name: str) -> str:
    return text.replace("shopname", name).replace("ShopName", _class_name(name))


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
