"""Groups of commands by a table, each imported when it is called, so that help and every other command stay quick."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click


class Place(NamedTuple):
    """Where a command is: the module in `dominion.cli`, its name there; and its line in the list of commands."""

    module: str
    attribute: str
    help: str


class Lazy(click.Group):
    """The commands of a table, in its order."""

    def __init__(self, *args: Any, table: Mapping[str, Place], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Import a command."""
        place = self.table.get(cmd_name)
        if place is None:
            return None
        command: click.Command = getattr(importlib.import_module(f"dominion.cli.{place.module}"), place.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; a mistyped one gets suggestions."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.table, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """The list of commands, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in self.table.items()])
