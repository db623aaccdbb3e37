"""The dialect of OpenAI Responses, as a door and towards providers. Holds nothing but the assembly, and no state.

Sources: OpenAI's API reference and the types of its SDK; for other providers reference/providers.md 1.1 to 1.3.
"""

import msgspec

from dominion.domain.contracts import Dialect, Fields, Peek, Seen, StreamReader, StreamWriter, Tap, Written
from dominion.domain.errors import DominionError, ProviderError
from dominion.domain.messages import Answer, Request
from dominion.wire.fields import splice
from dominion.wire.images import counted, may_hold
from dominion.wire.openai_chat import errors
from dominion.wire.openai_responses import answer as answers
from dominion.wire.openai_responses import request as requests
from dominion.wire.openai_responses import request_writing as requests_out
from dominion.wire.openai_responses import stream as streams
from dominion.wire.openai_responses import stream_writing as streams_out

_MARKS = (b"image", b'"input_file', b'"item_reference')


class OpenAIResponses:
    """Implements `domain.contracts.Dialect`."""

    name = speaks = "openai_responses"
    stream_type = b"text/event-stream; charset=utf-8"
    carried_headers: tuple[bytes, ...] = ()
    default_headers: tuple[tuple[bytes, bytes], ...] = ()

    def peek(self, fields: Fields) -> Peek:
        """Usage always comes, so it is always asked for."""
        peek = requests.read_peek(fields)
        if may_hold(fields, "input", _MARKS):
            images, kept = requests.inside(fields)
            peek = counted(peek, images, kept=kept)
        return peek

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:
        """Model and output cap replaced, seals of other APIs out; references to the provider's state go along."""
        changes = {} if model == peek.model else {"model": msgspec.json.encode(model)}
        items = requests.own_seals(fields)
        if items is not None:
            changes["input"] = items
        if output_cap is not None:
            changes["max_output_tokens"] = b"%d" % output_cap
        return splice(fields, changes)

    def read_request(self, fields: Fields) -> Request:
        """The whole request. Raises InvalidRequest for one that refers to a provider's state."""
        return requests.read_request(fields)

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:
        """The request for a provider."""
        return requests_out.write_request(request, model=model, output_cap=output_cap)

    def read_answer(self, body: bytes) -> Answer:
        """A provider's whole answer."""
        return answers.read_answer(body)

    def write_answer(self, answer: Answer, *, now: int) -> bytes:
        """An answer for a caller."""
        return answers.write_answer(answer, now=now)

    def read_seen(self, body: bytes) -> Seen:
        """Usage, finish and model of a relayed answer."""
        return answers.read_seen(body)

    def tap(self, *, hide_usage: bool) -> Tap:  # noqa: ARG002 - usage is part of every stream here
        """For a relayed stream."""
        return streams.ResponsesTap()

    def reader(self) -> StreamReader:
        """For a provider's stream."""
        return streams.Reader()

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:  # noqa: ARG002 - usage is part of every stream
        """For a caller's stream."""
        return streams_out.Writer(now=now)

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error; the API's shape is that of chat. Never raises."""
        return errors.read_error(provider, status, body)

    def write_error(self, error: DominionError, request_id: str) -> bytes:
        """The body of an error for a caller."""
        return errors.write_error(error, request_id)

    def write_stream_error(self, error: DominionError, request_id: str) -> bytes:
        """The same inside a stream, which it ends."""
        return streams_out.write_stream_error(error, request_id)


OPENAI_RESPONSES: Dialect = OpenAIResponses()
