"""Tables: drawn by rich on a terminal, tab-separated elsewhere. Imported only by commands that print some."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dominion.cli.terminal import printable


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """One line per row; None is shown as "-"."""
    cells = [[printable("-" if cell is None else str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (headings, *cells):
            click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=sys.stdout).print(table)
