"""The command `serve`: options for every setting, and what the start announces."""

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from dominion import app
from dominion.cli.terminal import Command, json_option, print_json
from dominion.config import SETTINGS, Setting, load
from dominion.domain.errors import ConfigProblem

LOCAL = "llamacpp"
"""The provider that answers first when there is a local model."""


def _option(setting: Setting) -> Callable[[Any], Any]:
    default = f"; default {setting.default}" if setting.default else ""
    secret = " Others can see it in the list of processes." if setting.kind.name == "secret" else ""
    names = [setting.option, *(["--config"] if setting.env == "DOMINION_CONFIG" else [])]
    return click.option(
        *dict.fromkeys(names),
        setting.field,
        metavar="VALUE",
        help=f"{setting.help}{secret}  [env: {setting.env}{default}]",
    )


def _every_setting(function: Callable[..., None]) -> Callable[..., None]:
    for setting in reversed(SETTINGS):
        function = _option(setting)(function)
    return function


@click.command(cls=Command, examples=["serve", "serve --port 8080 --config gateway.toml", "serve --local-model"])
@click.option("--local-model", is_flag=True, help="Also run a small real model on this machine (extra: local).")
@click.option("--listen-fd", type=int, metavar="FD", help="Take over a listening socket; systemd's is taken anyway.")
@click.option("--worker", nargs=4, type=int, hidden=True, help="Number and descriptors, from the supervisor.")
@_every_setting
@json_option
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    *,
    local_model: bool,
    listen_fd: int | None,
    worker: tuple[int, int, int, int] | None,
    as_json: bool,
    **options: str | None,
) -> None:
    """Run the gateway.

    Options win over the environment, that over .env, that over dominion.toml. SIGTERM and SIGINT end it when running
    answers have ended; with several workers, SIGHUP replaces one after another without losing a request.
    """
    settings, place = load(os.environ, options), None
    if worker is not None:
        number, listening_fd, supervisor_fd, adopts = worker
        place = app.seated(app.given_place(number, listening_fd, supervisor_fd, adopts=bool(adopts)), settings)
        if place is None:
            return
        settings = load(os.environ, options)  # they may have changed while it waited
    app.log_to_stderr(settings)
    if place is not None:
        app.work(settings, place)
        return
    announce = _announce_json if as_json else _announce
    listening = app.systemd_socket(os.environ) if listen_fd is None else app.given_socket(listen_fd)
    if settings.workers == 1:
        app.main(settings, announce, app.Place(listening=listening), local_model=local_model)
        return
    if local_model:
        raise ConfigProblem(
            "The local model runs with one worker only.", action="Leave out --workers or --local-model."
        )
    ctx.exit(app.supervise(settings, (sys.executable, *sys.orig_argv[1:]), listening, announce))


def _announce_json(ready: app.Ready) -> None:
    """One JSON object when the gateway answers."""
    first = ready.first
    print_json(
        {
            "url": ready.url,
            "providers": ready.providers,
            "warnings": ready.warnings,
            "recovered": ready.recovered,
            "first_start": first
            and {"admin_token": first.admin_token or None, "user_id": first.user_id, "api_key": first.api_key},
        }
    )


def _announce(ready: app.Ready) -> None:
    """For people. The secrets of a first start are shown now and never again, the key inside a command to copy."""
    click.echo(f"Dominion answers at {ready.url}; providers: {', '.join(ready.providers)}.")
    for warning in ready.warnings:
        click.echo(f"Warning: {warning}")
    if ready.recovered:
        click.echo(f"{ready.recovered} rows of an earlier run were recovered from the journal.")
    if ready.first is None:
        return
    click.echo("\nThese are shown only now. Keep them.\n")
    if ready.first.admin_token:
        click.echo(f"  export ADMIN_TOKEN={ready.first.admin_token}")
    if ready.first.api_key:
        click.echo(f"  export DOMINION_API_URL={ready.url}")
        click.echo(f"  export DOMINION_API_TOKEN={ready.first.api_key}\n")
        click.echo("Then ask something, in another terminal:\n")
        click.echo(_curl(ready.url, ready.first.api_key, slowly=ready.providers[0] == LOCAL))


def _curl(url: str, api_key: str, *, slowly: bool) -> str:
    """`slowly`: a model that takes a minute for an answer that nobody ends is asked for a short one, as it comes."""
    return (
        f"  curl {'-N ' if slowly else ''}{url}/v1/llm/complete \\\n"
        f'    -H "Authorization: Bearer {api_key}" -H "Content-Type: application/json" \\\n'
        """    -d '{"messages": [{"role": "user", "content": "Hello!"}]"""
        f"""{', "max_tokens": 60, "stream": true' if slowly else ""}}}'\n"""
    )
