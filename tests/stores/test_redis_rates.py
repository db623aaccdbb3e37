"""Shared rates on a real Valkey, and on one that is killed, paused, behind a dead network, emptied or read-only."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import redis

from dominion.domain.errors import ConfigProblem
from dominion.stores.redis import link as redis_link
from dominion.stores.redis import rates as redis_rates
from dominion.stores.redis.link import RedisLink
from dominion.stores.redis.rates import AHEAD, PREFIX, SHARE, RedisRates
from tests.servers.programs import Valkey
from tests.servers.proxy import Proxy

WINDOW = 60.0
LONG = 10.0**7
"""A window whose edge no test ever sees."""
CLIENTS = """
import asyncio, json, sys
from dominion.stores.redis import link as redis_link
from dominion.stores.redis.rates import RedisRates

async def ask(rates, limit, taken):
    refused = 0
    while refused < 20:  # what others took ahead comes back in the meantime
        wait = await rates.take(f"limit:{limit}", limit, float(sys.argv[2]))
        taken[limit] += wait == 0.0
        refused += wait > 0
        await asyncio.sleep(0.05 if wait else 0)

async def main():
    redis_link.SECONDS = 30.0  # a machine with other things to do is no outage
    rates, taken = RedisRates(sys.argv[1]), {limit: 0 for limit in map(int, sys.argv[3:])}
    while await rates.take("warm", 10**6, 60.0) is None:
        await asyncio.sleep(0.1)
    print(flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(ask(rates, limit, taken) for limit in taken for _ in range(32)))
    await rates.close()
    print(json.dumps(list(taken.values())))

asyncio.run(main())
"""
"""For each limit 32 callers in a process of their own, who ask until nothing comes any more; how many got through."""
SLACK = 1.5
"""Seconds for a machine with other things to do; a call that waits for the server waits for ever."""


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


def test_processes_that_take_ahead_get_exactly_the_limit_together(valkey_url: str) -> None:
    limits = [7, 100, 20_000]
    command = [sys.executable, "-c", CLIENTS, valkey_url, str(LONG), *map(str, limits)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for each in both:
        assert each.stdout is not None
        each.stdout.readline()
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    taken = [json.loads(each.communicate()[0]) for each in both]
    assert all(found[-1] > 0 for found in taken), taken  # they did run at the same time
    assert [sum(found) for found in zip(*taken, strict=True)] == limits, taken
    assert all(each.returncode == 0 for each in both)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with other things to do is no outage."""
    monkeypatch.setattr(redis_link, "SECONDS", 30.0)


def trips(url: str) -> int:
    """How often the server was asked."""
    with redis.Redis.from_url(url) as other:
        return sum(int(each["calls"]) for name, each in other.info("commandstats").items() if "evalsha" in name)


def counted(url: str, scope: str) -> int:
    """What the server has counted of a scope in this window."""
    with redis.Redis.from_url(url) as other:
        return int(other.hget(PREFIX + scope, "count") or 0)


@pytest.mark.usefixtures("patient")
async def test_many_requests_of_one_caller_share_a_trip(own_valkey: Valkey) -> None:
    async with rates(own_valkey.url) as (taking, link):
        await opened(link, taking)
        before, began = trips(own_valkey.url), time.monotonic()
        for _ in range(5_000):
            assert await taking.take("user:1", 10**6, LONG) == 0.0
        most = 10 + (time.monotonic() - began) / AHEAD * 4
        assert trips(own_valkey.url) - before <= most


@pytest.mark.usefixtures("patient")
async def test_many_requests_of_many_callers_share_a_trip(own_valkey: Valkey) -> None:
    async with rates(own_valkey.url) as (taking, link):
        await opened(link, taking)
        before = trips(own_valkey.url)
        waits = await asyncio.gather(*(taking.take(f"user:{number}", 10, LONG) for number in range(500)))
        assert waits == [0.0] * 500
        assert trips(own_valkey.url) - before <= 2


@pytest.mark.usefixtures("patient")
async def test_a_flood_of_refused_requests_does_not_reach_the_server(own_valkey: Valkey) -> None:
    async with rates(own_valkey.url) as (taking, link):
        await opened(link, taking)
        assert await taking.take("user:1", 1, LONG) == 0.0
        before, began = trips(own_valkey.url), time.monotonic()
        for _ in range(2_000):
            wait = await taking.take("user:1", 1, LONG)
            assert wait is not None
            assert 0 < wait <= 2 * LONG
        assert trips(own_valkey.url) - before <= 2 + (time.monotonic() - began) / redis_rates.REFUSED


@pytest.mark.usefixtures("patient")
async def test_what_was_taken_ahead_and_is_not_used_comes_back(own_valkey: Valkey) -> None:
    limit = 100 * SHARE
    async with rates(own_valkey.url) as (taking, link):
        await opened(link, taking)
        for _ in range(50):
            assert await taking.take("user:1", limit, LONG) == 0.0
        most = counted(own_valkey.url, "user:1")
        assert 50 < most <= 50 + limit // SHARE
        deadline = time.monotonic() + 10
        while counted(own_valkey.url, "user:1") != 50:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        for _ in range(50):
            assert await taking.take("user:1", limit, LONG) == 0.0
        assert counted(own_valkey.url, "user:1") > 100
    assert counted(own_valkey.url, "user:1") == 100  # a process that ends gives back at once


@pytest.mark.usefixtures("patient")
async def test_what_was_taken_ahead_is_not_used_in_the_next_window(valkey_url: str) -> None:
    window, limit = 0.2, 100 * SHARE
    async with rates(valkey_url) as (taking, link):
        await opened(link, taking)
        for _ in range(50):
            assert await taking.take("edge", limit, window) == 0.0
        lease = taking._leases["edge", limit, 200]
        assert lease.left
        assert lease.until - lease.at <= window
        number = lease.number
        await asyncio.sleep(lease.until - asyncio.get_running_loop().time() + 0.01)
        assert await taking.take("edge", limit, window) == 0.0
        assert lease.number > number


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
        edge = (time.time() // window + 1) * window  # the server's windows begin with the second
        await asyncio.sleep(edge - time.time() - 0.2)
        first = [await taking.take("edge", 20, window) for _ in range(40)]
        await asyncio.sleep(edge - time.time() + 0.05)
        second = [await taking.take("edge", 20, window) for _ in range(40)]
        slid = (time.time() - edge) / window
        assert first.count(0.0) >= 20
        assert (first + second).count(0.0) <= 20 + 20 * slid + 1


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
        assert max(took) < redis_link.SECONDS + SLACK, max(took)
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
