"""Requests of the Anthropic Messages API: what a door reads of them."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import (
    CacheMark,
    Image,
    Message,
    Reasoning,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES as DIALECT
from dominion.wire.fields import read_fields
from tests.wire.anthropic_oracle import check_request

HELLO = [{"role": "user", "content": "Hello"}]


def door(**fields: Any) -> Request:
    return DIALECT.read_request(
        read_fields(json.dumps({"model": "m", "max_tokens": 9, "messages": HELLO} | fields).encode())
    )


def blocks(*content: dict[str, Any], role: str = "user") -> tuple[Message, ...]:
    return door(messages=[{"role": role, "content": list(content)}]).messages


# --- peek and patch


def test_peek_reads_model_cap_and_stream() -> None:
    fields = read_fields(
        b'{"model":"claude-x","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"a"}]}'
    )
    peek = DIALECT.peek(fields)
    assert (peek.model, peek.output_cap, peek.stream, peek.choices, peek.asks_usage) == ("claude-x", 64, True, 1, True)


def test_an_output_cap_of_zero_warms_the_cache_and_is_allowed() -> None:
    assert DIALECT.peek(read_fields(b'{"model":"m","max_tokens":0,"messages":[{}]}')).output_cap == 0


@pytest.mark.parametrize("cap", ["-1", "1000000001", "true", "64.0", '"64"', "null", "1e400", "[1]"])
def test_an_output_cap_that_is_no_count_is_refused(cap: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.peek(read_fields(b'{"model":"m","max_tokens":%b,"messages":[{}]}' % cap.encode()))
    assert caught.value.param == "max_tokens"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"max_tokens":1,"messages":[{}]}', "model"),
        (b'{"model":"","max_tokens":1,"messages":[{}]}', "model"),
        (b'{"model":"a\\nb","max_tokens":1,"messages":[{}]}', "model"),
        (b'{"model":7,"max_tokens":1,"messages":[{}]}', "model"),
        (b'{"model":"m","messages":[{}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":1}', "messages"),
        (b'{"model":"m","max_tokens":1,"messages":[ ]}', "messages"),
        (b'{"model":"m","max_tokens":1,"messages":"hi"}', "messages"),
        (b'{"model":"m","max_tokens":1,"messages":[{}],"stream":"yes"}', "stream"),
        (b'{"model":"m","max_tokens":1,"messages":[{}],"Max_Tokens":9}', "Max_Tokens"),
    ],
)
def test_a_request_that_cannot_be_admitted_is_refused_by_the_name_of_its_field(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.peek(read_fields(body))
    assert caught.value.param == param


def test_a_patch_touches_nothing_but_the_model_and_the_cap() -> None:
    body = b'{"model":"a","max_tokens":9,"messages":[{"role": "user",  "content":"\\u00e9"}],"new":{"x": 1.0}}'
    fields = read_fields(body)
    patched = DIALECT.patch(fields, DIALECT.peek(fields), model="b", output_cap=5)
    assert patched == body.replace(b'"a"', b'"b"').replace(b":9,", b":5,")
    assert DIALECT.patch(fields, DIALECT.peek(fields), model="a", output_cap=None) == body


@pytest.mark.parametrize(
    ("cap", "thinking"),
    [
        (5001, b'{"type": "enabled", "budget_tokens": 5000}'),
        (5000, b'{"type":"enabled","budget_tokens":2500}'),
        (2047, b'{"type":"disabled"}'),
    ],
)
def test_a_lowered_cap_lowers_the_thinking_budget_that_must_stay_below_it(cap: int, thinking: bytes) -> None:
    body = b'{"model":"a","max_tokens":9000,"messages":[{}],"thinking":{"type": "enabled", "budget_tokens": 5000}}'
    fields = read_fields(body)
    patched = DIALECT.patch(fields, DIALECT.peek(fields), model="a", output_cap=cap)
    assert bytes(read_fields(patched)["thinking"]) == thinking


# --- reading


def test_the_system_prompt_may_be_a_string_or_blocks_with_cache_marks() -> None:
    assert door(system="Be brief.").messages[0] == Message("system", (Text("Be brief."),))
    marked = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert door(system=[marked]).messages[0] == Message("system", (Text("Be brief.", CacheMark("1h")),))


def test_images_are_read_from_base64_and_addresses() -> None:
    read = blocks(
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {
            "type": "image",
            "source": {"type": "url", "url": "https://x.test/a.png"},
            "cache_control": {"type": "ephemeral"},
        },
    )
    pictures = (Image(media_type="image/png", data="aGk="), Image(url="https://x.test/a.png", cache=CacheMark()))
    assert read == (Message("user", pictures),)


def test_tool_results_stand_alone_before_the_words_of_their_turn() -> None:
    read = blocks(
        {"type": "tool_result", "tool_use_id": "a", "content": "22 C"},
        {"type": "tool_result", "tool_use_id": "b", "is_error": True, "content": [{"type": "text", "text": "no"}]},
        {"type": "tool_result", "tool_use_id": "c"},
        {"type": "text", "text": "Go on."},
    )
    assert read == (
        Message("tool", (ToolResult("a", (Text("22 C"),)),)),
        Message("tool", (ToolResult("b", (Text("no"),), is_error=True),)),
        Message("tool", (ToolResult("c", ()),)),
        Message("user", (Text("Go on."),)),
    )


def test_an_assistants_thinking_and_calls_are_read_as_they_were_written() -> None:
    read = blocks(
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VhbA=="},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1.0, "é"]}},
        role="assistant",
    )
    assert read[0].parts[:2] == (Thinking("hm", "c2ln"), Thinking(redacted="c2VhbA=="))
    assert read[0].parts[2] == ToolCall("a", "f", json.dumps({"x": [1.0, "é"]}))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required", parallel=False)),
        ({"type": "tool", "name": "f"}, ToolChoice("tool", "f")),
        ({"type": "none"}, ToolChoice("none")),
    ],
)
def test_every_tool_choice_is_read(choice: dict[str, Any], expected: ToolChoice) -> None:
    assert door(tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(budget=2048)),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, Reasoning(effort="low")),
        ({"thinking": {"type": "disabled"}}, Reasoning(enabled=False)),
        ({"output_config": {"effort": "max"}}, Reasoning(effort="max")),
        ({}, None),
    ],
)
def test_every_kind_of_thinking_is_read(fields: dict[str, Any], expected: Reasoning | None) -> None:
    assert door(**fields).reasoning == expected


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_a_schema_for_the_answer_is_read_under_both_of_its_names(name: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    read = door(**{name: {"format": wanted} if name == "output_config" else wanted}).output_format
    assert read is not None
    assert json.loads(bytes(read.schema)) == {"type": "object"}


def test_the_other_fields_are_read() -> None:
    read = door(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        stream=True,
        max_tokens=7,
    )
    assert (read.temperature, read.top_p, read.top_k, read.stop, read.user) == (0.5, 0.9, 5, ("END",), "u")
    assert (read.stream, read.max_output, read.unread) == (True, 7, ())


def test_what_only_anthropic_takes_is_named() -> None:
    read = door(
        container="c",
        service_tier=None,
        thinking={"type": "between_tools", "display": "omitted"},
        output_config={"task_budget": {"total": 5}},
        tools=[
            {"type": "web_search_20250305", "name": "web_search"},
            {"name": "f", "input_schema": {}, "defer_loading": True, "allowed_callers": []},
        ],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "document", "source": {"type": "text", "data": "x", "media_type": "text/plain"}},
                    {"type": "text", "text": "a", "citations": [{"type": "char_location"}]},
                    {"type": "image", "source": {"type": "file", "file_id": "f"}},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "tool_reference", "tool_name": "f"}],
                    },
                ],
            }
        ],
    )
    assert read.unread == (
        "container",
        "messages.citations",
        "messages.document",
        "messages.image.file",
        "messages.tool_reference",
        "output_config.task_budget",
        "thinking.between_tools",
        "thinking.display",
        "tools.defer_loading",
        "tools.web_search_20250305",
    )
    assert [tool.name for tool in read.tools] == ["f"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "messages"),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}]},
            "messages[0].content[0].name",
        ),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"thinking": {"type": "enabled", "budget_tokens": "many"}}, "thinking.budget_tokens"),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_the_place_of_the_fault(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        door(**fields)
    assert caught.value.param == param


def test_a_request_survives_writing_and_reading() -> None:
    request = door(
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 2048},
        max_tokens=4096,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        stream=True,
        messages=[
            {
                "role": "user",
                "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "22"}]},
        ],
    )
    written = DIALECT.write_request(request, model="m", output_cap=None)
    check_request(written.body)
    assert DIALECT.read_request(read_fields(written.body)) == request
    assert written.lost == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stream")
BLOCK_FIELDS = ("text", "source", "id", "name", "input", "tool_use_id", "content", "thinking", "signature", "citations")
TYPES = ("text", "image", "tool_use", "tool_result", "thinking", "document")
BLOCKS = st.fixed_dictionaries({"type": st.sampled_from(TYPES)}, optional=dict.fromkeys(BLOCK_FIELDS, JSON))
TURNS = st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": st.lists(BLOCKS) | JSON}), max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {"model": st.just("m"), "max_tokens": st.integers(-1, 9) | JSON, "messages": TURNS | JSON},
        optional=dict.fromkeys(FIELDS, JSON),
    )
)
def test_no_request_raises_anything_but_our_errors(fields: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        request = DIALECT.read_request(read_fields(json.dumps(fields).encode()))
        DIALECT.write_request(request, model="claude-opus-4-8", output_cap=None)
