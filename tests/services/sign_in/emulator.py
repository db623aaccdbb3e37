"""A token endpoint on a real socket that answers what a test tells it to, and remembers what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from dominion.upstream.ask import HttpAsk
from dominion.upstream.pool import HttpUpstream
from tests.services.clocks import HandClock
from tests.upstream.hostile import Peer, serve, whole

Answer = tuple[int, Any]


class Asked(NamedTuple):
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of its body."""
        return dict(parse_qsl(self.body.decode(), strict_parsing=True))


class Endpoint:
    """Answers each request with `answer`: a status and what becomes JSON (bytes as they are)."""

    def __init__(self, answer: Callable[[Asked], Awaitable[Answer]]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.url = ""

    async def script(self, peer: Peer) -> None:
        """One connection."""
        while True:
            asked = await _read(peer)
            self.asked.append(asked)
            status, value = await self.answer(asked)
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            await peer.say(whole(body, b"content-type: application/json", status=b"%d X" % status))


async def _read(peer: Peer) -> Asked:
    try:
        head, *lines = (await peer.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError from error
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    method, path, _ = head.split(" ")
    return Asked(method, path, headers, await peer.reader.readexactly(int(headers["content-length"])))


def saying(*answers: Answer) -> Callable[[Asked], Awaitable[Answer]]:
    """These answers one after the other, the last one for ever."""
    left = list(answers)

    async def answer(_: Asked) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


class Scene(NamedTuple):
    """An endpoint, the way to it, and the clock."""

    endpoint: Endpoint
    ask: HttpAsk
    clock: HandClock


@asynccontextmanager
async def scene(answer: Callable[[Asked], Awaitable[Answer]]) -> AsyncIterator[Scene]:
    """Running."""
    endpoint = Endpoint(answer)
    upstream = HttpUpstream()
    async with serve(endpoint.script) as server:
        endpoint.url = f"http://127.0.0.1:{server.port}"
        try:
            yield Scene(endpoint, HttpAsk(upstream, "dominion/test"), HandClock())
        finally:
            await upstream.aclose()
