"""Closing the client: nothing new begins, what runs may end, nothing is left behind."""

import asyncio
from collections.abc import Sequence

import pytest

from dominion.domain.errors import NetworkFailure, ShuttingDown
from dominion.domain.providers import Origin
from dominion.upstream.bounds import Ceilings
from dominion.upstream.pool import HttpUpstream
from tests.upstream.conftest import LONG, MakeUpstream
from tests.upstream.hostile import LIMIT, Peer, Server, serve, silent, whole

OK = b'{"id":1}'


async def ask(client: HttpUpstream, server: Server) -> bytes:
    """One whole exchange."""
    return await (await client.send(server.target(), b"{}")).read(LIMIT)


async def test_closing_the_client_lets_running_exchanges_end_within_the_grace(upstream: MakeUpstream) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(whole(OK)[:-1])
        await go.wait()
        await peer.say(whole(OK)[-1:])
        await peer.gone()

    client = upstream()
    async with serve(script) as server:
        exchange = await client.send(server.target(), b"{}")
        closing = asyncio.create_task(client.aclose(grace=LONG))
        await asyncio.sleep(0)
        with pytest.raises(ShuttingDown):
            await client.send(server.target(), b"{}")
        assert not closing.done()
        go.set()
        assert await exchange.read(LIMIT) == OK
        async with asyncio.timeout(1):
            await closing


async def test_a_second_try_that_closing_forbids_ends_as_the_first(upstream: MakeUpstream) -> None:
    die = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(whole(OK))
        await peer.request()
        await die.wait()

    client = upstream()
    async with serve(script) as server:
        await ask(client, server)
        running = asyncio.create_task(ask(client, server))
        await asyncio.sleep(0)
        closing = asyncio.create_task(client.aclose(grace=LONG))
        await asyncio.sleep(0)
        die.set()
        with pytest.raises(NetworkFailure) as caught:
            await running
        assert caught.value.sent
        await closing


async def test_closing_the_client_sends_the_waiting_away_at_once(upstream: MakeUpstream) -> None:
    client = upstream(ceilings=Ceilings(connections=1))
    async with serve(silent) as server:
        running = asyncio.create_task(ask(client, server))
        waiting = asyncio.create_task(ask(client, server))
        await server.arrived(1)
        closing = asyncio.create_task(client.aclose(grace=LONG))
        with pytest.raises(ShuttingDown):
            await waiting
        assert not running.done()
        running.cancel()
        await closing


async def test_closing_the_client_while_it_connects_leaves_no_socket(upstream: MakeUpstream) -> None:
    closed = asyncio.Event()

    async def resolve(origin: Origin) -> Sequence[tuple[str, int]]:
        await closed.wait()
        return [(origin.host, origin.port)]

    client = upstream(resolve=resolve)
    async with serve(silent) as server:
        connecting = asyncio.create_task(client.reach(server.target().origin))
        await asyncio.sleep(0)
        connecting_too = asyncio.create_task(ask(client, server))
        await asyncio.sleep(0)
        await client.aclose()
        closed.set()
        for task in (connecting, connecting_too):
            with pytest.raises(ShuttingDown):
                await task
        await server.deserted()


async def test_closing_the_client_cuts_what_is_left_after_the_grace(upstream: MakeUpstream) -> None:
    client = upstream(ceilings=Ceilings(connections=1))
    async with serve(silent) as server:
        running = asyncio.create_task(ask(client, server))
        waiting = asyncio.create_task(ask(client, server))
        await server.arrived(1)
        await client.aclose(grace=0.05)
        with pytest.raises(NetworkFailure):
            await running
        with pytest.raises(ShuttingDown):
            await waiting
        assert client._watch is not None
        assert client._watch.connections == set()
        assert client._watch._timer is None
        await client.aclose()


async def test_a_client_that_was_never_used_can_be_closed() -> None:
    await HttpUpstream().aclose()
