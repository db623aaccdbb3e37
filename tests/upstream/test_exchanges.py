"""Well-formed answers of every shape come through whole, and the connection serves the next request."""

import asyncio
import socket

import pytest

from dominion.domain.providers import Target
from tests.upstream.conftest import MakeUpstream
from tests.upstream.hostile import HEAD, LIMIT, Peer, answering, chunk, chunked, echo, once, serve, whole

OK = b'{"id":1}'


async def test_the_request_leaves_as_head_extra_length_and_body(upstream: MakeUpstream) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.reader.readuntil(b"}"))
        await peer.say(whole(OK))

    async with serve(script) as server:
        exchange = await upstream().send(server.target(), b'{"a":1}', b"x-request-id: 7\r\n")
        assert await exchange.read(LIMIT) == OK
    assert seen == [HEAD + b'x-request-id: 7\r\ncontent-length: 7\r\n\r\n{"a":1}']


@pytest.mark.parametrize(
    "answer",
    [
        whole(OK),
        chunked(OK),
        chunked(OK[:3], OK[3:]),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8;a=b\r\n" + OK + b"\r\n0\r\nx-trailer: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + whole(OK),
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + whole(OK),
        b"HTTP/1.1 200 OK\r\nupgrade: h2,h2c\r\nconnection: upgrade, keep-alive\r\ncontent-length: 8\r\n\r\n" + OK,
        b"HTTP/1.1 200\r\nCONTENT-LENGTH:8\r\n\r\n" + OK,
    ],
    ids=["length", "chunk", "chunks", "extension and trailer", "100", "103 and 100", "offers h2", "no reason"],
)
async def test_a_whole_answer_is_read_and_its_connection_kept(upstream: MakeUpstream, answer: bytes) -> None:
    client = upstream()
    async with serve(answering(answer)) as server:
        for _ in range(5):
            exchange = await client.send(server.target(), b"{}")
            assert (exchange.status, await exchange.read(LIMIT)) == (200, OK)
            assert b"x-trailer" not in exchange.headers
            assert b"link" not in exchange.headers
    assert (client.counters.opened, client.counters.reused, client.counters.retried) == (1, 4, 0)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_statuses_without_a_body_end_at_once(upstream: MakeUpstream, status: bytes) -> None:
    client = upstream()
    async with serve(answering(b"HTTP/1.1 " + status + b"\r\n\r\n")) as server:
        for _ in range(2):
            exchange = await client.send(server.target(), b"{}")
            assert await exchange.read(LIMIT) == b""
    assert client.counters.opened == 1


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"]
)
async def test_a_body_without_length_ends_with_the_connection(upstream: MakeUpstream, head: bytes) -> None:
    client = upstream()
    async with serve(once(head, b"one ", b"two")) as server:
        for _ in range(2):
            exchange = await client.send(server.target(), b"{}")
            assert await exchange.read(LIMIT) == b"one two"
    assert client.counters.opened == 2


async def test_a_server_that_says_close_is_not_asked_again_on_that_connection(upstream: MakeUpstream) -> None:
    client = upstream()
    async with serve(answering(whole(OK, b"Connection: close"))) as server:
        for _ in range(2):
            assert await (await client.send(server.target(), b"{}")).read(LIMIT) == OK
    assert (client.counters.opened, client.counters.reused) == (2, 0)


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"])
async def test_a_redirect_is_just_an_answer(upstream: MakeUpstream, status: bytes) -> None:
    async with serve(echo) as elsewhere:
        location = b"location: http://127.0.0.1:%d/" % elsewhere.port
        async with serve(answering(whole(b"moved", location, status=status))) as server:
            exchange = await upstream().send(server.target(), b"{}")
            assert exchange.status == int(status[:3])
            assert await exchange.read(LIMIT) == b"moved"
        assert elsewhere.peers == []


async def test_header_names_are_lowered_and_repeated_ones_joined(upstream: MakeUpstream) -> None:
    async with serve(answering(whole(OK, b"X-Request-Id: a", b"Via: 1.1 b", b"VIA: 1.1 c", b"empty:"))) as server:
        exchange = await upstream().send(server.target(), b"{}")
        assert exchange.headers == {
            b"x-request-id": b"a",
            b"via": b"1.1 b, 1.1 c",
            b"empty": b"",
            b"content-length": b"8",
        }


async def test_chunks_come_one_by_one_as_the_server_sends_them(upstream: MakeUpstream) -> None:
    read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for letter in b"abcdefgh":
            await peer.say(chunk(bytes([letter])))
            await read.wait()
            read.clear()
        await peer.say(chunk(b""))

    async with serve(script) as server:
        exchange = await upstream().send(server.target(), b"{}")
        pieces = []
        while piece := await exchange.chunk():
            pieces.append(piece)
            read.set()
        assert pieces == [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"]
        assert await exchange.chunk() == b""


async def test_everything_that_has_arrived_comes_in_one_piece(upstream: MakeUpstream) -> None:
    async with serve(answering(chunked(*[b"%d," % number for number in range(100)]))) as server:
        exchange = await upstream().send(server.target(), b"{}")
        expected = b"".join(b"%d," % number for number in range(100))
        assert await exchange.chunk() == expected


async def test_an_answer_one_byte_at_a_time_is_the_same_answer(upstream: MakeUpstream) -> None:
    pieces = [bytes([byte]) for byte in chunked(b"data: 1\n\n", b"data: 2\n\n", lines=(b"x-a: 1", b"x-b: 2"))]

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(*pieces)

    async with serve(script) as server:
        client = upstream()
        for _ in range(2):
            exchange = await client.send(server.target(), b"{}")
            assert await exchange.read(LIMIT) == b"data: 1\n\ndata: 2\n\n"
            assert (exchange.headers[b"x-a"], exchange.headers[b"x-b"]) == (b"1", b"2")
        assert client.counters.opened == 1


async def test_two_hundred_exchanges_at_once_each_get_their_own_answer(upstream: MakeUpstream) -> None:
    client = upstream()

    async def ask(target: Target, number: int) -> bytes:
        exchange = await client.send(target, b"%d" % number)
        return await exchange.read(LIMIT)

    async with serve(echo) as server:
        for _ in range(3):
            answers = await asyncio.gather(*(ask(server.target(), number) for number in range(200)))
            assert answers == [b"%d" % number for number in range(200)]
    assert client.counters.opened + client.counters.reused == 600
    assert client.counters.opened == 200


async def test_a_large_request_and_a_large_answer_come_through_whole(upstream: MakeUpstream) -> None:
    body = bytes(range(256)) * 16384
    async with serve(echo) as server:
        exchange = await upstream().send(server.target(), body)
        assert await exchange.read(len(body)) == body


async def test_small_packets_are_not_held_back(upstream: MakeUpstream) -> None:
    client = upstream()
    async with serve(echo) as server:
        await client.send(server.target(), b"{}")
        assert client._watch is not None
        (connection,) = client._watch.connections
        raw = connection._transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
