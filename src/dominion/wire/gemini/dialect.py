"""The Gemini API (`generateContent`), of AI Studio and Vertex AI, as a dialect in both roles. Holds only the assembly.

Model and stream travel in the address: as a door it finds them among the fields, where the transport has put them
(`model` without "models/"), and as a provider it leaves them out of the body.
"""

from dominion.domain.contracts import Dialect, Fields, Peek, StreamReader, StreamWriter, Tap
from dominion.domain.errors import DominionError
from dominion.domain.messages import Answer
from dominion.wire.gemini import answer as gemini_answer
from dominion.wire.gemini import errors as gemini_errors
from dominion.wire.gemini import request as gemini_request
from dominion.wire.gemini import request_writing as gemini_request_writing
from dominion.wire.gemini import stream as gemini_stream
from dominion.wire.images import counted, with_images
from dominion.wire.sse import frame

_MEDIA = (b'ata"',)
"""How the names end that images have here: inlineData and fileData, and both with an underscore."""


class Gemini:
    """Implements `domain.contracts.Dialect`. Usage is part of every stream here: always asked for, never hidden."""

    name = speaks = "gemini"
    stream_type = b"text/event-stream"
    carried_headers: tuple[bytes, ...] = ()
    default_headers: tuple[tuple[bytes, bytes], ...] = ()

    read_request = staticmethod(gemini_request.read_request)
    write_request = staticmethod(gemini_request_writing.write_request)
    read_answer = staticmethod(gemini_answer.read_answer)
    read_seen = staticmethod(gemini_answer.read_seen)
    read_error = staticmethod(gemini_errors.read_error)
    write_error = staticmethod(gemini_errors.write_error)

    def peek(self, fields: Fields) -> Peek:
        """What routing and admission need."""
        peek = with_images(gemini_request.read_peek(fields), fields, "contents", _MEDIA, self.read_request)
        kept = "cachedContent" in fields or "cached_content" in fields
        return counted(peek, peek.images, kept=True) if kept else peek

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:  # noqa: ARG002 - Protocol
        """The output cap set; the model is the address's."""
        return gemini_request.patch(fields, output_cap)

    def write_answer(self, answer: Answer, *, now: int) -> bytes:  # noqa: ARG002 - the API's answers have no time
        """An answer for a caller."""
        return gemini_answer.write_answer(answer)

    def tap(self, *, hide_usage: bool) -> Tap:  # noqa: ARG002 - see above
        """For a relayed stream."""
        return gemini_stream.tap()

    def reader(self) -> StreamReader:
        """For a provider's stream."""
        return gemini_stream.Reader()

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:  # noqa: ARG002 - neither has a place here
        """For a caller's stream."""
        return gemini_stream.Writer()

    def write_stream_error(self, error: DominionError, request_id: str) -> bytes:
        """An error inside a stream, which it ends."""
        return frame(gemini_errors.write_error(error, request_id))


GEMINI: Dialect = Gemini()
