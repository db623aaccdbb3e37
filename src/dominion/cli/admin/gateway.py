"""The way of operators' commands to the admin routes of a gateway."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import click

from dominion.cli.terminal import json_option
from dominion.client.config_file import Surroundings
from dominion.client.gateway import GatewayProvider
from dominion.client.selection import URL_NAME, current
from dominion.domain.errors import Unauthenticated


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

    def pages(self, path: str, **query: str | None) -> dict[str, Any]:
        """The first page of a list, with the rows of all that follow it."""
        found = page = self.call("GET", path, **query)
        while page.get("next"):
            page = self.call("GET", path, **query, after=page["next"])
            found["rows"] += page["rows"]
        return found | {"next": None} if "next" in found else found


def path_of(*parts: str) -> str:
    """A path of literal parts; what people typed cannot change where it leads."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


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
        function(Admin(url or current(Surroundings.real()).url, admin_token), **rest)

    return command
