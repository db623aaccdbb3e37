"""Servers that misbehave on purpose: raw sockets, one script per connection, on 127.0.0.1 port 0."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from dominion.domain.providers import Origin, Target

LIMIT = 1 << 30
KEY = b"sk-canary-4f1d"
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: provider.test\r\nauthorization: Bearer " + KEY + b"\r\n"


class Peer:
    """The server's end of one connection. `number` counts from 0 in order of arrival."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The body of the next request; ConnectionError when there is none."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError from error
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return await self.reader.readexactly(int(length))

    async def say(self, *pieces: bytes) -> None:
        """Write, each piece by itself, letting the other side run between them."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    def reset(self) -> None:
        """End the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> float:
        """The loop time at which the client had closed."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        return asyncio.get_running_loop().time()

    @property
    def socket(self) -> socket.socket:
        """The socket, for its options."""
        found: socket.socket = self.writer.get_extra_info("socket")
        return found


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """A listener whose every connection follows the script. `peers` in order of arrival."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server
        self._arrival = asyncio.Event()
        self.peers: list[Peer] = []
        self.failures: list[Exception] = []
        self.scheme = "http"
        self.port = 0

    def target(self, host: str = "127.0.0.1") -> Target:
        """A completion address on this server."""
        return Target(origin=Origin(self.scheme, host, self.port), head=HEAD)

    async def arrived(self, count: int) -> None:
        """Returns when so many connections have been made."""
        while len(self.peers) < count:
            self._arrival.clear()
            await self._arrival.wait()

    async def deserted(self) -> None:
        """Returns when every script is over, for scripts that end with their connection."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def start(self, tls: ssl.SSLContext | None) -> None:
        """Listen."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls, backlog=512)
        self.scheme = "https" if tls else "http"
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and end every script."""
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            peer.writer.transport.abort()
        await self._listener.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        self._arrival.set()
        try:
            await self._script(peer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client closed, which tests that care look for themselves; or the server stops
        except Exception as error:  # noqa: BLE001  # whatever it is, `serve` raises it
            self.failures.append(error)
        finally:
            writer.close()


@asynccontextmanager
async def serve(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A running server; the test inside has ten seconds, and fails when the script did."""
    server = Server(script)
    await server.start(tls)
    try:
        async with asyncio.timeout(10):
            yield server
    finally:
        await server.stop()
    assert server.failures == []


def answering(answer: bytes) -> Script:
    """The same bytes to every request, on kept connections."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(answer)

    return script


def once(*pieces: bytes) -> Script:
    """These pieces to the first request, then FIN."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(*pieces)

    return script


async def echo(peer: Peer) -> None:
    """Every request's body back."""
    while True:
        await peer.say(whole(await peer.request()))


async def silent(peer: Peer) -> None:
    """Reads, and never answers."""
    await peer.gone()


def whole(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """A well-formed answer with a content-length; `lines` are further header lines without CRLF."""
    head = b"".join(line + b"\r\n" for line in (*lines, b"content-length: %d" % len(body)))
    return b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n" + body


def chunked(*pieces: bytes, lines: tuple[bytes, ...] = ()) -> bytes:
    """A well-formed answer in chunks."""
    head = b"".join(line + b"\r\n" for line in (*lines, b"transfer-encoding: chunked"))
    return b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + b"".join(map(chunk, (*pieces, b"")))


def chunk(piece: bytes) -> bytes:
    """One chunk on the wire; the last one when empty."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
