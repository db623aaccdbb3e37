"""Plays the stub's plans where other providers have a socket. Never opens one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping

from dominion.domain.errors import NetworkFailure, ProviderTimeout, UnexpectedResponse
from dominion.domain.providers import Target
from dominion.providers.stub import Bytes, End, Head, Reset, Stall, Step, Wait, plan
from dominion.providers.stub_embeddings import plan_embeddings

NAME = "Stub"
Sleep = Callable[[float], Awaitable[None]]


class StubUpstream:
    """An `Upstream` in this process.

    Waits with `sleep`, and gives up as the real one does: after `first_byte` seconds without the head, or `idle`
    seconds without the next piece of the body.
    """

    def __init__(self, sleep: Sleep = asyncio.sleep, *, first_byte: float = 120.0, idle: float = 120.0) -> None:
        self._sleep = sleep
        self._first_byte = first_byte
        self._idle = idle

    async def send(self, target: Target, body: bytes, extra: bytes = b"") -> "StubExchange":  # noqa: ARG002 - it has no headers
        """Play the plan up to the head. Raises NetworkFailure, ProviderTimeout."""
        steps = plan_embeddings(body) if b"/embeddings " in target.head else plan(body)
        head = await _play(steps, self._sleep, self._first_byte)
        assert isinstance(head, Head), "a plan begins with a head"  # noqa: S101 - tells mypy what the stub promises
        return StubExchange(head, steps, self._sleep, self._idle)


class StubExchange:
    """The rest of a plan, as an `Exchange`."""

    def __init__(self, head: Head, steps: Iterator[Step], sleep: Sleep, idle: float) -> None:
        self.status = head.status
        self.headers: Mapping[bytes, bytes] = head.headers
        self._steps = steps
        self._sleep = sleep
        self._idle = idle

    async def chunk(self) -> bytes:
        """The next piece of the body; b"" at the end. Raises NetworkFailure, ProviderTimeout."""
        step = await _play(self._steps, self._sleep, self._idle)
        return step.data if isinstance(step, Bytes) else b""

    async def read(self, limit: int) -> bytes:
        """The rest of the body. Raises also UnexpectedResponse when it is longer than `limit` bytes."""
        body = b""
        while piece := await self.chunk():
            body += piece
            if len(body) > limit:
                raise UnexpectedResponse(f"The answer of {NAME} is longer than {limit} bytes.", provider=NAME)
        return body

    def close(self) -> None:
        """Drop the rest of the plan."""
        self._steps = iter(())


async def _play(steps: Iterator[Step], sleep: Sleep, limit: float) -> Head | Bytes | End:
    """Play steps until one brings something, waiting at most `limit` seconds; after the last step: End."""
    left = limit
    for step in steps:
        match step:
            case Wait(seconds) if seconds <= left:
                left -= seconds
                await sleep(seconds)
            case Wait() | Stall():
                await sleep(left)
                raise ProviderTimeout(f"{NAME} did not answer in {limit:g} seconds.", provider=NAME)
            case Reset():
                raise NetworkFailure(f"The connection to {NAME} broke.", provider=NAME)
            case Head() | Bytes() | End():
                return step
    return End()
