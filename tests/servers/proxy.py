"""A TCP proxy in front of a unix socket that fails as networks do when told so. Runs in a thread of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Mode = Literal["pass", "hole", "refuse"]


class Proxy:
    """Listens on 127.0.0.1 from `with` on. `hole`: bytes disappear in both directions; `refuse`: connections are cut.

    `delay` seconds are added to each piece of an answer. `taken` counts connections.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._mode: Mode = "pass"
        self.delay = 0.0
        self.taken = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    @property
    def mode(self) -> Mode:
        """What it does now."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "refuse":
            self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._done = asyncio.Event()
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._done.wait()
        server.close()
        self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._mode == "refuse":
                return
            there, back = await asyncio.open_unix_connection(str(self._target))
            self._writers.add(back)
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer, self._wait))
            self._writers.discard(back)
        except OSError:
            pass  # the server behind is gone: the caller sees a closed connection
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _wait(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        try:
            while piece := await reader.read(65536):
                if before:
                    await before()
                if self._mode == "pass":
                    writer.write(piece)
                    await writer.drain()
        finally:
            writer.transport.abort()
