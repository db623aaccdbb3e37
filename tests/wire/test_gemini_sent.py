"""Requests as the Gemini dialect sends them to providers: what is kept, mapped, and named as lost."""

import base64
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
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dominion.wire.gemini.dialect import GEMINI as DIALECT
from tests.wire.gemini_door import USER, fields_of

SCHEMA = msgspec.Raw(b'{"type":"object","additionalProperties":false}')
TOOL = Tool("f", SCHEMA, "F.")
PIXEL = Image(media_type="image/png", data="aGk=")
BLOB = {"mimeType": "image/png", "data": "aGk="}
UNSIGNED = base64.b64encode(b"skip_thought_signature_validator").decode()


def sent(model: str = "gemini-2.5-flash", **changes: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = Request(**{"model": "m", "messages": (USER,), **changes})
    written = DIALECT.write_request(request, model=model, output_cap=None)
    return json.loads(written.body), written.lost


def contents(*messages: Message, model: str = "gemini-2.5-flash") -> Any:
    return sent(model, messages=messages)[0]["contents"]


def model_parts(*parts: Part, model: str = "gemini-2.5-flash") -> Any:
    return contents(USER, Message("assistant", parts), model=model)[1]["parts"]


def test_model_and_stream_stay_out_of_the_body() -> None:
    body, lost = sent(stream=True)
    assert (body, lost) == ({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}, ())


def test_settings_have_google_s_names() -> None:
    body, lost = sent(
        max_output=9,
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop=("a", "b"),
        seed=3,
        presence_penalty=1.0,
        frequency_penalty=-1.0,
    )
    assert body["generationConfig"] == {
        "maxOutputTokens": 9,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 4,
        "stopSequences": ["a", "b"],
        "seed": 3,
        "presencePenalty": 1.0,
        "frequencyPenalty": -1.0,
    }
    assert lost == ()


def test_the_gateway_s_cap_wins_over_the_caller_s() -> None:
    written = DIALECT.write_request(Request(model="m", messages=(USER,), max_output=9), model="m", output_cap=4)
    assert json.loads(written.body)["generationConfig"] == {"maxOutputTokens": 4}


def test_what_has_no_place_is_named() -> None:
    body, lost = sent(
        messages=(Message("user", (Text("Hi", CacheMark()),), name="Ann"),),
        user="u",
        stop=tuple("abcdef"),
        seed=2**40,
        unread=("logit_bias",),
    )
    assert lost == ("cache_control", "logit_bias", "messages.name", "seed", "stop", "user")
    assert body["generationConfig"] == {"stopSequences": list("abcde")}


# --- the conversation


def test_system_messages_go_to_the_front_and_those_inside_are_named() -> None:
    late = Message("system", (Text("Later."),))
    body, lost = sent(messages=(Message("system", (Text("First."),)), USER, late))
    assert body["systemInstruction"] == {"parts": [{"text": "First."}, {"text": "Later."}]}
    assert lost == ("messages.system_position",)


def test_a_system_message_alone_becomes_the_turn_there_must_be() -> None:
    body, lost = sent(messages=(Message("system", (Text("Go."),)),))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Go."}]}]}
    assert lost == ("messages.system_position",)


def test_a_request_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        sent(messages=(Message("user", (Text(""),)),))


def test_all_results_of_a_turn_stand_in_one_content_with_what_the_user_says() -> None:
    calls = Message("assistant", (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "")))
    results = [Message("tool", (ToolResult(call, (Text(told),)),)) for call, told in (("b", "two"), ("a", '{"n": 1}'))]
    turns = contents(USER, calls, *results, Message("user", (Text("Go on."),)), USER)
    assert [turn["role"] for turn in turns] == ["user", "model", "user", "user"]
    assert turns[1]["parts"] == [
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
        {"functionCall": {"id": "b", "name": "g", "args": {}}},
    ]
    assert turns[2]["parts"] == [
        {"functionResponse": {"id": "b", "name": "g", "response": {"output": "two"}}},
        {"functionResponse": {"id": "a", "name": "f", "response": {"n": 1}}},
        {"text": "Go on."},
    ]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ToolResult("a", (Text("no"),), is_error=True), {"error": "no"}),
        (ToolResult("a", ()), {}),
        (ToolResult("a", (Text("[1]"),)), {"output": "[1]"}),
        (ToolResult("a", (Text("one"), Text("two"))), {"output": "one\ntwo"}),
    ],
)
def test_a_result_is_told_as_google_means_it(result: ToolResult, expected: dict[str, Any]) -> None:
    turns = contents(USER, Message("assistant", (ToolCall("a", "f", "{}"),)), Message("tool", (result,)))
    assert turns[2]["parts"] == [{"functionResponse": {"id": "a", "name": "f", "response": expected}}]


def test_a_result_takes_the_name_of_the_latest_call_with_its_id() -> None:
    result = Message("tool", (ToolResult("a", ()),))
    turns = contents(
        *(USER, Message("assistant", (ToolCall("a", "f", "{}"),)), result),
        *(Message("assistant", (ToolCall("a", "g", "{}"),)), result),
    )
    assert [turns[place]["parts"][0]["functionResponse"]["name"] for place in (2, 4)] == ["f", "g"]


def test_images_of_a_result_stand_inside_it_since_gemini_3_and_behind_it_before() -> None:
    turns = (USER, Message("assistant", (ToolCall("a", "f", "{}"),)), Message("tool", (ToolResult("a", (PIXEL,)),)))
    response = {"id": "a", "name": "f", "response": {}}
    assert contents(*turns, model="gemini-3-flash")[2]["parts"] == [
        {"functionResponse": response | {"parts": [{"inlineData": BLOB}]}}
    ]
    assert contents(*turns, model="gemini-2.5-pro")[2]["parts"] == [
        {"functionResponse": response},
        {"inlineData": BLOB},
    ]


def test_images_go_inline_or_by_address_with_the_nearest_media_type() -> None:
    user = Message("user", (PIXEL, Image(url="https://x/a.PNG?b=c.d", detail="low"), Image(url="https://x/a")))
    body, lost = sent(messages=(user,))
    assert body["contents"][0]["parts"] == [
        {"inlineData": BLOB},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://x/a.PNG?b=c.d"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x/a"}},
    ]
    assert lost == ("messages.image.detail",)


# --- reasoning that comes back


def test_signatures_go_back_to_the_parts_they_came_from() -> None:
    told = (
        *(Thinking("hm"), Text("Hi"), Thinking(signature="s1"), Thinking(redacted="s2")),
        *(ToolCall("a", "f", "{}", signature="s3"), Thinking("so", "s4"), Thinking(signature="s5")),
    )
    assert model_parts(*told) == [
        {"text": "hm", "thought": True},
        {"text": "Hi", "thoughtSignature": "s1"},
        {"text": "", "thoughtSignature": "s2"},
        {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "s3"},
        {"text": "so", "thought": True, "thoughtSignature": "s4"},
        {"text": "", "thoughtSignature": "s5"},
    ]


@pytest.mark.parametrize(
    ("model", "signatures"),
    [
        ("gemini-3-pro-preview", [UNSIGNED, None]),
        ("gemini-flash-latest", [UNSIGNED, None]),
        ("gemini-2.5-pro", [None, None]),
        ("gemma-3-27b-it", [None, None]),
    ],
)
def test_the_first_unsigned_call_of_a_turn_gets_google_s_word_for_it_since_gemini_3(
    model: str, signatures: list[str | None]
) -> None:
    parts = model_parts(ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"), model=model)
    assert [part.get("thoughtSignature") for part in parts] == signatures


def test_a_signed_call_keeps_its_signature() -> None:
    parts = model_parts(ToolCall("a", "f", "{}", signature="s"), ToolCall("b", "f", "{}"), model="gemini-3-pro")
    assert [part.get("thoughtSignature") for part in parts] == ["s", None]


def test_arguments_that_are_no_object_go_along_as_text_and_are_named() -> None:
    body, lost = sent(messages=(USER, Message("assistant", (ToolCall("a", "f", '{"x":'),))))
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"invalid_arguments": '{"x":'}
    assert lost == ("messages.tool_calls.arguments",)


# --- tools and forms


def test_a_tool_goes_with_its_json_schema_to_the_byte() -> None:
    body, lost = sent(tools=(TOOL,))
    declaration = {"name": "f", "description": "F.", "parametersJsonSchema": json.loads(bytes(SCHEMA))}
    assert body["tools"] == [{"functionDeclarations": [declaration]}]
    assert ("toolConfig" in body, lost) == (False, ())


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required", parallel=True), {"mode": "ANY"}),
        (ToolChoice("tool", "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_the_choice_of_tools_has_google_s_modes(choice: ToolChoice, expected: dict[str, Any]) -> None:
    body, lost = sent(tools=(TOOL,), tool_choice=choice)
    assert (body["toolConfig"]["functionCallingConfig"], lost) == (expected, ())


@pytest.mark.parametrize(
    ("model", "strict", "choice", "mode", "lost"),
    [
        ("gemini-2.5-pro", (True, True), None, "VALIDATED", ()),
        ("gemini-2.5-pro", (True, True), ToolChoice("required"), "ANY", ()),
        ("gemini-2.5-pro", (True, None), ToolChoice(), "AUTO", ("tools.strict",)),
        ("gemini-2.0-flash", (True, True), ToolChoice(), "AUTO", ("tools.strict",)),
        ("gemini-2.5-pro", (False, None), ToolChoice(), "AUTO", ()),
    ],
)
def test_strict_tools_are_validated_where_google_can(
    model: str, strict: tuple[bool | None, ...], choice: ToolChoice | None, mode: str, lost: tuple[str, ...]
) -> None:
    tools = tuple(Tool(f"f{place}", SCHEMA, strict=each) for place, each in enumerate(strict))
    body, named = sent(model, tools=tools, tool_choice=choice)
    assert (body["toolConfig"]["functionCallingConfig"]["mode"], named) == (mode, lost)


def test_one_call_at_a_time_cannot_be_asked_for() -> None:
    assert sent(tools=(TOOL,), tool_choice=ToolChoice(parallel=False))[1] == ("parallel_tool_calls",)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (OutputFormat("json_object"), {"responseMimeType": "application/json"}),
        (
            OutputFormat("json_schema", schema=SCHEMA),
            {"responseMimeType": "application/json", "responseJsonSchema": json.loads(bytes(SCHEMA))},
        ),
    ],
)
def test_the_form_of_the_answer_goes_as_json_schema(wanted: OutputFormat, expected: dict[str, Any]) -> None:
    assert sent(output_format=wanted)[0]["generationConfig"] == expected


@pytest.mark.parametrize(
    ("model", "wanted", "expected", "lost"),
    [
        ("gemini-2.5-flash", Reasoning(budget=512), {"includeThoughts": True, "thinkingBudget": 512}, ()),
        ("gemini-2.5-flash", Reasoning(effort="low"), {"includeThoughts": True, "thinkingBudget": 1024}, ()),
        ("gemini-2.5-flash", Reasoning(enabled=False), {"thinkingBudget": 0}, ()),
        ("gemini-2.5-pro", Reasoning(enabled=False), {"thinkingBudget": 128}, ("reasoning",)),
        (
            *("gemini-2.5-flash", Reasoning(budget=60_000)),
            *({"includeThoughts": True, "thinkingBudget": 24_576}, ("reasoning.budget",)),
        ),
        ("gemini-2.0-flash", Reasoning(effort="low"), None, ("reasoning",)),
        ("gemini-2.0-flash", Reasoning(enabled=False), None, ()),
        ("gemini-3-flash", Reasoning(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "MINIMAL"}, ()),
        ("gemini-3-flash", Reasoning(budget=512), {"includeThoughts": True, "thinkingBudget": 512}, ()),
        ("gemini-3-flash", Reasoning(enabled=False), {"thinkingLevel": "MINIMAL"}, ()),
        ("gemini-3-pro-preview", Reasoning(effort="medium"), {"includeThoughts": True, "thinkingLevel": "HIGH"}, ()),
        ("gemini-3.1-pro", Reasoning(effort="medium"), {"includeThoughts": True, "thinkingLevel": "MEDIUM"}, ()),
        ("gemini-3-pro-preview", Reasoning(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "LOW"}, ()),
        ("gemini-3-pro-preview", Reasoning(enabled=False), {"thinkingLevel": "LOW"}, ("reasoning",)),
        ("gemini-flash-latest", Reasoning(effort="odd"), {"includeThoughts": True}, ("reasoning.effort",)),
        ("gemini-flash-latest", Reasoning(), {"includeThoughts": True}, ()),
    ],
)
def test_the_wish_to_think_goes_as_the_model_s_generation_takes_it(
    model: str, wanted: Reasoning, expected: dict[str, Any] | None, lost: tuple[str, ...]
) -> None:
    body, named = sent(model, reasoning=wanted)
    assert (body.get("generationConfig", {}).get("thinkingConfig"), named) == (expected, lost)


def test_a_whole_request_reads_as_it_was_written() -> None:
    request = Request(
        model="gemini-3-flash",
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Look:"), PIXEL)),
            Message("assistant", (Thinking("hm", "s1"), Text("Hi"), ToolCall("a", "f", "{}", signature="s2"))),
            Message("tool", (ToolResult("a", (Text("no"), PIXEL), is_error=True),)),
            USER,
        ),
        tools=(TOOL,),
        tool_choice=ToolChoice("tool", "f"),
        max_output=9,
        output_format=OutputFormat("json_schema", schema=SCHEMA),
        reasoning=Reasoning(effort="high", summary="auto"),
    )
    written = DIALECT.write_request(request, model=request.model, output_cap=None)
    assert DIALECT.read_request(fields_of(json.loads(written.body), model=request.model)) == request
    assert written.lost == ()
