"""How commands print: tables for people, JSON for scripts, progress on a terminal only."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from qlmhook.reports.listings import Row

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON array and nothing else.")
limited = click.option("--limit", type=click.IntRange(1), help="Print at most so many.")

WIDEST = 60
"""Characters of a column on a terminal."""

NEVER_CUT = ("reason", "last_error", "answer")
"""What says how to go on."""


def print_rows(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool) -> None:
    """Print all fields as JSON, or some columns as a table, which is cut on a terminal only."""
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = [[column.upper() for column in columns], *([_cell(row, name) for name in columns] for row in rows)]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    for line in table if rows else []:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(row: Row, *, indent: str = "") -> None:
    """Print one row, a field a line."""
    width = max(len(name) for name in row) + 2
    for name, value in row.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{name}:")
            print_fields(value, indent=indent + "  ")
        else:
            click.echo(f"{indent}{name + ':':<{width}}{printable(value)}".rstrip())


def printable(value: Any) -> str:
    """Return a value as text that cannot disturb a terminal, whatever a customer typed."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else "�" for char in text)


@contextmanager
def progress(length: int, label: str) -> Iterator[Callable[[], None]]:
    """Yield a function that is called after each step; the bar shows on a terminal, not in a pipe."""
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        yield lambda: bar.update(1)


def _cell(row: Row, name: str) -> str:
    text = printable(row[name])
    whole = len(text) <= WIDEST or name in NEVER_CUT or not sys.stdout.isatty()
    return text if whole else text[: WIDEST - 1] + "…"
