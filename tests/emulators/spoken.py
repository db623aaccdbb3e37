"""What a provider says when it is well, one row a dialect: what the fault server breaks. Never written by our code.

A further dialect is one more `Spoken` in `SPOKEN`: a good whole answer, the events of a good stream, and how an event
is put on the wire.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

WORD = b"alpha"
"""Every answer is made of it; another word of five letters tells another slot's answer apart."""
PIECES = ("alpha one ", "alpha two ", "alpha three ", "alpha.")
TEXT = "".join(PIECES)
INPUT_TOKENS, OUTPUT_TOKENS = 11, 7

_COUNTS = re.compile(rb'"(\w*(?:[tT]okens?|TokenCount|eval_count)\w*)":\s*\d+')


class Spoken(NamedTuple):
    """One dialect. `events` are the payloads of a stream, which `pack` frames; the last `closing` of them hold finish,
    usage and end mark, the very last is the end mark. `failure` is an error as a body or an event; `path` ends the
    address of completions.
    """

    name: str
    path: str
    whole: bytes
    events: tuple[bytes, ...]
    failure: bytes
    pack: Callable[[bytes], bytes]
    stream_type: bytes = b"text/event-stream"
    whole_type: bytes = b"application/json"
    closing: int = 3

    def frames(self) -> list[bytes]:
        """The good stream, framed."""
        return [self.pack(event) for event in self.events]

    def saying(self, word: bytes) -> "Spoken":
        """The same with another word of the same length."""
        return self._changed(lambda body: body.replace(WORD, word))

    def with_wrong_usage(self) -> "Spoken":
        """The same, with counts that cannot be."""
        return self._changed(lambda body: _COUNTS.sub(rb'"\1": -5', body))

    def without_usage(self) -> "Spoken":
        """The same, without counts."""
        return self._changed(lambda body: _COUNTS.sub(rb'"x_\1": "none"', body))

    def _changed(self, change: Callable[[bytes], bytes]) -> "Spoken":
        return self._replace(whole=change(self.whole), events=tuple(map(change, self.events)))


def packed(*values: dict[str, Any]) -> tuple[bytes, ...]:
    """Values as JSON."""
    return tuple(json.dumps(value).encode() for value in values)


def _data(payload: bytes) -> bytes:
    return b"data: %b\n\n" % payload


def _named(payload: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (json.loads(payload)["type"].encode(), payload)


def _chunks() -> Iterator[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    for delta in ({"role": "assistant", "content": ""}, *({"content": piece} for piece in PIECES)):
        yield head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield head | {"choices": [], "usage": _OPENAI_USAGE}


_OPENAI_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}

OPENAI_CHAT = Spoken(
    name="openai_chat",
    path="/chat/completions",
    whole=packed(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
            "usage": _OPENAI_USAGE,
        }
    )[0],
    events=(*packed(*_chunks()), b"[DONE]"),
    failure=packed({"error": {"message": "Busy just now.", "type": "server_error", "code": 503}})[0],
    pack=_data,
)


def _messages_events() -> Iterator[dict[str, Any]]:
    empty = _MESSAGE | {"content": [], "stop_reason": None, "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1}}
    yield {"type": "message_start", "message": empty}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for piece in PIECES:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield {"type": "content_block_stop", "index": 0}
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": OUTPUT_TOKENS}}
    yield {"type": "message_stop"}


_MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-m",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
}

ANTHROPIC_MESSAGES = Spoken(
    name="anthropic_messages",
    path="/messages",
    whole=packed(_MESSAGE)[0],
    events=packed(*_messages_events()),
    failure=packed({"type": "error", "error": {"type": "overloaded_error", "message": "Busy just now."}})[0],
    pack=_named,
)

SPOKEN = (OPENAI_CHAT, ANTHROPIC_MESSAGES)
