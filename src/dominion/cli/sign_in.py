"""The commands `providers login` and `providers logout`: a person signs in in a browser. Shows no token."""

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import click
import msgspec

from dominion import __version__
from dominion.cli.terminal import Command, json_option, note, print_json, printable
from dominion.config import Settings, load
from dominion.credentials.oauth import pkce
from dominion.services.sign_in import copilot, qwen
from dominion.services.sign_in.device_flow import Prompt, sign_in
from dominion.services.sign_in.outside import Ask
from dominion.stores.token_files import TokenFile
from dominion.upstream.ask import HttpAsk
from dominion.upstream.pool import HttpUpstream
from dominion.upstream.proxies import Proxies

Show = Callable[[Prompt], None]
Sleep = Callable[[float], Awaitable[None]]
S = TypeVar("S", copilot.CopilotSettings, qwen.QwenSettings)

FILES = {"copilot": "copilot_token.txt", "qwen": "qwen_credentials.json"}
NAMES = {"copilot": copilot.NAME, "qwen": qwen.NAME}
WARNINGS = {
    "copilot": "Copilot's interface is undocumented, and GitHub may refuse programs that it does not know.",
    "qwen": qwen.DISCONTINUED,
}


class Chosen(msgspec.Struct, frozen=True):
    """What the person chose; empty texts stand for the usual."""

    provider: str
    client_id: str = ""
    url: str = ""
    api_url: str = ""


provider_argument = click.argument("provider", type=click.Choice(list(FILES)))
file_option = click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), help="The token's file; default: in the data folder."
)


@click.group()
def providers() -> None:
    """Sign in to providers that have no keys."""


@providers.command(
    "login", cls=Command, examples=["providers login copilot --client-id Ov23...", "providers login qwen --json"]
)
@provider_argument
@file_option
@click.option("--client-id", default="", help="The OAuth client; Copilot needs that of your own OAuth app.")
@click.option("--url", default="", help="Where to sign in, such as that of your own GitHub.")
@click.option("--api-url", default="", help="The API beside it, for Copilot.")
@json_option
def login(provider: str, file: Path | None, client_id: str, url: str, api_url: str, *, as_json: bool) -> None:
    """Sign in to a provider in a browser.

    The token is kept in a file that only you can read; a running gateway finds it within seconds.
    """
    settings = load(os.environ)
    store = TokenFile(file or settings.data_dir / FILES[provider])
    note(f"Warning: {WARNINGS[provider]}")
    chosen = Chosen(provider, client_id, url, api_url)
    told = asyncio.run(_with_sockets(settings, chosen, store))
    if as_json:
        print_json({"provider": provider, "file": str(store.path), **told})
    else:
        click.echo(printable(f"Signed in to {NAMES[provider]}; completions go to {told['base_url']}."))
        click.echo(f"The token is kept in {store.path}.")


@providers.command("logout", cls=Command, examples=["providers logout copilot"])
@provider_argument
@file_option
@json_option
def logout(provider: str, file: Path | None, *, as_json: bool) -> None:
    """Forget the token that login kept. To end it at the provider too, revoke it there."""
    path = file or load(os.environ).data_dir / FILES[provider]
    forgotten = asyncio.run(TokenFile(path).forget())
    if as_json:
        print_json({"provider": provider, "signed_out": forgotten})
    else:
        click.echo(f"Signed out of {NAMES[provider]}." if forgotten else "You were not signed in.")


async def sign_in_and_keep(
    chosen: Chosen, store: TokenFile, ask: Ask, show: Show, sleep: Sleep, now: Callable[[], float]
) -> dict[str, Any]:
    """Sign in, try what was given, keep it. Raises as `sign_in`; then nothing is kept."""
    if chosen.provider == "copilot":
        settings = _settings(copilot.CopilotSettings, client_id=chosen.client_id, web=chosen.url, api=chosen.api_url)
        answer = await sign_in(copilot.device_flow(settings), ask, show, sleep)
        token = await copilot.exchange(ask, settings, answer.access_token)
        data, address = copilot.file_text(answer), token.endpoints.api or copilot.BASE_URL
    else:
        host = _settings(qwen.QwenSettings, client_id=chosen.client_id, host=chosen.url)
        flow = qwen.device_flow(host, pkce(secrets.token_bytes(32)), str(uuid4()))
        credentials = qwen.credentials_of(await sign_in(flow, ask, show, sleep), now())
        data, address = qwen.file_text(credentials), qwen.base_url(credentials)
    async with store.locked():
        await store.write(data)
    return {"base_url": address}


async def _with_sockets(settings: Settings, chosen: Chosen, store: TokenFile) -> dict[str, Any]:
    http, https = settings.http_proxy, settings.https_proxy
    proxies = Proxies(http.reveal() if http else "", https.reveal() if https else "", ",".join(settings.no_proxy))
    upstream = HttpUpstream(proxies=proxies)
    try:
        ask = HttpAsk(upstream, f"dominion/{__version__}")
        return await sign_in_and_keep(chosen, store, ask, _show, asyncio.sleep, time.time)
    finally:
        await upstream.aclose()


def _show(prompt: Prompt) -> None:
    """On standard error: the result alone goes to standard output."""
    note(printable(f"Open {prompt.address} and enter the code {prompt.code}"))
    if prompt.direct:
        note(printable(f"or open {prompt.direct}"))
    note(f"within {prompt.seconds / 60:.0f} minutes. Waiting ...")


def _settings(kind: type[S], **texts: str) -> S:
    return msgspec.convert({name: text for name, text in texts.items() if text}, kind)
