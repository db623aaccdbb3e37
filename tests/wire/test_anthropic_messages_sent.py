"""Requests for providers of the Anthropic Messages API: what they are sent, judged by the vendor's own types."""

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
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES as DIALECT
from tests.wire.anthropic_oracle import check_request

SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"city":{"type":"string"}}}')
TOOL = Tool("weather", SCHEMA)
ASK = Message("user", (Text("Hello"),))


def sent(
    *messages: Message, model: str = "claude-sonnet-4-5", cap: int | None = None, **fields: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body for the provider, checked by the SDK's types, and what was lost."""
    request = Request(model="m", messages=messages or (ASK,), **fields)
    written = DIALECT.write_request(request, model=model, output_cap=cap)
    return check_request(written.body), written.lost


def test_the_cap_is_the_gateways_else_the_callers_else_the_default() -> None:
    assert sent(cap=5, max_output=7)[0]["max_tokens"] == 5
    assert sent(max_output=7)[0]["max_tokens"] == 7
    assert sent()[0]["max_tokens"] == 4096
    assert sent(cap=0, max_output=7)[0]["max_tokens"] == 0


def test_system_messages_go_to_the_top_and_late_ones_are_reported() -> None:
    system = Message("system", (Text("One."),))
    late = Message("system", (Text("Two.", CacheMark("5m")),))
    assert sent(system, ASK)[0]["system"] == "One."
    body, lost = sent(system, ASK, late)
    assert body["system"][1] == {"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral", "ttl": "5m"}}
    assert (len(body["messages"]), lost) == (1, ("messages.system_position",))


def test_a_lone_system_message_becomes_the_turn_that_there_must_be() -> None:
    body, lost = sent(Message("system", (Text("Say hi."),)))
    assert body["messages"] == [{"role": "user", "content": "Say hi."}]
    assert "system" not in body
    assert lost == ("messages.system_position",)


def test_a_conversation_without_anything_to_send_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        sent(Message("user", (Text("  "),)))


def test_turns_of_one_role_are_joined_with_the_tool_results_first() -> None:
    calls = Message("assistant", (Text("Let me see."), ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "")))
    results = [
        Message("tool", (ToolResult("a", (Text("22"),)),)),
        Message("tool", (ToolResult("b", (), is_error=True),)),
    ]
    body, lost = sent(ASK, calls, Message("user", (Text("And?"),)), *results, tools=(TOOL,))
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]
    assert body["messages"][1]["content"][2] == {"type": "tool_use", "id": "b", "name": "g", "input": {}}
    assert body["messages"][2]["content"][1]["is_error"] is True
    assert lost == ()


def test_ids_that_the_api_refuses_are_written_so_that_it_takes_them() -> None:
    call, result = ToolCall("functions.f:0", "f", "{}"), ToolResult("functions.f:0", (Text("x"),))
    body, _ = sent(ASK, Message("assistant", (call,)), Message("tool", (result,)))
    assert body["messages"][1]["content"][0]["id"] == "functions_f_0"
    assert body["messages"][2]["content"][0]["tool_use_id"] == "functions_f_0"


def test_arguments_that_are_no_object_go_along_as_text_and_are_reported() -> None:
    body, lost = sent(ASK, Message("assistant", (ToolCall("a", "f", '{"x": 1'),)))
    assert body["messages"][1]["content"][0]["input"] == {"invalid_arguments": '{"x": 1'}
    assert lost == ("messages.tool_calls.arguments",)


def test_thinking_goes_back_signed_and_unchanged_and_unsigned_thinking_is_reported() -> None:
    parts = (Thinking("hm", "c2ln"), Thinking(redacted="c2VhbA=="), Thinking("unsigned"), Refusal("No."))
    body, lost = sent(ASK, Message("assistant", parts))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VhbA=="},
        {"type": "text", "text": "No."},
    ]
    assert lost == ("messages.thinking",)


def test_images_are_written_where_the_api_takes_them() -> None:
    picture = Image(media_type="image/png", data="aGk=", detail="high")
    address = Image(url="https://x.test/a.png")
    result = Message("tool", (ToolResult("a", (picture,)),))
    body, lost = sent(Message("user", (picture, address)), Message("assistant", (Text("Nice."), address)), result)
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert body["messages"][0]["content"][0]["source"] == source
    assert body["messages"][0]["content"][1]["source"] == {"type": "url", "url": "https://x.test/a.png"}
    assert body["messages"][1]["content"] == "Nice."
    assert body["messages"][2]["content"][0]["content"][0]["source"] == source
    assert lost == ("messages.image", "messages.image.detail")


def test_tools_are_written_with_marks_and_strictness() -> None:
    tool = Tool("f", SCHEMA, "Weather.", strict=True, cache=CacheMark())
    body, _ = sent(tools=(tool,), tool_choice=ToolChoice(parallel=False))
    assert body["tools"][0] == {
        "name": "f",
        "input_schema": json.loads(bytes(SCHEMA)),
        "description": "Weather.",
        "strict": True,
        "cache_control": {"type": "ephemeral"},
    }
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("required"), {"type": "any"}),
        (ToolChoice("tool", "f", parallel=True), {"type": "tool", "name": "f", "disable_parallel_tool_use": False}),
        (ToolChoice("none", parallel=False), {"type": "none"}),
    ],
)
def test_every_tool_choice_is_written(choice: ToolChoice, expected: dict[str, Any]) -> None:
    assert sent(tools=(TOOL,), tool_choice=choice)[0]["tool_choice"] == expected
    assert "tool_choice" not in sent(tool_choice=choice)[0]


def test_what_the_api_does_not_know_is_reported() -> None:
    _, lost = sent(
        Message("user", (Text("Hi"),), name="ann"),
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        output_format=OutputFormat("json_object"),
        stop=("END", "\n"),
        unread=("logit_bias", "n"),
    )
    assert lost == (
        *(
            "frequency_penalty",
            "logit_bias",
            "messages.name",
            "n",
            "presence_penalty",
            "response_format",
            "seed",
            "stop",
        ),
    )


def test_a_schema_for_the_answer_goes_into_the_output_config() -> None:
    body, lost = sent(output_format=OutputFormat("json_schema", "answer", SCHEMA, strict=True))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": json.loads(bytes(SCHEMA))}}
    assert lost == ()


def test_sampling_stays_inside_what_the_model_takes() -> None:
    body, lost = sent(temperature=1.7, top_p=0.9, top_k=4)
    assert (body["temperature"], body["top_k"], "top_p" in body) == (1, 4, False)
    assert lost == ("temperature", "top_p")
    body, lost = sent(temperature=0.2, model="claude-opus-4-8")
    assert ("temperature" in body, lost) == (False, ("temperature",))
    body, lost = sent(temperature=0.2, reasoning=Reasoning(budget=2000))
    assert ("temperature" in body, lost) == (False, ("temperature",))


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort", "lost"),
    [
        ("claude-3-5-haiku-20241022", Reasoning(effort="high"), None, None, ("reasoning",)),
        ("anthropic.claude-v2", Reasoning(effort="high"), None, None, ("reasoning",)),
        ("anthropic.claude-v2:1", Reasoning(effort="high"), None, None, ("reasoning",)),
        ("anthropic.claude-instant-v1", Reasoning(effort="high"), None, None, ("reasoning",)),
        ("claude-3-7-sonnet-20250219", Reasoning(budget=2000), {"type": "enabled", "budget_tokens": 2000}, None, ()),
        ("claude-sonnet-4-20250514", Reasoning(effort="high"), {"type": "enabled", "budget_tokens": 6400}, None, ()),
        ("claude-haiku-4-5", Reasoning(effort="minimal"), {"type": "enabled", "budget_tokens": 1024}, None, ()),
        ("claude-haiku-4-5", Reasoning(budget=90_000), {"type": "enabled", "budget_tokens": 7200}, None, ()),
        ("claude-sonnet-4-6", Reasoning(budget=2000), {"type": "enabled", "budget_tokens": 2000}, None, ()),
        ("claude-sonnet-4-6", Reasoning(effort="xhigh"), {"type": "adaptive"}, "high", ()),
        ("claude-opus-4-8", Reasoning(effort="xhigh"), {"type": "adaptive", "display": "summarized"}, "xhigh", ()),
        (
            "claude-opus-5",
            Reasoning(budget=9000),
            {"type": "adaptive", "display": "summarized"},
            "medium",
            ("reasoning.budget",),
        ),
        (
            "claude-opus-5",
            Reasoning(effort="odd"),
            {"type": "adaptive", "display": "summarized"},
            None,
            ("reasoning.effort",),
        ),
        ("claude-mythos-preview", Reasoning(), {"type": "adaptive", "display": "summarized"}, None, ()),
        ("glm-4.7", Reasoning(effort="low"), {"type": "enabled", "budget_tokens": 1600}, None, ()),
        ("claude-opus-4-8", Reasoning(enabled=False, effort="none"), None, None, ()),
        ("claude-sonnet-5", Reasoning(enabled=False), {"type": "disabled"}, None, ()),
    ],
)
def test_reasoning_is_asked_for_as_the_generation_of_the_model_wants_it(
    model: str, reasoning: Reasoning, thinking: dict[str, Any] | None, effort: str | None, lost: tuple[str, ...]
) -> None:
    body, reported = sent(model=model, cap=8000, reasoning=reasoning)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert reported == lost


def test_a_cap_too_low_for_the_smallest_budget_leaves_thinking_out() -> None:
    body, lost = sent(cap=1024, reasoning=Reasoning(effort="high"))
    assert ("thinking" in body, lost) == (False, ("reasoning",))


def test_a_forced_tool_leaves_thinking_out() -> None:
    body, lost = sent(tools=(TOOL,), tool_choice=ToolChoice("required"), reasoning=Reasoning(budget=2000))
    assert ("thinking" in body, lost) == (False, ("reasoning",))


@pytest.mark.parametrize("kept", [True, False])
def test_a_running_tool_loop_thinks_on_only_with_the_thinking_that_began_it(*, kept: bool) -> None:
    call = Message("assistant", (*((Thinking("hm", "c2ln"),) if kept else ()), ToolCall("a", "f", "{}")))
    body, lost = sent(ASK, call, Message("tool", (ToolResult("a", ()),)), reasoning=Reasoning(budget=2000))
    assert ("thinking" in body, lost) == ((True, ()) if kept else (False, ("reasoning",)))
