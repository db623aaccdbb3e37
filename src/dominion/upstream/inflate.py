"""Undoes gzip and deflate piece by piece, within a bounded size; never holds more than one piece of output."""

import zlib

from dominion.domain.errors import UnexpectedResponse
from dominion.upstream.bounds import Ceilings

_PIECE = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS
_ENCODINGS = (b"gzip", b"x-gzip", b"deflate")


class Inflater:
    """One compressed body. `feed` takes wire bytes, `more` what an earlier piece had no room for."""

    __slots__ = ("_ceilings", "_encoding", "_fed", "_given", "_stream", "pending")

    def __init__(self, encoding: bytes, ceilings: Ceilings) -> None:
        """`encoding` as the header says it, in lower case. Raises UnexpectedResponse when it is not known."""
        if encoding not in _ENCODINGS:
            raise UnexpectedResponse("The provider's answer has a content-encoding that was not asked for.")
        self._encoding = encoding
        self._ceilings = ceilings
        self._stream: zlib._Decompress | None = None
        self._fed = self._given = 0
        self.pending = False

    def feed(self, data: bytes) -> bytes:
        """At most 64 KiB of what `data` holds; `pending` says that there is more. Only when nothing is pending.

        Raises UnexpectedResponse for bytes that are not the encoding, and when the ratio is above the ceiling.
        """
        if self._stream is None:
            # "deflate" means zlib (RFC 9110, 8.4.1.2), yet some servers send it bare; zlib's first byte tells.
            bare = self._encoding == b"deflate" and data[0] & 0x0F != zlib.DEFLATED
            self._stream = zlib.decompressobj(_RAW if bare else _ZLIB if self._encoding == b"deflate" else _GZIP)
        self._fed += len(data)
        return self._inflate(self._stream, data)

    def more(self) -> bytes:
        """The next at most 64 KiB of what is pending."""
        stream = self._stream
        return self._inflate(stream, stream.unconsumed_tail) if stream is not None else b""

    def end(self) -> None:
        """The wire is at its end. Raises UnexpectedResponse when the compressed data is not."""
        if self._stream is not None and not self._stream.eof:
            raise UnexpectedResponse("The provider's compressed answer breaks off.")

    def _inflate(self, stream: "zlib._Decompress", data: bytes) -> bytes:
        try:
            piece = stream.decompress(data, _PIECE)
        except zlib.error as error:
            raise UnexpectedResponse("The provider's answer is not compressed as its content-encoding says.") from error
        if stream.unused_data:
            raise UnexpectedResponse("The provider's compressed answer goes on after its end.")
        # A full piece may leave output inside zlib even when all input is consumed.
        self.pending = not stream.eof and len(piece) == _PIECE
        self._given += len(piece)
        if self._given > self._ceilings.inflated_free and self._given > self._ceilings.inflation * self._fed:
            raise UnexpectedResponse("The provider's compressed answer grows beyond every measure.")
        return piece
