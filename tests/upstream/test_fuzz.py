"""Whatever bytes come, in whatever pieces: a whole answer or a ProviderError, the same one each time, and soon."""

import asyncio
import gzip
import zlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dominion.domain.errors import ProviderError
from dominion.upstream.bounds import Ceilings
from dominion.upstream.connection import Connection
from dominion.upstream.exchange import HttpExchange
from dominion.upstream.outbox import Outbox
from tests.upstream.conftest import MakeUpstream
from tests.upstream.hostile import LIMIT, chunked, once, serve, whole

Outcome = tuple[int, dict[bytes, bytes], bytes] | str

TEXT = b'data: {"n":1}\n\ndata: [DONE]\n\n'
CORPUS = [
    whole(TEXT, b"content-type: text/event-stream", b"x-request-id: 7"),
    chunked(TEXT[:9], TEXT[9:], lines=(b"content-type: text/event-stream",)),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + whole(b"{}"),
    b"HTTP/1.0 503 Service Unavailable\r\nretry-after: 1\r\n\r\noverloaded",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    whole(gzip.compress(TEXT, mtime=0), b"content-encoding: gzip"),
    chunked(zlib.compress(TEXT), lines=(b"content-encoding: deflate",)),
    whole(TEXT, status=b"302 Found") + whole(b"poison"),
]
TOKENS = [b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"content-length: 3\r\n", b"\x00", b":", b" "]
TOKENS += [b"transfer-encoding: chunked\r\n", b"content-encoding: gzip\r\n", b"connection: close\r\n", b"ffffffff\r\n"]


def edited(answer: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Replace so many bytes at each place (a share of the length) by others."""
    for place, removed, added in changes:
        at = int(place * len(answer))
        answer = answer[:at] + added + answer[at + removed :]
    return answer


fuzz = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
edits = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 8),
        st.one_of(st.just(b""), st.sampled_from(TOKENS), st.binary(max_size=6)),
    ),
    max_size=4,
)
mutants = st.builds(edited, st.sampled_from(CORPUS), edits)
wires = st.one_of(mutants, mutants, mutants, st.binary(max_size=300))
cuts = st.lists(st.integers(1, 40), min_size=1, max_size=8)
pieces_of_body = st.lists(st.binary(min_size=1, max_size=50), max_size=6)


def cut(wire: bytes, sizes: list[int]) -> list[bytes]:
    """The bytes in pieces of these sizes, over and over."""
    pieces: list[bytes] = []
    while wire:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(wire[:size])
        wire = wire[size:]
    return pieces


class Wire(asyncio.Transport):
    """A transport in memory: what is written is forgotten, and `abort` reports the loss as a socket would."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        super().__init__()
        self._loop = loop
        self._connection = connection
        self.over = False
        self.reading = asyncio.Event()
        self.reading.set()

    def write(self, data: object) -> None:
        """Nobody reads it."""

    def get_write_buffer_size(self) -> int:
        """All is written."""
        return 0

    def pause_reading(self) -> None:
        """The feeder waits."""
        self.reading.clear()

    def resume_reading(self) -> None:
        """The feeder goes on."""
        self.reading.set()

    def abort(self) -> None:
        """Close."""
        if not self.over:
            self.over = True
            self.reading.set()
            self._loop.call_soon(self._connection.connection_lost, None)


class Owner:
    """Owns one connection and remembers whether it was given back."""

    def __init__(self) -> None:
        self.freed = 0
        self.open = 0

    def opened(self, _connection: Connection) -> None:
        """Count."""
        self.open += 1

    def free(self, _connection: Connection) -> None:
        """Count."""
        self.freed += 1

    def gone(self, _connection: Connection) -> None:
        """Nothing waits here."""

    def lost(self, _connection: Connection) -> None:
        """Count."""
        self.open -= 1


async def outcome(pieces: list[bytes]) -> tuple[Outcome, bool]:
    """What these pieces and then the end of the connection amount to, and whether the connection was given back."""
    loop = asyncio.get_running_loop()
    owner = Owner()
    outbox = Outbox()
    connection = Connection(owner, loop, Ceilings(buffered=64), outbox)
    wire = Wire(loop, connection)
    connection.connection_made(wire)
    reading = asyncio.create_task(consume(connection.ask(b"", loop.time() + 100)))
    outbox.flush()
    async with asyncio.timeout(2):
        for piece in pieces:
            await wire.reading.wait()
            if not wire.over:
                connection.data_received(piece)
            await asyncio.sleep(0)
        await wire.reading.wait()
        kept = bool(owner.freed) and not wire.over
        if not wire.over:
            connection.eof_received()
        found = await reading
        await asyncio.sleep(0)
        assert owner.open == (not wire.over)
    return found, kept


async def consume(exchange: HttpExchange) -> Outcome:
    """The answer, or the name of the error."""
    try:
        if not exchange.status and exchange.failure is None:
            await exchange.arrival()
        if not exchange.status and exchange.failure is not None:
            raise exchange.failure
        return exchange.status, exchange.headers, await exchange.read(LIMIT)
    except ProviderError as error:
        return type(error).__name__


@fuzz
@given(wires, cuts)
async def test_any_bytes_have_one_outcome_however_they_are_cut(wire: bytes, sizes: list[int]) -> None:
    found, _ = await outcome([wire] if wire else [])
    assert (await outcome(cut(wire, sizes)))[0] == found
    assert (await outcome(cut(wire, [1])))[0] == found


@fuzz
@given(wires)
async def test_no_header_can_carry_a_line_of_its_own(wire: bytes) -> None:
    found, _ = await outcome([wire] if wire else [])
    if not isinstance(found, str):
        assert not any(byte in text for pair in found[1].items() for text in pair for byte in b"\r\n\x00")


@fuzz
@given(pieces_of_body, cuts, st.sampled_from(["length", "chunked"]), st.sampled_from([None, b"gzip", b"deflate"]))
async def test_a_valid_answer_is_what_was_sent_and_a_cut_one_is_never_whole(
    pieces: list[bytes], sizes: list[int], framing: str, encoding: bytes | None
) -> None:
    body = b"".join(pieces)
    lines: tuple[bytes, ...] = ()
    if encoding is not None:
        packed = gzip.compress(body, mtime=0) if encoding == b"gzip" else zlib.compress(body)
        pieces, lines = [packed], (b"content-encoding: " + encoding,)
    wire = whole(b"".join(pieces), *lines) if framing == "length" else chunked(*pieces, lines=lines)
    found, kept = await outcome(cut(wire, sizes))
    assert kept
    assert not isinstance(found, str)
    assert (found[0], found[2]) == (200, body)
    for length in {len(wire) - 1, len(wire) // 2, sizes[0] % len(wire)}:
        assert (await outcome(cut(wire[:length], sizes)))[0] == "NetworkFailure"


@settings(fuzz, max_examples=40)
@given(wires, cuts)
async def test_over_a_socket_too_any_bytes_are_an_answer_or_an_error_of_ours(
    upstream: MakeUpstream, wire: bytes, sizes: list[int]
) -> None:
    async with serve(once(*cut(wire, sizes))) as server:
        try:
            exchange = await upstream().send(server.target(), b"{}")
            found: Outcome = exchange.status, exchange.headers, await exchange.read(LIMIT)
        except ProviderError as error:
            found = type(error).__name__
    assert (await outcome([wire] if wire else []))[0] == found
