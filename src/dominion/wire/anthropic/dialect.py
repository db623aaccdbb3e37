"""The Anthropic Messages API as a dialect, in both roles and both of its versions. Holds nothing but the assembly.

The version travels in a header: callers bring theirs; in translations the gateway sends 2023-06-01, under which every
model and field that this dialect writes is served (reference/providers.md 0.1).
"""

import msgspec

from dominion.domain.contracts import Dialect, Fields, Peek, Seen, StreamReader, StreamWriter, Tap, Written
from dominion.domain.errors import DominionError, ProviderError
from dominion.domain.messages import Answer, Request
from dominion.wire.anthropic import answer as answers
from dominion.wire.anthropic import errors
from dominion.wire.anthropic import request as requests
from dominion.wire.anthropic import request_writing as requests_out
from dominion.wire.anthropic import stream as streams
from dominion.wire.fields import splice
from dominion.wire.images import DOCUMENT, IMAGE, with_images

_MARKS = (IMAGE, DOCUMENT)


class AnthropicMessages:
    """Implements `domain.contracts.Dialect`."""

    name = speaks = "anthropic_messages"
    stream_type = b"text/event-stream; charset=utf-8"
    carried_headers: tuple[bytes, ...] = (b"anthropic-version", b"anthropic-beta")
    default_headers: tuple[tuple[bytes, bytes], ...] = ((b"anthropic-version", b"2023-06-01"),)

    def peek(self, fields: Fields) -> Peek:
        """Usage always comes, so it is always asked for."""
        return with_images(requests.read_peek(fields), fields, "messages", _MARKS, self.read_request)

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:  # noqa: ARG002 - Protocol
        """Model and output cap replaced, and what would be refused: a thinking budget above the cap, other seals."""
        changes = {"model": msgspec.json.encode(model)}
        messages = requests.own_seals(fields)
        if messages is not None:
            changes["messages"] = messages
        if output_cap is not None:
            changes["max_tokens"] = b"%d" % output_cap
            thinking = requests.thinking_under(fields, output_cap)
            if thinking is not None:
                changes["thinking"] = thinking
        return splice(fields, changes)

    def read_request(self, fields: Fields) -> Request:
        """The whole request."""
        return requests.read_request(fields)

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:
        """The request for a provider."""
        return requests_out.write_request(request, model=model, output_cap=output_cap)

    def read_answer(self, body: bytes) -> Answer:
        """A provider's whole answer."""
        return answers.read_answer(body)

    def write_answer(self, answer: Answer, *, now: int) -> bytes:  # noqa: ARG002 - the API's answers have no time
        """An answer for a caller."""
        return answers.write_answer(answer)

    def read_seen(self, body: bytes) -> Seen:
        """Usage, finish and model of a relayed answer."""
        return answers.read_seen(body)

    def tap(self, *, hide_usage: bool) -> Tap:  # noqa: ARG002 - usage is part of every stream here
        """For a relayed stream."""
        return streams.messages_tap()

    def reader(self) -> StreamReader:
        """For a provider's stream."""
        return streams.MessagesReader()

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:  # noqa: ARG002 - neither has a place here
        """For a caller's stream."""
        return streams.MessagesWriter()

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error answer."""
        return errors.read_error(provider, status, body)

    def write_error(self, error: DominionError, request_id: str) -> bytes:
        """An error for a caller."""
        return errors.write_error(error, request_id)

    def write_stream_error(self, error: DominionError, request_id: str) -> bytes:
        """The same inside a stream, which it ends."""
        return streams.write_failure(errors.error_fields(error), request_id)


ANTHROPIC_MESSAGES: Dialect = AnthropicMessages()
