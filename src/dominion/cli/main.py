"""The program `dominion`, also called `dominion-pm`: finds the command and imports it when it is called."""

import importlib
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import click

from dominion import __version__
from dominion.cli.exits import INTERRUPTED, exit_code, show_error
from dominion.cli.terminal import AS_JSON
from dominion.domain.errors import DominionError


class Place(NamedTuple):
    """Where a command is: the module in `dominion.cli`, its name there; and its line in the list of commands."""

    module: str
    attribute: str
    help: str


COMMANDS: Mapping[str, Place] = MappingProxyType(
    {
        "serve": Place("serve", "serve", "Run the gateway."),
        "login": Place("login", "login", "Keep a key for a gateway on this machine."),
        "logout": Place("login", "logout", "Forget the key that login kept."),
        "whoami": Place("login", "whoami", "Show who you are and what is left of your quota."),
        "ask": Place("ask", "ask", "Ask a model; the answer streams to the terminal."),
        "models": Place("catalogue", "models", "List the models that you can ask."),
        "users": Place("people", "users", "Make, list, suspend and activate users (admin)."),
        "keys": Place("people", "keys", "Make, list and revoke keys (admin)."),
        "limits": Place("limits", "limits", "Show and set the limits of a user (admin)."),
        "usage": Place("limits", "usage", "Show what was used and what it costs (admin)."),
        "providers": Place("sign_in", "providers", "Sign in to providers that have no keys."),
        "doctor": Place("doctor", "doctor", "Find out what is wrong here, and what to do."),
    }
)


class Program(click.Group):
    """The commands of COMMANDS, each imported on its first use, and the one place where errors become exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Import a command."""
        place = COMMANDS.get(cmd_name)
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
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """The list of commands, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises becomes a message and an exit code."""
        try:
            return super().invoke(ctx)
        except DominionError as error:
            show_error(error, as_json=ctx.meta.get(AS_JSON, False))
            raise click.exceptions.Exit(exit_code(error)) from error
        except (KeyboardInterrupt, click.Abort):
            click.echo(err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """One endpoint, one key, every model, and no surprise bill."""


def main() -> None:
    """The entry point of the program."""
    try:
        cli()
    except KeyboardInterrupt:  # before a command had begun, or after it had ended
        sys.exit(INTERRUPTED)
