"""The program `dominion`, also called `dominion-pm`: finds the command and imports it when it is called."""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click

from dominion import __version__
from dominion.cli.exits import INTERRUPTED, exit_code, show_error
from dominion.cli.lazy import Lazy, Place
from dominion.cli.terminal import AS_JSON
from dominion.domain.errors import DominionError

COMMANDS: Mapping[str, Place] = MappingProxyType(
    {
        "serve": Place("machine.serve", "serve", "Run the gateway."),
        "login": Place("caller.login", "login", "Keep a key for a gateway on this machine."),
        "logout": Place("caller.login", "logout", "Forget the key that login kept."),
        "whoami": Place("caller.login", "whoami", "Show who you are and what is left of your quota."),
        "ask": Place("caller.ask", "ask", "Ask a model; the answer streams to the terminal."),
        "models": Place("caller.catalogue", "models", "List the models that you can ask."),
        "users": Place("admin.people", "users", "Make, list, suspend and activate users (admin)."),
        "keys": Place("admin.people", "keys", "Make, list, rotate and revoke keys (admin)."),
        "credentials": Place("caller.credentials", "credentials", "Keep and forget your own keys at providers."),
        "limits": Place("admin.limits", "limits", "Show and set the limits of a user (admin)."),
        "budgets": Place("admin.budgets", "budgets", "Limits of keys, providers, customers and runs (admin)."),
        "alerts": Place("admin.alerts", "alerts", "Show alerts and whether they arrived, and send a test (admin)."),
        "usage": Place("admin.limits", "usage", "Show what was used and what it costs (admin)."),
        "prices": Place("admin.prices", "prices", "Show and set what models cost (admin)."),
        "providers": Place(
            "providers.commands", "providers", "Register providers, see what their models cost (admin)."
        ),
        "audit": Place("machine.audit", "audit", "Check that nobody altered the audit log."),
        "sealing": Place("machine.sealing", "sealing", "Rotate the key that providers' credentials are sealed with."),
        "backup": Place("machine.backup", "backup", "Copy the database into one file, also while the gateway runs."),
        "restore": Place("machine.backup", "restore", "Put a backup back in its place."),
        "doctor": Place("machine.doctor", "doctor", "Find out what is wrong here, and what to do."),
    }
)


class Program(Lazy):
    """The commands of COMMANDS, each imported on its first use, and the one place where errors become exit codes."""

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


@click.group(cls=Program, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """One endpoint, one key, every model, and no surprise bill."""


def main() -> None:
    """The entry point of the program."""
    try:
        cli()
    except KeyboardInterrupt:  # before a command had begun, or after it had ended
        sys.exit(INTERRUPTED)
