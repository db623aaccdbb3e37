"""Compression that nobody asked for is undone, piece by piece, and cannot be used as a bomb."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from dominion.domain.errors import UnexpectedResponse
from dominion.upstream.bounds import Ceilings
from dominion.upstream.exchange import HttpExchange
from dominion.upstream.inflate import Inflater
from tests.upstream.conftest import MakeUpstream
from tests.upstream.hostile import LIMIT, Peer, answering, chunk, chunked, serve, whole

TEXT = b"".join(b'data: {"n":%d}\n\n' % number for number in range(20_000))


def bare(data: bytes) -> bytes:
    """Deflate without the zlib frame, as some servers send it."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


async def drain(exchange: HttpExchange) -> None:
    """Take every chunk, keep none."""
    while await exchange.chunk():
        pass


CODECS = [(b"gzip", gzip.compress), (b"X-GZip", gzip.compress), (b"deflate", zlib.compress), (b"deflate", bare)]


@pytest.mark.parametrize(("encoding", "compress"), CODECS)
async def test_a_compressed_answer_arrives_plain_and_its_headers_say_so(
    upstream: MakeUpstream, encoding: bytes, compress: Callable[[bytes], bytes]
) -> None:
    client = upstream()
    async with serve(answering(whole(compress(TEXT), b"content-encoding: " + encoding))) as server:
        for _ in range(2):
            exchange = await client.send(server.target(), b"{}")
            assert exchange.headers == {}
            assert await exchange.read(LIMIT) == TEXT
    assert client.counters.opened == 1


@pytest.mark.parametrize(("encoding", "compress"), CODECS)
def test_any_cut_of_the_compressed_bytes_inflates_to_the_same(
    encoding: bytes, compress: Callable[[bytes], bytes]
) -> None:
    text = TEXT[:2000]
    for size in (1, 2, 3, 7, 100_000):
        inflater = Inflater(encoding.lower(), Ceilings())
        wire = compress(text)
        assert b"".join(inflater.feed(wire[at : at + size]) for at in range(0, len(wire), size)) == text
        inflater.end()


def test_whatever_can_be_inflated_so_far_is_given_at_once() -> None:
    wire = gzip.compress(bytes(2 * 65536 + 200))
    for end in range(1, len(wire)):
        inflater = Inflater(b"gzip", Ceilings())
        given = inflater.feed(wire[:end])
        while inflater.pending:
            given += inflater.more()
        assert given == zlib.decompressobj(wbits=31).decompress(wire[:end])


async def test_identity_is_not_an_encoding_to_undo(upstream: MakeUpstream) -> None:
    async with serve(answering(whole(b"plain", b"content-encoding: identity"))) as server:
        exchange = await upstream().send(server.target(), b"{}")
        assert await exchange.read(LIMIT) == b"plain"


async def test_a_bodyless_answer_may_name_an_encoding(upstream: MakeUpstream) -> None:
    async with serve(answering(whole(b"", b"content-encoding: gzip"))) as server:
        exchange = await upstream().send(server.target(), b"{}")
        assert await exchange.read(LIMIT) == b""


async def test_a_flushed_event_is_delivered_before_the_next_is_sent(upstream: MakeUpstream) -> None:
    read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
        deflate = zlib.compressobj(wbits=31)
        for number in range(5):
            piece = deflate.compress(b"data: %d\n\n" % number) + deflate.flush(zlib.Z_SYNC_FLUSH)
            await peer.say(chunk(piece))
            await read.wait()
            read.clear()
        await peer.say(chunk(deflate.flush()), chunk(b""))

    async with serve(script) as server:
        exchange = await upstream().send(server.target(), b"{}")
        for number in range(5):
            assert await exchange.chunk() == b"data: %d\n\n" % number
            read.set()
        assert await exchange.chunk() == b""


@pytest.mark.parametrize(
    "body",
    [b"not gzip at all", gzip.compress(TEXT)[:-9], gzip.compress(TEXT) + b"rest", gzip.compress(b"a") * 2],
    ids=["not gzip", "cut", "bytes behind", "second member"],
)
async def test_bytes_that_are_not_the_named_encoding_are_refused_and_stay_refused(
    upstream: MakeUpstream, body: bytes
) -> None:
    async with serve(answering(chunked(body, lines=(b"content-encoding: gzip",)))) as server:
        exchange = await upstream().send(server.target(), b"{}")
        with pytest.raises(UnexpectedResponse):
            await exchange.read(LIMIT)
        with pytest.raises(UnexpectedResponse):
            await exchange.chunk()


async def test_a_bomb_is_refused_before_it_has_grown(upstream: MakeUpstream) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    async with serve(answering(whole(bomb, b"content-encoding: gzip"))) as server:
        exchange = await upstream().send(server.target(), b"{}")
        tracemalloc.start()
        try:
            with pytest.raises(UnexpectedResponse):
                await drain(exchange)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2_000_000


async def test_a_compressible_answer_within_the_ratio_is_no_bomb(upstream: MakeUpstream) -> None:
    text = bytes(900_000)
    async with serve(answering(whole(gzip.compress(text), b"content-encoding: gzip"))) as server:
        assert await (await upstream().send(server.target(), b"{}")).read(LIMIT) == text
