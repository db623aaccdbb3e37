"""Bedrock's Converse API as a request: what is sent to it, and what is read of a caller's."""

import json
from typing import Any

import msgspec
import pytest

from dominion.domain import errors as e
from dominion.domain.contracts import Dialect
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
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE as DIALECT
from dominion.wire.bedrock.eventstream import encode
from dominion.wire.fields import read_fields
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.wire.cloud_requests import ANTHROPIC_REQUEST, OPENAI_REQUEST, PNG, SCHEMA

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-2-1b-instruct-v1:0"
HELLO = (Message("user", (Text("Hello"),)),)
CALLED = (
    *HELLO,
    Message("assistant", (ToolCall("a", "f", "{}"),)),
    Message("tool", (ToolResult("a", (Text("done"),)),)),
)
OBJECT = msgspec.Raw(b'{"type":"object"}')
TOOL = Tool("f", OBJECT)


def ask(request: Request, model: str = CLAUDE, cap: int | None = None) -> tuple[dict[str, Any], set[str]]:
    written = DIALECT.write_request(request, model=model, output_cap=cap)
    return json.loads(written.body), set(written.lost)


def asked(door: Dialect, fields: dict[str, Any], model: str = CLAUDE) -> tuple[dict[str, Any], set[str]]:
    return ask(door.read_request(read_fields(json.dumps(fields).encode())), model)


def read(body: dict[str, Any]) -> Request:
    fields = {"model": CLAUDE, "messages": [{"role": "user", "content": [{"text": "Hello"}]}]} | body
    return DIALECT.read_request(read_fields(json.dumps(fields).encode()))


def event(name: str, **fields: Any) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.dumps(fields).encode())


# --- requests


def test_an_openai_caller_reaches_claude_with_everything() -> None:
    body, lost = asked(OPENAI_CHAT, OPENAI_REQUEST)
    assert body["system"] == [{"text": "Be brief."}]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"] == [
        {"text": "What is this?"},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
    ]
    look, first, second = body["messages"][1]["content"]
    assert look == {"text": "Let me look."}
    assert first == {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Rome"}}}
    results = body["messages"][2]["content"]
    assert [block["toolResult"]["toolUseId"] for block in results[:2]] == ["call_1", second["toolUse"]["toolUseId"]]
    assert len(second["toolUse"]["toolUseId"]) == 32
    assert results[2] == {"text": "And now?"}
    assert body["toolConfig"]["tools"][0]["toolSpec"] == {
        "name": "weather",
        "description": "Tells it.",
        "inputSchema": {"json": SCHEMA},
        "strict": True,
    }
    assert "toolChoice" not in body["toolConfig"]
    told = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (told["name"], json.loads(told["schema"])) == ("place", SCHEMA)
    assert body["inferenceConfig"] == {"maxTokens": 9000, "stopSequences": ["END"]}
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 7200}}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence", "/delta/stop_sequence"]
    assert lost == {"temperature"}  # which does not go with thinking


def test_an_anthropic_caller_reaches_claude_with_everything() -> None:
    body, lost = asked(ANTHROPIC_MESSAGES, ANTHROPIC_REQUEST)
    assert body["system"] == [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "c2VhbA=="}},
        {"toolUse": {"toolUseId": "toolu_1", "name": "weather", "input": {"city": "Rome"}}},
    ]
    result, mark, text = body["messages"][2]["content"]
    assert result["toolResult"]["status"] == "error"
    assert result["toolResult"]["content"] == [
        {"text": "Sunny"},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
    ]
    assert (mark, text) == ({"cachePoint": {"type": "default"}}, {"text": "Here:"})
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    assert lost == set()


def test_what_is_written_reads_as_it_was() -> None:
    request = ANTHROPIC_MESSAGES.read_request(read_fields(json.dumps(ANTHROPIC_REQUEST).encode()))
    body, _ = ask(request)
    again = read(body | {"model": request.model, "stream": False})
    ordered = [message for message in again.messages if message.role != "tool"]
    assert set(ordered) == {message for message in request.messages if message.role != "tool"}
    assert again.tools == request.tools
    assert (again.max_output, again.stop, again.reasoning) == (request.max_output, request.stop, request.reasoning)


def test_model_and_stream_stay_out_of_the_body() -> None:
    body, _ = ask(Request(model="m", messages=HELLO, stream=True))
    assert body == {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    fields = read_fields(json.dumps(body | {"model": "m", "stream": True, "requestMetadata": {"a": "b"}}).encode())
    peek = DIALECT.peek(fields)
    assert (peek.model, peek.stream, peek.output_cap, peek.asks_usage) == ("m", True, None, True)
    patched = json.loads(DIALECT.patch(fields, peek, model="other", output_cap=9))
    assert patched == body | {"requestMetadata": {"a": "b"}, "inferenceConfig": {"maxTokens": 9}}


def test_the_gateways_cap_replaces_the_callers() -> None:
    assert ask(Request(model="m", messages=HELLO, max_output=500), cap=7)[0]["inferenceConfig"] == {"maxTokens": 7}
    assert ask(Request(model="m", messages=HELLO, max_output=500))[0]["inferenceConfig"] == {"maxTokens": 500}


def test_no_choice_of_tools_means_no_tools_and_is_said() -> None:
    none = ToolChoice("none")
    body, lost = ask(Request(model="m", messages=HELLO, tools=(TOOL,), tool_choice=none))
    assert ("toolConfig" in body, lost) == (False, {"tool_choice"})


def test_calls_in_the_conversation_keep_the_tools_since_the_api_refuses_them_otherwise() -> None:
    body, lost = ask(Request(model="m", messages=CALLED, tools=(TOOL,), tool_choice=ToolChoice("none")))
    assert (len(body["toolConfig"]["tools"]), lost) == (1, {"tool_choice"})


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("tool", "f"), {"tool": {"name": "f"}}),
        (ToolChoice("auto"), None),
    ],
)
def test_tool_choices_have_their_names_here(choice: ToolChoice, written: dict[str, Any] | None) -> None:
    body, lost = ask(Request(model="m", messages=HELLO, tools=(TOOL,), tool_choice=choice), LLAMA)
    assert (body["toolConfig"].get("toolChoice"), lost) == (written, set())
    if written:
        assert read(body).tool_choice == choice


def test_one_tool_at_a_time_cannot_be_asked_for() -> None:
    choice = ToolChoice("auto", parallel=False)
    _, lost = ask(Request(model="m", messages=HELLO, tools=(TOOL,), tool_choice=choice))
    assert lost == {"parallel_tool_calls"}


@pytest.mark.parametrize(
    ("model", "wanted", "fields", "lost"),
    [
        (CLAUDE, Reasoning(budget=3000), {"thinking": {"type": "enabled", "budget_tokens": 3000}}, set()),
        (CLAUDE, Reasoning(effort="low"), {"thinking": {"type": "enabled", "budget_tokens": 6400}}, set()),
        (
            "us.anthropic.claude-opus-4-8-v1",
            Reasoning(effort="high"),
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
            set(),
        ),
        (NOVA, Reasoning(effort="low"), {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, set()),
        (
            NOVA,
            Reasoning(effort="high"),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
            {"reasoning.effort"},
        ),
        ("openai.gpt-oss-120b-1:0", Reasoning(effort="high"), {"reasoning_effort": "high"}, set()),
        ("openai.gpt-oss-120b-1:0", Reasoning(enabled=False), None, {"reasoning"}),
        ("qwen.qwen3-32b-v1:0", Reasoning(budget=9), {"reasoning_config": "medium"}, {"reasoning.budget"}),
        (LLAMA, Reasoning(effort="high"), None, {"reasoning"}),
        (LLAMA, Reasoning(enabled=False), None, set()),
    ],
)
def test_reasoning_goes_to_each_family_in_its_words(
    model: str, wanted: Reasoning, fields: dict[str, Any] | None, lost: set[str]
) -> None:
    body, told = ask(Request(model="m", messages=HELLO, reasoning=wanted), model)
    assert (body.get("additionalModelRequestFields"), told) == (fields, lost)


@pytest.mark.parametrize(
    ("model", "fields", "lost"),
    [
        (CLAUDE, {"top_k": 5}, set()),
        (NOVA, {"inferenceConfig": {"topK": 5}}, set()),
        (LLAMA, None, {"top_k"}),
    ],
)
def test_top_k_goes_to_each_family_in_its_words(model: str, fields: dict[str, Any] | None, lost: set[str]) -> None:
    body, told = ask(Request(model="m", messages=HELLO, top_k=5), model)
    assert (body.get("additionalModelRequestFields"), told) == (fields, lost)
    assert fields is None or read(body).top_k == 5


def test_temperature_ends_at_one() -> None:
    body, lost = ask(Request(model="m", messages=HELLO, temperature=1.5, top_p=0.5, stop=("x",)), LLAMA)
    assert body["inferenceConfig"] == {"temperature": 1, "topP": 0.5, "stopSequences": ["x"]}
    assert lost == {"temperature"}


@pytest.mark.parametrize(("model", "kept"), [(CLAUDE, 2), (NOVA, 1), (LLAMA, 0)])
def test_cache_marks_go_only_to_models_that_know_them(model: str, kept: int) -> None:
    marked = Message("user", (Text("Hello", CacheMark()),))
    tool = Tool("f", OBJECT, cache=CacheMark())
    body, lost = ask(Request(model="m", messages=(marked,), tools=(tool,)), model)
    assert json.dumps(body).count("cachePoint") == kept
    assert lost == (set() if kept == 2 else {"cache_control"})


def test_what_has_no_place_is_named() -> None:
    parts = (
        Image(url="https://x/y.png"),
        Image(media_type="image/bmp", data="eA=="),
        Image(media_type="image/jpg", data="eA==", detail="high"),
        Text("x"),
    )
    history = (
        Message("user", parts, "Ann"),
        Message("assistant", (Thinking("open"), Text(" "), ToolCall("a", "f", "{broken", signature="s"))),
        Message("user", (Text("y"),)),
        Message("system", (Text("late"),)),
    )
    request = Request(
        model="m",
        messages=history,
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        user="u",
        output_format=OutputFormat("json_object"),
        unread=("logprobs",),
    )
    body, lost = ask(request)
    assert lost == {
        *("messages.image", "messages.image.url", "messages.image.detail", "messages.name", "messages.thinking"),
        *("messages.tool_calls.arguments", "messages.tool_calls.signature", "messages.system_position"),
        *("seed", "presence_penalty", "frequency_penalty", "user", "response_format", "logprobs"),
    }
    assert body["messages"][0]["content"] == [{"image": {"format": "jpeg", "source": {"bytes": "eA=="}}}, {"text": "x"}]
    assert body["messages"][1]["content"] == [
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"invalid_arguments": "{broken"}}}
    ]


def test_a_system_prompt_alone_becomes_the_turn_that_there_must_be() -> None:
    body, lost = ask(Request(model="m", messages=(Message("system", (Text("Hi"),)),)))
    assert (body["messages"], lost) == ([{"role": "user", "content": [{"text": "Hi"}]}], {"messages.system_position"})
    with pytest.raises(e.InvalidRequest):
        ask(Request(model="m", messages=(Message("user", (Text(" "),)),)), LLAMA)


def test_what_a_request_holds_beyond_the_neutral_form_is_named() -> None:
    blocks = [
        {"text": "x"},
        {"document": {"name": "d", "format": "pdf", "source": {"bytes": "eA=="}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}},
        {"guardContent": {"text": {"text": "guarded", "qualifiers": ["query"]}}},
        {"toolUse": {"toolUseId": "a", "name": "b", "input": {}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "a", "content": [], "type": "nova_code_interpreter_result"}},
        {"toolResult": {"toolUseId": "a", "content": [{"json": {"a": 1}}, {"video": {}}]}},
        {"citationsContent": {"content": [{"text": "cited"}], "citations": []}},
        {"somethingNew": {}},
    ]
    request = read(
        {
            "messages": [{"role": "user", "content": [{"cachePoint": {"type": "default"}}, *blocks]}],
            "guardrailConfig": {},
            "toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}, {"newTool": {}}]},
            "additionalModelRequestFields": {"thinking": {"type": "between_tools"}, "x": 1},
        }
    )
    assert request.unread == (
        *("additionalModelRequestFields.x", "guardrailConfig", "messages.cachePoint"),
        *("messages.citationsContent.citations", "messages.content", "messages.document", "messages.guardContent"),
        *("messages.image.s3Location", "messages.toolResult.nova_code_interpreter_result"),
        *("messages.toolResult.video", "messages.toolUse.server_tool_use", "thinking.between_tools"),
        *("toolConfig.tools", "toolConfig.tools.nova_grounding"),
    )
    result, others = request.messages
    assert result == Message("tool", (ToolResult("a", (Text('{"a": 1}'),)),))
    assert others == Message("user", (Text("x"), Text("guarded"), Text("cited")))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [{"role": "robot", "content": []}]},
        {"messages": [{"role": "user", "content": [{"text": 1}]}]},
        {"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": 1}]}}]}]},
        {"inferenceConfig": {"maxTokens": 0}},
        {"inferenceConfig": {"maxTokens": 5, "temperature": "hot"}},
        {"outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": "{"}}}}},
        {"model": ""},
    ],
)
def test_a_wrong_request_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(e.InvalidRequest):
        read(body)
