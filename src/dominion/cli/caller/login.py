"""Commands about the caller: keep a key, forget it, show what is left."""

import asyncio
import sys
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any

import click

from dominion.cli.terminal import Command, json_option, note, print_json, printable
from dominion.client.config_file import Surroundings
from dominion.client.gateway import QUOTA, Counter, GatewayProvider, Quota, understood
from dominion.client.selection import TOKEN_NAME, current, plain
from dominion.client.stored_login import StoredLogin
from dominion.domain.errors import Unauthenticated

CENT = Decimal("0.01")


@click.command(cls=Command, examples=["login", "login --url https://gateway.example < key.txt"])
@click.option("--url", help="Where the gateway is.  [env: DOMINION_API_URL]")
@click.option("--token", help="The key. Others can see it in the list of processes; better type or pipe it.")
@json_option
def login(url: str | None, token: str | None, *, as_json: bool) -> None:
    """Keep a key for a gateway on this machine.

    The key is asked for without showing it, or read from a pipe. It is tried at the gateway before it is kept, in a
    file that only you can read, and is never sent to another address.
    """
    around = Surroundings.real()
    kept = StoredLogin(plain(url or current(around).url), token or _typed())
    if not kept.token.startswith("dom_"):
        raise click.UsageError("This is not a key of a Dominion gateway: those begin with dom_. It was not sent.")
    quota = understood(asyncio.run(_quota(kept.url, kept.token)), Quota)
    file = kept.save(around.config_folder)
    if as_json:
        print_json({"url": kept.url, "user_id": quota.user_id, "name": quota.name, "file": str(file)})
    else:
        click.echo(printable(f"Logged in to {kept.url} as {quota.name} ({quota.user_id})."))
        click.echo(f"The key is kept in {file}.")
    if around.environ.get(TOKEN_NAME):
        note(f"{TOKEN_NAME} is set and is used instead of the key kept here.")


@click.command(cls=Command, examples=["logout"])
@json_option
def logout(*, as_json: bool) -> None:
    """Forget the key that login kept."""
    forgotten = StoredLogin.forget(Surroundings.real().config_folder)
    if as_json:
        print_json({"logged_out": forgotten})
    else:
        click.echo("Logged out." if forgotten else "You were not logged in.")


@click.command(cls=Command, examples=["whoami", "whoami --json"])
@json_option
def whoami(*, as_json: bool) -> None:
    """Show who you are and what is left of your quota."""
    choice = current(Surroundings.real())
    if not choice.token:
        raise Unauthenticated("You are not logged in.", action=f"Run `dominion login`, or set {TOKEN_NAME}.")
    fields = asyncio.run(_quota(choice.url, choice.token))
    if as_json:
        print_json(fields)
    else:
        click.echo(printable(describe(understood(fields, Quota))))


def describe(quota: Quota) -> str:
    """The four lines of specification 000."""
    spend = quota.monthly_spend
    cap = "unlimited" if spend.limit_usd is None else dollars(spend.limit_usd)
    return "\n".join(
        (
            f"User ID: {quota.user_id}",
            f"Daily Requests: {_counted(quota.daily_requests, str)}",
            f"Daily Tokens: {_counted(quota.daily_tokens, short)}",
            f"Monthly Spend: {dollars(spend.used_usd)}/{cap}",
        )
    )


def short(count: int) -> str:
    """A count as people say it, cut and never rounded up: 950, 25K, 25.3K, 1.2M."""
    for unit, name in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
        if count >= unit:
            whole, tenth = divmod(count * 10 // unit, 10)
            return f"{whole}.{tenth}{name}" if tenth else f"{whole}{name}"
    return str(count)


def dollars(amount: str) -> str:
    """A decimal string as dollars and cents, cut and never rounded up; every digit of what is less than a cent."""
    value = Decimal(amount)
    if 0 < value < CENT:
        return f"${value.normalize():f}"
    return f"${value.quantize(CENT, ROUND_DOWN)}"


def _counted(counter: Counter, show: Callable[[int], str]) -> str:
    if counter.limit is None:
        return f"{show(counter.used)}/unlimited"
    return f"{show(counter.used)}/{show(counter.limit)} ({show(counter.remaining or 0)} remaining)"


async def _quota(url: str, token: str) -> dict[str, Any]:
    gateway = GatewayProvider(url, token)
    try:
        return await gateway.call("GET", QUOTA)
    finally:
        await gateway.aclose()


def _typed() -> str:
    """The key from a pipe, or from the keyboard without showing it."""
    if sys.stdin.isatty():
        return str(click.prompt("Key (it is not shown)", hide_input=True)).strip()
    return sys.stdin.readline().strip()
