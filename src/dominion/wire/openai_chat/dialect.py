"""The dialect of OpenAI chat completions, as a door and towards providers. Never decodes what is only relayed.

Sources: OpenAI's API reference, and for compatible servers reference/providers.md 1.1 to 1.3.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from dominion.domain.contracts import Dialect, Envelope, Fields, Peek, Seen, StreamReader, StreamWriter, Tap, Written
from dominion.domain.errors import DominionError, InvalidRequest, ProviderError
from dominion.domain.messages import Answer, Request
from dominion.wire.fields import decode, flag, number, read_object, refuse_lookalikes, splice, text, whole
from dominion.wire.images import FILE, IMAGE, with_images
from dominion.wire.openai_chat import answer as openai_chat_answer
from dominion.wire.openai_chat import errors as openai_chat_errors
from dominion.wire.openai_chat import request as openai_chat_request
from dominion.wire.openai_chat import stream as openai_chat_stream
from dominion.wire.openai_chat.request_writing import write_request
from dominion.wire.openai_chat.spelling import GOOGLE, MISTRAL, OLD_CAP, OPENAI, OPENROUTER, OUTPUT_CAPS, Spelling
from dominion.wire.seals import without_marked
from dominion.wire.sse import frame

_LONGEST_MODEL = 256
_MOST_CHOICES = 128
_GUARDED = frozenset({"model", "messages", "stream", "stream_options", "n", *OUTPUT_CAPS})
_STREAM_OPTIONS = frozenset({"include_usage", "include_obfuscation"})
_USUAL = _GUARDED | {
    *("temperature", "top_p", "tools", "tool_choice", "parallel_tool_calls", "response_format", "stop", "seed", "user"),
    *("presence_penalty", "frequency_penalty", "reasoning_effort", "logprobs", "top_logprobs", "store", "metadata"),
}

_MARKS = (IMAGE, FILE)


class _Turn(msgspec.Struct):
    role: str


_TURNS = msgspec.json.Decoder(Annotated[list[_Turn], msgspec.Meta(min_length=1)])


class OpenAIChat:
    """`Dialect` for OpenAI chat completions, and `Envelope` for servers that spell them otherwise."""

    speaks = "openai_chat"
    stream_type = b"text/event-stream; charset=utf-8"
    carried_headers: tuple[bytes, ...] = ()
    default_headers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, name: str = "openai_chat", spelling: Spelling = OPENAI) -> None:
        self.name = name
        self._spelling = spelling

    def peek(self, fields: Fields) -> Peek:
        """What routing and admission need. Raises InvalidRequest."""
        refuse_lookalikes(fields, _USUAL, _GUARDED)
        model = text(fields, "model")
        if not model or len(model) > _LONGEST_MODEL or not model.isprintable():
            raise InvalidRequest("'model' must name a model in at most 256 characters.", param="model")
        if decode(fields, "messages", _TURNS) is None:
            raise InvalidRequest("'messages' is missing.", param="messages")
        if "temperature" in fields:
            number(fields, "temperature", 0, 2)
        if "top_p" in fields:
            number(fields, "top_p", 0, 1)
        stream = flag(fields, "stream") or False
        peek = Peek(
            model=model,
            stream=stream,
            output_cap=openai_chat_request.output_cap(fields),
            choices=(whole(fields, "n", 1, _MOST_CHOICES) or 1) if "n" in fields else 1,
            asks_usage=not stream or (flag(_stream_options(fields), "include_usage") or False),
        )
        return with_images(peek, fields, "messages", _MARKS, self.read_request)

    def carry(self, fields: Fields, carried: Mapping[bytes, bytes]) -> Fields:  # noqa: ARG002 - Protocol
        """The caller's fields in the words of this server."""
        return self._spelling.respell(fields)

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:
        """The same request with another model, an output cap and usage asked for, as needed."""
        changes = {}
        if model != peek.model:
            changes["model"] = msgspec.json.encode(model)
        if output_cap is not None:
            used = [name for name in OUTPUT_CAPS if name in fields and bytes(fields[name]) != b"null"]
            changes |= dict.fromkeys(used or (self._spelling.cap_field(model),), b"%d" % output_cap)
        messages = without_marked(bytes(fields.get("messages", b"")), lambda _: None)
        if messages is not None:
            changes["messages"] = messages
        if not peek.asks_usage:
            changes["stream_options"] = splice(_stream_options(fields), {"include_usage": b"true"})
        return splice(fields, changes)

    def read_request(self, fields: Fields) -> Request:
        """The whole request. Raises InvalidRequest."""
        return openai_chat_request.read_request(fields)

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:
        """The request for a provider, and what was lost on the way."""
        return write_request(request, model=model, cap=output_cap, spelling=self._spelling)

    def read_answer(self, body: bytes) -> Answer:
        """A provider's whole answer. Raises UnexpectedResponse."""
        return openai_chat_answer.read_answer(body)

    def write_answer(self, answer: Answer, *, now: int) -> bytes:
        """An answer for a caller."""
        return openai_chat_answer.write_answer(answer, now=now)

    def read_seen(self, body: bytes) -> Seen:
        """Usage, finish and model of a relayed answer. Raises UnexpectedResponse when it is not JSON."""
        return openai_chat_answer.read_seen(body)

    def tap(self, *, hide_usage: bool) -> Tap:
        """For a relayed stream."""
        return openai_chat_stream.tap(hide_usage=hide_usage)

    def reader(self) -> StreamReader:
        """For a provider's stream."""
        return openai_chat_stream.Reader()

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:
        """For a stream to a caller."""
        return openai_chat_stream.Writer(now=now, asks_usage=asks_usage)

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error. Never raises."""
        return openai_chat_errors.read_error(provider, status, body)

    def write_error(self, error: DominionError, request_id: str) -> bytes:
        """The body of an error for a caller."""
        return openai_chat_errors.write_error(error, request_id)

    def write_stream_error(self, error: DominionError, request_id: str) -> bytes:
        """An error inside a running stream, and the end of the stream."""
        return frame(openai_chat_errors.write_error(error, request_id)) + frame(openai_chat_stream.DONE)


def _stream_options(fields: Fields) -> Fields:
    raw = fields.get("stream_options")
    if raw is None or bytes(raw) == b"null":
        return {}
    options = read_object(raw, "stream_options")
    refuse_lookalikes(options, _STREAM_OPTIONS, _STREAM_OPTIONS)
    return options


OPENAI_CHAT: Dialect = OpenAIChat()
OPENAI_CHAT_GOOGLE: Envelope = OpenAIChat("openai_chat_google", GOOGLE)
OPENAI_CHAT_MISTRAL: Envelope = OpenAIChat("openai_chat_mistral", MISTRAL)
OPENAI_CHAT_OLD_CAP: Envelope = OpenAIChat("openai_chat_old_cap", OLD_CAP)
OPENAI_CHAT_OPENROUTER: Envelope = OpenAIChat("openai_chat_openrouter", OPENROUTER)
