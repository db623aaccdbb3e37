"""Shared rates on a real Valkey, and on one that is killed, paused, behind a dead network, emptied or read-only."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import redis

from dominion.domain.errors import ConfigProblem
from dominion.stores import redis_link
from dominion.stores.redis_link import RedisLink
from dominion.stores.redis_rates import RedisRates
from tests.servers.programs import Valkey
from tests.servers.proxy import Proxy

WINDOW = 60.0


@asynccontextmanager
async def rates(url: str) -> AsyncIterator[tuple[RedisRates, RedisLink]]:
    made = RedisRates(url)
    try:
        yield made, made._link
    finally:
        await made.close()


@pytest.fixture
def proxy(own_valkey: Valkey) -> Iterator[Proxy]:
    with Proxy(own_valkey.socket) as proxy:
        yield proxy


async def until_it_answers(link: RedisLink) -> None:
    deadline = time.monotonic() + 30
    while not link.answers:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def opened(link: RedisLink, taking: RedisRates) -> None:
    """The first call makes the connection; a machine under load may take longer for it than a call may take."""
    while await taking.take("warm", 1000, WINDOW) is None:
        await until_it_answers(link)


async def test_of_many_processes_at_once_no_more_than_the_limit_gets_through(valkey_url: str) -> None:
    async with rates(valkey_url) as (one, first), rates(valkey_url) as (two, second):
        await opened(first, one)
        await opened(second, two)
        waits = await asyncio.gather(
            *(one.take("user:1", 50, WINDOW) for _ in range(100)), *(two.take("user:1", 50, WINDOW) for _ in range(100))
        )
        assert waits.count(0.0) == 50
        assert all(wait == 0.0 or (wait is not None and 0 < wait <= 2 * WINDOW) for wait in waits)
        assert await two.take("user:2", 50, WINDOW) == 0.0


async def test_a_limit_of_nothing_lets_nobody_through(valkey_url: str) -> None:
    async with rates(valkey_url) as (taking, link):
        await opened(link, taking)
        assert await taking.take("user:1", 0, WINDOW) == WINDOW


async def test_after_the_wait_that_was_told_one_more_fits(valkey_url: str) -> None:
    async with rates(valkey_url) as (taking, link):
        await opened(link, taking)
        waited = 0.0
        for _ in range(2):  # 3 of the window before, and then as they fade
            while (wait := await taking.take("user:1", 3, 0.3)) == 0.0:
                waited = 0.0
            assert wait is not None
            assert 0 < wait <= 0.6
            await asyncio.sleep(wait)
            waited += wait
            assert await taking.take("user:1", 3, 0.3) == 0.0
        assert waited > 0


async def test_windows_slide_a_burst_at_the_edge_is_not_counted_as_new(valkey_url: str) -> None:
    window = 1.0
    async with rates(valkey_url) as (taking, link):
        await opened(link, taking)
        await asyncio.sleep(window - time.time() % window - 0.2)  # the server's windows begin with the second
        first = [await taking.take("edge", 20, window) for _ in range(40)]
        await asyncio.sleep(window - time.time() % window + 0.05)
        second = [await taking.take("edge", 20, window) for _ in range(40)]
        assert first.count(0.0) == 20
        assert second.count(0.0) <= 4


@pytest.mark.parametrize("before", ["script flush", "flushall"])
async def test_a_server_that_forgot_everything_is_asked_again_at_once(valkey_url: str, before: str) -> None:
    async with rates(valkey_url) as (taking, link):
        await opened(link, taking)
        assert await taking.take("user:1", 1, WINDOW) == 0.0
        with redis.Redis.from_url(valkey_url) as other:
            other.execute_command(*before.upper().split())
        again = await taking.take("user:1", 1, WINDOW)
        assert again == 0.0 if before == "flushall" else again is not None and again > 0
        assert link.answers


async def test_a_server_that_never_heard_of_evalsha_is_asked_with_eval() -> None:
    with Valkey("--rename-command", "EVALSHA", "") as server:
        async with rates(server.url) as (taking, link):
            await opened(link, taking)
            assert await taking.take("user:1", 1, WINDOW) == 0.0
            assert await taking.take("user:1", 1, WINDOW) not in (0.0, None)
            assert link.answers


async def check_outage(url: str, caplog: pytest.LogCaptureFixture, harm: object, mend: object) -> None:
    """No call takes longer than it may, none raises; one line when it fails, one when it works again."""
    assert callable(harm)
    assert callable(mend)
    async with rates(url) as (taking, link):
        await opened(link, taking)
        caplog.clear()
        await asyncio.to_thread(harm)
        took = []
        for _ in range(200):
            began = time.monotonic()
            wait = await taking.take("user:1", 1000, WINDOW)
            took.append(time.monotonic() - began)
            if wait is None and not link.answers:
                break
        assert not link.answers
        assert max(took) < redis_link.SECONDS + 0.5, max(took)  # the rest is for the machine
        assert await asyncio.gather(*(taking.take("user:1", 1000, WINDOW) for _ in range(100))) == [None] * 100
        await asyncio.sleep(3 * redis_link.PROBE_EVERY)
        assert not link.answers
        assert len([line for line in caplog.messages if "cache server" in line]) == 1, caplog.messages
        await asyncio.to_thread(mend)
        await until_it_answers(link)
        assert await taking.take("user:1", 1000, WINDOW) == 0.0
        lines = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert len(lines) == 2, lines


async def test_a_killed_server_harms_nobody(own_valkey: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    await check_outage(own_valkey.url, caplog, own_valkey.kill, own_valkey.start)


async def test_a_server_that_hangs_harms_nobody(own_valkey: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    await check_outage(
        own_valkey.url,
        caplog,
        lambda: own_valkey.signal(signal.SIGSTOP),
        lambda: own_valkey.signal(signal.SIGCONT),
    )


@pytest.mark.parametrize("mode", ["hole", "refuse"])
async def test_a_dead_network_harms_nobody(proxy: Proxy, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    await check_outage(
        f"redis://127.0.0.1:{proxy.port}",
        caplog,
        lambda: setattr(proxy, "mode", mode),
        lambda: setattr(proxy, "mode", "pass"),
    )


async def test_a_slow_network_harms_nobody(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    await check_outage(
        f"redis://127.0.0.1:{proxy.port}",
        caplog,
        lambda: setattr(proxy, "delay", 0.2),
        lambda: setattr(proxy, "delay", 0.0),
    )


@pytest.mark.parametrize(
    ("harm", "mend"),
    [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    ],
    ids=["read-only", "out of memory"],
)
async def test_a_server_that_takes_no_writes_harms_nobody(
    own_valkey: Valkey, caplog: pytest.LogCaptureFixture, harm: str, mend: str
) -> None:
    def command(line: str) -> None:
        with redis.Redis.from_url(own_valkey.url) as other:
            other.execute_command(*line.split())

    await check_outage(own_valkey.url, caplog, lambda: command(harm), lambda: command(mend))


async def test_a_server_that_is_not_there_at_the_start_is_used_when_it_comes(own_valkey: Valkey) -> None:
    own_valkey.stop()
    async with rates(own_valkey.url) as (taking, link):
        assert await taking.take("user:1", 10, WINDOW) is None
        await asyncio.to_thread(own_valkey.start)
        await until_it_answers(link)
        assert await taking.take("user:1", 10, WINDOW) == 0.0


async def test_a_caller_who_leaves_takes_nobody_with_them(valkey_url: str) -> None:
    async with rates(valkey_url) as (taking, link):
        await opened(link, taking)
        leaving = asyncio.create_task(taking.take("user:1", 10, WINDOW))
        staying = asyncio.create_task(taking.take("user:1", 10, WINDOW))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == 0.0
        assert leaving.cancelled()
        assert link.answers


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigProblem, match="not of the form redis://"):
        RedisLink("no address")
