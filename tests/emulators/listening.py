"""Servers on loopback in a thread of their own, one request a connection. Never hides what an answer raised."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self

from tests.whole.canary_run import keep_heard


class Asked(NamedTuple):
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answering = Callable[[Asked, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listening:
    """One listener for each function that answers; `urls` in their order, known inside the `with`.

    `heard` is all that came: which of the functions was asked, and what.
    """

    def __init__(self, *answering: Answering) -> None:
        self._answering = answering
        self._failures: list[Exception] = []
        self._ready = threading.Event()
        self.urls: list[str] = []
        self.heard: list[tuple[int, Asked]] = []

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        keep_heard(self.urls[0], [(asked.path, asked.headers, asked.body) for _, asked in self.heard])
        assert self._failures == []

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        servers = [
            await asyncio.start_server(self._connection(number), "127.0.0.1", 0, limit=1 << 20, backlog=1024)
            for number in range(len(self._answering))
        ]
        self.urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
        self._ready.set()
        await self._stopping.wait()
        for server in servers:
            server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _connection(self, number: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                asked = await _request(reader)
                self.heard.append((number, asked))
                await self._answering[number](asked, reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # the gateway has hung up, or the test is over
            except Exception as error:  # noqa: BLE001 - whatever it is, the end of the test raises it
                self._failures.append(error)
            finally:
                writer.close()

        return connected


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
