"""Requests and errors of every door before every provider: what both know arrives, what is lost is named."""

import json
from typing import Any

import pytest

from dominion.domain.contracts import Dialect
from dominion.domain.errors import ContextOverflow, ProviderRateLimited, ProviderUnavailable
from dominion.domain.messages import Image, Message, Reasoning, Text, ToolCall, ToolChoice, ToolResult
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.native.dialect import NATIVE
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.wire.dialect_pairs import MODEL, doors, is_anthropic, pairs, relayed, translated

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}
PNG = "aGVsbG8="


# --- requests


@pairs
def test_text_and_system_prompt_and_settings_arrive(door: Dialect, provider: Dialect) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Bye"},
    ]
    system: dict[str, Any] = {"system": "Be brief.", "messages": turns, "stop_sequences": ["END"]}
    if not is_anthropic(door):
        system = {"messages": [{"role": "system", "content": "Be brief."}, *turns], "stop": "END"}
    read, body, lost = translated(door, provider, system | {"temperature": 0.5, "stream": True})
    assert [(message.role, message.parts) for message in read.messages] == [
        ("system", (Text("Be brief."),)),
        ("user", (Text("Hi"),)),
        ("assistant", (Text("Yes?"),)),
        ("user", (Text("Bye"),)),
    ]
    assert (read.stop, read.temperature, read.max_output, read.stream) == (("END",), 0.5, 8192, True)
    assert body["model"] == MODEL[provider.name]
    assert lost == set()


@pairs
def test_images_arrive(door: Dialect, provider: Dialect) -> None:
    if is_anthropic(door):
        content: list[dict[str, Any]] = [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        ]
    else:
        content = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ]
    read, _, lost = translated(door, provider, {"messages": [{"role": "user", "content": content}]})
    assert read.messages[0].parts == (Image(media_type="image/png", data=PNG), Image(url="https://x.test/a.png"))
    assert lost == set()


def tool_loop(door: Dialect) -> dict[str, Any]:
    """Two calls at once, their results, and the tool forced for the next turn."""
    if is_anthropic(door):
        calls = [
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
            {"type": "tool_use", "id": "b", "name": "f", "input": {"x": 2}},
        ]
        results = [
            {"type": "tool_result", "tool_use_id": "a", "content": "one"},
            {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "two"}]},
            {"type": "text", "text": "Go on."},
        ]
        return {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": calls},
                {"role": "user", "content": results},
            ],
            "tools": [{"name": "f", "description": "F.", "input_schema": SCHEMA, "strict": True}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        }
    return {
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                    {"id": "b", "type": "function", "function": {"name": "f", "arguments": '{"x":2}'}},
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "one"},
            {"role": "tool", "tool_call_id": "b", "content": "two"},
            {"role": "user", "content": "Go on."},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "F.", "parameters": SCHEMA, "strict": True}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
    }


@pairs
def test_tools_calls_and_results_arrive(door: Dialect, provider: Dialect) -> None:
    read, _, lost = translated(door, provider, tool_loop(door))
    calls = [part for part in read.messages[1].parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments)) for call in calls] == [
        ("a", "f", {"x": 1}),
        ("b", "f", {"x": 2}),
    ]
    assert read.messages[2:] == (
        Message("tool", (ToolResult("a", (Text("one"),)),)),
        Message("tool", (ToolResult("b", (Text("two"),)),)),
        Message("user", (Text("Go on."),)),
    )
    assert [(tool.name, tool.description, tool.strict, json.loads(bytes(tool.schema))) for tool in read.tools] == [
        ("f", "F.", True, SCHEMA),
    ]
    assert read.tool_choice == ToolChoice("tool", "f", parallel=False)
    assert lost == set()


@pairs
def test_a_schema_for_the_answer_arrives(door: Dialect, provider: Dialect) -> None:
    fields: dict[str, Any] = {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    }
    if is_anthropic(door):
        fields = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    read, _, lost = translated(door, provider, fields | {"messages": [{"role": "user", "content": "Hi"}]})
    assert read.output_format is not None
    assert (read.output_format.kind, json.loads(bytes(read.output_format.schema))) == ("json_schema", SCHEMA)
    assert lost == set()


@pairs
def test_the_wish_to_think_arrives(door: Dialect, provider: Dialect) -> None:
    fields: dict[str, Any] = {"reasoning_effort": "medium"}
    if is_anthropic(door):
        fields = {"thinking": {"type": "enabled", "budget_tokens": 4096}}
    read, _, lost = translated(door, provider, fields | {"messages": [{"role": "user", "content": "Hi"}]})
    assert read.reasoning == (Reasoning(budget=4096) if is_anthropic(provider) else Reasoning(effort="medium"))
    assert lost == set()


@pairs
def test_cache_marks_arrive_where_they_have_a_place(door: Dialect, provider: Dialect) -> None:
    marked = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    _, body, lost = translated(door, provider, {"messages": [{"role": "user", "content": [marked]}]})
    kept = "cache_control" in json.dumps(body)
    assert (kept, lost) == ((True, set()) if is_anthropic(provider) else (False, {"cache_control"}))


@pytest.mark.parametrize(
    ("door", "provider", "fields", "lost"),
    [
        (OPENAI_CHAT, ANTHROPIC_MESSAGES, {"n": 2, "seed": 1, "logit_bias": {"1": 2}}, {"n", "seed", "logit_bias"}),
        (OPENAI_CHAT, ANTHROPIC_MESSAGES, {"response_format": {"type": "json_object"}}, {"response_format"}),
        (NATIVE, ANTHROPIC_MESSAGES, {"seed": 1, "presence_penalty": 1}, {"seed", "presence_penalty"}),
        (ANTHROPIC_MESSAGES, OPENAI_CHAT, {"top_k": 5, "container": "c"}, {"top_k", "container"}),
        (
            ANTHROPIC_MESSAGES,
            OPENAI_CHAT,
            {"tools": [{"type": "bash_20250124", "name": "bash"}]},
            {"tools.bash_20250124"},
        ),
    ],
)
def test_what_has_no_place_on_the_other_side_is_named(
    door: Dialect, provider: Dialect, fields: dict[str, Any], lost: set[str]
) -> None:
    assert translated(door, provider, fields | {"messages": [{"role": "user", "content": "Hi"}]})[2] == lost


# --- errors

ERRORS = [
    (OPENAI_CHAT, 400, {"error": {"message": "Too long.", "code": "context_length_exceeded"}}, ContextOverflow),
    (OPENAI_CHAT, 429, {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}, ProviderRateLimited),
    (ANTHROPIC_MESSAGES, 400, {"error": {"message": "prompt is too long: 3 > 2"}}, ContextOverflow),
    (ANTHROPIC_MESSAGES, 529, {"error": {"type": "overloaded_error", "message": "Busy."}}, ProviderUnavailable),
]


@doors
@pytest.mark.parametrize(("provider", "status", "told", "expected"), ERRORS)
def test_a_providers_error_reaches_the_caller_in_the_doors_envelope(
    door: Dialect, provider: Dialect, status: int, told: dict[str, Any], expected: type[Exception]
) -> None:
    error = provider.read_error("P", status, json.dumps(told).encode())
    assert type(error) is expected
    body = json.loads(door.write_error(error, "req_9"))
    inner = body if door is NATIVE else body["error"]
    assert told["error"]["message"] in inner["message"]
    assert inner["error" if door is NATIVE else "code"] in (error.code, told["error"].get("code"))
    assert inner["action"] == error.action


@pairs
def test_an_error_inside_a_stream_reaches_the_caller(door: Dialect, provider: Dialect) -> None:
    failing = b'data: {"error":{"type":"overloaded_error","message":"Busy."},"type":"error"}\n\n'
    out = relayed(provider, door, [failing])
    assert b"Busy." in out
    assert b"message_stop" not in out
    assert b'"done"' not in out
