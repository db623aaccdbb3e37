"""Frames of AWS event streams made by hand, also wrong ones. Uses nothing of ours."""

import struct
import zlib
from typing import Any

ALL_KINDS = b"".join(
    b"%c%b%b" % (len(name), name, value)
    for name, value in (
        (b"yes", b"\x00"),
        (b"no", b"\x01"),
        (b"byte", b"\x02\xff"),
        (b"short", b"\x03\xff\xfe"),
        (b"integer", b"\x04\xff\xff\xff\xfd"),
        (b"long", b"\x05\x00\x00\x00\x01\x00\x00\x00\x00"),
        (b"bytes", b"\x06\x00\x02\xff\x00"),
        (b"string", b"\x07\x00\x03\xe2\x82\xac"),
        (b"time", b"\x08\x00\x00\x01\x00\x00\x00\x00\x00"),
        (b"uuid", b"\x09" + bytes(range(16))),
    )
)
"""The bytes of one header of each type."""
ALL_VALUES: dict[str, Any] = {
    "yes": True,
    "no": False,
    "byte": -1,
    "short": -2,
    "integer": -3,
    "long": 2**32,
    "bytes": b"\xff\x00",
    "string": "€",
    "time": 2**40,
    "uuid": bytes(range(16)),
}


def frame_of(headers: bytes, payload: bytes, *, header_length: int | None = None) -> bytes:
    """A message with right checksums around whatever headers; `header_length` may lie."""
    told = len(headers) if header_length is None else header_length
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), told)
    message = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))
