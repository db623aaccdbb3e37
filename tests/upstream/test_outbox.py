"""Writes that are put off until a turn's work is done, and what may happen to them in between."""

import asyncio

from dominion.domain.errors import NetworkFailure
from dominion.upstream.bounds import Ceilings
from dominion.upstream.connection import Connection
from dominion.upstream.outbox import Outbox
from tests.upstream.test_fuzz import Owner, Wire

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Paper(Wire):
    """A wire that keeps what was written."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        super().__init__(loop, connection)
        self.written: list[object] = []

    def write(self, data: object) -> None:
        assert not self.over, "a write to a closed socket"
        self.written.append(data)


def opened(outbox: Outbox) -> tuple[Connection, Paper, Owner]:
    loop, owner = asyncio.get_running_loop(), Owner()
    connection = Connection(owner, loop, Ceilings(), outbox)
    wire = Paper(loop, connection)
    connection.connection_made(wire)
    return connection, wire, owner


async def test_writes_are_made_in_order_when_the_turns_work_is_done() -> None:
    outbox = Outbox()
    made: list[bytes] = []
    outbox.put(made.append, b"1")
    outbox.put(made.append, b"2")
    assert made == []
    await asyncio.sleep(0)
    assert made == [b"1", b"2"]
    outbox.put(made.append, b"3")
    outbox.flush()
    await asyncio.sleep(0)
    assert made == [b"1", b"2", b"3"]


async def test_what_a_write_puts_in_is_written_after_those_that_wait() -> None:
    outbox = Outbox()
    made: list[bytes] = []

    def again(data: bytes) -> None:
        made.append(data)
        outbox.put(made.append, b"later")

    outbox.put(again, b"1")
    outbox.put(made.append, b"2")
    outbox.flush()
    await asyncio.sleep(0)
    assert made == [b"1", b"2", b"later"]


async def test_bytes_that_come_before_the_request_has_left_are_no_answer_to_it() -> None:
    outbox = Outbox()
    connection, wire, owner = opened(outbox)
    first = connection.ask(b"one", asyncio.get_running_loop().time() + 9)
    outbox.flush()
    connection.data_received(ANSWER)
    assert (await first.read(9), owner.freed) == (b"ok", 1)
    second = connection.ask(b"two", asyncio.get_running_loop().time() + 9)
    connection.data_received(ANSWER)  # to nobody
    assert isinstance(second.failure, NetworkFailure)
    assert second.stale, "it may be sent again on another connection"
    outbox.flush()
    assert wire.written == [b"one"]
    await asyncio.sleep(0)


async def test_a_request_whose_caller_has_gone_is_never_sent() -> None:
    outbox = Outbox()
    connection, wire, _ = opened(outbox)
    connection.ask(b"one", asyncio.get_running_loop().time() + 9).close()
    outbox.flush()
    assert wire.written == []
    await asyncio.sleep(0)
