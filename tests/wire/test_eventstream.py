"""AWS event streams: framing, checksums, limits. The judge of the same by botocore is test_bedrock_in_botocore.py."""

import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain.errors import UnexpectedResponse
from dominion.wire.bedrock.eventstream import HEADERS_LIMIT, Message, MessageReader, encode
from tests.wire.event_frames import ALL_KINDS, ALL_VALUES, frame_of
from tests.wire.recordings import needs_recordings, pieces, recordings

NAMES = st.text(min_size=1, max_size=20)
MESSAGES = st.lists(
    st.tuples(st.dictionaries(NAMES, st.text(max_size=40), max_size=4), st.binary(max_size=60)), max_size=5
)
steady = settings(derandomize=True, deadline=None, max_examples=150)


def read(chunks: list[bytes]) -> list[Message]:
    reader = MessageReader()
    found = [message for chunk in chunks for message in reader.feed(chunk)]
    reader.end()
    return found


@steady
@given(MESSAGES, st.randoms(use_true_random=False))
def test_what_is_written_is_read_again_however_it_is_cut(
    messages: list[tuple[dict[str, str], bytes]], dice: random.Random
) -> None:
    stream = b"".join(encode(headers, payload) for headers, payload in messages)
    cuts = sorted(dice.sample(range(len(stream)), min(len(stream), 7))) if stream else []
    for chunks in ([stream], pieces(stream, cuts), [stream[at : at + 1] for at in range(len(stream))]):
        assert [(found.headers, found.payload) for found in read(chunks)] == messages


def test_every_type_of_header_is_read() -> None:
    assert read([frame_of(ALL_KINDS, b"x")]) == [Message(ALL_VALUES, b"x")]


@steady
@given(st.integers(0, 10**6))
def test_a_changed_bit_anywhere_is_noticed(place: int) -> None:
    whole = bytearray(encode({":event-type": "chunk", ":message-type": "event"}, b'{"text":"hello"}'))
    whole[place // 8 % len(whole)] ^= 1 << place % 8
    with pytest.raises(UnexpectedResponse):
        read([bytes(whole)])


@steady
@given(st.binary(max_size=80), st.integers(0, 60), st.integers(0, 60))
def test_headers_of_any_bytes_are_read_or_refused_and_nothing_else(headers: bytes, less: int, more: int) -> None:
    told = max(0, len(headers) - less) + more
    reader = MessageReader()
    try:
        found = reader.feed(frame_of(headers, b"", header_length=told))
    except UnexpectedResponse:
        return
    assert all(isinstance(message.event + message.failure, str) for message in found)


@steady
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_waited_for(junk: bytes) -> None:
    reader = MessageReader()
    try:
        found = reader.feed(junk)
    except UnexpectedResponse:
        return
    assert found == [] and len(junk) < 12  # noqa: PT018 - twelve bytes are enough to know


@pytest.mark.parametrize(
    ("length", "header_length"),
    [(1 << 21, 0), (2**32 - 1, 0), (1 << 19, HEADERS_LIMIT + 1), (15, 0), (0, 0), (40, 30)],
)
def test_impossible_lengths_are_refused_with_the_first_twelve_bytes(length: int, header_length: int) -> None:
    lengths = struct.pack(">II", length, header_length)
    with pytest.raises(UnexpectedResponse):
        MessageReader().feed(lengths + struct.pack(">I", zlib.crc32(lengths)))


def test_the_limit_counts_a_message_and_not_the_stream() -> None:
    message = encode({}, b"x" * 84)
    reader = MessageReader(limit=100)
    assert len(reader.feed(message * 50)) == 50
    with pytest.raises(UnexpectedResponse, match="more than 100 bytes"):
        reader.feed(encode({}, b"x" * 85))


@pytest.mark.parametrize(
    "headers",
    [b"\x01a\x0a", b"\x01a\x07\x00\x02x", b"\x01a\x04\x00", b"\x05ab", b"\x01\xff\x00", b"\x01a\x00\x01a\x00"],
)
def test_broken_headers_are_refused(headers: bytes) -> None:
    """An unknown type, values cut off, a name cut off, a name that is no UTF-8, a name twice."""
    with pytest.raises(UnexpectedResponse, match="header"):
        read([frame_of(headers, b"")])


def test_a_stream_that_ends_inside_a_message_is_broken_off() -> None:
    reader = MessageReader()
    reader.feed(encode({}, b"hello")[:-1])
    with pytest.raises(UnexpectedResponse, match="broke off"):
        reader.end()


def test_exceptions_and_errors_have_a_failure_and_events_have_none() -> None:
    event, exception, error = read(
        [
            encode({":message-type": "event", ":event-type": "chunk"}, b""),
            encode({":message-type": "exception", ":exception-type": "throttlingException"}, b"{}"),
            encode({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "x"}, b""),
        ]
    )
    assert (event.event, event.failure) == ("chunk", "")
    assert exception.failure == "throttlingException"
    assert error.failure == "InternalFailure"


@needs_recordings
def test_every_recorded_stream_is_written_again_to_the_byte() -> None:
    found = recordings("converse-stream", "invoke-with-response-stream", kind="eventstream")
    assert len(found) > 70
    for recording in found:
        messages = read([recording.body])
        again = b"".join(
            encode({name: str(value) for name, value in each.headers.items()}, each.payload) for each in messages
        )
        assert again == recording.body, recording.id
