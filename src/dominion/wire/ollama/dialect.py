"""Ollama's chat API (`/api/chat`) as a dialect: a provider, and for tests a door. Holds nothing but the assembly."""

import msgspec

from dominion.domain.contracts import Dialect, Fields, Peek, Seen, StreamReader, StreamWriter, Tap, Written
from dominion.domain.errors import DominionError, ProviderError
from dominion.domain.messages import Answer, Request
from dominion.wire.images import FILE, IMAGE, with_images
from dominion.wire.ollama import request as requests
from dominion.wire.ollama import stream as answers
from dominion.wire.openai_chat import errors as openai_chat_errors
from dominion.wire.reader_tap import ReaderTap

_MARKS = (IMAGE, FILE)


class OllamaChat:
    """Implements `domain.contracts.Dialect`."""

    name = speaks = "ollama_chat"
    stream_type = b"application/x-ndjson"
    carried_headers: tuple[bytes, ...] = ()
    default_headers: tuple[tuple[bytes, bytes], ...] = ()

    def peek(self, fields: Fields) -> Peek:
        """Usage always comes, so it is always asked for."""
        return with_images(requests.read_peek(fields), fields, "messages", _MARKS, self.read_request)

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:  # noqa: ARG002 - Protocol
        """Model and output cap replaced."""
        return requests.patch(fields, model=model, output_cap=output_cap)

    def read_request(self, fields: Fields) -> Request:
        """The whole request."""
        return requests.read_request(fields)

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:
        """The request for a provider."""
        return requests.write_request(request, model=model, output_cap=output_cap)

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
        return ReaderTap(answers.ChatReader())

    def reader(self) -> StreamReader:
        """For a provider's stream."""
        return answers.ChatReader()

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:  # noqa: ARG002 - usage is part of every stream here
        """For a caller's stream."""
        return answers.ChatWriter(now=now)

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error answer: {"error": "text"}, which is sorted as those of OpenAI's compatible servers."""
        error = openai_chat_errors.read_error(provider, status, body)
        error.verbatim = b""
        return error

    def write_error(self, error: DominionError, request_id: str) -> bytes:
        """{"error", "code", "action", "request_id"}, with the details of its class."""
        fields = {"error": error.message, "code": error.code, "action": error.action, "request_id": request_id}
        return msgspec.json.encode(fields | error.details)

    def write_stream_error(self, error: DominionError, request_id: str) -> bytes:
        """The same inside a stream, which it ends."""
        return self.write_error(error, request_id) + b"\n"


OLLAMA_CHAT: Dialect = OllamaChat()
