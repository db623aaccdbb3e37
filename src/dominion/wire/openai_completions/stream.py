"""Streams of OpenAI's legacy completions: watched, read and written. Never reads what chat reads already: a chunk is
one of chat whose text stands in the choice itself.
"""

import re
from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.messages import Event, Failed, Finished, Metered, RefusalDelta, Started, TextDelta
from dominion.domain.usage import Usage
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat import stream as chat
from dominion.wire.openai_chat.shapes import finish_word, write_usage
from dominion.wire.sse import Frame, FrameReader, FrameTap, frame

_MARK = re.compile(rb'"(?:usage|finish_reason|error)"\s*:\s*["{]|\[DONE\]|event:')
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def as_chat_answer(body: bytes) -> bytes:
    """A whole answer as chat would have it. Raises UnexpectedResponse."""
    return _as_chat(body, "message")


def tap(*, hide_usage: bool) -> FrameTap:
    """For a relayed stream."""
    return FrameTap(_look, marked=_MARK.search, delta=b'"choices"', hide=hide_usage)


def _look(seen: Seen, found: Frame) -> bool:
    """What the tap of chat takes down of this frame; True when it would take it out."""
    inner = chat.tap(hide_usage=True)
    inner.seen = seen
    return not inner.feed(frame(found.data, found.event or None))


class Reader:
    """A provider's stream as events."""

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._chat = chat.Reader()

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises UnexpectedResponse for what is not the dialect."""
        return [event for found in self._frames.feed(chunk) for event in self._read(found)]

    def end(self) -> list[Event]:
        """Events of a last frame without its end. Raises UnexpectedResponse when neither [DONE] nor a finish came."""
        return [event for found in self._frames.end() for event in self._read(found)] + self._chat.end()

    def _read(self, found: Frame) -> list[Event]:
        plain = found.event or found.data.startswith(chat.DONE)
        data = found.data if plain else _as_chat(found.data, "delta")
        return self._chat.feed(frame(data, found.event or None))


class Writer:
    """Events as chunks to a caller; reasoning and tool calls have no place in a text."""

    def __init__(self, *, now: int, asks_usage: bool) -> None:
        self._head: dict[str, Any] = {"id": "", "object": "text_completion", "created": now, "model": ""}
        self._asks_usage = asks_usage
        self._usage: Usage | None = None
        self._refused = False

    def write(self, event: Event) -> bytes:
        """The chunk of this event; usage waits for the end."""
        match event:
            case Started(answer_id, model):
                self._head |= {"id": answer_id, "model": model}
            case TextDelta(text=text):
                return self._chunk(text)
            case RefusalDelta(text=text):
                self._refused = True
                return self._chunk(text)
            case Finished(reason):
                return self._chunk("", finish_word(reason, refused=self._refused))
            case Metered(usage):
                self._usage = usage
            case Failed(message, kind):
                return chat.write_failed(message, kind)
        return b""

    def end(self) -> bytes:
        """The usage in a chunk without choices, if asked for and known, and the end mark."""
        told = b""
        if self._asks_usage and self._usage is not None:
            told = frame(msgspec.json.encode({**self._head, "choices": [], "usage": write_usage(self._usage)}))
        return told + frame(chat.DONE)

    def _chunk(self, text: str, finish: str | None = None) -> bytes:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
        return frame(msgspec.json.encode({**self._head, "choices": [choice]}))


def _as_chat(data: bytes, holder: str) -> bytes:
    """A chunk or an answer with the texts of its choices where chat has them: in `delta` or `message`."""
    told = decode_answer(_OBJECT, data)
    for choice in told.get("choices") or ():
        if isinstance(choice, dict):
            choice[holder] = {"content": choice.get("text")}
    return msgspec.json.encode(told)
