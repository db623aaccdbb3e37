"""AWS event streams (`application/vnd.amazon.eventstream`): bytes to messages and back. Never reads a payload.

A message: u32 length of all, u32 length of the headers, u32 CRC of these two; headers; payload; u32 CRC of all before
it (big-endian; CRC-32 as in zip). A header: u8 length and name, u8 type, value. Source: the Smithy specification
"Amazon Event Stream", and botocore, which is the judge in the tests.
"""

import struct
import zlib
from typing import NamedTuple

from dominion.domain.errors import UnexpectedResponse
from dominion.wire.sse import FRAME_LIMIT

Value = bool | int | bytes | str

STREAM_TYPE = b"application/vnd.amazon.eventstream"
HEADERS_LIMIT = 128 * 1024
"""Bytes; the protocol's own limit. That of a whole message is ours, as for other streams."""

_PRELUDE = struct.Struct(">III")
_U32 = struct.Struct(">I")
_TRUE, _FALSE, _BYTES, _STRING, _UUID = 0, 1, 6, 7, 9
_NUMBERS = {kind: struct.Struct(form) for kind, form in ((2, ">b"), (3, ">h"), (4, ">i"), (5, ">q"), (8, ">q"))}
"""Integers, and as the last one a time in milliseconds since the epoch."""
_U16 = struct.Struct(">H")
_UUID_LENGTH = 16
_OVERHEAD = _PRELUDE.size + _U32.size


class Message(NamedTuple):
    """One message of a stream; header names as sent (":event-type")."""

    headers: dict[str, Value]
    payload: bytes

    @property
    def event(self) -> str:
        """The name of the event; "" for what has none."""
        return str(self.headers.get(":event-type", ""))

    @property
    def failure(self) -> str:
        """The name of the exception or the code of the error; "" for events."""
        if self.headers.get(":message-type") not in ("exception", "error"):
            return ""
        return str(self.headers.get(":exception-type") or self.headers.get(":error-code") or "error")


class MessageReader:
    """Messages of a stream as they complete, however the bytes are cut."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._held = bytearray()
        self._limit = limit

    def feed(self, chunk: bytes) -> list[Message]:
        """Messages completed by this chunk. Raises UnexpectedResponse for wrong lengths, checksums and headers."""
        held = self._held
        held += chunk
        found, start = [], 0
        while len(held) - start >= _PRELUDE.size:
            length, header_length = self._prelude(start)
            if len(held) - start < length:
                break
            found.append(_message(bytes(held[start : start + length]), header_length))
            start += length
        del held[:start]
        return found

    def end(self) -> None:
        """The end of the stream. Raises UnexpectedResponse when it stands inside a message."""
        if self._held:
            raise UnexpectedResponse("The provider broke off its answer inside a message.")

    def _prelude(self, start: int) -> tuple[int, int]:
        """Checked as soon as it is there: a wrong length must not make us wait for bytes that never come."""
        length, header_length, crc = _PRELUDE.unpack_from(self._held, start)
        if zlib.crc32(self._held[start : start + 8]) != crc:
            raise UnexpectedResponse("The provider sent a stream message whose first checksum is wrong.")
        if length > self._limit or header_length > HEADERS_LIMIT:
            raise UnexpectedResponse(f"The provider sent a stream message of more than {self._limit} bytes.")
        if length < _OVERHEAD + header_length:
            raise UnexpectedResponse("The provider sent a stream message shorter than its headers.")
        return length, header_length


def encode(headers: dict[str, str], payload: bytes) -> bytes:
    """The bytes of one message; header values are strings, as in all of Bedrock's. Names are of at most 255 bytes."""
    packed = bytearray()
    for name, value in headers.items():
        name_bytes, value_bytes = name.encode(), value.encode()
        packed += b"%c%b%c%b%b" % (len(name_bytes), name_bytes, _STRING, _U16.pack(len(value_bytes)), value_bytes)
    prelude = struct.pack(">II", _OVERHEAD + len(packed) + len(payload), len(packed))
    message = prelude + _U32.pack(zlib.crc32(prelude)) + packed + payload
    return message + _U32.pack(zlib.crc32(message))


def _message(raw: bytes, header_length: int) -> Message:
    (crc,) = _U32.unpack_from(raw, len(raw) - 4)
    if zlib.crc32(raw[:-4]) != crc:
        raise UnexpectedResponse("The provider sent a stream message whose checksum is wrong.")
    payload = _PRELUDE.size + header_length
    try:
        headers = _headers(raw[_PRELUDE.size : payload])
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise UnexpectedResponse(f"The provider sent a stream message with broken headers: {error}.") from error
    return Message(headers, raw[payload:-4])


def _headers(raw: bytes) -> dict[str, Value]:
    headers: dict[str, Value] = {}
    place = 0
    while place < len(raw):
        kind_at = place + 1 + raw[place]
        name = raw[place + 1 : kind_at].decode()
        if name in headers:
            raise UnexpectedResponse(f"The provider sent a stream message with the header {name!r} twice.")
        headers[name], place = _value(raw, raw[kind_at], kind_at + 1)
    return headers


def _value(raw: bytes, kind: int, place: int) -> tuple[Value, int]:
    """The value of a header and where the next header begins. Raises struct.error or IndexError when it is cut off."""
    if kind in (_BYTES, _STRING):
        (length,) = _U16.unpack_from(raw, place)
        value = _cut(raw, place + 2, length)
        return (value.decode() if kind == _STRING else value), place + 2 + length
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, place
    if kind == _UUID:
        return _cut(raw, place, _UUID_LENGTH), place + _UUID_LENGTH
    if kind not in _NUMBERS:
        raise UnexpectedResponse(f"The provider sent a stream message with a header of the unknown type {kind}.")
    number: int = _NUMBERS[kind].unpack_from(raw, place)[0]
    return number, place + _NUMBERS[kind].size


def _cut(raw: bytes, place: int, length: int) -> bytes:
    if place + length > len(raw):
        raise IndexError("a value is longer than the headers")
    return raw[place : place + length]
