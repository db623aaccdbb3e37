"""The commands `sealing rotate`, `sealing reseal` and `sealing retire`: the keys that credentials are sealed with."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import click
import msgspec

from dominion.app.beside import sealing_keys
from dominion.app.beside.sealing_keys import Sealed
from dominion.cli.exits import FAILED
from dominion.cli.terminal import Command, json_option, note, print_json, printable
from dominion.client.config_file import Surroundings
from dominion.config import Settings, load


@click.group()
def sealing() -> None:
    """Rotate the key that providers' credentials are sealed with.

    Works on the data folder or database that the configuration here names, beside a running gateway or without one.
    """


@sealing.command(cls=Command, examples=["sealing rotate"])
@json_option
@click.pass_context
def rotate(ctx: click.Context, *, as_json: bool) -> None:
    """Add a key, and seal every credential anew with it. Older keys still open; callers' keys stay valid."""
    _run(ctx, sealing_keys.rotate, as_json=as_json)
    note("Back the keys up now. `sealing retire` forgets those that are not needed any more.")


@sealing.command(cls=Command, examples=["sealing reseal"])
@json_option
@click.pass_context
def reseal(ctx: click.Context, *, as_json: bool) -> None:
    """Seal anew what is not under the newest key yet: to end a rotation that was cut off."""
    _run(ctx, sealing_keys.reseal, as_json=as_json)


@sealing.command(cls=Command, examples=["sealing retire"])
@json_option
@click.pass_context
def retire(ctx: click.Context, *, as_json: bool) -> None:
    """Forget the keys that nothing is sealed with; the first one stays, because callers' keys are checked with it."""
    _run(ctx, sealing_keys.retire, as_json=as_json)


def _run(ctx: click.Context, act: Callable[[Settings], Coroutine[Any, Any, Sealed]], *, as_json: bool) -> None:
    around = Surroundings.real()
    sealed = asyncio.run(act(load(around.environ, None, around.folder)))
    if as_json:
        print_json(msgspec.to_builtins(sealed._asdict() | {"credentials": sealed.credentials._asdict()}))
    else:
        versions = ", ".join(map(str, sealed.versions))
        click.echo(f"Version {sealed.current} seals; versions {versions} open.")
        click.echo(f"Sealed anew: {sealed.credentials.done}. Still under an older key: {sealed.credentials.left}.")
        for problem in sealed.credentials.problems:
            note(printable(problem))
    if sealed.credentials.left:
        ctx.exit(FAILED)
