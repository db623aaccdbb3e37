"""The commands `providers list|show|add|change|set-key|validate|enable|disable|remove`. Takes no key as an argument."""

import sys
from typing import Any

import click

from dominion.cli.admin.gateway import Admin, admin_options, path_of
from dominion.cli.exits import FAILED
from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, note, print_json, printable

WHERE = ("admin", "providers")
SHOWN = ("id", "name", "kind", "source", "enabled", "configured", "default_model", "key", "problem")
DETAILS = (*SHOWN[:-1], "models", "wire", "scheme", "base_url", "created_at", "updated_at", "validated_at", "problem")

provider_argument = click.argument("provider")


def settings_options(function: Any) -> Any:
    """The options that `add` and `change` share."""
    for option in (
        click.option("--model", "models", multiple=True, help="A model that it serves; may be given several times."),
        click.option("--default-model", help="What it is asked for when a caller names no model."),
        click.option("--chat-path", help="Where completions are; {model} in it is the model's name."),
        click.option("--base-url", help="Its address; needed for a provider that the catalogue does not know."),
        click.option("--scheme", help="How the key is shown: bearer, header_key, api_key, google_key or none."),
        click.option("--wire", help="The dialect that it speaks; openai_chat unless the catalogue says otherwise."),
        click.option("--name", help="To recognise it by."),
    ):
        function = option(function)
    return function


@click.command(cls=Command, examples=["providers list", "providers list --all --json"])
@click.option("--all", "every", is_flag=True, help="Those that are not configured, too.")
@admin_options
def list_providers(admin: Admin, *, every: bool, as_json: bool) -> None:
    """List providers in the order in which they are asked."""
    found = admin.call("GET", path_of(*WHERE), all="true" if every else None)
    if as_json:
        print_json(found)
        return
    rows = ([_cell(row[name]) for name in SHOWN] for row in found["providers"])
    print_table([name.replace("_", " ").upper() for name in SHOWN], rows)


@click.command(cls=Command, examples=["providers show openai", "providers show openai --json"])
@provider_argument
@admin_options
def show_provider(admin: Admin, provider: str, *, as_json: bool) -> None:
    """Show one provider; of its key only the end."""
    _show(admin.call("GET", path_of(*WHERE, provider)), as_json=as_json)


@click.command(
    cls=Command,
    examples=[
        "providers add openai",
        "providers add mine --base-url https://llm.example/v1 --model m1 --default-model m1 < key.txt",
        "providers add local --base-url http://10.1.2.3:8000 --scheme none --default-model m1",
    ],
)
@provider_argument
@settings_options
@click.option("--no-key", is_flag=True, help="Do not ask for a key; `providers set-key` sets it later.")
@admin_options
def add_provider(admin: Admin, provider: str, *, no_key: bool, as_json: bool, **given: Any) -> None:
    """Register a provider, and ask it whether it takes the key.

    A provider of the catalogue needs only its id (`providers list --all`) and a key, which is asked for without showing
    it, or read from a pipe.
    """
    fields = {"id": provider, **_given(given)}
    if not no_key and given["scheme"] != "none":
        fields["api_key"] = _typed(provider)
    made = admin.call("POST", path_of(*WHERE), fields)
    if not made["configured"]:
        _show(made, as_json=as_json)
        return
    found = admin.call("POST", path_of(*WHERE, provider, "validate"))
    if as_json:
        print_json({**admin.call("GET", path_of(*WHERE, provider)), "validation": found})
    else:
        click.echo(printable(f"{made['name']} is registered and can be asked from now on."))
        _tell(found)
    _fail_unless(found)


@click.command(
    cls=Command,
    examples=["providers change mine --default-model m2", "providers change mine --base-url https://llm.example/v1"],
)
@provider_argument
@settings_options
@click.option("--position", type=click.IntRange(0), help="Its place among the registered ones; the lowest is first.")
@admin_options
def change_provider(admin: Admin, provider: str, *, as_json: bool, **given: Any) -> None:
    """Change a registered provider; what is not given stays. A new address forgets the key of the old one."""
    fields = _given(given)
    if not fields:
        raise click.UsageError("Name at least one change.")
    _show(admin.call("PATCH", path_of(*WHERE, provider), fields), as_json=as_json)


@click.command(cls=Command, examples=["providers set-key openai", "providers set-key openai < key.txt"])
@provider_argument
@admin_options
def set_key(admin: Admin, provider: str, *, as_json: bool) -> None:
    """Set the key of a provider: asked for without showing it, or read from a pipe. It is sealed at the gateway."""
    made = admin.call("PUT", path_of(*WHERE, provider, "credentials"), {"api_key": _typed(provider)})
    if as_json:
        print_json(made)
    else:
        click.echo(printable(f"The key {made['key']} of {made['name']} is kept. Try it: providers validate {provider}"))


@click.command(cls=Command, examples=["providers remove-key openai"])
@provider_argument
@admin_options
def remove_key(admin: Admin, provider: str, *, as_json: bool) -> None:
    """Forget the key of a provider."""
    _show(admin.call("DELETE", path_of(*WHERE, provider, "credentials")), as_json=as_json)


@click.command(cls=Command, examples=["providers validate openai", "providers validate openai --json"])
@provider_argument
@admin_options
def validate(admin: Admin, provider: str, *, as_json: bool) -> None:
    """Ask a provider whether it takes its key; exit code 1 if it does not. Takes less than five seconds."""
    found = admin.call("POST", path_of(*WHERE, provider, "validate"))
    if as_json:
        print_json(found)
    else:
        _tell(found)
    _fail_unless(found)


@click.command(cls=Command, examples=["providers enable openai"])
@provider_argument
@admin_options
def enable(admin: Admin, provider: str, *, as_json: bool) -> None:
    """Let requests go to a provider again, from the next one on."""
    _switch(admin, provider, "enable", as_json=as_json)


@click.command(cls=Command, examples=["providers disable openai"])
@provider_argument
@admin_options
def disable(admin: Admin, provider: str, *, as_json: bool) -> None:
    """Let no request go to a provider, from the next one on; it keeps its key."""
    _switch(admin, provider, "disable", as_json=as_json)


@click.command(cls=Command, examples=["providers remove mine"])
@provider_argument
@admin_options
def remove_provider(admin: Admin, provider: str, *, as_json: bool) -> None:
    """Remove a registered provider and its key."""
    removed = admin.call("DELETE", path_of(*WHERE, provider))
    if as_json:
        print_json(removed)
    else:
        click.echo(printable(f"{removed['id']} is removed, and its key is forgotten."))


def _switch(admin: Admin, provider: str, word: str, *, as_json: bool) -> None:
    made = admin.call("POST", path_of(*WHERE, provider, word))
    if as_json:
        print_json(made)
    else:
        click.echo(printable(f"{made['name']} is {word}d."))


def _typed(provider: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(f"Key of {provider} (it is not shown)", hide_input=True)).strip()
    return sys.stdin.readline().strip()


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, ())}


def _show(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(row)
        return
    for name in DETAILS:
        click.echo(printable(f"{name.replace('_', ' ').capitalize()}: {_cell(row[name])}"))


def _tell(found: dict[str, Any]) -> None:
    if found["valid"]:
        click.echo(printable(f"{found['message']} It took {found['took_ms']} ms."))
    else:
        note(printable(f"{found['message']}\n{found['action']}"))


def _fail_unless(found: dict[str, Any]) -> None:
    if not found["valid"]:
        raise click.exceptions.Exit(FAILED)


def _cell(value: Any) -> str:
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value))
    return str(value)
