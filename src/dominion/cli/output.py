"""What commands print besides tables."""

import sys
from typing import Any

import click
import msgspec

_CONTROL = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def print_json(value: Any) -> None:
    """Any JSON value, indented, on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def printable(text: str) -> str:
    """Text of others made harmless: on a terminal, control characters could rewrite what stands there."""
    return text.translate(_CONTROL)


def for_stdout(text: str) -> str:
    """Text of others for standard output: harmless on a terminal, untouched in a pipe or file."""
    return printable(text) if sys.stdout.isatty() else text


def note(text: str) -> None:
    """One line for the person at the terminal, out of the way of what is piped on."""
    click.echo(text, err=True)
