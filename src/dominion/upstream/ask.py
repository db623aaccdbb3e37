"""Small requests to token endpoints and webhooks over the client for providers; never follows a redirect, and goes
unencrypted only where the operator's own files say so."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from dominion.credentials.present import host
from dominion.domain.errors import ConfigProblem, ProviderTimeout
from dominion.domain.providers import Origin, Target
from dominion.providers.address import address, is_loopback
from dominion.upstream.pool import HttpUpstream

SECONDS = 30.0
LARGEST = 256 * 1024


class HttpAsk:
    """Implements `dominion.services.sign_in.outside.Ask`. `agent` is the user-agent where the headers name none;
    `plain` allows http to other machines."""

    def __init__(self, upstream: HttpUpstream, agent: str, seconds: float = SECONDS, *, plain: bool = False) -> None:
        self._upstream = upstream
        self._agent = agent
        self._seconds = seconds
        self._plain = plain

    async def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, bytes]:
        """The status and the body of the answer. Header names in lower case.

        Raises NetworkFailure, ProviderTimeout, UnexpectedResponse, and ConfigProblem for an address or a header value
        that cannot be one and for plain http to another machine: these requests carry secrets.
        """
        origin, path = _split(url)
        if origin.scheme == "http" and not self._plain and not is_loopback(origin.host):
            raise ConfigProblem(
                f"Secrets are not sent to {origin.host} unencrypted.", action="Give its address with https://."
            )
        lines = {"accept-encoding": "identity", "user-agent": self._agent, **headers}
        if not all(f"{name}{value}".isascii() and f"{name}{value}".isprintable() for name, value in lines.items()):
            raise ConfigProblem(f"A header value for {origin.host} holds a character that headers cannot have.")
        head = f"{method} {path} HTTP/1.1\r\nhost: {host(origin)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        try:
            async with asyncio.timeout(self._seconds):
                exchange = await self._upstream.send(Target(origin, head.encode("ascii")), body)
                try:
                    return exchange.status, await exchange.read(LARGEST)
                finally:
                    exchange.close()
        except TimeoutError as error:
            raise ProviderTimeout(f"{origin.host} did not answer within {self._seconds:g} s.") from error


def _split(url: str) -> tuple[Origin, str]:
    try:
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        origin, path = address(f"{parts.scheme}://{parts.netloc}", (parts.path or "/") + query)
    except ValueError as error:
        raise ConfigProblem(f"The address of a token endpoint is wrong: {error}.") from None
    return origin, path
