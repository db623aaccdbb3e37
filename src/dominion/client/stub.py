"""The stub: deterministic answers for tests and first steps. Opens no connection and needs no key."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from dominion.client.dialect_provider import Answered, DirectProvider, catalogue_row
from dominion.client.provider import LLMModel
from dominion.domain.contracts import Exchange
from dominion.domain.providers import Origin, Target
from dominion.providers.stub_upstream import NAME, StubUpstream
from dominion.wire.openai_chat.dialect import OPENAI_CHAT

NOWHERE = Target(Origin("stub", "stub", 0), b"")
LARGEST_ANSWER = 64 * 1024 * 1024


class StubProvider(DirectProvider):
    """Repeats the last text of the user, or fails as its model's name asks: `dominion.providers.stub` lists them."""

    name = "stub"
    dialect = OPENAI_CHAT

    def __init__(self, model: str | None = None, upstream: StubUpstream | None = None) -> None:
        super().__init__(_InProcess(upstream or StubUpstream()), catalogue_row(self.name), model)

    async def models(self) -> list[LLMModel]:
        """The model that answers."""
        return [LLMModel(id=self._model, provider=self.name)]


class _InProcess:
    """The wire to the stub, without a socket."""

    def __init__(self, upstream: StubUpstream) -> None:
        self._upstream = upstream

    @asynccontextmanager
    async def send(
        self,
        _method: str,
        _path: str,
        body: bytes | None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),  # noqa: ARG002 - it reads none
    ) -> AsyncIterator[Answered]:
        """Raises what an error answer tells, NetworkFailure or ProviderTimeout."""
        exchange = await self._upstream.send(NOWHERE, body or b"")
        if exchange.status >= 400:  # noqa: PLR2004 - errors begin there
            raise OPENAI_CHAT.read_error(NAME, exchange.status, await exchange.read(LARGEST_ANSWER))
        yield _Played(exchange)

    async def aclose(self) -> None:
        """Nothing is open."""


class _Played:
    """A 2xx answer of the stub."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def headers(self) -> Mapping[str, str]:
        """None that matters."""
        return {}

    async def aread(self) -> bytes:
        """The whole body."""
        return await self._exchange.read(LARGEST_ANSWER)

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        while chunk := await self._exchange.chunk():
            yield chunk
