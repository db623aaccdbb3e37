"""Requests for providers of OpenAI Responses: what they are sent, judged by the vendor's own types."""

import json
from typing import Any

import msgspec
import pytest

from dominion.domain.messages import (
    CacheMark,
    Image,
    Message,
    OutputFormat,
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
from dominion.wire.fields import read_fields
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES as DIALECT
from tests.wire.openai_oracle import check_request

TOOL = Tool("weather", msgspec.Raw(b'{"type":"object","properties":{"city":{"type":"string"}}}'))
ASK = Message("user", (Text("Hello"),))


def sent(
    *messages: Message, model: str = "gpt-5", cap: int | None = None, **fields: Any
) -> tuple[dict[str, Any], set[str]]:
    """The body for the provider, checked by the SDK's types, and what was lost."""
    request = Request(model="m", messages=messages or (ASK,), **fields)
    written = DIALECT.write_request(request, model=model, output_cap=cap)
    return check_request(written.body), set(written.lost)


def items(*parts: Any) -> tuple[list[dict[str, Any]], set[str]]:
    body, lost = sent(ASK, Message("assistant", parts))
    return body["input"][1:], lost


def test_a_provider_is_asked_to_keep_nothing_and_to_seal_its_reasoning() -> None:
    body, lost = sent()
    assert body == {
        "model": "gpt-5",
        "input": [{"type": "message", "role": "user", "content": "Hello"}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert not lost


@pytest.mark.parametrize("model", ["gpt-4o", "openai/gpt-4.1-mini", "gpt-3.5-turbo", "chatgpt-4o-latest"])
def test_models_that_do_not_reason_are_not_asked_for_sealed_reasoning(model: str) -> None:
    assert "include" not in sent(model=model)[0]


def test_the_cap_is_the_gateway_s_else_the_caller_s() -> None:
    assert sent(cap=5, max_output=7)[0]["max_output_tokens"] == 5
    assert sent(max_output=7)[0]["max_output_tokens"] == 7
    assert "max_output_tokens" not in sent()[0]


def test_parts_of_a_turn_become_items_in_their_order() -> None:
    written, lost = items(Thinking("hm", "rs_1:seal"), Text("Well"), ToolCall("a", "f", ""))
    assert written == [
        {"id": "rs_1", "type": "reasoning", "encrypted_content": "seal"}
        | {"summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": "Well"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
    ]
    assert not lost


def test_raw_reasoning_goes_back_as_it_was_told() -> None:
    (written,), lost = items(Thinking("hm", "r1:"))
    assert written["id"] == "r1"
    assert written["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert not lost


@pytest.mark.parametrize("thought", [Thinking("hm"), Thinking("hm", "c2ln"), Thinking(redacted="c2ln")])
def test_reasoning_of_another_api_is_lost_and_named(thought: Thinking) -> None:
    assert items(thought, Text("Well"))[1] == {"messages.thinking"}
    assert len(items(thought, Text("Well"))[0]) == 1


def test_the_signature_of_another_api_s_call_is_lost_and_named() -> None:
    written, lost = items(ToolCall("a", "f", "{}", signature="c2ln"))
    assert (len(written), lost) == (1, {"messages.tool_calls.signature"})


def test_a_refusal_goes_back_as_one() -> None:
    request = Request(model="m", messages=(ASK, Message("assistant", (Refusal("No"),))))
    body = DIALECT.write_request(request, model="gpt-5", output_cap=None).body
    assert DIALECT.read_request(read_fields(body)).messages == request.messages
    assert json.loads(body)["input"][1]["content"] == [{"type": "refusal", "refusal": "No"}]


def test_results_hold_texts_and_images_and_come_before_what_the_user_says() -> None:
    image = Image(media_type="image/png", data="aGk=", detail="low")
    result = ToolResult("a", (Text("1"), image), is_error=True)
    body, lost = sent(ASK, Message("tool", (Text("So?"), result)))
    assert [item["type"] for item in body["input"][1:]] == ["function_call_output", "message"]
    assert body["input"][1]["output"] == [
        {"type": "input_text", "text": "1"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
    ]
    assert body["input"][2]["role"] == "user"
    assert lost == {"tool_result.is_error"}


def test_system_messages_keep_their_place() -> None:
    body, _ = sent(Message("system", (Text("Be brief."),)), ASK, Message("system", (Text("Now."),)))
    assert [item["role"] for item in body["input"]] == ["system", "user", "system"]


def test_tools_are_only_strict_when_asked() -> None:
    body, lost = sent(tools=(TOOL, msgspec.structs.replace(TOOL, strict=True, cache=CacheMark())))
    assert [tool["strict"] for tool in body["tools"]] == [False, True]
    assert lost == {"cache_control"}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("required", parallel=False), {"tool_choice": "required", "parallel_tool_calls": False}),
        (ToolChoice("tool", "weather"), {"tool_choice": {"type": "function", "name": "weather"}}),
        (ToolChoice("none"), {"tool_choice": "none"}),
    ],
)
def test_the_choice_of_a_tool_is_written(choice: ToolChoice, written: dict[str, Any]) -> None:
    body, _ = sent(tools=(TOOL,), tool_choice=choice)
    assert {name: body[name] for name in ("tool_choice", "parallel_tool_calls") if name in body} == written


@pytest.mark.parametrize(
    ("wanted", "written", "lost"),
    [
        (Reasoning(effort="high", summary="auto"), {"effort": "high", "summary": "auto"}, set()),
        (Reasoning(budget=20_000), {"effort": "high"}, set()),
        (Reasoning(budget=5_000), {"effort": "medium"}, set()),
        (Reasoning(budget=1_024), {"effort": "low"}, set()),
        (Reasoning(enabled=False, effort="none"), {"effort": "none"}, set()),
        (Reasoning(enabled=False), None, {"reasoning"}),
        (Reasoning(), None, set()),
    ],
)
def test_reasoning_is_an_effort(wanted: Reasoning, written: dict[str, Any] | None, lost: set[str]) -> None:
    body, named = sent(reasoning=wanted)
    assert (body.get("reasoning"), named) == (written, lost)


def test_the_format_of_the_answer_is_written() -> None:
    schema = OutputFormat("json_schema", "n", TOOL.schema, strict=True)
    told = sent(output_format=schema)[0]["text"]["format"]
    assert told == {"type": "json_schema", "name": "n", "schema": json.loads(bytes(TOOL.schema)), "strict": True}
    assert sent(output_format=OutputFormat("json_object"))[0]["text"] == {"format": {"type": "json_object"}}


def test_what_the_api_has_no_field_for_is_named() -> None:
    marked = Message("user", (Text("Hello", CacheMark()),), name="Ann")
    _, lost = sent(
        marked,
        Message("assistant", (Image(url="https://a/b.png"),)),
        top_k=1,
        seed=1,
        stop=("x",),
        presence_penalty=1.0,
        frequency_penalty=1.0,
        unread=("n",),
    )
    names = {"top_k", "seed", "stop", "presence_penalty", "frequency_penalty"}
    assert lost == names | {"n", "cache_control", "messages.name", "messages.image"}
