"""Whatever a provider sends, it is never taken for a whole answer when it is not, and never outgrows the ceilings."""

import asyncio

import pytest

from dominion.domain.errors import NetworkFailure, UnexpectedResponse
from dominion.upstream.bounds import Ceilings
from tests.upstream.conftest import MakeUpstream
from tests.upstream.hostile import KEY, LIMIT, Peer, answering, chunk, chunked, once, serve, whole

OK = b'{"id":1}'
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        whole(OK)[:-1],
        chunked(OK)[:-1],
        chunked(OK)[:-5],
        CHUNKED + chunk(OK)[:-4],
        CHUNKED + b"fffffffffffffff\r\n" + OK,
        b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n" + OK,
    ],
    ids=["one byte short", "cut in the last chunk", "no last chunk", "cut in a chunk", "huge chunk", "huge length"],
)
async def test_an_answer_that_breaks_off_is_never_whole(upstream: MakeUpstream, answer: bytes) -> None:
    async with serve(once(answer)) as server:
        exchange = await upstream().send(server.target(), b"{}")
        with pytest.raises(NetworkFailure) as caught:
            await exchange.read(LIMIT)
        assert caught.value.sent


async def test_what_came_before_the_break_can_be_read_and_then_the_failure_stands(upstream: MakeUpstream) -> None:
    async with serve(once(CHUNKED, chunk(b"data: 1\n\n"))) as server:
        exchange = await upstream().send(server.target(), b"{}")
        assert await exchange.chunk() == b"data: 1\n\n"
        for _ in range(2):
            with pytest.raises(NetworkFailure):
                await exchange.chunk()


async def test_a_reset_inside_a_body_that_ends_with_the_connection_is_not_its_end(upstream: MakeUpstream) -> None:
    read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n", OK)
        await read.wait()
        peer.reset()

    async with serve(script) as server:
        exchange = await upstream().send(server.target(), b"{}")
        assert await exchange.chunk() == OK
        read.set()
        with pytest.raises(NetworkFailure):
            await exchange.chunk()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_head_that_breaks_off_is_a_network_failure(upstream: MakeUpstream, answer: bytes) -> None:
    async with serve(once(answer)) as server:
        with pytest.raises(NetworkFailure) as caught:
            await upstream().send(server.target(), b"{}")
        assert caught.value.sent
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>bad gateway</html>",
        b"HTTP/2 200\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nfolded: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname : a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nnul: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        b"HTTP/1.1 000 Nothing\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 600 Beyond\r\ncontent-length: 0\r\n\r\n",
        whole(b"x", b"content-encoding: br"),
        whole(b"x", b"content-encoding: gzip, gzip"),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + whole(OK),
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000 + b"content-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(10_000)),
        b"HTTP/1.1 200 OK\r\nhuge: " + b"a" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nendless: " + b"a" * 1_000_000,
        b"HTTP/1.1 200 " + b"a" * 1_000_000,
        b"\r\n" * 1_000_000,
    ],
)
async def test_a_head_that_is_not_acceptable_is_refused_and_the_connection_cut(
    upstream: MakeUpstream, answer: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer)
        await peer.gone()

    async with serve(script) as server:
        with pytest.raises(UnexpectedResponse) as caught:
            await upstream().send(server.target(), b"{}")
        assert KEY.decode() not in repr(caught.value)
        assert len(caught.value.message) < 200


@pytest.mark.parametrize("largest", [True, False], ids=["at the ceiling", "one above"])
async def test_the_ceilings_of_a_head_are_exact(upstream: MakeUpstream, largest: bool) -> None:  # noqa: FBT001
    lines = [b"a%d: %b" % (number, b"x" * 10) for number in range(9 if largest else 10)]
    client = upstream(ceilings=Ceilings(header_count=10))
    async with serve(answering(whole(OK, *lines))) as server:
        if largest:
            assert await (await client.send(server.target(), b"{}")).read(LIMIT) == OK
        else:
            with pytest.raises(UnexpectedResponse):
                await client.send(server.target(), b"{}")


async def test_a_large_body_behind_a_small_head_is_not_taken_for_header_bytes(upstream: MakeUpstream) -> None:
    body = b"x" * 200_000
    async with serve(answering(whole(body))) as server:
        exchange = await upstream(ceilings=Ceilings(header_bytes=100)).send(server.target(), b"{}")
        assert await exchange.read(LIMIT) == body


@pytest.mark.parametrize(
    "rest",
    [
        b"zz\r\nnot hex\r\n",
        b"2\nok\n0\n\n",
        b"2\r\nokay\r\n",
        b"-1\r\n",
        b"11111111111111111\r\n",
        b"1;" + b"e" * 1_000_000,
        b"0\r\n" + b"t: 1\r\n" * 1_000 + b"\r\n",
        b"0\r\ntrailer: " + b"x" * 1_000_000,
    ],
)
async def test_broken_chunks_and_endless_extensions_or_trailers_are_refused(
    upstream: MakeUpstream, rest: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + chunk(OK))
        await peer.say(rest)
        await peer.gone()

    async with serve(script) as server:
        exchange = await upstream().send(server.target(), b"{}")
        with pytest.raises(UnexpectedResponse):
            await exchange.read(LIMIT)


@pytest.mark.parametrize(
    "rest", [b"x", b"HTTP/1.1 200 OK\r\n", whole(b"poison"), whole(b"poison") + whole(b"poison"), b"\x00" * 70_000]
)
async def test_bytes_behind_an_answer_never_reach_the_next_exchange(upstream: MakeUpstream, rest: bytes) -> None:
    client = upstream()
    async with serve(answering(whole(OK) + rest)) as server:
        for _ in range(3):
            assert await (await client.send(server.target(), b"{}")).read(LIMIT) == OK
    assert client.counters.opened == 3


async def test_empty_lines_behind_an_answer_are_harmless(upstream: MakeUpstream) -> None:
    async with serve(answering(whole(OK) + b"\r\n")) as server:
        client = upstream()
        for _ in range(3):
            assert await (await client.send(server.target(), b"{}")).read(LIMIT) == OK


async def test_an_unasked_answer_on_an_idle_connection_cuts_it(upstream: MakeUpstream) -> None:
    read = asyncio.Event()
    cut = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(whole(OK))
        if peer.number == 0:
            await read.wait()
            await peer.say(whole(b"poison"))
            await peer.gone()
            cut.set()

    client = upstream()
    async with serve(script) as server:
        assert await (await client.send(server.target(), b"{}")).read(LIMIT) == OK
        read.set()
        await cut.wait()
        assert await (await client.send(server.target(), b"{}")).read(LIMIT) == OK
    assert client.counters.opened == 2


async def test_an_early_answer_to_a_request_still_on_its_way_is_delivered_but_the_connection_is_not_kept(
    upstream: MakeUpstream,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(whole(b"too large", status=b"413 Content Too Large"))
        await peer.gone()

    client = upstream()
    async with serve(script) as server:
        for _ in range(2):
            exchange = await client.send(server.target(), b"x" * 32_000_000)
            assert (exchange.status, await exchange.read(LIMIT)) == (413, b"too large")
    assert client.counters.opened == 2


@pytest.mark.parametrize("answer", [whole(b"x" * 101), chunked(b"x" * 60, b"x" * 41)])
async def test_a_body_longer_than_the_limit_is_refused_and_one_that_fits_is_not(
    upstream: MakeUpstream, answer: bytes
) -> None:
    async with serve(answering(answer)) as server:
        client = upstream()
        with pytest.raises(UnexpectedResponse):
            await (await client.send(server.target(), b"{}")).read(100)
        assert len(await (await client.send(server.target(), b"{}")).read(101)) == 101


async def test_an_endless_body_is_cut_at_the_limit(upstream: MakeUpstream) -> None:
    cut = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED)
        try:
            while True:
                await peer.say(chunk(b"x" * 65536))
        finally:
            cut.set()

    async with serve(script) as server:
        client = upstream()
        exchange = await client.send(server.target(), b"{}")
        with pytest.raises(UnexpectedResponse):
            await exchange.read(1_000_000)
        assert client._lanes[server.target().origin].members == set()
        await cut.wait()
