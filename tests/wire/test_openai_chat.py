"""The dialect of OpenAI chat completions as a relay: peek, patch, tap; and against arbitrary bytes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain.contracts import Peek
from dominion.domain.errors import InvalidRequest, UnexpectedResponse
from dominion.wire.fields import read_fields
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.wire.recordings import pieces

STEADY = settings(derandomize=True, deadline=None)
HELLO = [{"role": "user", "content": "Hello"}]


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": HELLO} | fields, separators=(",", ":")).encode()


def peek(**fields: Any) -> Peek:
    return OPENAI_CHAT.peek(read_fields(body(**fields)))


def patch(*, model: str = "gpt-4o", output_cap: int | None = None, **fields: Any) -> dict[str, Any]:
    read = read_fields(body(**fields))
    patched = OPENAI_CHAT.patch(read, OPENAI_CHAT.peek(read), model=model, output_cap=output_cap)
    value = json.loads(patched)
    assert isinstance(value, dict)
    return value


# --- peek


def test_a_plain_request_is_peeked() -> None:
    assert peek() == Peek(model="gpt-4o", stream=False)


def test_everything_that_admission_needs_is_peeked() -> None:
    found = peek(stream=True, n=3, max_tokens=50, stream_options={"include_usage": True}, temperature=2, top_p=None)
    assert found == Peek(model="gpt-4o", stream=True, output_cap=50, choices=3, asks_usage=True)


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": None}])
def test_a_stream_whose_caller_asks_for_no_usage_is_known(options: object) -> None:
    assert not peek(stream=True, stream_options=options).asks_usage


def test_of_two_output_caps_the_larger_counts() -> None:
    assert peek(max_tokens=10, max_completion_tokens=99).output_cap == 99


WRONG: dict[str, list[object]] = {
    "model": ["", None, 7, "x" * 257, "a\nb", "a\x00b", "\x7f", []],
    "messages": [[], None, {}, "Hello", ["Hello"], [{}], [{"role": 1}], [HELLO], [None]],
    "max_tokens": [0, -1, 1.5, True, "5", 10**9 + 1, 10**30, [], {}],
    "max_completion_tokens": [0, -5, False, "5"],
    "n": [0, 129, 2.5, "1", True],
    "temperature": [-0.1, 2.1, "1", True],
    "top_p": [-1, 1.01, "1"],
    "stream": ["true", 1, []],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        peek(**{field: value})
    assert (caught.value.param or "").startswith(field)
    assert field in caught.value.message


@pytest.mark.parametrize("options", ["yes", [], {"include_usage": "yes"}])
def test_wrong_stream_options_are_refused(options: object) -> None:
    with pytest.raises(InvalidRequest):
        peek(stream=True, stream_options=options)


@pytest.mark.parametrize(
    "extra",
    [
        b'"stream_options":{"include_usage":true,"include_usage":false}',
        b'"stream_options":{"include_usage":true,"Include_Usage":false}',
        b'"MAX_TOKENS":9',
        b'"max_tokens":1',
    ],
)
def test_ways_round_a_cap_are_refused(extra: bytes) -> None:
    with pytest.raises(InvalidRequest):
        OPENAI_CHAT.peek(read_fields(body(max_tokens=5, stream=True)[:-1] + b"," + extra + b"}"))


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(missing: str) -> None:
    value = json.loads(body())
    del value[missing]
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_CHAT.peek(read_fields(json.dumps(value).encode()))
    assert caught.value.param == missing


# --- patch


def test_a_request_that_needs_no_change_stays_byte_for_byte() -> None:
    sent = '{"model":"gpt-4o","messages":[ {"role":"user","content":"\\u0041é"} ],"temperature":1.0,"x":{}}'.encode()
    fields = read_fields(sent)
    assert OPENAI_CHAT.patch(fields, OPENAI_CHAT.peek(fields), model="gpt-4o", output_cap=None) == sent


def test_only_the_model_changes_when_the_provider_calls_it_otherwise() -> None:
    sent = b'{"model":"gpt-4o","messages":[ {"role":"user","content":"gpt-4o"} ],"temperature":1.0}'
    fields = read_fields(sent)
    patched = OPENAI_CHAT.patch(fields, OPENAI_CHAT.peek(fields), model='a"b', output_cap=None)
    assert patched == sent.replace(b'"gpt-4o",', b'"a\\"b",', 1)


@pytest.mark.parametrize(
    ("model", "given_fields", "expected"),
    [
        ("gpt-4o", {"max_tokens": 9}, {"max_tokens": 5}),
        ("o3", {"max_tokens": 9}, {"max_tokens": 5}),
        ("gpt-4o", {"max_completion_tokens": 9}, {"max_completion_tokens": 5}),
        ("gpt-4o", {"max_completion_tokens": 9, "max_tokens": 8}, {"max_completion_tokens": 5, "max_tokens": 5}),
        ("gpt-4o", {}, {"max_tokens": 5}),
        ("gpt-4o", {"max_tokens": None}, {"max_tokens": 5}),
        ("o4-mini", {}, {"max_completion_tokens": 5}),
        ("openai/gpt-5.2", {}, {"max_completion_tokens": 5}),
    ],
)
def test_the_output_cap_goes_where_the_caller_or_the_model_wants_it(
    model: str, given_fields: dict[str, Any], expected: dict[str, int]
) -> None:
    patched = patch(model=model, output_cap=5, **given_fields)
    assert {name: value for name, value in patched.items() if name.startswith("max_")} == expected


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False, "include_obfuscation": False}])
def test_usage_is_asked_for_in_streams_and_other_options_stay(options: dict[str, bool] | None) -> None:
    assert patch(stream=True, stream_options=options)["stream_options"] == {**(options or {}), "include_usage": True}


def test_usage_is_not_asked_for_outside_streams() -> None:
    assert "stream_options" not in patch()


# --- relaying


def chunk(**fields: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024"}
    return b"data: " + json.dumps(head | fields, separators=(",", ":")).encode() + b"\n\n"


def delta(finish: str | None = None, **fields: Any) -> bytes:
    return chunk(choices=[{"index": 0, "delta": fields, "finish_reason": finish}], usage=None)


USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
CONTENT = [delta(role="assistant", content=""), delta(content='a "usage":{"x"'), delta(content="[DONE]"), delta("stop")]
END = b"data: [DONE]\n\n"
STREAM = [*CONTENT, chunk(choices=[], usage=USAGE), END]


def relay(chunks: list[bytes], *, hide: bool) -> tuple[bytes, Any]:
    tap = OPENAI_CHAT.tap(hide_usage=hide)
    return b"".join([tap.feed(one) for one in chunks]) + tap.end(), tap.seen


@pytest.mark.parametrize("cut", range(0, len(b"".join(STREAM)), 7))
def test_the_usage_frame_and_nothing_else_is_hidden(cut: int) -> None:
    relayed, seen = relay(pieces(b"".join(STREAM), [cut]), hide=True)
    assert relayed == b"".join([*CONTENT, END])
    assert (seen.usage.input_tokens, seen.usage.output_tokens) == (9, 2)
    assert (seen.finish, seen.model, seen.done, seen.failed) == ("stop", "gpt-4o-2024", True, "")


def test_a_stream_is_relayed_untouched_when_the_caller_asked_for_usage() -> None:
    assert relay(STREAM, hide=False)[0] == b"".join(STREAM)


@pytest.mark.parametrize(
    "last",
    [
        chunk(choices=[{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], usage=USAGE),
        chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], x_groq={"usage": USAGE}),
        chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=USAGE).replace(b'":', b'": '),
        chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=USAGE).replace(b"\n", b"\r\n"),
    ],
)
def test_usage_on_a_frame_with_choices_is_read_and_left_alone(last: bytes) -> None:
    relayed, seen = relay([*CONTENT[:3], last, END], hide=True)
    assert relayed == b"".join([*CONTENT[:3], last, END])
    assert seen.usage.output_tokens == 2
    assert seen.finish == "stop"


def test_a_frame_without_choices_or_usage_stays() -> None:
    filters = chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}], usage=None)
    assert relay([filters, *CONTENT], hide=True)[0] == b"".join([filters, *CONTENT])


@pytest.mark.parametrize(
    "broken",
    [
        b'event: error\ndata: {"error":{"message":"It broke at sk-abcdefghijkl","code":"x"}}\n\n',
        b'event: error\ndata: {"message":"It broke at sk-abcdefghijkl"}\n\n',
        b'data: {"error":"It broke at sk-abcdefghijkl"}\n\n',
        chunk(choices=[], error={"message": "It broke at sk-abcdefghijkl", "code": 502}),
        chunk(choices=[], x_groq={"id": "1", "error": "It broke at sk-abcdefghijkl"}),
    ],
)
def test_an_error_inside_a_stream_is_relayed_and_noted_without_its_secrets(broken: bytes) -> None:
    relayed, seen = relay([*CONTENT[:2], broken], hide=True)
    assert relayed == b"".join([*CONTENT[:2], broken])
    assert seen.failed == "It broke at [masked]"


def test_a_marked_frame_that_is_not_json_is_relayed() -> None:
    odd = b'data: {"usage":{ oops\n\n'
    assert relay([odd, END], hide=True)[0] == odd + END


def test_text_is_measured_for_the_estimate() -> None:
    _, seen = relay(
        [delta(content="four"), delta(reasoning_content="sixsix") + delta(content="ab"), delta("stop")], hide=True
    )
    assert (seen.frames, seen.content_bytes, seen.usage) == (3, 12, None)


# --- whatever comes


@STEADY
@given(st.lists(st.binary(max_size=60) | st.sampled_from(STREAM), max_size=8), st.booleans())
def test_arbitrary_streams_raise_only_our_errors_and_are_relayed(chunks: list[bytes], hide: bool) -> None:  # noqa: FBT001
    relayed, _ = relay(chunks, hide=hide)
    if not hide:
        assert relayed == b"".join(chunks)
    reader = OPENAI_CHAT.reader()
    try:
        for one in chunks:
            reader.feed(one)
        reader.end()
    except UnexpectedResponse:
        return


NAMES = (
    "choices",
    "delta",
    "message",
    "content",
    "tool_calls",
    "function",
    "arguments",
    "index",
    "usage",
    "error",
    "id",
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=15,
)


@STEADY
@given(VALUES)
def test_arbitrary_json_raises_only_our_errors(value: Any) -> None:
    sent = json.dumps(value).encode()
    for attempt in (
        lambda: OPENAI_CHAT.read_answer(sent),
        lambda: OPENAI_CHAT.read_seen(sent),
        lambda: OPENAI_CHAT.reader().feed(b"data: " + sent + b"\n\n"),
        lambda: relay([b"data: " + sent + b"\n\n"], hide=True),
        lambda: OPENAI_CHAT.read_error("X", 400, sent),
    ):
        try:
            attempt()
        except UnexpectedResponse:
            continue


REQUEST_NAMES = (
    "role",
    "content",
    "type",
    "text",
    "tools",
    "function",
    "name",
    "parameters",
    "image_url",
    "tool_calls",
)


@STEADY
@given(
    st.dictionaries(
        st.sampled_from(
            (
                "messages",
                "tools",
                "tool_choice",
                "functions",
                "function_call",
                "response_format",
                "stop",
                "stream_options",
            )
        ),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.sampled_from(("user", "assistant", "tool", "text", "function")),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(REQUEST_NAMES), inner, max_size=4)
            ),
            max_leaves=12,
        ),
    )
)
def test_arbitrary_requests_raise_only_our_errors(value: dict[str, Any]) -> None:
    fields = read_fields(json.dumps({"model": "m", "messages": HELLO, "stream": True} | value).encode())
    try:
        OPENAI_CHAT.patch(fields, OPENAI_CHAT.peek(fields), model="other", output_cap=1)
        request = OPENAI_CHAT.read_request(fields)
    except InvalidRequest:
        return
    written = OPENAI_CHAT.write_request(request, model="other", output_cap=None)
    OPENAI_CHAT.read_request(read_fields(written.body))
