"""Requests of OpenAI chat completions written from neutral ones."""

import json
from typing import Any

import msgspec
import pytest

from dominion.domain.contracts import Written
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
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dominion.wire.openai_chat.dialect import OPENAI_CHAT

HELLO = Message("user", (Text("Hello"),))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}


def write(
    *messages: Message, model: str = "m", cap: int | None = None, **fields: Any
) -> tuple[dict[str, Any], Written]:
    request = Request(model="asked", messages=messages or (HELLO,), **fields)
    written = OPENAI_CHAT.write_request(request, model=model, output_cap=cap)
    body = json.loads(written.body)
    assert isinstance(body, dict)
    return body, written


def turn(*content: Part, role: Any = "assistant") -> tuple[dict[str, Any], tuple[str, ...]]:
    body, written = write(Message(role, content))
    message = body["messages"][-1]
    assert isinstance(message, dict)
    return message, written.lost


def test_every_simple_field_is_written() -> None:
    body, written = write(
        cap=5,
        max_output=9,
        temperature=0.5,
        top_p=0.25,
        stop=("A", "B"),
        seed=42,
        presence_penalty=-1.0,
        frequency_penalty=1.5,
        user="u1",
        stream=True,
        reasoning=Reasoning(effort="xhigh"),
    )
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.25,
        "stop": ["A", "B"],
        "seed": 42,
        "presence_penalty": -1.0,
        "frequency_penalty": 1.5,
        "user": "u1",
        "reasoning_effort": "xhigh",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert written.lost == ()


def test_a_reasoning_model_gets_the_new_name_of_the_cap() -> None:
    assert write(model="o3-mini", max_output=9)[0]["max_completion_tokens"] == 9


def test_an_empty_request_is_written_without_empty_fields() -> None:
    assert write()[0] == {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def test_what_has_no_place_here_is_named() -> None:
    _, written = write(
        Message("user", (Text("x", CacheMark("1h")),)),
        Message("tool", (ToolResult("c", (Text("failed"),), is_error=True),)),
        Message("assistant", (Thinking("Hm.", "s"), Thinking(redacted="xyz"), Image(url="https://x"))),
        top_k=5,
        reasoning=Reasoning(enabled=False),
        unread=("metadata",),
    )
    assert written.lost == (
        *(
            "metadata",
            "cache_control",
            "tool_result.is_error",
            "messages.image",
            "messages.thinking",
            "reasoning",
            "top_k",
        ),
    )


def test_what_the_assistant_said_is_written() -> None:
    call = ToolCall("c", "weather", "")
    message, lost = turn(Thinking("Hm. "), Thinking("So."), Text("Let me see."), call)
    assert message == {
        "role": "assistant",
        "content": "Let me see.",
        "reasoning_content": "Hm. So.",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    }
    assert lost == ()
    assert turn(call)[0]["content"] is None
    assert turn(Refusal("No."))[0] == {"role": "assistant", "content": None, "refusal": "No."}
    assert turn()[0] == {"role": "assistant", "content": ""}


def test_contents_of_several_parts_are_written_as_a_list() -> None:
    message, _ = turn(Text("a"), Image(media_type="image/png", data="AA", detail="high"), Image(url="u"), role="user")
    assert message["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "u"}},
    ]


def test_images_of_tool_results_follow_the_last_result_in_a_message_of_the_user() -> None:
    body, _ = write(
        Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))),
        Message("tool", (ToolResult("a", (Text("seen"), Image(url="u"))),)),
        Message("user", (ToolResult("b", ()), Text("And?"))),
    )
    assert [message["role"] for message in body["messages"]] == ["assistant", "tool", "tool", "user", "user"]
    assert [message["content"] for message in body["messages"][1:]] == [
        "seen",
        "",
        [{"type": "text", "text": "Images in the result of a:"}, {"type": "image_url", "image_url": {"url": "u"}}],
        "And?",
    ]


def test_images_of_the_last_result_are_not_forgotten() -> None:
    body, _ = write(Message("tool", (ToolResult("a", (Image(url="u"),)),)))
    assert body["messages"][-1]["content"][1] == {"type": "image_url", "image_url": {"url": "u"}}


def test_tools_are_written() -> None:
    tool = Tool("weather", msgspec.Raw(json.dumps(SCHEMA).encode()), "Tells it.", strict=True, cache=CacheMark())
    body, written = write(tools=(tool,), tool_choice=ToolChoice("tool", "weather", parallel=False))
    assert body["tools"] == [{"type": "function", "function": WEATHER | {"strict": True}}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["parallel_tool_calls"] is False
    assert written.lost == ("cache_control",)


def test_a_tool_choice_without_tools_is_not_written() -> None:
    assert "tool_choice" not in write(tool_choice=ToolChoice("none"))[0]


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(budget=1024), "low"),
        (Reasoning(budget=8000), "medium"),
        (Reasoning(budget=32_000), "high"),
        (Reasoning(enabled=False, effort="none"), "none"),
        (Reasoning(), None),
    ],
)
def test_a_thinking_budget_becomes_the_nearest_effort(reasoning: Reasoning, effort: str | None) -> None:
    body, written = write(reasoning=reasoning)
    assert body.get("reasoning_effort") == effort
    assert written.lost == ()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (OutputFormat("json_object"), {"type": "json_object"}),
        (
            OutputFormat("json_schema", schema=msgspec.Raw(b'{"type": "object"}')),
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
        ),
    ],
)
def test_output_formats_are_written(wanted: OutputFormat, expected: dict[str, Any]) -> None:
    assert write(output_format=wanted)[0]["response_format"] == expected
