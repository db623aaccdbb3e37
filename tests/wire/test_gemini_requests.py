"""Requests of the Gemini API: what a door reads of the address, of the caps and of the conversation."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import Image, Message, Text, Thinking, ToolCall, ToolResult
from dominion.wire.fields import read_fields
from dominion.wire.gemini.dialect import GEMINI as DIALECT
from tests.wire.gemini_door import HELLO, USER, door, fields_of


def parts(*told: dict[str, Any], role: str = "model") -> tuple[Any, ...]:
    return door(contents=[*HELLO, {"role": role, "parts": list(told)}]).messages[1].parts


# --- peek and patch


def test_peek_reads_the_address_cap_and_candidates() -> None:
    body = {"contents": HELLO, "generationConfig": {"maxOutputTokens": 64.0, "candidateCount": 3}}
    peek = DIALECT.peek(fields_of(body, model="gemini-x", stream=True))
    assert (peek.model, peek.stream, peek.output_cap, peek.choices, peek.asks_usage) == ("gemini-x", True, 64, 3, True)


def test_peek_reads_names_in_snake_case_too() -> None:
    body = {"contents": HELLO, "generation_config": {"max_output_tokens": 64, "candidate_count": 2}}
    peek = DIALECT.peek(fields_of(body))
    assert (peek.output_cap, peek.choices) == (64, 2)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"generationConfig": {}, "generation_config": {"maxOutputTokens": 9}}, "generation_config"),
        ({"generationConfig": {"maxOutputTokens": 9, "max_output_tokens": 99}}, "generationConfig.max_output_tokens"),
        ({"GenerationConfig": {"maxOutputTokens": 9}}, "GenerationConfig"),
        ({"generationConfig": {"MAXOUTPUTTOKENS": 9}}, "generationConfig.MAXOUTPUTTOKENS"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "maxOutputTokens"),
        ({"generationConfig": {"maxOutputTokens": "9"}}, "maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 9}}, "candidateCount"),
        ({"generationConfig": [1]}, "generationConfig"),
        ({"Contents": HELLO}, "Contents"),
        ({"contents": []}, "contents"),
        ({"contents": "Hello"}, "contents"),
        ({"contents": None}, "contents"),
    ],
)
def test_what_could_lift_a_cap_or_say_nothing_is_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.peek(fields_of({"contents": HELLO} | body))
    assert caught.value.param == param


def test_a_cap_given_twice_in_one_spelling_is_refused() -> None:
    body = b'{"contents":[{}],"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}}'
    with pytest.raises(InvalidRequest):
        DIALECT.peek(read_fields(body) | fields_of({}))


@pytest.mark.parametrize("model", ["", "m" * 257, "a\nb"])
def test_a_model_that_is_none_is_refused(model: str) -> None:
    with pytest.raises(InvalidRequest):
        DIALECT.peek(fields_of({"contents": HELLO}, model=model))


def test_patch_leaves_every_byte_but_what_belongs_into_the_address() -> None:
    body = b'{"contents":[ {"parts":{"text":"a"}} ],"generationConfig":{"topK" : 1.0}}'
    fields = read_fields(body) | fields_of({})
    patched = DIALECT.patch(fields, DIALECT.peek(fields), model="other", output_cap=None)
    assert patched == body


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, b'{"contents":[{}],"generationConfig":{"maxOutputTokens":7}}'),
        (b'"generationConfig":null', b'{"contents":[{}],"generationConfig":{"maxOutputTokens":7}}'),
        (
            b'"generation_config":{"top_k":1,"max_output_tokens":9}',
            b'{"contents":[{}],"generation_config":{"top_k":1,"max_output_tokens":7}}',
        ),
        (
            b'"generationConfig":{"topK":1.0}',
            b'{"contents":[{}],"generationConfig":{"topK":1.0,"maxOutputTokens":7}}',
        ),
    ],
)
def test_patch_sets_the_cap_in_the_spelling_of_the_caller(config: bytes | None, expected: bytes) -> None:
    body = b'{"contents":[{}]%b}' % (b"," + config if config else b"")
    fields = read_fields(body) | fields_of({})
    assert DIALECT.patch(fields, DIALECT.peek(fields), model="m", output_cap=7) == expected


# --- contents


def test_turns_are_read_in_any_spelling_and_without_lists() -> None:
    request = DIALECT.read_request(
        fields_of(
            {
                "system_instruction": {"parts": {"text": "Be brief."}},
                "contents": {"parts": {"inline_data": {"mime_type": "image/png", "data": "aGk="}}},
            }
        )
    )
    image = Image(media_type="image/png", data="aGk=")
    assert request.messages == (Message("system", (Text("Be brief."),)), Message("user", (image,)))
    assert request.unread == ()


def test_a_model_s_turns_in_a_row_are_one_and_its_thoughts_are_whole() -> None:
    contents = [
        *HELLO,
        {"role": "model", "parts": [{"text": "h", "thought": True}]},
        {"role": "model", "parts": [{"text": "m", "thought": True}, {"text": "Hi"}]},
        *HELLO,
    ]
    turn = Message("assistant", (Thinking("hm"), Text("Hi")))
    assert door(contents=contents).messages == (USER, turn, USER)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"text": "Hi", "thoughtSignature": "c2ln"}, (Text("Hi"), Thinking(signature="c2ln"))),
        ({"text": "", "thoughtSignature": "c2ln"}, (Thinking(redacted="c2ln"),)),
        ({"text": "hm", "thought": True, "thoughtSignature": "c2ln"}, (Thinking("hm", "c2ln"),)),
        ({"text": "", "thought": True, "thoughtSignature": "c2ln"}, (Thinking("", "c2ln"),)),
        (
            {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thought_signature": "c2ln"},
            (ToolCall("a", "f", '{"x":1}', signature="c2ln"),),
        ),
        (
            {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": "c2ln"},
            (Image(media_type="image/png", data="aGk="), Thinking(signature="c2ln")),
        ),
    ],
)
def test_a_signature_is_kept_with_its_part(told: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert parts(told) == expected


def test_calls_without_ids_get_the_same_ones_at_each_reading_and_results_find_them_by_name() -> None:
    contents = [
        *HELLO,
        {"role": "model", "parts": [{"functionCall": {"name": name}} for name in ("f", "g", "f")]},
        {"role": "user", "parts": [{"functionResponse": {"name": name}} for name in ("g", "f", "f")]},
        {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
        {"role": "function", "parts": [{"functionResponse": {"name": "f"}}, {"text": "Go on."}]},
    ]
    first, second = door(contents=contents), door(contents=contents)
    assert first == second
    calls = [(part.id, part.name) for turn in first.messages for part in turn.parts if isinstance(part, ToolCall)]
    assert calls == [("call_0", "f"), ("call_1", "g"), ("call_2", "f"), ("call_3", "f")]
    results = [part.call_id for turn in first.messages for part in turn.parts if isinstance(part, ToolResult)]
    assert results == ["call_1", "call_0", "call_2", "call_3"]
    assert [turn.role for turn in first.messages] == [
        *("user", "assistant", "tool", "tool", "tool", "assistant", "tool", "user")
    ]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"output": "sunny"}, ToolResult("a", (Text("sunny"),))),
        ({"error": "no"}, ToolResult("a", (Text("no"),), is_error=True)),
        ({"output": {"x": 1}}, ToolResult("a", (Text('{"output":{"x":1}}'),))),
        ({"result": "sunny"}, ToolResult("a", (Text('{"result":"sunny"}'),))),
        ({}, ToolResult("a", ())),
        (None, ToolResult("a", ())),
    ],
)
def test_a_result_is_read_as_google_means_it(response: Any, expected: ToolResult) -> None:
    assert parts({"functionResponse": {"id": "a", "name": "f", "response": response}}, role="user") == (expected,)


def test_images_inside_a_result_are_read() -> None:
    blob = {"mimeType": "image/png", "data": "aGk="}
    told = {"functionResponse": {"id": "a", "name": "f", "response": {}, "parts": [{"inlineData": blob}]}}
    assert parts(told, role="user") == (ToolResult("a", (Image(media_type="image/png", data="aGk="),)),)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}, "contents.parts.inlineData.audio/wav"),
        ({"fileData": {"fileUri": "gs://b/a.pdf"}}, "contents.parts.fileData.unknown"),
        ({"executableCode": {"code": "1"}}, "contents.parts.executableCode"),
        ({"text": "a", "videoMetadata": {"fps": 1}}, "contents.parts.videoMetadata"),
    ],
)
def test_parts_that_no_other_dialect_has_are_named(told: dict[str, Any], name: str) -> None:
    assert door(contents=[*HELLO, {"parts": [told]}]).unread == (name,)


@pytest.mark.parametrize(
    "contents",
    [
        [{"role": "system", "parts": [{"text": "a"}]}],
        [{"parts": [{"text": 1}]}],
        [{"parts": [None]}],
        [{"parts": [{"text": "a", "thought_signature": "a", "thoughtSignature": "b"}]}],
        [{"parts": [{"functionResponse": {"name": "f", "response": [1]}}]}],
        [{"parts": [{"text": ""}]}],
    ],
)
def test_contents_that_are_none_are_refused(contents: Any) -> None:
    with pytest.raises(InvalidRequest):
        door(contents=contents)


# --- anything at all

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["parts", "role", "text", "functionCall", "functionResponse", "response", "name", "inline_data"]
            )
            | st.sampled_from(
                ["functionDeclarations", "parameters", "properties", "type", "mode", "thought_signature"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["contents", "systemInstruction", "tools", "tool_config", "generationConfig", "labels"]),
        ANYTHING,
    )
)
def test_whatever_comes_is_read_or_refused(body: dict[str, Any]) -> None:
    text = json.dumps({"contents": HELLO} | body)
    with contextlib.suppress(InvalidRequest):
        fields = read_fields(text.encode()) | fields_of({})
        DIALECT.patch(fields, DIALECT.peek(fields), model="m", output_cap=1)
        DIALECT.read_request(fields)
