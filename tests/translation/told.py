"""What a provider can answer, one thing a case, in neutral words. Plain values, no outcomes: those are measured."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from dominion.domain.messages import (
    Answer,
    Event,
    Failed,
    Finished,
    FinishReason,
    Image,
    Metered,
    Part,
    Refusal,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from tests.translation.asked import CALLS, PNG, Facts


class Told(NamedTuple):
    """An answer that says one thing; `facts` are that thing as an answer says it. `streams`: streams have it too.

    `words` are a door's own for the thing, where it is something else when it is read again.
    """

    name: str
    answer: Answer
    facts: Callable[[Answer], Facts]
    streams: bool = True
    words: Mapping[str, str] = MappingProxyType({})


def events_of(answer: Answer) -> list[Event]:
    """The answer as a provider streams it: texts and arguments in two pieces each."""
    events: list[Event] = [Started(answer.id, answer.model)]
    for place, part in enumerate(answer.parts):
        events += _pieces(place, part)
    events.append(Finished(answer.finish, answer.stop_sequence))
    return events + ([Metered(answer.usage)] if answer.usage is not None else [])


def _pieces(place: int, part: Part) -> Iterator[Event]:
    match part:
        case Text(text):
            yield from (TextDelta(place, piece) for piece in (text[:2], text[2:]))
        case Refusal(text):
            yield from (RefusalDelta(place, piece) for piece in (text[:2], text[2:]))
        case Thinking(text, signature, redacted):
            yield from (ThinkingDelta(place, piece) for piece in (text[:1], text[1:]) if piece)
            if signature or redacted:
                yield ThinkingDelta(place, "", signature, redacted)
        case ToolCall(call_id, name, arguments, _, signature):
            yield ToolCallDelta(place, arguments[:3], call_id, name, signature)
            yield ToolCallDelta(place, arguments[3:])


def collected(events: list[Event]) -> Answer:
    """The events as a whole answer."""
    parts: dict[int, list[Any]] = {}
    answer = Answer("", "", (), "stop", None)
    for event in events:
        match event:
            case Started(answer_id, model):
                answer = msgspec.structs.replace(answer, id=answer_id, model=model)
            case Finished(reason, stop_sequence):
                answer = msgspec.structs.replace(answer, finish=reason, stop_sequence=stop_sequence)
            case Metered(usage):
                answer = msgspec.structs.replace(answer, usage=usage)
            case Failed():
                raise AssertionError(f"the stream failed: {event.message}")
            case _:
                parts.setdefault(event.part, []).append(event)
    return msgspec.structs.replace(answer, parts=tuple(_part(parts[place]) for place in sorted(parts)))


def _part(deltas: list[Any]) -> Part:
    def joined(name: str) -> str:
        return "".join(getattr(delta, name) for delta in deltas)

    match deltas[0]:
        case ToolCallDelta():
            return ToolCall(joined("id"), joined("name"), joined("arguments"), signature=joined("signature"))
        case ThinkingDelta():
            return Thinking(joined("text"), joined("signature"), joined("redacted"))
        case RefusalDelta():
            return Refusal(joined("text"))
    return Text(joined("text"))


def _texts(kind: type[Any]) -> Callable[[Answer], Facts]:
    def facts(answer: Answer) -> Facts:
        text = "".join(part.text for part in answer.parts if isinstance(part, kind))
        return (text,) if text else ()

    return facts


def _seals(answer: Answer) -> Facts:
    """What is sealed, whatever a dialect puts before the colon to know it again."""
    seals = (
        (part.signature, part.redacted) if isinstance(part, Thinking) else (part.signature,)
        for part in answer.parts
        if isinstance(part, Thinking | ToolCall)
    )
    return tuple(filter(None, (seal.rpartition(":")[2] for seal in itertools.chain.from_iterable(seals))))


def _calls(answer: Answer) -> Facts:
    found = [part for part in answer.parts if isinstance(part, ToolCall)]
    return tuple(f"{call.id} {call.name} {msgspec.json.decode(call.arguments)}" for call in found)


def _images(answer: Answer) -> Facts:
    return tuple(part.url or part.data for part in answer.parts if isinstance(part, Image))


def _finish(answer: Answer) -> Facts:
    return (answer.finish,)


def _stop_sequence(answer: Answer) -> Facts:
    return (answer.stop_sequence,) if answer.stop_sequence else ()


def _counts(*names: str) -> Callable[[Answer], Facts]:
    def facts(answer: Answer) -> Facts:
        counts = [getattr(answer.usage, name) for name in names] if answer.usage is not None else []
        return tuple(str(count) for count in counts if count)

    return facts


USAGE = Usage(100, 50, cache_read_tokens=40, cache_write_tokens=30, cache_write_1h_tokens=10, reasoning_tokens=20)
_ENDS: tuple[tuple[FinishReason, Part], ...] = (
    ("stop", Text("Hello")),
    ("length", Text("Hello")),
    ("tool_calls", CALLS[0]),
    ("content_filter", Text("Hello")),
    ("refusal", Refusal("No.")),
    ("pause", Text("Hello")),
)


def _told(
    name: str, facts: Callable[[Answer], Facts], *parts: Part, finish: FinishReason = "stop", stop: str = ""
) -> Told:
    streams = not any(isinstance(part, Image) for part in parts)
    return Told(name, Answer("1", "x", parts or (Text("Hello"),), finish, USAGE, stop), facts, streams)


TOLD = (
    _told("text", _texts(Text), Text("Hello")),
    _told("reasoning", _texts(Thinking), Thinking("hm"), Text("Hello")),
    _told("signature of reasoning", _seals, Thinking("hm", "c2ln"), Text("Hello")),
    _told("signature of the Responses API", _seals, Thinking("hm", "rs_1:c2ln"), Text("Hello")),
    _told("sealed reasoning", _seals, Thinking(redacted="c2Vh"), Text("Hello")),
    _told("parallel calls", _calls, *CALLS, finish="tool_calls"),
    _told("seal of a call", _seals, ToolCall("call_1", "f", '{"x":1}', signature="c2Vh"), finish="tool_calls"),
    _told("refusal in words", _texts(Refusal), Refusal("No."), finish="refusal"),
    _told("image", _images, Text("Look:"), Image(media_type="image/png", data=PNG))._replace(
        words=dict.fromkeys(("openai_responses", "anthropic_messages"), "![image](data:image/png;base64,")
    ),
    *(_told(f"end: {reason}", _finish, part, finish=reason) for reason, part in _ENDS),
    _told("stop sequence that was hit", _stop_sequence, stop="END"),
    _told("input and output tokens", _counts("input_tokens", "output_tokens")),
    _told("tokens read from the cache", _counts("cache_read_tokens")),
    _told("tokens written to the cache", _counts("cache_write_tokens")),
    _told("of these, for an hour", _counts("cache_write_1h_tokens")),
    _told("reasoning tokens", _counts("reasoning_tokens")),
)
