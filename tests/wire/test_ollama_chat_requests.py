"""Ollama's chat API as a request: what is sent to it, and what is read of a caller's."""

import json
from typing import Any

import msgspec
import pytest

from dominion.domain import errors as e
from dominion.domain.messages import (
    CacheMark,
    Image,
    Message,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.fields import read_fields
from dominion.wire.ollama.dialect import OLLAMA_CHAT as DIALECT
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.wire.cloud_requests import ANTHROPIC_REQUEST, OPENAI_REQUEST, PNG, SCHEMA

HELLO = (Message("user", (Text("Hello"),)),)
OBJECT = msgspec.Raw(b'{"type": "object"}')
WEATHER = {"function": {"name": "weather", "arguments": {"city": "Rome"}}}


def ask(request: Request, cap: int | None = None) -> tuple[dict[str, Any], set[str]]:
    written = DIALECT.write_request(request, model="llama3", output_cap=cap)
    return json.loads(written.body), set(written.lost)


def read(body: dict[str, Any]) -> Request:
    fields = {"model": "llama3", "messages": [{"role": "user", "content": "Hello"}]} | body
    return DIALECT.read_request(read_fields(json.dumps(fields).encode()))


# --- requests


def test_an_openai_caller_reaches_ollama_with_all_that_it_has_a_place_for() -> None:
    request = OPENAI_CHAT.read_request(read_fields(json.dumps(OPENAI_REQUEST).encode()))
    body, lost = ask(request)
    assert body["options"] == {"num_predict": 9000, "stop": ["END"], "temperature": 0.5}
    assert (body["model"], body["stream"], body["think"], body["format"]) == ("llama3", False, "high", SCHEMA)
    assert body["tools"][0] == {
        "type": "function",
        "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA},
    }
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?", "images": [PNG]},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [{"id": "call|1", **WEATHER}, {"id": "c" * 70, "function": {"name": "now", "arguments": {}}}],
        },
        {"role": "tool", "content": "Sunny", "tool_name": "weather", "tool_call_id": "call|1"},
        {"role": "tool", "content": "Noon", "tool_name": "now", "tool_call_id": "c" * 70},
        {"role": "user", "content": "And now?"},
    ]
    assert lost == {"tools.strict"}


def test_an_anthropic_caller_loses_only_what_is_named() -> None:
    request = ANTHROPIC_MESSAGES.read_request(read_fields(json.dumps(ANTHROPIC_REQUEST).encode()))
    body, lost = ask(request)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user", "tool"]
    assert body["messages"][2]["thinking"] == "hm"
    assert body["messages"][4]["images"] == [PNG]
    assert body["think"] is True
    assert lost == {"cache_control", "messages.thinking.signature", "reasoning.budget", "tool_result.is_error"}


def test_what_is_written_reads_as_it_was() -> None:
    request = Request(
        model="llama3",
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Look"), Image(media_type="image/png", data=PNG))),
            Message(
                "assistant", (Thinking("hm"), Text("Well"), ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}"))
            ),
            Message("tool", (ToolResult("a", (Text("one"), Image(media_type="image/jpeg", data="/9j/AA"))),)),
            Message("tool", (ToolResult("b", (Text("two"),)),)),
        ),
        tools=(Tool("f", OBJECT, "Does it."),),
        max_output=9,
        temperature=0.5,
        top_p=0.5,
        top_k=3,
        stop=("x", "y"),
        stream=True,
        output_format=OutputFormat("json_schema", schema=OBJECT),
        reasoning=Reasoning(effort="low"),
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
    )
    body, lost = ask(request)
    assert (read(body), lost) == (request, set())


def test_a_stream_is_what_comes_unless_told_otherwise() -> None:
    fields = read_fields(b'{"model": "m", "messages": [{"role": "user"}], "options": {"num_predict": -1}}')
    peek = DIALECT.peek(fields)
    assert (peek.model, peek.stream, peek.output_cap) == ("m", True, None)
    fields = read_fields(b'{"model":"m","messages":[{"role":"user"}],"stream":false,"options":{"num_predict":5}}')
    peek = DIALECT.peek(fields)
    assert (peek.stream, peek.output_cap) == (False, 5)


def test_a_patch_changes_model_and_cap_only() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "keep_alive": "5m", "options": {"num_ctx": 9}}
    fields = read_fields(json.dumps(body).encode())
    patched = json.loads(DIALECT.patch(fields, DIALECT.peek(fields), model="n", output_cap=7))
    assert patched == body | {"model": "n", "options": {"num_ctx": 9, "num_predict": 7}}
    assert json.loads(DIALECT.patch(fields, DIALECT.peek(fields), model="n", output_cap=None)) == body | {"model": "n"}


def test_the_gateways_cap_replaces_the_callers() -> None:
    assert ask(Request(model="m", messages=HELLO, max_output=500), cap=7)[0]["options"] == {"num_predict": 7}


@pytest.mark.parametrize(
    ("choice", "tools", "lost"),
    [
        (ToolChoice("auto"), True, set()),
        (ToolChoice("none"), False, {"tool_choice"}),
        (ToolChoice("required", parallel=False), True, {"tool_choice", "parallel_tool_calls"}),
        (ToolChoice("tool", "f"), True, {"tool_choice"}),
    ],
)
def test_tools_cannot_be_chosen_but_left_away(choice: ToolChoice, tools: bool, lost: set[str]) -> None:  # noqa: FBT001
    tool = Tool("f", OBJECT)
    body, told = ask(Request(model="m", messages=HELLO, tools=(tool,), tool_choice=choice))
    assert ("tools" in body, told) == (tools, lost)


@pytest.mark.parametrize(
    ("wanted", "think"),
    [
        (Reasoning(), True),
        (Reasoning(enabled=False, effort="none"), False),
        (Reasoning(effort="minimal"), "low"),
        (Reasoning(effort="max"), "high"),
        (Reasoning(effort="strange"), True),
    ],
)
def test_reasoning_is_a_word_or_a_flag(wanted: Reasoning, think: object) -> None:
    assert ask(Request(model="m", messages=HELLO, reasoning=wanted))[0]["think"] == think


def test_formats_are_a_word_or_a_schema() -> None:
    assert ask(Request(model="m", messages=HELLO, output_format=OutputFormat("json_object")))[0]["format"] == "json"
    assert read({"format": "json"}).output_format == OutputFormat("json_object")
    assert read({"format": ""}).output_format is None


def test_what_has_no_place_is_named() -> None:
    history = (
        Message("user", (Image(url="https://x/y.png", detail="high"), Text("a"), Text("b", CacheMark())), "Ann"),
        Message("assistant", (Thinking(redacted="s"), ToolCall("c", "f", "{broken", signature="s"))),
        Message("tool", (ToolResult("c", (), cache=CacheMark()),)),
    )
    tool = Tool("f", OBJECT, cache=CacheMark())
    body, lost = ask(Request(model="m", messages=history, tools=(tool,), user="u", unread=("logprobs",)))
    assert body["messages"][0] == {"role": "user", "content": "a\nb"}
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"invalid_arguments": "{broken"}
    assert lost == {
        *("messages.image.url", "messages.image.detail", "messages.name", "cache_control", "user", "logprobs"),
        *("messages.thinking.signature", "messages.tool_calls.arguments", "messages.tool_calls.signature"),
    }


def test_results_of_servers_without_ids_find_their_calls_by_name_and_order() -> None:
    calls = [WEATHER, {"function": {"name": "now"}}, WEATHER]
    turns = [
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_name": "now", "content": "noon"},
        {"role": "tool", "content": "sunny"},
        {"role": "tool", "content": "rainy"},
    ]
    called, *results = read({"messages": turns}).messages
    ids = [part.id for part in called.parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 3
    answered = [part.call_id for turn in results for part in turn.parts if isinstance(part, ToolResult)]
    assert answered == [ids[1], ids[0], ids[2]]


def test_fields_beyond_the_neutral_form_are_named() -> None:
    told = read({"keep_alive": "5m", "template": "", "raw": False, "options": {"num_ctx": 9, "mirostat": 1}})
    assert told.unread == ("keep_alive", "options.mirostat", "options.num_ctx")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": 1}]},
        {"options": {"Num_Predict": 5}},
        {"options": {"num_predict": "many"}},
        {"Stream": False},
        {"format": 5},
        {"think": 5},
        {"model": ""},
    ],
)
def test_a_wrong_request_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(e.InvalidRequest):
        read(body)
