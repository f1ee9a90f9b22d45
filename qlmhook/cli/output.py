"""How commands print: tables for people, JSON for scripts, progress on a terminal only."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import click

from qlmhook.reports.listings import Row

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON array and nothing else.")
as_csv = click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, a line of names first.")
limited = click.option("--limit", type=click.IntRange(1), help="Print at most so many.")

WIDEST = 60
"""Characters of a column on a terminal."""

MEASURED = 500
"""Rows by which the columns of a table are made wide enough; no more of it are ever in memory."""

NEVER_CUT = ("reason", "last_error", "answer")
"""What says how to go on."""


def print_rows(rows: Iterable[Row], columns: Sequence[str], *, as_json: bool, as_csv: bool = False) -> None:
    """Print rows as they come: all fields as JSON or CSV, or some columns as a table, cut on a terminal only."""
    if as_json:
        print_json(rows)
    elif as_csv:
        _print_csv(rows)
    else:
        _print_table(iter(rows), columns)


def print_json(rows: Iterable[Row]) -> None:
    """Print rows as one JSON array, each as it comes."""
    before = "["
    for row in rows:
        click.echo(before + "\n  " + json.dumps(row, indent=2, ensure_ascii=False).replace("\n", "\n  "), nl=False)
        before = ","
    click.echo("[]" if before == "[" else "\n]")


def _print_csv(rows: Iterable[Row]) -> None:
    writer: Any = None
    for row in map(_flat, rows):
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)


def _flat(row: Row) -> Row:
    """Return a row whose fields have no fields: `customer`, which has `email`, becomes `customer_email`."""
    flat: Row = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_{part}": inner for part, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _print_table(rows: Iterator[Row], columns: Sequence[str]) -> None:
    measured = [[_cell(row, name) for name in columns] for row in islice(rows, MEASURED)]
    table = [[column.upper() for column in columns], *measured]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    for line in chain(table, ([_cell(row, name) for name in columns] for row in rows)) if measured else []:
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
