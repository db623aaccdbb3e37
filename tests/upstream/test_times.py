"""Silence, slowness, cancellation and a slow reader end or hold back the connection, in bounded time and space."""

import asyncio

import pytest

from dominion.domain.errors import NetworkFailure, ProviderTimeout
from dominion.domain.providers import Origin
from dominion.upstream.bounds import Timeouts
from tests.upstream.conftest import LONG, MakeUpstream
from tests.upstream.hostile import LIMIT, Peer, Script, chunk, echo, serve, whole

SHORT = 0.05
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CANCEL = 0.25  # seconds from the cancellation to the server's notice


def saying(*pieces: bytes) -> Script:
    """Answers with these pieces, and is silent from then on."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(*pieces)
        await peer.gone()

    return script


async def drip(peer: Peer) -> None:
    """A byte of a header line now and then, until the client closes: never silent for long, never done."""
    await peer.request()
    await peer.say(b"HTTP/1.1 200 OK\r\na: ")
    closed = asyncio.ensure_future(peer.gone())
    while not closed.done():
        peer.writer.write(b"b")
        await asyncio.wait([closed], timeout=SHORT / 5)


async def forever() -> list[tuple[str, int]]:
    """A look-up that never ends."""
    await asyncio.Event().wait()
    return []


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200 OK\r\n",), (b"HTTP/1.1 100 Continue\r\n\r\n",)])
async def test_an_answer_that_does_not_begin_is_a_timeout(upstream: MakeUpstream, pieces: tuple[bytes, ...]) -> None:
    client = upstream(Timeouts(connect=LONG, first_byte=SHORT, idle=LONG, total=LONG))
    async with serve(saying(*pieces)) as server:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ProviderTimeout, match="begin") as caught:
            await client.send(server.target(), b"{}")
        assert SHORT <= asyncio.get_running_loop().time() - began < LONG
    assert caught.value.sent


async def test_a_head_that_trickles_in_does_not_stretch_the_time_to_begin(upstream: MakeUpstream) -> None:
    client = upstream(Timeouts(connect=LONG, first_byte=SHORT, idle=LONG, total=LONG))
    async with serve(drip) as server:
        with pytest.raises(ProviderTimeout, match="begin"):
            await client.send(server.target(), b"{}")


async def test_silence_inside_a_body_is_a_timeout_after_what_came_before(upstream: MakeUpstream) -> None:
    client = upstream(Timeouts(connect=LONG, first_byte=LONG, idle=SHORT, total=LONG))
    async with serve(saying(CHUNKED + chunk(b"one"))) as server:
        exchange = await client.send(server.target(), b"{}")
        assert await exchange.chunk() == b"one"
        with pytest.raises(ProviderTimeout, match="silent"):
            await exchange.chunk()


async def test_a_body_that_never_ends_is_a_timeout(upstream: MakeUpstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED)
        while True:
            await peer.say(chunk(b"x"))

    client = upstream(Timeouts(connect=LONG, first_byte=LONG, idle=LONG, total=2 * SHORT))
    async with serve(script) as server:
        exchange = await client.send(server.target(), b"{}")
        with pytest.raises(ProviderTimeout, match="whole"):
            await exchange.read(LIMIT)


async def test_the_whole_time_includes_the_connecting(upstream: MakeUpstream) -> None:
    async def resolve(_origin: Origin) -> list[tuple[str, int]]:
        return await forever()

    client = upstream(Timeouts(connect=LONG, first_byte=LONG, idle=LONG, total=SHORT), resolve=resolve)
    async with serve(saying()) as server:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ProviderTimeout) as caught:
            await client.send(server.target(), b"{}")
        assert asyncio.get_running_loop().time() - began < LONG
    assert not caught.value.sent


async def test_a_timeout_cuts_the_connection_and_frees_its_place(upstream: MakeUpstream) -> None:
    cut = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.gone()
        cut.set()

    client = upstream(Timeouts(connect=LONG, first_byte=SHORT, idle=LONG, total=LONG))
    async with serve(script) as server:
        with pytest.raises(ProviderTimeout):
            await client.send(server.target(), b"{}")
        await cut.wait()
        assert client._lanes[server.target().origin].members == set()


@pytest.mark.parametrize("pieces", [(), (CHUNKED,), (CHUNKED, chunk(b"one"))], ids=["head", "body", "more body"])
async def test_cancelling_cuts_the_connection_at_once(upstream: MakeUpstream, pieces: tuple[bytes, ...]) -> None:
    said = asyncio.Event()
    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(*pieces)
        said.set()
        gone.set_result(await peer.gone())

    async with serve(script) as server:
        client = upstream()

        async def consume() -> None:
            exchange = await client.send(server.target(), b"{}")
            while await exchange.chunk():
                pass

        task = asyncio.create_task(consume())
        await said.wait()
        cancelled = asyncio.get_running_loop().time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await gone - cancelled < CANCEL
        assert client._lanes[server.target().origin].members == set()


async def test_cancelling_a_never_ending_stream_stops_it_within_a_quarter_second(upstream: MakeUpstream) -> None:
    stopped: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    flowing = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED)
        try:
            while True:
                await peer.say(chunk(b"x" * 1000))
        finally:
            stopped.set_result(asyncio.get_running_loop().time())

    async with serve(script) as server:
        client = upstream()

        async def consume() -> None:
            exchange = await client.send(server.target(), b"{}")
            while await exchange.chunk():
                flowing.set()

        task = asyncio.create_task(consume())
        await flowing.wait()
        cancelled = asyncio.get_running_loop().time()
        task.cancel()
        assert await stopped - cancelled < CANCEL


async def test_cancelling_after_the_answer_is_whole_does_not_touch_the_connection_of_others(
    upstream: MakeUpstream,
) -> None:
    client = upstream()
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(whole(b"first"))
        await peer.request()
        await gate.wait()
        await peer.say(whole(b"second"))

    async with serve(script) as server:
        unread = await client.send(server.target(), b"{}")
        second = asyncio.create_task(client.send(server.target(), b"{}"))
        await asyncio.sleep(0)
        unread.close()
        gate.set()
        assert await (await second).read(LIMIT) == b"second"
    assert client.counters.opened == 1


async def test_cancelling_while_connecting_leaves_no_socket(upstream: MakeUpstream) -> None:
    entered = asyncio.Event()

    async def resolve(_origin: Origin) -> list[tuple[str, int]]:
        entered.set()
        return await forever()

    client = upstream(resolve=resolve)
    async with serve(saying()) as server:
        task = asyncio.create_task(client.send(server.target(), b"{}"))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client._lanes[server.target().origin].members == set()
        assert server.peers == []


@pytest.mark.parametrize("steps", range(16))
async def test_cancelling_at_any_step_of_an_exchange_leaves_no_socket(upstream: MakeUpstream, steps: int) -> None:
    client = upstream()

    async def consume() -> bytes:
        return await (await client.send(server.target(), b"{}")).read(LIMIT)

    async with serve(echo) as server:
        task = asyncio.create_task(consume())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        lane = client._lanes.get(server.target().origin)
        assert lane is None or lane.members == set(lane.idle)
        assert await consume() == b"{}"
        await client.aclose()
        await server.deserted()


async def test_closing_wakes_the_task_that_waits(upstream: MakeUpstream) -> None:
    async with serve(saying(CHUNKED)) as server:
        exchange = await upstream().send(server.target(), b"{}")
        waiting = asyncio.create_task(exchange.chunk())
        await asyncio.sleep(0)
        exchange.close()
        with pytest.raises(NetworkFailure):
            await waiting


async def test_a_reader_that_lags_holds_the_server_back_and_loses_nothing(upstream: MakeUpstream) -> None:
    block, count = b"x" * 65536, 1600  # 100 MB
    blocked = asyncio.Event()
    written = 0

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.request()
        peer.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(block) * count))
        while written < count:
            peer.writer.write(block)
            written += 1
            draining = asyncio.ensure_future(peer.writer.drain())
            await asyncio.wait([draining], timeout=None if blocked.is_set() else SHORT * 4)
            if not draining.done():
                blocked.set()
            await draining
        await peer.gone()

    # `idle` is shorter than the pause: a silence of our own making must not count.
    timeouts = Timeouts(connect=LONG, first_byte=LONG, idle=SHORT, total=2 * LONG)
    client = upstream(timeouts)
    async with serve(script) as server:
        exchange = await client.send(server.target(), b"{}")
        await blocked.wait()
        assert 65536 < exchange.size <= 65536 + 262144
        assert written < count / 2
        total = largest = len(await exchange.chunk())
        assert client._watch is not None
        (connection,) = client._watch.connections
        connection.expire(asyncio.get_running_loop().time(), timeouts)
        while piece := await exchange.chunk():
            total += len(piece)
            largest = max(largest, len(piece))
        assert total == len(block) * count
        assert largest <= 65536 + 262144
