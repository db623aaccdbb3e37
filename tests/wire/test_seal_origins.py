"""What one provider sealed goes back to it through every door, and to no other, translated or relayed."""

import json
from typing import Any

import pytest

from dominion.domain.contracts import Dialect, Fields
from dominion.domain.messages import Answer, Event, Message, Request, Text, Thinking, ThinkingDelta, ToolCall
from dominion.domain.messages import ToolCallDelta as Call
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.fields import read_fields
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.native.dialect import NATIVE
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES
from dominion.wire.seals import MARK, mark_answer, mark_at, mark_delta, marked, only_own, origin_of

DOORS = (NATIVE, OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GEMINI)
ORIGINS = ("anthropic", "gemini", "vertex", "openrouter")
THOUGHT, SECRET = Thinking("Hm.", "c2VhbDE="), Thinking(redacted="c2VhbDI=")
CALL = ToolCall("call_1", "f", '{"x":1}', signature="c2VhbDM=")
SAID = (THOUGHT, SECRET, Text("Yes."), CALL)
SEALS = {"c2VhbDE=", "c2VhbDI=", "c2VhbDM="}
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
every_origin = pytest.mark.parametrize("origin", ORIGINS)


def told(door: Dialect, origin: str) -> Any:
    """The answer of a provider as a caller gets it."""
    answer = mark_answer(Answer("1", "m", SAID, "tool_calls", None), mark_at(door.name, origin) or origin)
    return json.loads(door.write_answer(answer, now=7))


def sent_back(door: Dialect, answer: Any) -> Fields:
    """The request that carries the turn of an answer back, as callers do."""
    turns: dict[str, Any]
    if door is GEMINI:
        turns = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}, answer["candidates"][0]["content"]]}
    elif door is OPENAI_RESPONSES:
        turns = {"input": [{"role": "user", "content": "Hi"}, *answer["output"]]}
    else:
        turn = {"role": "assistant"}
        if door is OPENAI_CHAT:
            turn = answer["choices"][0]["message"]
        else:
            turn |= {name: answer[name] for name in ("content", "tool_calls", "reasoning") if name in answer}
        turns = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}, turn]}
    return read_fields(json.dumps({"model": "m", **turns}, separators=(",", ":")).encode())


def seals_in(request: Request) -> set[str]:
    parts = [part for message in request.messages for part in message.parts]
    found = {part.signature for part in parts if isinstance(part, Thinking | ToolCall)}
    return (found | {part.redacted for part in parts if isinstance(part, Thinking)}) - {""}


@every_door
@every_origin
def test_seals_go_back_to_who_made_them_as_they_were(door: Dialect, origin: str) -> None:
    request = door.read_request(sent_back(door, told(door, origin)))
    own = only_own(request, door.name, origin)
    assert seals_in(own) == SEALS
    assert own.unread == request.unread
    assert own.messages[-1].parts[-1] == CALL


@every_door
@every_origin
def test_seals_go_to_nobody_else_and_that_is_said(door: Dialect, origin: str) -> None:
    request = door.read_request(sent_back(door, told(door, origin)))
    for other in {*ORIGINS, "openai"} - {origin}:
        own = only_own(request, door.name, other)
        assert seals_in(own) == set()
        assert {"messages.thinking.signature", "messages.tool_calls.signature"} <= set(own.unread)
        texts = [part.text for message in own.messages for part in message.parts if isinstance(part, Text | Thinking)]
        assert texts == ["Hi", "Hm.", "Yes."]


@pytest.mark.parametrize("door", [OPENAI_CHAT, ANTHROPIC_MESSAGES, GEMINI], ids=lambda door: door.name)
def test_marked_seals_are_not_relayed(door: Dialect) -> None:
    fields = sent_back(door, told(door, "openrouter"))
    assert MARK in json.dumps(json.loads(bytes(fields.get("messages") or fields["contents"])))
    sent = door.patch(fields, door.peek(fields), model="m", output_cap=None)
    assert MARK not in sent.decode()
    request = door.read_request({"model": fields["model"]} | read_fields(sent))
    parts = [part for message in request.messages for part in message.parts]
    assert [part.text for part in parts if isinstance(part, Text)] == ["Hi", "Yes."]
    assert [part.name for part in parts if isinstance(part, ToolCall)] == ["f"]


def test_a_call_that_another_provider_sealed_is_relayed_to_google_with_its_word_for_that() -> None:
    fields = sent_back(GEMINI, told(GEMINI, "anthropic"))
    sent = json.loads(GEMINI.patch(fields, GEMINI.peek(fields), model="gemini-3-pro", output_cap=None))
    (call,) = [part for part in sent["contents"][-1]["parts"] if "functionCall" in part]
    assert call["thoughtSignature"] == "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="


@pytest.mark.parametrize(
    ("door", "origin"), [(ANTHROPIC_MESSAGES, "anthropic"), (GEMINI, "gemini"), (GEMINI, "vertex")]
)
def test_seals_that_a_door_knows_by_itself_need_no_mark_and_are_nobody_else_s(door: Dialect, origin: str) -> None:
    assert mark_at(door.name, origin) == ""
    turn = Message("assistant", SAID)
    request = Request(model="m", messages=(Message("user", (Text("Hi"),)), turn))
    assert only_own(request, door.name, origin) == request
    assert seals_in(only_own(request, door.name, "openrouter")) == set()


def test_a_conversation_without_seals_is_the_same_object() -> None:
    request = Request(model="m", messages=(Message("user", (Text(MARK),)),))
    assert only_own(request, "openai_chat", "openai") is request


def test_a_broken_mark_is_nobody_s() -> None:
    for seal in (f"{MARK}!", MARK, marked("x", "")):
        request = Request(model="m", messages=(Message("assistant", (Thinking("Hm.", seal),)),))
        assert seals_in(only_own(request, "openai_chat", "openai")) == set()


def test_seals_in_a_stream_are_marked() -> None:
    seal = marked("c2Vh", "openrouter")
    assert mark_delta(ThinkingDelta(0, signature="c2Vh"), "openrouter") == ThinkingDelta(0, signature=seal)
    assert mark_delta(ThinkingDelta(0, redacted="c2Vh"), "openrouter") == ThinkingDelta(0, redacted=seal)
    assert mark_delta(Call(1, "{}", "1", "f", "c2Vh"), "openrouter") == Call(1, "{}", "1", "f", seal)


def test_events_without_seals_stay_what_they_are() -> None:
    events: list[Event] = [ThinkingDelta(0, "Hm."), Call(1, "{}")]
    for event in events:
        assert isinstance(event, ThinkingDelta | Call)
        assert mark_delta(event, "openrouter") is event


@pytest.mark.parametrize(
    ("speaks", "model", "provider", "origin"),
    [
        ("anthropic_messages", "claude-sonnet-4-5", "vertex", "anthropic"),
        ("bedrock_converse", "eu.anthropic.claude-sonnet-4-5-v1:0", "bedrock", "anthropic"),
        ("bedrock_converse", "deepseek.r1-v1:0", "bedrock", "bedrock"),
        ("gemini", "gemini-3-pro", "vertex", "vertex"),
        ("openai_chat", "anthropic/claude-sonnet-4.5", "openrouter", "openrouter"),
    ],
)
def test_who_seals_is_anthropic_on_all_its_platforms_else_the_provider(
    speaks: str, model: str, provider: str, origin: str
) -> None:
    assert origin_of(speaks, model, provider) == origin
