"""Every test here runs on both event loops, and fails when a callback of the loop did."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import pytest
import uvloop

from dominion.upstream.bounds import Ceilings, Timeouts
from dominion.upstream.pool import HttpUpstream

LONG = 5.0


class MakeUpstream(Protocol):
    """Makes a client that is closed after the test."""

    def __call__(self, timeouts: Timeouts = ..., ceilings: Ceilings = ..., **options: Any) -> HttpUpstream:
        """As the constructor of HttpUpstream."""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops, since transports differ in small ways."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
async def quiet_loop() -> AsyncIterator[None]:
    """Fail the test when the loop had something to report: a callback that raised, an error nobody looked at."""
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(repr(context)))
    yield
    await asyncio.sleep(0)
    assert reports == []


@pytest.fixture
async def upstream() -> AsyncIterator[MakeUpstream]:
    """A maker of clients with times long enough to never run out by accident."""
    made: list[HttpUpstream] = []

    def make(
        timeouts: Timeouts = Timeouts(connect=LONG, first_byte=LONG, idle=LONG, total=LONG),  # noqa: B008  # frozen
        ceilings: Ceilings = Ceilings(),  # noqa: B008  # frozen
        **options: Any,
    ) -> HttpUpstream:
        client = HttpUpstream(timeouts, ceilings, **options)
        made.append(client)
        return client

    yield make
    async with asyncio.timeout(LONG):
        for client in made:
            await client.aclose()
