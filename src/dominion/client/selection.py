"""Which provider answers: the order of specification 000, as one pure decision."""

from collections.abc import Mapping

import msgspec

from dominion.client.config_file import ClientConfig, Surroundings, load_config
from dominion.client.stored_login import StoredLogin

URL_NAME = "DOMINION_API_URL"
TOKEN_NAME = "DOMINION_API_TOKEN"  # noqa: S105 - the name of a variable
DEFAULT_URL = "http://127.0.0.1:3100"
"""One's own gateway. Never somebody else's: a default address is where keys go that were meant for another."""
GATEWAY = "gateway"
STUB = "stub"


class Choice(msgspec.Struct, frozen=True):
    """The provider, and why. `url` is where the gateway is, `token` the key for it ("" when there is none)."""

    provider: str
    why: str
    url: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Choice({self.provider!r}, {self.why!r}, url={self.url!r}, token={'***' if self.token else ''!r})"


def choose(config: ClientConfig, environ: Mapping[str, str], login: StoredLogin | None) -> Choice:
    """1. a key for a gateway is there: the gateway; 2. `provider.default`; 3. the stub.

    Keys count in this order: DOMINION_API_TOKEN, `gateway.token`, the stored login. The last belongs to the address it
    was made for and is not used for another.
    """
    url = plain(environ.get(URL_NAME) or config.gateway.url or (login.url if login else "") or DEFAULT_URL)
    if token := environ.get(TOKEN_NAME):
        return Choice(GATEWAY, f"{TOKEN_NAME} is set", url, token)
    if config.gateway.token:
        return Choice(GATEWAY, f"gateway.token is set in {config.file}", url, config.gateway.token)
    if login is not None and plain(login.url) == url:
        return Choice(GATEWAY, "you are logged in", url, login.token)
    if config.provider.default:
        return Choice(config.provider.default, f"provider.default is set in {config.file}", url)
    return Choice(STUB, "neither a key for a gateway nor provider.default is set", url)


def current(around: Surroundings) -> Choice:
    """The choice in these surroundings. Raises ConfigProblem for a file that is wrong."""
    return choose(load_config(around), around.environ, StoredLogin.load(around.config_folder))


def plain(url: str) -> str:
    """The address without what people add to it: a closing slash, or the /v1 that vendors' SDKs want."""
    return url.rstrip("/").removesuffix("/v1")
