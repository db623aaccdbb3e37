"""Requests of OpenAI Responses as a caller writes them: what is read, what is refused, and what is named as lost."""

import json
from typing import Any

import pytest

from dominion.domain.contracts import Peek
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import (
    Image,
    Message,
    OutputFormat,
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
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES as DIALECT

USER = {"role": "user", "content": "Hello"}
PIXEL = "data:image/png;base64,aGk="


def read(**fields: Any) -> Request:
    return DIALECT.read_request(read_fields(json.dumps({"model": "m", "input": "Hello"} | fields).encode()))


def peek(**fields: Any) -> Peek:
    return DIALECT.peek(read_fields(json.dumps({"model": "m", "input": "Hello"} | fields).encode()))


def parts(*items: dict[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
    return [(message.role, message.parts) for message in read(input=[USER, *items]).messages[1:]]


def test_a_text_is_one_user_message_and_instructions_come_before_it() -> None:
    asked = read(instructions="Be brief.")
    assert asked.messages == (Message("system", (Text("Be brief."),)), Message("user", (Text("Hello"),)))
    assert asked.unread == ()


def test_items_of_the_model_in_a_row_are_one_turn_and_each_result_stands_alone() -> None:
    sealed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "seal"}
    told = {"type": "reasoning", "id": "rs_2", "encrypted_content": "seal"} | {
        "summary": [{"type": "summary_text", "text": "hm"}, {"type": "summary_text", "text": "so"}]
    }
    said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"} | {
        "content": [{"type": "output_text", "text": "Well", "annotations": []}, {"type": "refusal", "refusal": "No"}]
    }
    calls = [{"type": "function_call", "call_id": n, "name": "f", "arguments": "{}"} for n in ("a", "b")]
    results = [{"type": "function_call_output", "call_id": n, "output": "1"} for n in ("a", "b")]
    assert parts(sealed, told, said, *calls, *results, USER) == [
        (
            "assistant",
            (
                Thinking(redacted="rs_1:seal"),
                Thinking("hm\n\nso", "rs_2:seal"),
                *(Text("Well"), Refusal("No"), ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")),
            ),
        ),
        ("tool", (ToolResult("a", (Text("1"),)),)),
        ("tool", (ToolResult("b", (Text("1"),)),)),
        ("user", (Text("Hello"),)),
    ]


def test_reasoning_that_shows_itself_raw_goes_back_with_its_id() -> None:
    raw = {"type": "reasoning", "id": "r1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    assert parts(raw) == [("assistant", (Thinking("hm", "r1:"),))]


def test_developer_and_system_items_are_system_messages_wherever_they_stand() -> None:
    late = {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]}
    assert parts(late, {"role": "system", "content": "Now"}) == [
        ("system", (Text("Be brief."),)),
        ("system", (Text("Now"),)),
    ]


def test_images_are_read_by_address_and_inline_also_in_results() -> None:
    far = {"type": "input_image", "image_url": "https://a/b.png", "detail": "low"}
    near = {"type": "input_image", "image_url": PIXEL, "detail": "auto"}
    result = {"type": "function_call_output", "call_id": "a", "output": [near]}
    inline = Image(media_type="image/png", data="aGk=")
    assert parts({"role": "user", "content": [far, near]}, result) == [
        ("user", (Image(url="https://a/b.png", detail="low"), inline)),
        ("tool", (ToolResult("a", (inline,)),)),
    ]


def test_tools_choice_and_parallel_calls_are_read() -> None:
    schema = {"type": "object", "properties": {}}
    tool = {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": True}
    asked = read(tools=[tool, tool | {"parameters": None}], tool_choice={"type": "function", "name": "f"})
    first, second = asked.tools
    assert (first.name, first.description, first.strict, json.loads(bytes(first.schema))) == ("f", "d", True, schema)
    assert json.loads(bytes(second.schema)) == schema
    assert asked.tool_choice == ToolChoice("tool", "f")
    assert read(tool_choice="required", parallel_tool_calls=False).tool_choice == ToolChoice("required", parallel=False)
    assert read(parallel_tool_calls=True).tool_choice == ToolChoice(parallel=True)


def test_format_reasoning_and_the_rest_are_read() -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    asked = read(
        text={"format": schema},
        reasoning={"effort": "high", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        store=False,
        max_output_tokens=5,
        temperature=1,
        top_p=0.5,
        user="u",
        stream=True,
    )
    assert asked.output_format == OutputFormat("json_schema", "n", asked.output_format.schema, strict=True)  # type: ignore[union-attr]
    assert asked.reasoning == Reasoning(effort="high", summary="auto")
    assert (asked.max_output, asked.temperature, asked.top_p, asked.user, asked.stream) == (5, 1, 0.5, "u", True)
    assert asked.unread == ()
    assert read(text={"format": {"type": "json_object"}}).output_format == OutputFormat("json_object")
    assert read(text={"format": {"type": "text"}}).output_format is None
    assert read(reasoning={"effort": "none"}).reasoning == Reasoning(enabled=False, effort="none")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": [{"type": "web_search"}, {"type": "mcp", "server_label": "x"}]}, {"tools.web_search", "tools.mcp"}),
        (
            {"tools": [{"type": "function", "name": "f", "parameters": {}, "defer_loading": True}]},
            {"tools.defer_loading"},
        ),
        ({"tool_choice": {"type": "web_search"}}, {"tool_choice.web_search"}),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, {"tool_choice.allowed_tools"}),
        ({"store": True, "metadata": {"a": "b"}}, {"store", "metadata"}),
        ({"truncation": "auto"}, {"truncation"}),
        ({"truncation": "disabled", "service_tier": "auto", "top_logprobs": 0, "metadata": {}}, set()),
        ({"include": ["file_search_call.results"]}, {"include.file_search_call.results"}),
        ({"text": {"verbosity": "low"}}, {"text.verbosity"}),
        ({"reasoning": {"effort": "low", "summary": "detailed"}}, {"reasoning.summary"}),
        (
            {"input": [USER, {"type": "web_search_call", "id": "ws_1", "status": "completed"}]},
            {"input.web_search_call"},
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, USER]},
            {"input.input_file"},
        ),
        ({"input": [USER, {"role": "assistant", "content": "a", "phase": "commentary"}]}, {"input.phase"}),
    ],
)
def test_what_has_no_place_elsewhere_is_named(fields: dict[str, Any], named: set[str]) -> None:
    assert set(read(**fields).unread) == named


@pytest.mark.parametrize(
    "state",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [USER, {"type": "item_reference", "id": "msg_1"}]},
    ],
)
def test_state_that_a_provider_keeps_is_relayed_but_never_translated(state: dict[str, Any]) -> None:
    body = {"model": "m", "input": "Hello"} | state
    fields = read_fields(json.dumps(body).encode())
    assert json.loads(DIALECT.patch(fields, DIALECT.peek(fields), model="n", output_cap=None)) == body | {"model": "n"}
    with pytest.raises(InvalidRequest, match="what one provider keeps") as caught:
        DIALECT.read_request(fields)
    assert caught.value.param
    assert "Send" in caught.value.action


def test_the_peek_tells_model_stream_and_cap() -> None:
    assert peek(stream=True, max_output_tokens=9) == Peek(model="m", stream=True, output_cap=9)
    assert peek(input=None, previous_response_id="resp_1") == Peek(model="m", stream=False, kept=True)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": None}, "input"),
        ({"input": {}}, "input"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"Max_Output_Tokens": 1}, "Max_Output_Tokens"),
        ({"temperature": 3}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"background": True}, "background"),
    ],
)
def test_a_wrong_field_is_refused_by_name_at_once(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        peek(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"role": "boss", "content": "x"}]}, "input[0].role"),
        ({"input": [USER, {"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[1].call_id"),
        ({"input": [{"type": "function_call", "call_id": "c", "arguments": "{}"}]}, "input[0].name"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0]"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"type": "web_search_call"}]}, "input"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ],
)
def test_a_wrong_item_is_refused_by_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    assert caught.value.param == param


def test_patching_changes_model_and_cap_and_no_other_byte() -> None:
    fields = read_fields(b'{"model":"a","input":[ {"role":"user","content":"x"} ],"temperature":1.0}')
    patched = DIALECT.patch(fields, DIALECT.peek(fields), model="b", output_cap=4)
    assert patched == (
        b'{"model":"b","input":[ {"role":"user","content":"x"} ],"temperature":1.0,"max_output_tokens":4}'
    )
