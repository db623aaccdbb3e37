"""SIGTERM: what was asked before is answered, what takes too long is told so and paid for, and the exit code is 0."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from dominion.domain.records import Certainty, Outcome
from tests.whole.callers import END, Connection
from tests.whole.program import Program

LAST = 5.0
"""Seconds that an end may take longer than the drain."""


def rows(program: Program) -> list[Any]:
    """(outcome, certainty, output tokens) of every row that an ended program left."""
    with contextlib.closing(sqlite3.connect(program.folder / "data" / "gateway.db")) as database:
        return database.execute("select outcome, certainty, output_tokens from usage").fetchall()


def ended(program: Program) -> int:
    """The exit code of a program that was told to end."""
    assert program.process is not None
    program.process.wait(60)
    return program.stop()


async def refused(program: Program) -> None:
    """Return when it accepts nothing any more."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                with contextlib.suppress(ConnectionResetError):  # it was let in, and the door closed behind it
                    (await Connection.open(program.url, "")).close()


async def streams_of(program: Program, key: str, count: int, model: str) -> list[Connection]:
    """Connections on which a stream runs: each has had its head."""
    connections = [await Connection.open(program.url, key) for _ in range(count)]
    for connection in connections:
        connection.send(model, stream=True)
    await asyncio.gather(*[connection._reader.readuntil(b"data: ") for connection in connections])
    return connections


async def rest(connection: Connection) -> bytes:
    """All that comes until the gateway closes the connection."""
    try:
        return await connection._reader.read()
    finally:
        connection.close()


async def drained(folder: Path, streams: int, model: str, seconds: float) -> None:
    """SIGTERM while so many streams run: each gets to its end, and each is in the ledger."""
    with Program(folder, DRAIN_SECONDS=str(seconds)) as program:
        key = program.user()[1]
        connections = await streams_of(program, key, streams, model)
        os.kill(program.pid, signal.SIGTERM)
        bodies = await asyncio.gather(*[rest(connection) for connection in connections])
        assert [END in body for body in bodies] == [True] * streams
        assert await asyncio.to_thread(ended, program) == 0
    assert [(outcome, certainty) for outcome, certainty, _ in rows(program)] == [
        (Outcome.OK, Certainty.MEASURED)
    ] * streams


async def test_every_running_stream_is_brought_to_its_end(folder: Path) -> None:
    await drained(folder, 20, "stub/drip-50x10", 30)


@pytest.mark.soak
async def test_two_hundred_streams_of_twenty_seconds_are_brought_to_their_ends(folder: Path) -> None:
    await drained(folder, 200, "stub/drip-200x100", 60)


async def test_at_the_limit_every_stream_is_told_and_paid_for_as_far_as_it_came(folder: Path) -> None:
    with Program(folder, DRAIN_SECONDS="1") as program:
        connections = await streams_of(program, program.user()[1], 20, "stub/drip-1000x20")
        began = time.monotonic()
        os.kill(program.pid, signal.SIGTERM)
        bodies = await asyncio.gather(*[rest(connection) for connection in connections])
        assert await asyncio.to_thread(ended, program) == 0
        assert time.monotonic() - began < 1 + LAST
    for body in bodies:
        frames = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: {")]
        assert "shutting down" in json.loads(frames[-1])["error"]["message"]
    found = rows(program)
    assert [row[:2] for row in found] == [(Outcome.CANCELLED, Certainty.ESTIMATED)] * 20
    assert all(1 <= tokens < 100 for *_, tokens in found)


async def test_a_second_signal_ends_at_once(folder: Path) -> None:
    with Program(folder) as program:
        connections = await streams_of(program, program.user()[1], 2, "stub/drip-1000x20")
        began = time.monotonic()
        os.kill(program.pid, signal.SIGTERM)
        await refused(program)
        os.kill(program.pid, signal.SIGTERM)
        bodies = await asyncio.gather(*[rest(connection) for connection in connections])
        assert await asyncio.to_thread(ended, program) == 0
        assert time.monotonic() - began < LAST
    assert all(b"shutting down" in body for body in bodies)
    assert len(rows(program)) == 2


async def test_requests_that_come_over_open_connections_after_the_signal_are_answered(folder: Path) -> None:
    with Program(folder) as program:
        key = program.user()[1]
        used, fresh = [await Connection.open(program.url, key) for _ in range(2)]
        await used.ask("stub/echo")
        (streaming,) = await streams_of(program, key, 1, "stub/drip-20x20")
        os.kill(program.pid, signal.SIGTERM)
        await refused(program)
        for connection in (used, fresh):
            await connection.ask("stub/echo")
            assert not connection.usable
            assert await rest(connection) == b""
        assert (await streaming._reader.readuntil(b"\r\n0\r\n\r\n")).endswith(END + b"\r\n0\r\n\r\n")
        await streaming.ask("stub/echo")  # its head could not say that the connection ends
        assert not streaming.usable
        streaming.close()
        assert await asyncio.to_thread(ended, program) == 0


async def test_connections_that_say_nothing_do_not_hold_up_the_end(folder: Path) -> None:
    with Program(folder) as program:
        key = program.user()[1]
        used, fresh = [await Connection.open(program.url, key) for _ in range(2)]
        await used.ask("stub/echo")
        began = time.monotonic()
        os.kill(program.pid, signal.SIGTERM)
        assert [await rest(connection) for connection in (used, fresh)] == [b"", b""]
        assert await asyncio.to_thread(ended, program) == 0
        assert time.monotonic() - began < LAST


async def test_the_gateway_says_that_it_is_not_ready_before_it_stops_accepting(folder: Path) -> None:
    with Program(folder, DRAIN_NOTICE_SECONDS="3") as program:
        key = program.user()[1]
        assert program.ask("GET", "/health/ready").status == 200
        os.kill(program.pid, signal.SIGTERM)
        async with asyncio.timeout(3):
            while (ready := await asyncio.to_thread(program.ask, "GET", "/health/ready")).status == 200:
                pass
        assert (ready.status, ready.json["error"]) == (503, "shutting_down")
        assert ready.headers["connection"] == "close"
        answer = program.chat(key)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await asyncio.to_thread(ended, program) == 0
