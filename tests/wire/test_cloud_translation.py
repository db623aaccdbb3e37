"""Every door in front of Bedrock, Vertex and Ollama: one answer, whole and streamed, as each caller gets it."""

import itertools
import json
from typing import Any

import msgspec
import pytest

from dominion.domain.contracts import Dialect
from dominion.domain.messages import (
    Answer,
    Event,
    Finished,
    Metered,
    Part,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.anthropic_cloud import ANTHROPIC_VERTEX, BEDROCK_INVOKE
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE
from dominion.wire.fields import read_fields
from dominion.wire.ollama.dialect import OLLAMA_CHAT
from tests.wire.cloud_requests import ANTHROPIC_REQUEST, OPENAI_REQUEST
from tests.wire.dialect_pairs import CALLS, DOORS, relayed

PROVIDERS = (BEDROCK_CONVERSE, BEDROCK_INVOKE, ANTHROPIC_VERTEX, OLLAMA_CHAT)
pairs = pytest.mark.parametrize(
    ("door", "provider"),
    [pytest.param(*pair, id=f"{pair[0].name}-{pair[1].name}") for pair in itertools.product(DOORS, PROVIDERS)],
)
PARTS: tuple[Part, ...] = (
    Thinking("hm", "c2ln"),
    Text("Hello"),
    *(ToolCall(call, name, json.dumps(given)) for call, name, given in CALLS),
)
USAGE = Usage(100, 50, 40, 0, 0, 20)


def known_usage(provider: Dialect) -> Usage:
    """Converse does not count reasoning apart, and Ollama nothing but the whole."""
    if provider is OLLAMA_CHAT:
        return Usage(100, 50)
    return msgspec.structs.replace(USAGE, reasoning_tokens=0) if provider is BEDROCK_CONVERSE else USAGE


@pairs
def test_a_whole_answer_reaches_every_door(door: Dialect, provider: Dialect) -> None:
    sent = provider.write_answer(Answer("1", "x", PARTS, "tool_calls", USAGE), now=7)
    answer = provider.read_answer(sent)
    heard = door.read_answer(door.write_answer(answer, now=7))
    assert "".join(part.text for part in heard.parts if isinstance(part, Text)) == "Hello"
    assert "".join(part.text for part in heard.parts if isinstance(part, Thinking)) == "hm"
    calls = [part for part in heard.parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments)) for call in calls] == CALLS
    assert (heard.finish, heard.usage) == ("tool_calls", known_usage(provider))
    signed = provider is not OLLAMA_CHAT  # which has no place for signatures
    assert [part.signature for part in heard.parts if isinstance(part, Thinking)] == ["c2ln" if signed else ""]


@pairs
def test_a_stream_reaches_every_door_with_the_same_events(door: Dialect, provider: Dialect) -> None:
    """What the door writes is read back by the door's own reader, which other tests hold against its vendor's SDK."""
    told: list[Event] = [Started("1", "x"), ThinkingDelta(0, "h"), ThinkingDelta(0, "m"), TextDelta(1, "Hello")]
    for part, (call, name, given) in enumerate(CALLS, 2):
        text = json.dumps(given)
        told += [ToolCallDelta(part, text[:3], call, name), ToolCallDelta(part, text[3:])]
    told += [Finished("tool_calls"), Metered(USAGE)]
    writer = provider.writer(now=7, asks_usage=True)
    stream = b"".join(map(writer.write, told)) + writer.end()
    given_out = relayed(provider, door, [stream[at : at + 11] for at in range(0, len(stream), 11)])
    reader = door.reader()
    heard = reader.feed(given_out) + reader.end()
    assert "".join(event.text for event in heard if isinstance(event, TextDelta)) == "Hello"
    assert "".join(event.text for event in heard if isinstance(event, ThinkingDelta)) == "hm"
    calls: dict[int, list[str]] = {}
    for event in heard:
        if isinstance(event, ToolCallDelta):
            calls.setdefault(event.part, []).extend(filter(None, (event.id, event.name, event.arguments)))
    assert [(found[0], found[1], json.loads("".join(found[2:]))) for found in calls.values()] == CALLS
    assert [event.reason for event in heard if isinstance(event, Finished)] == ["tool_calls"]
    assert [event.usage for event in heard if isinstance(event, Metered)][-1] == known_usage(provider)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@pytest.mark.parametrize("fields", [OPENAI_REQUEST, ANTHROPIC_REQUEST], ids=["openai_chat", "anthropic_messages"])
def test_a_long_conversation_stays_one_through_every_provider(provider: Dialect, fields: dict[str, Any]) -> None:
    """Texts, images, calls and results of the conversation are all there when the provider's request is read again."""
    door = DOORS[1] if fields is OPENAI_REQUEST else DOORS[2]
    request = door.read_request(read_fields(json.dumps(fields).encode()))
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    body = json.loads(provider.write_request(request, model=model, output_cap=None).body)
    again = provider.read_request(read_fields(json.dumps(body | {"model": model}).encode()))
    for kind in (Text, ToolCall):
        assert len(parts_of(again, kind)) == len(parts_of(request, kind))
    assert [tool.name for tool in again.tools] == [tool.name for tool in request.tools]
    assert (again.max_output, again.stop) == (request.max_output, request.stop)


def parts_of(request: Any, kind: type) -> list[Any]:
    return [part for message in request.messages for part in message.parts if isinstance(part, kind)]
