"""The dialect of OpenAI's legacy completions: a chat of one message, written as a prompt. Never takes several prompts
across a translation, and never decodes what is only relayed.

What it shares with chat (sampling, caps, usage, errors, the end of a stream) is left to the dialect of chat.
"""

from typing import Any

import msgspec

from dominion.domain.contracts import Dialect, Fields, Peek, Seen, StreamReader, StreamWriter, Tap, Written
from dominion.domain.errors import DominionError, InvalidRequest, ProviderError
from dominion.domain.messages import Answer, Refusal, Request, Text
from dominion.wire.fields import refuse_lookalikes, whole
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.openai_chat.shapes import finish_word, write_usage
from dominion.wire.openai_completions import stream as streams
from dominion.wire.openai_inputs import words_or_tokens

DEFAULT_OUTPUT_CAP = 16
"""What the API takes where the caller gives no cap; other APIs would go on to their limit."""

_MOST_CHOICES = 128
_GUARDED = frozenset({"model", "prompt", "stream", "stream_options", "n", "best_of", "max_tokens"})
_SHARED = frozenset(
    {"model", "stream", "stream_options", "n", "max_tokens", "temperature", "top_p", "stop", "seed"}
) | {
    *("presence_penalty", "frequency_penalty", "user"),
}
"""Fields that mean the same in chat."""
_NOTHING = (b"null", b"false", b"[]", b"{}", b'""')
_ONE_TURN = b'[{"role":"user","content":%b}]'
_NOT_TEXT = "Only one prompt, as a text, can be sent to this provider."


class OpenAICompletions:
    """`Dialect` for OpenAI's legacy completions."""

    name = speaks = "openai_completions"
    stream_type = b"text/event-stream; charset=utf-8"
    carried_headers: tuple[bytes, ...] = ()
    default_headers: tuple[tuple[bytes, bytes], ...] = ()

    def peek(self, fields: Fields) -> Peek:
        """What routing and admission need; each prompt has its own choices, and all that `best_of` makes is billed."""
        refuse_lookalikes(fields, _SHARED | _GUARDED, _GUARDED)
        peek = OPENAI_CHAT.peek(_as_chat(fields, b'""'))
        prompts = words_or_tokens(fields, "prompt")
        best = whole(fields, "best_of", 1, _MOST_CHOICES) or 1
        return msgspec.structs.replace(peek, choices=max(peek.choices, best) * len(prompts))

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:
        """As in chat, where the cap has two names."""
        cap = {} if output_cap is None else {"max_tokens": msgspec.Raw(b"%d" % output_cap)}
        return OPENAI_CHAT.patch(fields | cap, peek, model=model, output_cap=None)

    def read_request(self, fields: Fields) -> Request:
        """The whole request, for one prompt in words. Raises InvalidRequest for tokens and for several prompts."""
        prompts = words_or_tokens(fields, "prompt")
        if len(prompts) > 1 or not isinstance(prompts[0], str):
            raise InvalidRequest(_NOT_TEXT, action="Send one prompt in words with each request.", param="prompt")
        request = OPENAI_CHAT.read_request(_as_chat(fields, msgspec.json.encode(prompts[0])))
        others = {name: bytes(raw) for name, raw in fields.items() if name not in _SHARED and name != "prompt"}
        unread = {name for name, raw in others.items() if raw not in _NOTHING and (name, raw) != ("best_of", b"1")}
        return msgspec.structs.replace(
            request,
            max_output=DEFAULT_OUTPUT_CAP if request.max_output is None else request.max_output,
            unread=tuple(sorted({*request.unread, *unread})),
        )

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:
        """The request for a provider. Raises InvalidRequest for more than one message of text: how a conversation
        becomes a prompt is the secret of each model."""
        parts = request.messages[0].parts
        if len(request.messages) > 1 or not all(isinstance(part, Text) for part in parts):
            raise InvalidRequest("This model completes one text; it takes no conversation.", param="messages")
        chat = OPENAI_CHAT.write_request(request, model=model, output_cap=output_cap)
        body: dict[str, Any] = msgspec.json.decode(chat.body)
        cap = request.max_output if output_cap is None else output_cap
        prompt = "".join(part.text for part in parts if isinstance(part, Text))
        shared = {name: value for name, value in body.items() if name in _SHARED}
        gone = [name for name in body if name not in _SHARED and name not in ("messages", "max_completion_tokens")]
        caps = {} if cap is None else {"max_tokens": cap}
        return Written(msgspec.json.encode({**shared, "prompt": prompt, **caps}), (*chat.lost, *gone))

    def read_answer(self, body: bytes) -> Answer:
        """A provider's whole answer. Raises UnexpectedResponse."""
        return OPENAI_CHAT.read_answer(streams.as_chat_answer(body))

    def write_answer(self, answer: Answer, *, now: int) -> bytes:
        """An answer for a caller; a refusal is text like any other here."""
        said = [part for part in answer.parts if isinstance(part, Text | Refusal)]
        refused = any(isinstance(part, Refusal) for part in said)
        choice = {"text": "".join(part.text for part in said), "index": 0, "logprobs": None}
        choice["finish_reason"] = finish_word(answer.finish, refused=refused)
        body: dict[str, Any] = {"id": answer.id, "object": "text_completion", "created": now, "model": answer.model}
        usage = {} if answer.usage is None else {"usage": write_usage(answer.usage)}
        return msgspec.json.encode({**body, "choices": [choice], **usage})

    def read_seen(self, body: bytes) -> Seen:
        """Usage, finish and model of a relayed answer, which stand where they do in chat."""
        return OPENAI_CHAT.read_seen(body)

    def tap(self, *, hide_usage: bool) -> Tap:
        """For a relayed stream."""
        return streams.tap(hide_usage=hide_usage)

    def reader(self) -> StreamReader:
        """For a provider's stream."""
        return streams.Reader()

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:
        """For a stream to a caller."""
        return streams.Writer(now=now, asks_usage=asks_usage)

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error. Never raises."""
        return OPENAI_CHAT.read_error(provider, status, body)

    def write_error(self, error: DominionError, request_id: str) -> bytes:
        """The body of an error for a caller."""
        return OPENAI_CHAT.write_error(error, request_id)

    def write_stream_error(self, error: DominionError, request_id: str) -> bytes:
        """An error inside a running stream, and the end of the stream."""
        return OPENAI_CHAT.write_stream_error(error, request_id)


def _as_chat(fields: Fields, prompt: bytes) -> Fields:
    """The request as chat would have it; `prompt` is the JSON of its one text."""
    shared = {name: raw for name, raw in fields.items() if name in _SHARED}
    return {**shared, "messages": msgspec.Raw(_ONE_TURN % prompt)}


OPENAI_COMPLETIONS: Dialect = OpenAICompletions()
