"""HTTP of the caller's side. Sends a key to the configured address only, and never follows a redirect."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import httpx2

from dominion.credentials import present
from dominion.domain.errors import ConfigProblem, DominionError, NetworkFailure, ProviderTimeout, UnexpectedResponse
from dominion.domain.providers import Origin
from dominion.providers.address import address, is_loopback

ReadError = Callable[[int, bytes], DominionError]
"""A status of 400 or more and the body, to the error behind them."""

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 600.0


def key_headers(scheme: str, key: str) -> dict[str, str]:
    """The headers that show a key (schemes: `credentials.present`). Raises ConfigProblem, without the key."""
    try:
        lines = present.headers(scheme, key).decode("ascii").splitlines()
    except ValueError as error:
        raise ConfigProblem(f"The key cannot be used: {error}.", action="Copy the key once more.") from None
    return dict(line.split(": ", 1) for line in lines)


def origin_of(url: str) -> Origin:
    """Where an address leads. Raises ConfigProblem when it is not http(s)://host[:port][/path]."""
    try:
        return address(url, "/")[0]
    except ValueError as error:
        raise ConfigProblem(
            f"The address is wrong: {error}.", action="Write it like https://gateway.example or http://127.0.0.1:3100."
        ) from None


class Connection:
    """One server, and the key for it.

    `whom` names the server in sentences; `unreachable` is raised when nothing answers there.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        read_error: ReadError,
        *,
        whom: str,
        unreachable: type[NetworkFailure] = NetworkFailure,
    ) -> None:
        """Raises ConfigProblem for an address that cannot be one."""
        origin = origin_of(url)
        self.url = url
        self._whom = whom
        self._read_error = read_error
        self._unreachable = unreachable
        at_home = is_loopback(origin.host)
        self._http = httpx2.AsyncClient(
            headers=dict(headers) | {"accept-encoding": "identity"},
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
            # A proxy of the environment has no business between a program and its own machine.
            trust_env=not at_home,
            # Loading certificates takes 40 ms; without TLS, a proxy or redirects there is nothing to verify.
            verify=not (at_home and origin.scheme == "http"),
        )

    @asynccontextmanager
    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> AsyncIterator[httpx2.Response]:
        """A 2xx answer, its body still to be read. `headers` are for this request only.

        Raises (also out of the reading) what the server told, NetworkFailure, ProviderTimeout, UnexpectedResponse.
        """
        origin, target = address(self.url, path)
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        url = f"{origin.scheme}://{host}:{origin.port}{target}"
        lines = {**headers} if body is None else {**headers, "content-type": "application/json"}
        try:
            async with self._http.stream(method, url, content=body, params=params, headers=lines) as response:
                if not response.is_success:
                    raise await self._failure(response)
                yield response
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise self._unreachable(
                f"Cannot reach {self._whom} at {self.url}: {error}.", provider=self._whom
            ) from error
        except httpx2.TimeoutException as error:
            raise ProviderTimeout(f"No answer in time from {self._whom} at {self.url}.", provider=self._whom) from error
        except httpx2.RequestError as error:
            raise NetworkFailure(f"The connection to {self._whom} at {self.url} broke.", provider=self._whom) from error

    async def _failure(self, response: httpx2.Response) -> DominionError:
        if not response.is_error:
            return UnexpectedResponse(
                f"Status {response.status_code} from {self._whom} at {self.url}, which points elsewhere.",
                provider=self._whom,
                status=response.status_code,
                action="Configure the final address: a key is never sent on to another one.",
            )
        error = self._read_error(response.status_code, await response.aread())
        wait = response.headers.get("retry-after", "")
        if wait.isdecimal():
            error.retry_after = float(wait)
        return error

    async def call(
        self, method: str, path: str, body: bytes | None = None, params: Mapping[str, str] | None = None
    ) -> bytes:
        """The whole body of a 2xx answer. Raises as `send`."""
        async with self.send(method, path, body, params) as response:
            return await response.aread()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()
