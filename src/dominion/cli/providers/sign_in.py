"""The commands `providers login` and `providers logout`: a person signs in in a browser. Shows no token."""

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import click
import msgspec

from dominion import __version__
from dominion.authorities import copilot_settings, qwen_settings
from dominion.cli.terminal import Command, json_option, note, print_json, printable
from dominion.config import Settings, load
from dominion.credentials.oauth import pkce
from dominion.services.sign_in import copilot, qwen
from dominion.services.sign_in.device_flow import Prompt, sign_in
from dominion.services.sign_in.outside import Ask
from dominion.stores.files.tokens import TokenFile
from dominion.upstream.ask import HttpAsk
from dominion.upstream.pool import HttpUpstream
from dominion.upstream.proxies import Proxies

Show = Callable[[Prompt], None]
Sleep = Callable[[float], Awaitable[None]]
Chosen = copilot.CopilotSettings | qwen.QwenSettings

TABLES = {"copilot": "copilot", "qwen": "qwen_oauth"}
NAMES = {"copilot": copilot.NAME, "qwen": qwen.NAME}
WARNINGS = {
    "copilot": "Copilot's interface is undocumented, and GitHub may refuse programs that it does not know.",
    "qwen": qwen.DISCONTINUED,
}


provider_argument = click.argument("provider", type=click.Choice(list(TABLES)))
file_option = click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), help="The token's file; default: as configured."
)


@click.command(cls=Command, examples=["providers login copilot --client-id Ov23...", "providers login qwen --json"])
@provider_argument
@file_option
@click.option("--client-id", default="", help="The OAuth client; Copilot needs that of your own OAuth app.")
@click.option("--url", default="", help="Where to sign in, such as that of your own GitHub.")
@click.option("--api-url", default="", help="The API beside it, for Copilot.")
@json_option
def login(provider: str, file: Path | None, client_id: str, url: str, api_url: str, *, as_json: bool) -> None:
    """Sign in to a provider in a browser.

    The token is kept in a file that only you can read. A gateway that had one finds the new one within seconds; one
    that had none finds it at its next start.
    """
    settings = load(os.environ)
    store = TokenFile(file or _path(settings, provider))
    note(f"Warning: {WARNINGS[provider]}")
    chosen: Chosen
    if provider == "copilot":
        chosen = msgspec.structs.replace(copilot_settings(settings), **_given(client_id, web=url, api=api_url))
    else:
        chosen = msgspec.structs.replace(qwen_settings(settings), **_given(client_id, host=url))
    address = asyncio.run(_with_sockets(settings, chosen, store))
    if as_json:
        print_json({"provider": provider, "file": str(store.path), "base_url": address})
        return
    click.echo(f"Signed in to {NAMES[provider]}. The token is kept in {store.path}.")
    if TABLES[provider] not in settings.provider_tables:
        click.echo(f"To use it, add [providers.{TABLES[provider]}] to dominion.toml.")
    if provider == "copilot" and address not in (settings.copilot_base_url, copilot.BASE_URL):
        click.echo(printable(f'Your account wants base_url = "{address}" there.'))


@click.command(cls=Command, examples=["providers logout copilot"])
@provider_argument
@file_option
@json_option
def logout(provider: str, file: Path | None, *, as_json: bool) -> None:
    """Forget the token that login kept. To end it at the provider too, revoke it there."""
    path = file or _path(load(os.environ), provider)
    forgotten = asyncio.run(TokenFile(path).forget())
    if as_json:
        print_json({"provider": provider, "signed_out": forgotten})
    else:
        click.echo(f"Signed out of {NAMES[provider]}." if forgotten else "You were not signed in.")


async def sign_in_and_keep(
    chosen: Chosen, store: TokenFile, ask: Ask, show: Show, sleep: Sleep, now: Callable[[], float]
) -> str:
    """Sign in, try what was given, keep it; the address of completions. Raises as `sign_in`; then nothing is kept."""
    if isinstance(chosen, copilot.CopilotSettings):
        answer = await sign_in(copilot.device_flow(chosen), ask, show, sleep)
        token = await copilot.exchange(ask, chosen, answer.access_token)
        data, address = copilot.file_text(answer), token.endpoints.api or copilot.BASE_URL
    else:
        flow = qwen.device_flow(chosen, pkce(secrets.token_bytes(32)), str(uuid4()))
        credentials = qwen.credentials_of(await sign_in(flow, ask, show, sleep), now())
        data, address = qwen.file_text(credentials), qwen.base_url(credentials)
    async with store.locked():
        await store.write(data)
    return address


async def _with_sockets(settings: Settings, chosen: Chosen, store: TokenFile) -> str:
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


def _path(settings: Settings, provider: str) -> Path:
    return settings.copilot_token_path if provider == "copilot" else settings.qwen_credentials_path


def _given(client_id: str, **texts: str) -> dict[str, str]:
    return {name: text for name, text in {"client_id": client_id, **texts}.items() if text}
