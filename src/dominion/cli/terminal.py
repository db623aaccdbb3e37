"""What commands share at the terminal: their class with examples, the --json option, and printing besides tables."""

import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec

AS_JSON = "dominion.as_json"
"""The key in click's `ctx.meta` that says how a failure is to be shown."""
_CONTROL = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class Command(click.Command):
    """A command whose help ends with examples, under the name that the program was called by."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{ctx.find_root().info_name} {example}\n")


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click calls it so
    ctx.meta[AS_JSON] = value
    return value


json_option = click.option("--json", "as_json", is_flag=True, callback=_remember, help="Print JSON.")


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
