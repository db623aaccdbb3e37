"""Requests of OpenAI chat completions read into neutral ones."""

import json
from typing import Any

import msgspec
import pytest

from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import (
    CacheMark,
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dominion.wire.fields import read_fields
from dominion.wire.openai_chat.dialect import OPENAI_CHAT

HELLO = Message("user", (Text("Hello"),))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Łódź"}'}}


def read(*messages: dict[str, Any], **fields: Any) -> Request:
    said = list(messages) or [{"role": "user", "content": "Hello"}]
    return OPENAI_CHAT.read_request(read_fields(json.dumps({"model": "m", "messages": said} | fields).encode()))


def parts(*messages: dict[str, Any]) -> tuple[Part, ...]:
    return read(*messages).messages[-1].parts


def test_every_simple_field_is_read() -> None:
    request = read(
        max_completion_tokens=7,
        temperature=0.5,
        top_p=0.25,
        stop="END",
        stream=True,
        seed=42,
        presence_penalty=-1,
        frequency_penalty=1.5,
        user="u1",
        reasoning_effort="low",
    )
    assert request == Request(
        model="m",
        messages=(HELLO,),
        max_output=7,
        temperature=0.5,
        top_p=0.25,
        stop=("END",),
        stream=True,
        seed=42,
        presence_penalty=-1,
        frequency_penalty=1.5,
        user="u1",
        reasoning=Reasoning(effort="low"),
    )


def test_the_roles_are_read() -> None:
    request = read(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        {"role": "user", "content": "c", "name": "Ann"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    )
    assert request.messages == (
        Message("system", (Text("a"),)),
        Message("system", (Text("b"),)),
        Message("user", (Text("c"),), "Ann"),
        Message("assistant", (ToolCall("call_1", "weather", '{"city": "Łódź"}'),)),
        Message("tool", (ToolResult("call_1", (Text("rain"),)),)),
    )


def test_images_are_read_from_addresses_and_from_data() -> None:
    content = [
        {"type": "text", "text": "What?", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        {"type": "image_url", "image_url": "data:image/png;base64,AAAA"},
    ]
    assert parts({"role": "user", "content": content}) == (
        Text("What?", CacheMark("1h")),
        Image(url="https://x/y.png", detail="low"),
        Image(media_type="image/png", data="AAAA"),
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"reasoning_content": "Hm."}, [Thinking("Hm.")]),
        ({"reasoning": "Hm."}, [Thinking("Hm.")]),
        ({"reasoning_content": "Hm.", "reasoning": "Hm."}, [Thinking("Hm.")]),
        (
            {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "s"}]},
            [Thinking("Hm.", "s")],
        ),
        (
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Hm.", "index": 0},
                    {"type": "reasoning.text", "signature": "s", "index": 0},
                    {"type": "reasoning.encrypted", "data": "xyz", "index": 1},
                    {"type": "reasoning.summary", "summary": "short", "index": 2},
                ]
            },
            [Thinking("Hm.", "s"), Thinking(redacted="xyz"), Thinking("short")],
        ),
        (
            {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.encrypted", "data": "xyz"}]},
            [Thinking("Hm."), Thinking(redacted="xyz")],
        ),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}, [Thinking("Hm.")]),
        ({"refusal": "No."}, [Refusal("No.")]),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, [Refusal("No.")]),
        ({"content": ""}, []),
        ({"content": None, "tool_calls": None, "name": None}, []),
    ],
)
def test_what_the_assistant_said_is_read(said: dict[str, Any], expected: list[Part]) -> None:
    assert parts({"role": "assistant", **said}) == tuple(expected)


def test_tools_are_read() -> None:
    request = read(
        tools=[
            {"type": "function", "function": WEATHER | {"strict": True}},
            {"type": "function", "function": {"name": "now"}, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "custom": {"name": "grep"}},
        ],
        tool_choice={"type": "function", "function": {"name": "now"}},
        parallel_tool_calls=False,
    )
    assert [(tool.name, tool.description, tool.strict, tool.cache) for tool in request.tools] == [
        ("weather", "Tells it.", True, None),
        ("now", "", None, CacheMark()),
    ]
    assert [json.loads(bytes(tool.schema)) for tool in request.tools] == [SCHEMA, {"type": "object", "properties": {}}]
    assert request.tool_choice == ToolChoice("tool", "now", parallel=False)
    assert request.unread == ("tools.custom",)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        (None, None),
    ],
)
def test_tool_choices_are_read(said: str | None, expected: ToolChoice | None) -> None:
    assert read(tool_choice=said).tool_choice == expected


def test_the_old_function_style_is_read() -> None:
    request = read(
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}},
        {"role": "function", "name": "weather", "content": "rain"},
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{ }"}},
        {"role": "function", "name": "weather", "content": "sun"},
        functions=[WEATHER],
        function_call={"name": "weather"},
    )
    calls = [part for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    results = [part for message in request.messages for part in message.parts if isinstance(part, ToolResult)]
    assert [call.id for call in calls] == [result.call_id for result in results]
    assert len({call.id for call in calls}) == 2
    assert request.tools[0].name == "weather"
    assert request.tool_choice == ToolChoice("tool", "weather")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, OutputFormat("json_object")),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
            OutputFormat("json_schema", "n", msgspec.Raw(b"{}"), strict=True),
        ),
    ],
)
def test_output_formats_are_read(said: dict[str, Any], expected: OutputFormat | None) -> None:
    assert read(response_format=said).output_format == expected


def test_reasoning_is_switched_off_by_its_word() -> None:
    assert read(reasoning_effort="none").reasoning == Reasoning(enabled=False, effort="none")


def test_what_has_no_place_is_named_and_what_says_nothing_is_not() -> None:
    request = read(
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}, {"type": "text", "text": "?"}]},
        n=2,
        logprobs=True,
        logit_bias={"1": 1},
        audio={},
        service_tier="flex",
        store=False,
        modalities=["text"],
        metadata=None,
        tool_choice={"type": "allowed_tools", "allowed_tools": {}},
    )
    expected = ("audio", "logit_bias", "logprobs", "messages.content.input_audio", "n", "service_tier")
    assert request.unread == (*expected, "tool_choice.allowed_tools")
    assert read(n=1).unread == ()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].name"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0]"),
        ({"tools": [{"type": "function", "function": {"parameters": {}}}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "tools"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"function_call": "sometimes"}, "function_call"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"stop": 7}, "stop"),
        ({"seed": 10**18}, "seed"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"user": 7}, "user"),
    ],
)
def test_a_wrong_request_is_refused_by_the_name_of_the_place(fields: dict[str, Any], param: str) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]} | fields).encode()
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_CHAT.read_request(read_fields(body))
    assert caught.value.param == param
