"""Asks once more where that helps: after a provider's rate limit, and where a person agrees to another model."""

import sys
from collections.abc import Awaitable, Callable
from math import ceil
from typing import TypeVar

import click

from dominion.cli.terminal import note, printable
from dominion.domain.errors import ProviderRateLimited, SwitchProposed

T = TypeVar("T")
TIMES = 3
LONGEST_WAIT = 60.0
"""Seconds that a person is made to wait."""


async def again(
    ask: Callable[[str | None], Awaitable[T]], accept: str | None, sleep: Callable[[float], Awaitable[None]]
) -> T:
    """What `ask` returns; it takes the model that was agreed to, or None.

    Raises what it raises in the end: SwitchProposed, too, when the person says no or there is no terminal to ask at.
    """
    waited = 0
    while True:
        try:
            return await ask(accept)
        except ProviderRateLimited as limited:
            wait = limited.retry_after
            if wait is None or wait > LONGEST_WAIT or waited == TIMES:
                raise
            waited += 1
            said, seconds = printable(limited.message.partition(" It says: ")[0]), ceil(wait)
            note(f"{said} Retrying in {seconds} second{'s' if seconds > 1 else ''}...")
            await sleep(wait)
        except SwitchProposed as proposed:
            if not sys.stdin.isatty() or not click.confirm(printable(proposed.message), err=True):
                raise
            accept = proposed.model
