"""The only table of exit codes, and how a failure is shown."""

from typing import Any

import click
import msgspec

from dominion.cli.terminal import printable
from dominion.client.errors import GatewayUnreachable
from dominion.domain.errors import DominionError, Forbidden, LimitExceeded, SwitchProposed, Unauthenticated

FAILED = 1
WRONG_USAGE = 2  # click's own
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

EXITS: dict[type[DominionError], int] = {
    DominionError: FAILED,
    Unauthenticated: 3,
    Forbidden: 3,
    LimitExceeded: 4,
    GatewayUnreachable: 5,
    SwitchProposed: 6,
}


def exit_code(error: DominionError) -> int:
    """The code of the nearest class in the table."""
    return next(EXITS[kind] for kind in type(error).__mro__ if kind in EXITS)


def show_error(error: DominionError, *, as_json: bool) -> None:
    """Print an error on standard error: a sentence and what to do, or the flat body of the API with --json."""
    click.echo(msgspec.json.encode(_fields(error)) if as_json else printable("\n".join(_lines(error))), err=True)


def _fields(error: DominionError) -> dict[str, Any]:
    fields = {"error": error.code, "message": error.message, "action": error.action}
    return fields | error.details | {"notes": notes_of(error)}


def _lines(error: DominionError) -> list[str]:
    lines = [f"Error: {error.message}", error.action]
    if isinstance(error, LimitExceeded):
        reset = f"; resets at {error.resets_at}" if error.resets_at else ""
        lines.append(f"Used {error.used} of {error.limit}{reset}.")
    return lines + notes_of(error)


def notes_of(error: DominionError) -> list[str]:
    """What was added to an error on its way, such as the request id."""
    return getattr(error, "__notes__", [])
