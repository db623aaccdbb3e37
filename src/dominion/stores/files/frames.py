"""Journal records as bytes: framing, and reading what a crash or a bad disk has left; pure, never touches a file.

A frame is the length of the payload (u32, little-endian), the CRC32 of the payload (the same) and the payload: the
record in msgpack.
"""

import struct
from zlib import crc32

import msgspec

from dominion.domain.records import JournalRecord

HEADER = struct.Struct("<II")
MAX_PAYLOAD = 65_536
"""Longer records are never written, so a longer length is damage."""
SEARCHED_BYTES = 1024 * 1024
"""How far behind damage the next whole frame is looked for."""


class Gap(msgspec.Struct, frozen=True):
    """Bytes of a segment that belong to no whole frame: a torn end, or damage."""

    offset: int
    length: int


def frame(payload: bytes) -> bytes:
    """The payload with its header."""
    return HEADER.pack(len(payload), crc32(payload)) + payload


def read_frames(data: bytes) -> tuple[list[JournalRecord], list[Gap]]:
    """Every whole frame of a segment, decoded, and the gaps between them.

    Damage costs the frame it hit: reading goes on at the next whole frame, or stops when none begins within
    SEARCHED_BYTES. Raises msgspec.DecodeError when an undamaged payload is no record that this program knows.
    """
    decode = msgspec.msgpack.Decoder(JournalRecord).decode
    records: list[JournalRecord] = []
    gaps: list[Gap] = []
    offset = 0
    written = len(data.rstrip(b"\0"))  # what follows was allocated and never written
    while offset < written:
        payload = _payload_at(data, offset)
        if payload:
            records.append(decode(payload))
            offset += HEADER.size + len(payload)
        else:
            end = _next_frame(data, offset + 1, written)
            gaps.append(Gap(offset, end - offset))
            offset = end
    return records, gaps


def _payload_at(data: bytes, offset: int) -> bytes:
    """The payload of the whole frame that begins here; empty when none does."""
    start = offset + HEADER.size
    if start >= len(data):
        return b""
    length, checksum = HEADER.unpack_from(data, offset)
    if length > min(MAX_PAYLOAD, len(data) - start):
        return b""
    payload = data[start : start + length]
    return payload if crc32(payload) == checksum else b""


def _next_frame(data: bytes, start: int, written: int) -> int:
    """Where the next whole frame begins, or the end of what was written."""
    offsets = range(start, min(written, start + SEARCHED_BYTES))
    return next((offset for offset in offsets if _payload_at(data, offset)), written)
