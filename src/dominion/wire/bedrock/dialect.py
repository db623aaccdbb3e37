"""Bedrock's Converse API as a dialect. Holds nothing but the assembly.

As a provider it is whole; as a door it serves tests. `model` and `stream` travel in the address: they stand in the
fields of a request, never in its body.
"""

from dominion.domain.contracts import Dialect, Fields, Peek, Seen, StreamReader, StreamWriter, Tap, Written
from dominion.domain.errors import DominionError, ProviderError
from dominion.domain.messages import Answer, Request
from dominion.wire.bedrock import answer as answers
from dominion.wire.bedrock import errors
from dominion.wire.bedrock import request as requests
from dominion.wire.bedrock import request_writing as requests_out
from dominion.wire.bedrock.eventstream import STREAM_TYPE
from dominion.wire.bedrock.stream import ConverseReader, ConverseWriter
from dominion.wire.fields import splice
from dominion.wire.images import DOCUMENT, IMAGE, with_images
from dominion.wire.reader_tap import ReaderTap

_MARKS = (IMAGE, DOCUMENT)


class BedrockConverse:
    """Implements `domain.contracts.Dialect`."""

    name = speaks = "bedrock_converse"
    stream_type = STREAM_TYPE
    carried_headers: tuple[bytes, ...] = ()
    default_headers: tuple[tuple[bytes, bytes], ...] = ()

    def peek(self, fields: Fields) -> Peek:
        """Usage always comes, so it is always asked for."""
        return with_images(requests.read_peek(fields), fields, "messages", _MARKS, self.read_request)

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:  # noqa: ARG002 - Protocol
        """The output cap set; the model goes into the address."""
        kept = {name: value for name, value in fields.items() if name not in requests.IN_ADDRESS}
        if output_cap is None:
            return splice(kept, {})
        config = splice(requests.config_of(fields), {"maxTokens": b"%d" % output_cap})
        return splice(kept, {"inferenceConfig": config})

    def read_request(self, fields: Fields) -> Request:
        """The whole request."""
        return requests.read_request(fields)

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:
        """The request for a provider."""
        return requests_out.write_request(request, model=model, output_cap=output_cap)

    def read_answer(self, body: bytes) -> Answer:
        """A provider's whole answer; it has neither id nor model."""
        return answers.read_answer(body)

    def write_answer(self, answer: Answer, *, now: int) -> bytes:  # noqa: ARG002 - the API's answers have no time
        """An answer for a caller."""
        return answers.write_answer(answer)

    def read_seen(self, body: bytes) -> Seen:
        """Usage and finish of a relayed answer."""
        return answers.read_seen(body)

    def tap(self, *, hide_usage: bool) -> Tap:  # noqa: ARG002 - usage is part of every stream here
        """For a relayed stream."""
        return ReaderTap(ConverseReader())

    def reader(self) -> StreamReader:
        """For a provider's stream."""
        return ConverseReader()

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:  # noqa: ARG002 - neither has a place here
        """For a caller's stream."""
        return ConverseWriter()

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error answer."""
        return errors.read_error(provider, status, body)

    def write_error(self, error: DominionError, request_id: str) -> bytes:
        """An error for a caller."""
        return errors.write_error(error, request_id)

    def write_stream_error(self, error: DominionError, request_id: str) -> bytes:
        """The same inside a stream, which it ends."""
        return errors.write_failure(errors.write_error(error, request_id))


BEDROCK_CONVERSE: Dialect = BedrockConverse()
