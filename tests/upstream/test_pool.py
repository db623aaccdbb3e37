"""Connections are kept, reused last in first out, replaced once when they died unnoticed, never above the ceiling."""

import asyncio
from collections.abc import Sequence

import pytest

from dominion.domain.errors import NetworkFailure, ProviderTimeout, UnexpectedResponse
from dominion.domain.providers import Origin
from dominion.upstream.bounds import Ceilings, Timeouts
from dominion.upstream.pool import HttpUpstream
from tests.upstream.conftest import LONG, MakeUpstream
from tests.upstream.hostile import LIMIT, Peer, Script, Server, echo, serve, silent, whole

OK = b'{"id":1}'


async def ask(client: HttpUpstream, server: Server, body: bytes = b"{}") -> bytes:
    """One whole exchange."""
    return await (await client.send(server.target(), body)).read(LIMIT)


def dying(answers: int, last: bytes = b"", *, reset: bool = False) -> Script:
    """Each connection answers so many requests, and dies on the next one after `last`."""

    async def script(peer: Peer) -> None:
        for _ in range(answers):
            await peer.request()
            await peer.say(whole(b"%d" % peer.number))
        await peer.request()
        await peer.say(last)
        if reset:
            peer.reset()

    return script


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_kept_connection_that_dies_before_any_byte_is_replaced_once(
    upstream: MakeUpstream,
    reset: bool,  # noqa: FBT001
) -> None:
    client = upstream()
    async with serve(dying(1, reset=reset)) as server:
        assert [await ask(client, server) for _ in range(3)] == [b"0", b"1", b"2"]
    assert (client.counters.opened, client.counters.reused, client.counters.retried) == (3, 2, 2)


async def test_a_fresh_connection_that_dies_is_not_tried_again(upstream: MakeUpstream) -> None:
    client = upstream()
    async with serve(dying(0)) as server:
        with pytest.raises(NetworkFailure) as caught:
            await ask(client, server)
        assert len(server.peers) == 1
    assert caught.value.sent
    assert caught.value.unanswered
    assert client.counters.retried == 0


async def test_a_connection_that_dies_inside_the_head_had_begun_to_answer(upstream: MakeUpstream) -> None:
    client = upstream()
    async with serve(dying(0, b"HTTP/1.1 200 OK\r\n")) as server:
        with pytest.raises(NetworkFailure) as caught:
            await ask(client, server)
    assert not caught.value.unanswered


async def test_a_request_that_was_asked_twice_does_not_count_as_unanswered(upstream: MakeUpstream) -> None:
    client = upstream()

    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.request()
            await peer.say(whole(b"0"))
        await peer.request()

    async with serve(script) as server:
        assert await ask(client, server) == b"0"
        with pytest.raises(NetworkFailure) as caught:
            await ask(client, server)
        assert len(server.peers) == 2
    assert not caught.value.unanswered
    assert client.counters.retried == 1


async def test_a_server_that_hangs_up_at_once_never_leaves_a_request_waiting(upstream: MakeUpstream) -> None:
    async def script(_peer: Peer) -> None:
        """Close without reading."""

    client = upstream()
    async with serve(script) as server:
        for _ in range(50):
            with pytest.raises(NetworkFailure):
                await ask(client, server)
        assert client._lanes[server.target().origin].members == set()


async def test_the_second_try_is_the_last(upstream: MakeUpstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 0:
            await peer.say(whole(OK))
            await peer.request()

    client = upstream()
    async with serve(script) as server:
        await ask(client, server)
        with pytest.raises(NetworkFailure) as caught:
            await ask(client, server)
        assert len(server.peers) == 2
    assert caught.value.sent
    assert client.counters.retried == 1


@pytest.mark.parametrize("last", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n", whole(OK)[:-1]])
async def test_one_byte_of_an_answer_forbids_a_second_try(upstream: MakeUpstream, last: bytes) -> None:
    client = upstream()
    async with serve(dying(1, last)) as server:
        await ask(client, server)
        with pytest.raises(NetworkFailure) as caught:
            await ask(client, server)
        assert len(server.peers) == 1
    assert caught.value.sent
    assert client.counters.retried == 0


async def test_a_kept_connection_that_answers_nonsense_is_not_tried_again(upstream: MakeUpstream) -> None:
    client = upstream()
    async with serve(dying(1, b"nonsense")) as server:
        await ask(client, server)
        with pytest.raises(UnexpectedResponse):
            await ask(client, server)
    assert client.counters.retried == 0


async def test_when_the_second_dialling_fails_the_request_still_counts_as_sent(upstream: MakeUpstream) -> None:
    answers: list[Sequence[tuple[str, int]]] = []

    async def resolve(_origin: Origin) -> Sequence[tuple[str, int]]:
        return answers.pop()

    client = upstream(resolve=resolve)
    async with serve(dying(1)) as server:
        answers += [[], [("127.0.0.1", server.port)]]
        await ask(client, server)
        with pytest.raises(NetworkFailure, match="no address") as caught:
            await ask(client, server)
    assert caught.value.sent


async def test_a_server_that_closes_an_idle_connection_is_noticed_at_once(upstream: MakeUpstream) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(whole(OK))
        peer.writer.close()
        await peer.gone()
        closed.set()

    client = upstream()
    async with serve(script) as server:
        await ask(client, server)
        await closed.wait()
        await ask(client, server)
    assert (client.counters.opened, client.counters.retried) == (2, 0)


async def test_an_unused_connection_is_closed_after_its_time(upstream: MakeUpstream) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(whole(OK))
        await peer.gone()
        closed.set()

    client = upstream(Timeouts(keep_alive=0.05))
    async with serve(script) as server:
        await ask(client, server)
        await closed.wait()
        await ask(client, server)
    assert client.counters.opened == 2


async def test_an_answer_gives_its_connection_back_even_when_nobody_has_read_it(upstream: MakeUpstream) -> None:
    client = upstream()
    async with serve(echo) as server:
        unread = await client.send(server.target(), b"first")
        assert await ask(client, server, b"second") == b"second"
        assert await unread.read(LIMIT) == b"first"
    assert client.counters.opened == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_the_last_connection_given_back_is_the_first_one_used_again(
    upstream: MakeUpstream, order: tuple[int, ...]
) -> None:
    gates = [asyncio.Event() for _ in order]

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await gates[peer.number].wait()
            await peer.say(whole(b"%d" % peer.number))

    client = upstream()
    async with serve(script) as server:
        tasks = []
        for number in range(3):
            tasks.append(asyncio.create_task(ask(client, server)))
            await server.arrived(number + 1)
        for number in order:
            gates[number].set()
            await tasks[number]
        assert [await ask(client, server) for _ in range(3)] == [b"%d" % order[-1]] * 3


async def test_an_answer_that_was_never_read_is_cut_and_its_place_is_free(upstream: MakeUpstream) -> None:
    cut = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(whole(OK)[:-1])
        await peer.gone()
        cut.set()

    client = upstream(ceilings=Ceilings(connections=1))
    async with serve(script) as server:
        for _ in range(2):
            exchange = await client.send(server.target(), b"{}")
            exchange.close()
            exchange.close()
            await cut.wait()
            cut.clear()
            assert await exchange.chunk() == OK[:-1]
            with pytest.raises(NetworkFailure):
                await exchange.chunk()


async def test_closing_a_whole_answer_keeps_the_connection(upstream: MakeUpstream) -> None:
    client = upstream()
    async with serve(echo) as server:
        for _ in range(2):
            (await client.send(server.target(), b"{}")).close()
    assert client.counters.opened == 1


async def test_requests_above_the_ceiling_wait_in_line(upstream: MakeUpstream) -> None:
    client = upstream(ceilings=Ceilings(connections=2))
    async with serve(echo) as server:
        answers = await asyncio.gather(*(ask(client, server, b"%d" % number) for number in range(50)))
        assert answers == [b"%d" % number for number in range(50)]
        assert len(server.peers) == 2
    assert (client.counters.opened, client.counters.reused) == (2, 48)


async def test_the_place_of_a_broken_connection_goes_to_the_next_in_line(upstream: MakeUpstream) -> None:
    client = upstream(ceilings=Ceilings(connections=2))
    async with serve(dying(0)) as server:
        answers = await asyncio.gather(*(ask(client, server) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(answer, NetworkFailure) for answer in answers)
        assert len(server.peers) == 20


async def test_waiting_in_line_ends_with_the_time_to_connect(upstream: MakeUpstream) -> None:
    client = upstream(Timeouts(connect=0.05, first_byte=LONG, idle=LONG, total=LONG), Ceilings(connections=1))
    async with serve(silent) as server:
        holding = asyncio.create_task(ask(client, server))
        with pytest.raises(ProviderTimeout) as caught:
            await asyncio.gather(ask(client, server), ask(client, server))
        assert not caught.value.sent
        assert len(server.peers) == 1
        holding.cancel()
        await asyncio.wait([holding])


@pytest.mark.parametrize("lost", [False, True], ids=["freed", "lost"])
async def test_who_leaves_the_line_just_after_being_served_passes_the_place_on(
    upstream: MakeUpstream,
    lost: bool,  # noqa: FBT001
) -> None:
    client = upstream(ceilings=Ceilings(connections=1))
    async with serve(echo) as server:
        await ask(client, server)
        lane = client._lanes[server.target().origin]
        holding = lane.idle.pop()
        leaving = asyncio.create_task(lane.acquire())
        staying = asyncio.create_task(lane.acquire())
        await asyncio.sleep(0)
        if lost:
            holding.cut()
        else:
            lane.free(holding)
        leaving.cancel()
        served = await staying
        assert leaving.cancelled()
        assert served.open is not lost
        assert lane.members == {served}


async def test_a_connection_that_dies_while_it_is_handed_over_is_not_used(upstream: MakeUpstream) -> None:
    client = upstream(ceilings=Ceilings(connections=1))
    async with serve(echo) as server:
        await ask(client, server)
        lane = client._lanes[server.target().origin]
        holding = lane.idle.pop()
        waiting = asyncio.create_task(lane.acquire())
        await asyncio.sleep(0)
        lane.free(holding)
        holding.cut()
        assert await waiting is not holding
        assert holding not in lane.members


async def test_who_wants_a_fresh_connection_at_the_ceiling_takes_the_place_of_the_oldest_idle_one(
    upstream: MakeUpstream,
) -> None:
    client = upstream(ceilings=Ceilings(connections=1))
    async with serve(echo) as server:
        await ask(client, server)
        lane = client._lanes[server.target().origin]
        fresh = await lane.acquire()
        assert not fresh.open
        assert (lane.idle, lane.members) == ([], {fresh})


async def test_cancelling_while_in_line_leaves_no_trace(upstream: MakeUpstream) -> None:
    client = upstream(ceilings=Ceilings(connections=1))
    async with serve(silent) as server:
        tasks = [asyncio.create_task(ask(client, server)) for _ in range(5)]
        await server.arrived(1)
        for task in reversed(tasks):
            task.cancel()
        await asyncio.wait(tasks)
        lane = client._lanes[server.target().origin]
        assert (lane.members, lane.idle, list(lane._waiting)) == (set(), [], [])


async def test_reaching_opens_a_connection_and_sends_nothing(upstream: MakeUpstream) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.reader.read(1))

    client = upstream()
    async with serve(script) as server:
        await client.reach(server.target().origin)
        await server.arrived(1)
        await server.deserted()
        assert seen == [b""]
        assert client._lanes[server.target().origin].members == set()
    with pytest.raises(NetworkFailure, match="refused"):
        await client.reach(server.target().origin)
