"""The commands `credentials list|set|remove`: own keys at providers. Takes no key as an argument."""

import sys
from collections.abc import Callable
from typing import Any

import click

from dominion.cli.admin.gateway import Admin, path_of
from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, json_option, print_json, printable
from dominion.client.config_file import Surroundings
from dominion.client.selection import TOKEN_NAME, URL_NAME, current
from dominion.domain.errors import Unauthenticated

SHOWN = ("provider", "key", "origin", "created_at")


@click.group()
def credentials() -> None:
    """Keep and forget your own keys at providers; what is asked with them is paid there, and not charged here."""


def _options(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        json_option,
        click.option(
            "--admin-token", envvar="ADMIN_TOKEN", help="The admin token, for --user.  [env: ADMIN_TOKEN]", default=""
        ),
        click.option("--user", help="Whose keys, by id: for operators. Yours without it."),
        click.option("--url", help=f"Where the gateway is.  [env: {URL_NAME}]"),
    ):
        function = option(function)
    return function


@credentials.command("list", cls=Command, examples=["credentials list", "credentials list --user USER_ID --json"])
@_options
def list_credentials(url: str | None, user: str | None, admin_token: str, *, as_json: bool) -> None:
    """List the keys that are kept, of each the end."""
    found = _call("GET", url, user, admin_token)
    if as_json:
        print_json(found)
    else:
        rows = ([each[name] for name in SHOWN] for each in found["credentials"])
        print_table([name.replace("_", " ").upper() for name in SHOWN], rows)


@credentials.command("set", cls=Command, examples=["credentials set openai", "credentials set openai < key.txt"])
@click.argument("provider")
@_options
def set_credential(provider: str, url: str | None, user: str | None, admin_token: str, *, as_json: bool) -> None:
    """Keep a key: asked for without showing it, or read from a pipe. It is sealed at the gateway."""
    if sys.stdin.isatty():
        key = str(click.prompt(f"Key of {provider} (it is not shown)", hide_input=True)).strip()
    else:
        key = sys.stdin.readline().strip()
    kept = _call("PUT", url, user, admin_token, provider, fields={"api_key": key})
    if as_json:
        print_json(kept)
    else:
        click.echo(printable(f"The key {kept['key']} of {kept['provider']} is kept, for {kept['origin']} only."))


@credentials.command("remove", cls=Command, examples=["credentials remove openai"])
@click.argument("provider")
@_options
def remove_credential(provider: str, url: str | None, user: str | None, admin_token: str, *, as_json: bool) -> None:
    """Forget a key; no request is asked with it from now on."""
    removed = _call("DELETE", url, user, admin_token, provider)
    if as_json:
        print_json(removed)
    else:
        click.echo(printable(f"The key of {removed['provider']} is forgotten."))


def _call(
    method: str,
    url: str | None,
    user: str | None,
    admin_token: str,
    *provider: str,
    fields: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One request: of the operator where a user is named, else of the caller. Raises Unauthenticated."""
    choice = current(Surroundings.real())
    token = admin_token if user else choice.token
    if not token:
        name = "ADMIN_TOKEN" if user else TOKEN_NAME
        raise Unauthenticated(
            "This command needs the admin token." if user else "You are not logged in.",
            action=f"Set {name}." if user else f"Run `dominion login`, or set {name}.",
        )
    where = ("admin", "users", user, "credentials") if user else ("v1", "llm", "credentials")
    if url and not user and url.rstrip("/") != choice.url.rstrip("/"):
        raise click.UsageError(f"Your key is for {choice.url}; log in to {url} first.")
    return Admin(url or choice.url, token).call(method, path_of(*where, *provider), fields)
