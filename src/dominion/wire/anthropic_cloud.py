"""The Anthropic Messages API as the clouds serve it: Bedrock's Invoke and Vertex AI's publisher models.

Requests and answers are those of the Messages API; the clouds have put the model (Bedrock also the streaming) into the
address, the version into the body, and Bedrock the events of a stream into an AWS event stream. So each dialect here
`speaks` the Messages API: what a caller of it sends is taken along whole by `carry` and `patch`, and `tap` gives back
the caller's own stream. Holds no translation of its own. Sources: reference/providers.md 1.6 and 1.7, Anthropic's SDK.
"""

import binascii
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from dominion.domain.contracts import Dialect, Fields, Peek, Seen, StreamReader, StreamWriter, Tap, Written
from dominion.domain.errors import DominionError, ProviderError, UnexpectedResponse
from dominion.domain.messages import Event, Request
from dominion.wire.anthropic.dialect import AnthropicMessages
from dominion.wire.anthropic.stream import write_failure
from dominion.wire.bedrock import errors as bedrock_errors
from dominion.wire.bedrock.eventstream import STREAM_TYPE, Message, MessageReader, encode
from dominion.wire.fields import decode, decode_answer, splice
from dominion.wire.sse import FrameReader, frame

_VERSION = b"anthropic-version"
_BETA = b"anthropic-beta"
_FIRST_VERSION = b"2023-06-01"
_OF_THE_CLOUD = frozenset({"anthropic_version", "anthropic_beta"})
_FAILURES = {
    "validationException": "invalid_request_error",
    "throttlingException": "rate_limit_error",
    "serviceUnavailableException": "overloaded_error",
    "modelTimeoutException": "timeout_error",
}
"""Exceptions of Bedrock's streams to the API's types; any other is its `api_error`."""


class _Chunk(msgspec.Struct):
    bytes: str


class _Typed(msgspec.Struct):
    type: str = ""


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHUNK = msgspec.json.Decoder(_Chunk)
_TYPED = msgspec.json.Decoder(_Typed)
_BETAS = msgspec.json.Decoder(list[str] | None)


class _Cloud(AnthropicMessages):
    """What both clouds do alike. `in_address` names fields that are not part of the body."""

    speaks = "anthropic_messages"
    default_headers: tuple[tuple[bytes, bytes], ...] = ()
    version: ClassVar[str]
    in_address: ClassVar[frozenset[str]]

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:
        """The body of a caller of the Messages API, with the cloud's version, and the output cap if given."""
        return self._enclosed(_FIELDS.decode(super().patch(fields, peek, model=model, output_cap=output_cap)))

    def read_request(self, fields: Fields) -> Request:
        """The whole request, read as one of the Messages API; beta names say nothing elsewhere."""
        return super().read_request({name: value for name, value in fields.items() if name not in _OF_THE_CLOUD})

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:
        """The request for a provider."""
        written = super().write_request(request, model=model, output_cap=output_cap)
        return Written(self._enclosed(_FIELDS.decode(written.body)), written.lost)

    def _enclosed(self, fields: Fields) -> bytes:
        version = {} if "anthropic_version" in fields else {"anthropic_version": b'"%b"' % self.version.encode()}
        return splice({name: value for name, value in fields.items() if name not in self.in_address}, version)


class BedrockInvoke(_Cloud):
    """Implements `domain.contracts.Dialect`. Headers do not reach the model: betas travel in the body.

    The version is the one that every Claude on Bedrock takes; 2026-10-21 is for those since 4.7 only.
    """

    name = "bedrock_invoke"
    stream_type = STREAM_TYPE
    carried_headers: tuple[bytes, ...] = ()
    version = "bedrock-2023-05-31"
    in_address = frozenset({"model", "stream"})

    def carry(self, fields: Fields, carried: Mapping[bytes, bytes]) -> Fields:
        """The fields with what the headers of a caller of the Messages API say."""
        names = [name.strip() for name in carried.get(_BETA, b"").decode("latin-1").split(",") if name.strip()]
        if not names:
            return fields
        own = decode(fields, "anthropic_beta", _BETAS) or []
        betas = msgspec.json.encode(list(dict.fromkeys([*own, *names])))
        return {**fields, "anthropic_beta": msgspec.Raw(betas)}

    def tap(self, *, hide_usage: bool) -> Tap:
        """For a stream relayed to a caller of the Messages API: its bytes are the caller's events."""
        return _UnwrappingTap(super().tap(hide_usage=hide_usage))

    def reader(self) -> StreamReader:
        """For a provider's stream."""
        return _UnwrappingReader(super().reader())

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:
        """For a caller's stream."""
        return _WrappingWriter(super().writer(now=now, asks_usage=asks_usage))

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error answer, which is Bedrock's own."""
        return bedrock_errors.read_error(provider, status, body)

    def write_error(self, error: DominionError, request_id: str) -> bytes:
        """An error for a caller."""
        return bedrock_errors.write_error(error, request_id)

    def write_stream_error(self, error: DominionError, request_id: str) -> bytes:
        """The same inside a stream, which it ends."""
        return bedrock_errors.write_failure(bedrock_errors.write_error(error, request_id))


class AnthropicVertex(_Cloud):
    """Implements `domain.contracts.Dialect`. Streams are those of the Messages API, betas stay a header."""

    name = "anthropic_vertex"
    carried_headers: tuple[bytes, ...] = (_BETA,)
    version = "vertex-2023-10-16"
    in_address = frozenset({"model"})

    def carry(self, fields: Fields, carried: Mapping[bytes, bytes]) -> Fields:
        """The fields with the version that a caller of the Messages API asks for, if it is not the first one."""
        version = carried.get(_VERSION, _FIRST_VERSION)
        if version == _FIRST_VERSION:
            return fields
        return {**fields, "anthropic_version": msgspec.Raw(msgspec.json.encode(version.decode("latin-1")))}

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error answer, in the words of Anthropic or of Google, whose body no caller here would know."""
        error = super().read_error(provider, status, body)
        error.verbatim = b""
        return error


class _Unwrapping:
    """The messages of an AWS event stream as the server-sent events of the Messages API."""

    def __init__(self) -> None:
        self._messages = MessageReader()

    def events_of(self, chunk: bytes) -> bytes:
        """The events completed by this chunk. Raises UnexpectedResponse."""
        return b"".join(map(_as_event, self._messages.feed(chunk)))

    def end(self) -> None:
        """Raises UnexpectedResponse when the stream ended inside a message."""
        self._messages.end()


class _UnwrappingReader:
    def __init__(self, reader: StreamReader) -> None:
        self._unwrapping = _Unwrapping()
        self._reader = reader

    def feed(self, chunk: bytes) -> list[Event]:
        return self._reader.feed(self._unwrapping.events_of(chunk))

    def end(self) -> list[Event]:
        self._unwrapping.end()
        return self._reader.end()


class _UnwrappingTap:
    def __init__(self, tap: Tap) -> None:
        self._unwrapping = _Unwrapping()
        self._tap = tap
        self.seen: Seen = tap.seen

    def feed(self, chunk: bytes) -> bytes:
        return self._tap.feed(self._unwrapping.events_of(chunk))

    def end(self) -> bytes:
        self._unwrapping.end()
        return self._tap.end()


class _WrappingWriter:
    """Server-sent events, each in a message of its own."""

    def __init__(self, writer: StreamWriter) -> None:
        self._writer = writer

    def write(self, event: Event) -> bytes:
        return _wrapped(self._writer.write(event))

    def end(self) -> bytes:
        return _wrapped(self._writer.end())


def _as_event(message: Message) -> bytes:
    if message.failure:
        failed = bedrock_errors.read_failure(message)
        return write_failure({"type": _FAILURES.get(failed.kind, "api_error"), "message": failed.message})
    if message.event != "chunk":
        return b""
    try:
        data = binascii.a2b_base64(decode_answer(_CHUNK, message.payload).bytes, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise UnexpectedResponse(f"The provider sent a stream message that is no base64: {error}.") from error
    return frame(b" ".join(data.splitlines()), decode_answer(_TYPED, data).type or None)


def _wrapped(events: bytes) -> bytes:
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    chunks = (
        {"bytes": binascii.b2a_base64(found.data, newline=False).decode()} for found in FrameReader().feed(events)
    )
    return b"".join(encode(headers, msgspec.json.encode(chunk)) for chunk in chunks)


BEDROCK_INVOKE: Dialect = BedrockInvoke()
ANTHROPIC_VERTEX: Dialect = AnthropicVertex()
