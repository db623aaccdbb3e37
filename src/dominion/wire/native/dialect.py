"""This gateway's own API as a dialect (specifications 000, 001 and 002): flat, and strict about unknown fields.

Never a vendor's: what it has no word for is asked for through the vendors' own doors.
"""

from typing import Any

import msgspec

from dominion.domain import errors as e
from dominion.domain.contracts import Dialect, Fields, Peek, Seen, StreamReader, StreamWriter, Tap, Written
from dominion.domain.messages import Answer, Request
from dominion.wire.images import FILE, IMAGE, with_images
from dominion.wire.native import answer as native_answer
from dominion.wire.native import request as native_request
from dominion.wire.native import stream as native_stream
from dominion.wire.openai_chat import errors as openai_chat_errors

_MARKS = (IMAGE, FILE)


class Native:
    """`Dialect` of this gateway's own API."""

    name = speaks = "native"
    stream_type = b"text/event-stream; charset=utf-8"
    carried_headers: tuple[bytes, ...] = ()
    default_headers: tuple[tuple[bytes, bytes], ...] = ()

    def peek(self, fields: Fields) -> Peek:
        """What routing and admission need. Usage is part of every stream."""
        return with_images(native_request.read_peek(fields), fields, "messages", _MARKS, self.read_request)

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:  # noqa: ARG002 - Protocol
        """Model and output cap replaced, and the provider left out: another gateway has its own."""
        return native_request.patch(fields, model=model, output_cap=output_cap)

    def read_request(self, fields: Fields) -> Request:
        """The whole request."""
        return native_request.read_request(fields)

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:
        """The request for another gateway."""
        return native_request.write_request(request, model=model, output_cap=output_cap)

    def read_answer(self, body: bytes) -> Answer:
        """A gateway's whole answer."""
        return native_answer.read_answer(body)

    def write_answer(self, answer: Answer, *, now: int) -> bytes:  # noqa: ARG002 - answers have no time
        """An answer for a caller."""
        return native_answer.write_answer(answer)

    def read_seen(self, body: bytes) -> Seen:
        """Usage, finish and model of a relayed answer."""
        return native_answer.read_seen(body)

    def tap(self, *, hide_usage: bool) -> Tap:  # noqa: ARG002 - usage is part of every stream
        """For a relayed stream."""
        return native_stream.native_tap()

    def reader(self) -> StreamReader:
        """For a gateway's stream."""
        return native_stream.NativeReader()

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:  # noqa: ARG002 - neither has a place here
        """For a caller's stream."""
        return native_stream.NativeWriter()

    def read_error(self, provider: str, status: int, body: bytes) -> e.ProviderError:
        """A gateway's error answer."""
        return openai_chat_errors.read_error(provider, status, body)

    def write_error(self, error: e.DominionError, request_id: str) -> bytes:
        """The flat error of specification 000."""
        return msgspec.json.encode(_error_fields(error, request_id))

    def write_stream_error(self, error: e.DominionError, request_id: str) -> bytes:
        """The same inside a stream, which it ends."""
        return native_stream.write_error_frame(_error_fields(error, request_id))


def _error_fields(error: e.DominionError, request_id: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"error": error.code, "message": error.message} | error.details
    if isinstance(error, e.LimitExceeded):
        fields["kind"] = error.kind
    if error.param is not None:
        fields["param"] = error.param
    return fields | {"action": error.action, "request_id": request_id}


NATIVE: Dialect = Native()
