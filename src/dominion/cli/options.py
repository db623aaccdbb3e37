"""What commands share: their class with examples, the --json option, and the way to the admin routes."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import click

from dominion.client.config_file import Surroundings, load_config
from dominion.client.gateway import GatewayProvider
from dominion.client.selection import URL_NAME, choose
from dominion.client.stored_login import StoredLogin
from dominion.domain.errors import Unauthenticated

AS_JSON = "dominion.as_json"
"""The key in click's `ctx.meta` by which the group knows how a failure is to be shown."""


class Command(click.Command):
    """A command whose help ends with examples, under the name that the program was called by."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{ctx.find_root().info_name} {example}\n")


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click calls it so
    ctx.meta[AS_JSON] = value
    return value


json_option = click.option("--json", "as_json", is_flag=True, callback=_remember, help="Print JSON.")


class Admin:
    """The admin routes of one gateway."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def call(
        self, method: str, path: str, fields: Mapping[str, Any] | None = None, /, **query: str | int | None
    ) -> dict[str, Any]:
        """One request and its answer. Parts of `path` come from `path_of`; query values of None are left out."""
        given = {name: str(value) for name, value in query.items() if value is not None}

        async def run() -> dict[str, Any]:
            gateway = GatewayProvider(self._url, self._token)
            try:
                return await gateway.call(method, path, fields, given)
            finally:
                await gateway.aclose()

        return asyncio.run(run())


def path_of(*parts: str) -> str:
    """A path of literal parts; what people typed cannot change where it leads."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def configured_url(around: Surroundings) -> str:
    """Where the gateway is, by the environment, pm.config.yaml or the stored login."""
    return choose(load_config(around), around.environ, StoredLogin.load(around.config_folder)).url


def admin_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of every admin command, which is called with `admin` and `as_json` besides its own."""

    @click.option("--url", help=f"Where the gateway is.  [env: {URL_NAME}]")
    @click.option(
        "--admin-token", envvar="ADMIN_TOKEN", help="The admin token; better in the environment.  [env: ADMIN_TOKEN]"
    )
    @json_option
    @functools.wraps(function)
    def command(*, url: str | None, admin_token: str | None, **rest: Any) -> None:
        if not admin_token:
            raise Unauthenticated(
                "This command needs the admin token.",
                action="Set ADMIN_TOKEN; the gateway printed it at its first start, or you chose it yourself.",
            )
        function(Admin(url or configured_url(Surroundings.real()), admin_token), **rest)

    return command
