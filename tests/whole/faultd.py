"""A provider of the OpenAI dialect that does what it is told by the model name, and remembers what was done to it.

`drip-<n>-<ms>` streams n tokens, one each ms (whole after n * ms when no stream is asked); `silent` sends the head of
a stream and one token, then nothing; `mute` sends nothing at all.
"""

import asyncio
import json
import threading
import time
from types import TracebackType
from typing import Any, Self


class Execution:
    """One request that arrived. Times are monotonic; `closed_at` when the gateway hung up before the end."""

    def __init__(self, nonce: str, model: str) -> None:
        self.nonce = nonce
        self.model = model
        self.tokens = 0
        self.finished = False
        self.closed_at: float | None = None


class FaultServer:
    """Runs in a thread of its own, on loopback."""

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.changed = threading.Condition()
        self.url = ""
        self._ready = threading.Event()

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

    def toml(self, **prices: int) -> str:
        """The table that makes this server a provider called "faults"."""
        table = f'[[providers.openai_compat]]\nid = "faults"\nbase_url = "{self.url}"\napi_key = "k-0123456789"\n'
        models = "".join(f'[prices."faults/{name}"]\ninput = 0\noutput = {usd}\n' for name, usd in prices.items())
        return table + models

    def wait_for(self, count: int, seconds: float = 10.0) -> list[Execution]:
        """Executions that have ended either way, once there are `count`."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self._ended()) >= count, seconds), (len(self._ended()), count)
            return self._ended()

    def wait_for_arrival(self, nonce: str, seconds: float = 10.0) -> None:
        """Return when the request with this prompt has arrived."""
        with self.changed:
            assert self.changed.wait_for(lambda: any(one.nonce == nonce for one in self.executions), seconds)

    def _ended(self) -> list[Execution]:
        return [one for one in self.executions if one.finished or one.closed_at is not None]

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 24, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))[15:])
                await self._answer(json.loads(await reader.readexactly(length)), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, asked: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done = Execution(str(asked["messages"][-1]["content"]), asked["model"])
        with self.changed:
            self.executions.append(done)
            self.changed.notify_all()
        gone = asyncio.create_task(reader.read(1))
        script = asyncio.create_task(self._play(done, asked, writer))
        try:
            await asyncio.wait({gone, script}, return_when=asyncio.FIRST_COMPLETED)
            with self.changed:
                if script.done() and script.exception() is None:
                    done.finished = True
                else:
                    done.closed_at = time.monotonic()
                self.changed.notify_all()
            if not done.finished:
                raise ConnectionResetError
        finally:
            for task in (gone, script):
                task.cancel()
            await asyncio.gather(gone, script, return_exceptions=True)

    async def _play(self, done: Execution, asked: Any, writer: asyncio.StreamWriter) -> None:
        if done.model == "mute":
            await asyncio.Event().wait()
        stream = bool(asked.get("stream"))
        if done.model == "silent":
            _start_stream(writer)
            _token(writer, done)
            await asyncio.Event().wait()
        _, count, pause = done.model.split("-")
        if not stream:
            await asyncio.sleep(int(count) * int(pause) / 1000)
            done.tokens = int(count)
            _whole(writer, done)
            return await writer.drain()
        _start_stream(writer)
        for _ in range(int(count)):
            await asyncio.sleep(int(pause) / 1000)
            _token(writer, done)
            await writer.drain()
        _frame(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        _frame(writer, {"choices": [], "usage": _usage(done)})
        _chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return None


def _usage(done: Execution) -> dict[str, int]:
    return {"prompt_tokens": 1, "completion_tokens": done.tokens, "total_tokens": done.tokens + 1}


def _start_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")


def _token(writer: asyncio.StreamWriter, done: Execution) -> None:
    done.tokens += 1
    _frame(writer, {"choices": [{"index": 0, "delta": {"content": f"w{done.tokens} "}, "finish_reason": None}]})


def _frame(writer: asyncio.StreamWriter, fields: dict[str, Any]) -> None:
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", **fields}
    _chunk(writer, b"data: " + json.dumps(body).encode() + b"\n\n")


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _whole(writer: asyncio.StreamWriter, done: Execution) -> None:
    message = {"role": "assistant", "content": "w " * done.tokens}
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _usage(done),
        }
    ).encode()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
