"""Server-sent events: frames in and out, and the tap."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.wire.sse import Frame, FrameReader, FrameTap, frame
from tests.wire.recordings import pieces

LIBERAL = (
    "\ufeff: a comment\r\n\r\n"
    "event: greeting\ndata:no space\n\n"
    "data: first\rdata:  second\r\r"
    "id: 7\nretry: 10\ndata: zażółć 🙂\n\n"
    "event: alone\n\n\n\n"
    "data\r\n\r\n"
    "data: {}\r\n\r\n"
    "data: without its end"
).encode()
FRAMES = [
    Frame("greeting", b"no space"),
    Frame("", b"first\n second"),
    Frame("", "zażółć 🙂".encode()),
    Frame("", b""),
    Frame("", b"{}"),
    Frame("", b"without its end"),
]
STEADY = settings(derandomize=True, deadline=None)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def read(chunks: list[bytes]) -> list[Frame]:
    reader = FrameReader()
    found = [one for chunk in chunks for one in reader.feed(chunk)]
    return found + reader.end()


def test_every_liberty_of_the_grammar_is_read() -> None:
    assert read([LIBERAL]) == FRAMES


def test_a_stream_cut_at_any_two_places_gives_the_same_frames() -> None:
    for cuts in itertools.combinations(range(len(LIBERAL)), 2):
        assert read(pieces(LIBERAL, list(cuts))) == FRAMES, cuts


def test_a_stream_read_byte_by_byte_gives_the_same_frames() -> None:
    assert read([bytes([byte]) for byte in LIBERAL]) == FRAMES


@STEADY
@given(st.lists(st.tuples(st.text("ab:{} \t", max_size=5), ENDS), max_size=12), st.integers())
def test_lines_of_any_ends_mean_the_same_however_they_are_cut(lines: list[tuple[str, str]], seed: int) -> None:
    body = "".join(f"data:{text}{end}{end}" for text, end in lines).encode()
    cuts = random.Random(seed).choices(range(len(body) + 1), k=5)
    assert read(pieces(body, cuts)) == [Frame("", text.removeprefix(" ").encode()) for text, _ in lines]


@STEADY
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_arbitrary_bytes_are_never_an_error(chunks: list[bytes]) -> None:
    assert read(chunks) == read([b"".join(chunks)])


@pytest.mark.parametrize("event", [None, "message_stop"])
def test_what_is_written_is_read(event: str | None) -> None:
    assert read([frame(b'{"a":1}', event)]) == [Frame(event or "", b'{"a":1}')]


@pytest.mark.parametrize("chunks", [[b"data: " + b"x" * 95 + b"\n\n"], [b"data:", b"x" * 60, b"y" * 60]])
def test_a_frame_above_the_limit_is_refused_whole_or_in_pieces(chunks: list[bytes]) -> None:
    reader = FrameReader(limit=100)
    with pytest.raises(UnexpectedResponse, match="more than 100 bytes"):
        list(map(reader.feed, chunks))


def test_a_frame_at_the_limit_is_read() -> None:
    body = b"data: " + b"x" * 92 + b"\n\n"
    assert FrameReader(limit=len(body)).feed(body) == [Frame("", b"x" * 92)]


def secret(seen: Seen, found: Frame) -> bool:
    seen.finish += found.data.decode()
    return found.data.startswith(b"secret")


def tap(*, hide: bool, limit: int = 1000) -> FrameTap:
    return FrameTap(secret, marked=lambda piece: b"secret" in piece, delta=b'"delta"', hide=hide, limit=limit)


STREAM = (
    b'data: {"delta":{"text":"one"}}\n\n: hm\n\ndata: secret 1\n\ndata: {"delta":{"text":"\\"2\\""}}\n\ndata: secret 2'
)


def test_a_tap_hides_exactly_the_frames_it_is_told_to() -> None:
    for cuts in itertools.combinations(range(len(STREAM)), 2):
        hiding, watching = tap(hide=True), tap(hide=False)
        chunks = pieces(STREAM, list(cuts))
        relayed = b"".join(hiding.feed(chunk) for chunk in chunks) + hiding.end()
        assert relayed == STREAM.replace(b"data: secret 1\n\n", b"").replace(b"data: secret 2", b""), cuts
        assert [watching.feed(chunk) for chunk in chunks] == chunks
        assert watching.end() == b""
        assert hiding.seen == watching.seen == Seen(finish="secret 1secret 2", frames=2, content_bytes=8)


def test_a_tap_that_hides_nothing_holds_nothing_back() -> None:
    assert tap(hide=False).feed(b"data: half a fra") == b"data: half a fra"


def test_a_tap_refuses_a_frame_that_outgrows_the_limit() -> None:
    watching = tap(hide=False, limit=100)
    with pytest.raises(UnexpectedResponse):
        list(map(watching.feed, [b"data: never an end"] * 20))


def test_frames_without_text_do_not_count_as_content() -> None:
    watching = tap(hide=False)
    watching.feed(b': ping\n\ndata: {"delta":{}}\n\ndata: {"delta":{"role":"x","content":"four","refusal":null}}\n\n')
    assert (watching.seen.frames, watching.seen.content_bytes) == (1, 4)
