"""Sealed reasoning that Google ties to a call, through every door and back; and seals of others, which nobody takes."""

import json
from typing import Any

import pytest

from dominion.domain.contracts import Dialect
from dominion.domain.messages import (
    Answer,
    Event,
    Finished,
    Message,
    Request,
    Started,
    Text,
    Thinking,
    ToolCall,
    ToolCallDelta,
)
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE
from dominion.wire.fields import read_fields
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.native.dialect import NATIVE
from dominion.wire.openai_chat.dialect import OPENAI_CHAT, OPENAI_CHAT_GOOGLE
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES
from tests.wire.dialect_pairs import relayed

SEAL = "c2Vh+bA=="
CALL = ToolCall("call_1", "f", '{"x":1}', signature=SEAL)
SEALED_CALL = ("redacted_thinking", "tool_use")
HELLO = Message("user", (Text("Hi"),))
FOREIGN = (Thinking("hm", "rs_1:c2Vh"), Thinking(redacted="rs_2:c2Vh"))


def asked_again(door: Dialect, answer: dict[str, Any]) -> Request:
    """What the door reads when a caller sends the turn of an answer back."""
    if door is ANTHROPIC_MESSAGES:
        turn = {"role": "assistant", "content": answer["content"]}
    elif door is NATIVE:
        turn = {"role": "assistant", "content": answer["content"], "tool_calls": answer["tool_calls"]}
    else:
        turn = answer["choices"][0]["message"]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}, turn]}
    return door.read_request(read_fields(json.dumps(body, separators=(",", ":")).encode()))


@pytest.mark.parametrize("door", [NATIVE, OPENAI_CHAT, ANTHROPIC_MESSAGES], ids=lambda door: door.name)
@pytest.mark.parametrize("provider", [GEMINI, OPENAI_CHAT], ids=lambda provider: provider.name)
def test_the_seal_of_a_call_goes_out_and_back(door: Dialect, provider: Dialect) -> None:
    told = provider.write_answer(Answer("1", "x", (Text("Hello"), CALL), "tool_calls", None), now=7)
    request = asked_again(door, json.loads(door.write_answer(provider.read_answer(told), now=7)))
    assert request.messages[1].parts[-1] == CALL
    written = provider.write_request(request, model="gemini-3-pro", output_cap=None)
    assert (SEAL in written.body.decode(), written.lost) == (True, ())


@pytest.mark.parametrize("door", [NATIVE, OPENAI_CHAT, GEMINI], ids=lambda door: door.name)
@pytest.mark.parametrize("provider", [GEMINI, OPENAI_CHAT], ids=lambda provider: provider.name)
def test_the_seal_of_a_streamed_call_goes_out(door: Dialect, provider: Dialect) -> None:
    reader = door.reader()
    events = reader.feed(relayed(provider, door, [stream_of(provider)])) + reader.end()
    assert [event.signature for event in events if isinstance(event, ToolCallDelta)][:1] == [SEAL]


def test_the_seal_of_a_streamed_call_stands_in_a_block_before_it() -> None:
    out = relayed(GEMINI, ANTHROPIC_MESSAGES, [stream_of(GEMINI)])
    starts = [json.loads(line[6:]) for line in out.decode().splitlines() if '"content_block_start"' in line]
    blocks = [(start["index"], start["content_block"]["type"]) for start in starts if "index" in start]
    assert blocks == [(0, "redacted_thinking"), (1, "tool_use")]
    assert starts[0]["content_block"]["data"].endswith(SEAL)


def stream_of(provider: Dialect) -> bytes:
    told: list[Event] = [Started("1", "x"), ToolCallDelta(0, '{"x":1}', "call_1", "f", SEAL), Finished("tool_calls")]
    writer = provider.writer(now=7, asks_usage=True)
    return b"".join(map(writer.write, told)) + writer.end()


@pytest.mark.parametrize(
    ("provider", "model", "lost"),
    [
        (ANTHROPIC_MESSAGES, "claude-sonnet-4-5", {"messages.thinking"}),
        (BEDROCK_CONVERSE, "anthropic.claude-sonnet-4-5-v1:0", {"messages.thinking"}),
        (GEMINI, "gemini-3-pro", {"messages.thinking.signature"}),
    ],
)
def test_seals_of_the_responses_api_are_given_to_nobody_else(provider: Dialect, model: str, lost: set[str]) -> None:
    request = Request(model="m", messages=(HELLO, Message("assistant", (*FOREIGN, Text("Yes"))), HELLO))
    written = provider.write_request(request, model=model, output_cap=None)
    assert b"c2Vh" not in written.body
    assert set(written.lost) == lost


def test_a_conversation_that_began_elsewhere_is_sentto_anthropic_without_those_seals() -> None:
    own = {"type": "thinking", "thinking": "hm", "signature": "b3du"}
    told = json.loads(ANTHROPIC_MESSAGES.write_answer(Answer("1", "x", (*FOREIGN, CALL), "tool_calls", None), now=7))
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [own, *told["content"]]}]
    body = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": turns}
    fields = read_fields(json.dumps(body).encode())
    sent = json.loads(ANTHROPIC_MESSAGES.patch(fields, ANTHROPIC_MESSAGES.peek(fields), model="m", output_cap=None))
    assert [block["type"] for block in told["content"]] == ["thinking", "redacted_thinking", *SEALED_CALL]
    assert sent["messages"] == [turns[0], {"role": "assistant", "content": [own, told["content"][-1]]}]


def test_a_conversation_that_began_elsewhere_is_sentto_openai_without_those_seals() -> None:
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "b3du"}
    answer = Answer("1", "x", (Thinking("hm", "c2ln"), CALL), "tool_calls", None)
    told = json.loads(OPENAI_RESPONSES.write_answer(answer, now=7))["output"]
    asked = [{"role": "user", "content": "Hi"}, own, *told]
    fields = read_fields(json.dumps({"model": "gpt-5", "input": asked}).encode())
    sent = json.loads(OPENAI_RESPONSES.patch(fields, OPENAI_RESPONSES.peek(fields), model="gpt-5", output_cap=None))
    assert [item["type"] for item in told] == ["reasoning", "reasoning", "function_call"]
    assert sent["input"] == [*asked[:2], told[-1]]


@pytest.mark.parametrize(
    ("door", "body"),
    [
        (
            ANTHROPIC_MESSAGES,
            {"max_tokens": 9, "messages": [{"role": "user", "content": 'see "rs_1" and "dom_call:"'}]},
        ),
        (
            ANTHROPIC_MESSAGES,
            {"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": "rs_"}]}]},
        ),
        (OPENAI_RESPONSES, {"input": '"rs_dom_t'}),
        (OPENAI_RESPONSES, {"input": [{"type": "item_reference", "id": "rs_dom_t"}]}),
    ],
)
def test_what_only_looks_like_a_seal_is_sentas_it_is(door: Dialect, body: dict[str, Any]) -> None:
    raw = json.dumps({"model": "m", **body}, separators=(",", ":")).encode()
    fields = read_fields(raw)
    assert json.loads(door.patch(fields, door.peek(fields), model="m", output_cap=None)) == json.loads(raw)


def test_google_gets_seals_back_whatever_its_model_is_called() -> None:
    request = Request(model="m", messages=(HELLO, Message("assistant", (CALL,)), HELLO))
    written = OPENAI_CHAT_GOOGLE.write_request(request, model="tuned", output_cap=None)
    assert (SEAL in written.body.decode(), written.lost) == (True, ())


@pytest.mark.parametrize(("provider", "model"), [(ANTHROPIC_MESSAGES, "claude-sonnet-4-5"), (OPENAI_CHAT, "gpt-4o")])
def test_a_call_loses_its_seal_where_it_means_nothing_and_that_is_said(provider: Dialect, model: str) -> None:
    request = Request(model="m", messages=(HELLO, Message("assistant", (CALL,)), HELLO))
    written = provider.write_request(request, model=model, output_cap=None)
    assert (SEAL in written.body.decode(), written.lost) == (False, ("messages.tool_calls.signature",))
