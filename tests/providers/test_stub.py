"""providers/stub.py and stub_upstream.py: what each model name does, that it is deterministic, and what usage says."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from dominion.domain.contracts import Exchange, Upstream
from dominion.domain.errors import NetworkFailure, ProviderTimeout, UnexpectedResponse
from dominion.domain.providers import Origin, Target
from dominion.providers.stub import Bytes, End, Head, Reset, Stall, Step, Wait, is_stub_model, plan
from dominion.providers.stub_upstream import StubUpstream

TARGET = Target(Origin("stub", "stub", 0), b"")
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
        },
    },
}


def body(model: str = "echo", said: str = "Hello there", **more: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": said}], **more}).encode()


def steps(model: str = "echo", **more: Any) -> list[Step]:
    return list(plan(body(model, **more)))


def sent(played: list[Step]) -> bytes:
    return b"".join(step.data for step in played if isinstance(step, Bytes))


def whole(model: str = "echo", **more: Any) -> Any:
    played = steps(model, **more)
    assert isinstance(played[0], Head)
    assert played[0].status == 200
    assert played[0].headers[b"content-length"] == b"%d" % len(sent(played))
    return json.loads(sent(played))


def frames(model: str = "echo", **more: Any) -> list[Any]:
    lines = sent(steps(model, stream=True, **more)).decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def streamed_text(found: list[Any], field: str = "content") -> str:
    return "".join(each["choices"][0]["delta"].get(field) or "" for each in found if each["choices"])


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.promise("000-032", "000-033")
def test_the_same_request_gives_the_same_bytes_and_the_answer_holds_what_the_user_said() -> None:
    assert steps() == steps()
    assert steps("echo") != steps("echo", said="Something else")
    answer = whole()
    assert answer["choices"][0]["message"]["content"] == "Stub answer (no model was asked). You said: Hello there"
    assert answer["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("model", ["stub", "echo", "stub/echo", "stub/stub"])
def test_the_plain_model_has_four_names_and_the_answer_names_the_one_that_was_asked(model: str) -> None:
    assert whole(model)["model"] == model


def test_the_last_text_of_the_user_is_the_one_that_is_repeated() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": "x"}}]
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": parts},
        {"role": "system", "content": "later"},
    ]
    text = whole(messages=messages)["choices"][0]["message"]["content"]
    assert text.endswith("You said: one .")
    assert whole(messages=[])["choices"][0]["message"]["content"] == "You said nothing."


@given(st.text(max_size=200), st.sampled_from(["echo", "answer-50", "think", "json", "refuse"]), st.integers(0, 30))
def test_the_streamed_answer_is_the_whole_answer_cut_into_tokens(said: str, model: str, cap: int) -> None:
    answer = whole(model, said=said, max_tokens=cap)
    found = frames(model, said=said, max_tokens=cap, stream_options={"include_usage": True})
    message = answer["choices"][0]["message"]
    for field in ("content", "reasoning_content", "refusal"):
        assert streamed_text(found, field) == (message.get(field) or "")
    assert found[-2]["choices"][0]["finish_reason"] == answer["choices"][0]["finish_reason"]
    assert found[-1]["choices"] == []
    assert found[-1]["usage"] == answer["usage"]


@given(
    st.text(max_size=300), st.integers(1, 3), st.sampled_from(["echo", "answer-9", "think", "json", "tool", "length"])
)
def test_usage_is_counted_by_the_documented_rule_and_never_exceeds_the_bounds(said: str, n: int, model: str) -> None:
    request = body(model, said, n=n, max_tokens=12, tools=[WEATHER])
    answer = json.loads(sent(list(plan(request))))
    usage = answer["usage"]
    assert usage["prompt_tokens"] == -(-len(said) // 4) <= len(request)
    assert len(answer["choices"]) == n
    assert usage["completion_tokens"] <= 12 * n
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("tokens", [0, 1, 7, 1500])
def test_an_answer_has_exactly_the_asked_number_of_tokens(tokens: int) -> None:
    assert whole(f"answer-{tokens}")["usage"]["completion_tokens"] == tokens
    found = frames(f"answer-{tokens}")
    assert len([each for each in found if each["choices"][0]["delta"].get("content")]) == tokens


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_cut_to_the_cap_and_says_so(name: str) -> None:
    answer = whole("answer-100", **{name: 3})
    assert answer["choices"][0]["message"]["content"] == "000 001 002 "
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3
    assert whole("answer-3", **{name: 3})["choices"][0]["finish_reason"] == "stop"


def test_an_answer_is_never_longer_than_a_hundred_thousand_tokens() -> None:
    answer = whole(said="x" * 500_000)
    assert answer["usage"]["completion_tokens"] == 100_000
    assert answer["choices"][0]["finish_reason"] == "length"


def test_usage_in_a_stream_comes_only_when_asked_for_and_never_from_no_usage() -> None:
    assert all("usage" not in each for each in frames())
    assert all("usage" not in each for each in frames("no-usage", stream_options={"include_usage": True}))
    assert "usage" not in whole("no-usage")


def test_a_tool_is_called_with_arguments_that_fit_its_schema() -> None:
    answer = whole("tool", tools=[WEATHER])["choices"][0]
    (call,) = answer["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("weather", {"city": "", "days": 1})
    assert (answer["finish_reason"], answer["message"]["content"]) == ("tool_calls", None)
    deltas = [each["choices"][0]["delta"].get("tool_calls") for each in frames("tool", tools=[WEATHER])]
    pieces = [each[0] for each in deltas if each]
    assert (pieces[0]["function"]["name"], pieces[0]["type"]) == ("weather", "function")
    assert pieces[0]["id"].startswith("call_")
    assert "".join(each["function"]["arguments"] for each in pieces) == call["function"]["arguments"]


def test_no_tool_is_called_when_there_is_none_when_it_is_forbidden_or_when_one_has_answered() -> None:
    answered = [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "1", "content": "sunny"}]
    for more in ({}, {"tools": [WEATHER], "tool_choice": "none"}, {"tools": [WEATHER], "messages": answered}):
        assert whole("tool", **more)["choices"][0]["finish_reason"] == "stop"


def test_the_tool_that_the_request_names_is_the_one_that_is_called() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    choice = {"type": "function", "function": {"name": "other"}}
    (call,) = whole("tool", tools=[WEATHER, other], tool_choice=choice)["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "other", "arguments": "{}"}


def test_json_follows_the_schema_of_the_response_format() -> None:
    assert json.loads(whole("json")["choices"][0]["message"]["content"]) == {"echo": "Hello there"}
    wanted = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER["function"]["parameters"]}}  # type: ignore[index]
    content = whole("json", response_format=wanted)["choices"][0]["message"]["content"]
    assert json.loads(content) == {"city": "", "days": 1}


@pytest.mark.parametrize("model", ["echo", "answer-3", "tool", "json", "length", "refuse", "think", "no-usage"])
def test_the_official_sdk_reads_every_answer_and_every_frame(model: str) -> None:
    more = {"tools": [WEATHER], "n": 2}
    answer = ChatCompletion.model_validate(whole(model, **more), strict=True)
    assert [choice.index for choice in answer.choices] == [0, 1]
    found = frames(model, stream_options={"include_usage": True}, **more)
    chunks = [ChatCompletionChunk.model_validate(each, strict=True) for each in found]
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_refusing_thinking_and_stopping_at_the_limit_show_in_their_own_fields() -> None:
    refused = whole("refuse")["choices"][0]["message"]
    assert refused["content"] is None
    assert "declines" in refused["refusal"]
    thought = whole("think")
    assert thought["choices"][0]["message"]["reasoning_content"]
    assert 0 < thought["usage"]["completion_tokens_details"]["reasoning_tokens"] < thought["usage"]["completion_tokens"]
    assert whole("length")["choices"][0]["finish_reason"] == "length"


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 529, 599])
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_answer_has_its_status_and_the_shape_of_the_dialect(status: int, stream: bool) -> None:  # noqa: FBT001
    head, piece, end = steps(f"fail-{status}", stream=stream)
    assert isinstance(head, Head)
    assert isinstance(piece, Bytes)
    assert isinstance(end, End)
    assert head.status == status
    assert head.headers.get(b"retry-after") == (b"1" if status == 429 else None)
    assert set(json.loads(piece.data)["error"]) == {"message", "type", "param", "code"}


def test_slow_waits_before_the_head_and_drip_before_each_token() -> None:
    assert steps("slow-250")[0] == Wait(0.25)
    assert steps("slow-250", stream=True)[0] == Wait(0.25)
    assert steps("drip-3x20")[0] == Wait(0.06)
    dripped = steps("drip-3x20", stream=True)
    assert [type(step) for step in dripped[:4]] == [Head, Bytes, Wait, Bytes]
    assert [step for step in dripped if isinstance(step, Wait)] == [Wait(0.02)] * 3


def test_a_hang_has_no_head_and_a_stall_no_end() -> None:
    for stream in (True, False):
        assert steps("hang", stream=stream)[0] == Stall()
        stalled = steps("stall", stream=stream)
        assert [type(step) for step in stalled[:2]] == [Head, Bytes]
        assert stalled[-1] == Stall()
        assert not any(isinstance(step, End) for step in stalled)


@pytest.mark.parametrize("tokens", [0, 1, 5])
def test_a_stream_is_cut_after_exactly_the_asked_number_of_tokens(tokens: int) -> None:
    cut = steps(f"cut-{tokens}", stream=True)
    assert cut[-1] == Reset()
    assert b"[DONE]" not in sent(cut)
    assert sent(cut).count(b'"delta":{"content":') == tokens


def test_a_whole_answer_is_cut_in_its_middle() -> None:
    head, piece, last = steps("cut-5")
    assert isinstance(head, Head)
    assert isinstance(piece, Bytes)
    assert 0 < len(piece.data) < int(head.headers[b"content-length"])
    assert last == Reset()


@pytest.mark.parametrize(
    "request_body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        body(max_tokens=-1),
        body(n=0),
        body(n=17),
        b'{"model": "echo"}',
        b'{"model": "echo", "messages": "x"}',
        b'{"model": "echo", "messages": [{"role": "user", "content": "\xff"}]}',
    ],
)
def test_a_wrong_request_is_answered_with_400(request_body: bytes) -> None:
    head, piece, _ = plan(request_body)
    assert isinstance(head, Head)
    assert isinstance(piece, Bytes)
    assert head.status == 400
    assert json.loads(piece.data)["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "model",
    ["gpt-4o", "ech", "answer-", "answer-100001", "answer-5x5", "slow-600001", "drip-5", "drip-5x600001", "fail-399",
     "fail-600", "stub/stub/echo", "answer-٣", "answer-0000005"],
)  # fmt: skip
def test_an_unknown_stub_model_is_answered_with_404(model: str) -> None:
    assert not is_stub_model(model)
    head, piece, _ = steps(model)
    assert isinstance(head, Head)
    assert isinstance(piece, Bytes)
    assert head.status == 404
    assert json.loads(piece.data)["error"]["code"] == "model_not_found"


@given(st.binary(max_size=100))
def test_any_bytes_are_answered(junk: bytes) -> None:
    head, *_, last = plan(junk)
    assert isinstance(head, Head)
    assert last == End()


# --- played ---------------------------------------------------------------------------------------------------------


class Slept:
    """A sleep that returns at once and writes down how long it was."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Return at once."""
        self.seconds.append(seconds)


async def test_a_played_answer_is_the_plan() -> None:
    upstream: Upstream = StubUpstream(Slept())
    exchange: Exchange = await upstream.send(TARGET, body())
    assert exchange.status == 200
    assert exchange.headers[b"content-type"] == b"application/json"
    assert await exchange.read(10_000) == sent(steps())
    assert await exchange.chunk() == b""


async def test_a_played_stream_comes_in_pieces_with_their_waits() -> None:
    slept = Slept()
    exchange = await StubUpstream(slept).send(TARGET, body("drip-3x20", stream=True))
    pieces = []
    while piece := await exchange.chunk():
        pieces.append(piece)
    assert b"".join(pieces) == sent(steps("drip-3x20", stream=True))
    assert len(pieces) == 6
    assert slept.seconds == [0.02] * 3


async def test_a_hang_ends_in_a_timeout_after_the_time_for_the_first_byte() -> None:
    slept = Slept()
    with pytest.raises(ProviderTimeout):
        await StubUpstream(slept, first_byte=7, idle=3).send(TARGET, body("hang"))
    assert slept.seconds == [7]


async def test_an_answer_slower_than_the_time_for_the_first_byte_ends_in_a_timeout() -> None:
    slept = Slept()
    with pytest.raises(ProviderTimeout):
        await StubUpstream(slept, first_byte=0.1).send(TARGET, body("slow-250"))
    assert slept.seconds == [0.1]


async def test_a_stall_ends_in_a_timeout_after_the_idle_time() -> None:
    slept = Slept()
    exchange = await StubUpstream(slept, first_byte=7, idle=3).send(TARGET, body("stall", stream=True))
    assert await exchange.chunk()
    assert await exchange.chunk()
    with pytest.raises(ProviderTimeout):
        await exchange.chunk()
    assert slept.seconds == [3]


async def test_a_cut_is_a_broken_connection() -> None:
    exchange = await StubUpstream(Slept()).send(TARGET, body("cut-1"))
    with pytest.raises(NetworkFailure):
        await exchange.read(10_000)


async def test_an_answer_longer_than_the_limit_is_refused() -> None:
    exchange = await StubUpstream(Slept()).send(TARGET, body("answer-1000"))
    with pytest.raises(UnexpectedResponse):
        await exchange.read(100)


async def test_a_closed_exchange_brings_nothing_more() -> None:
    exchange = await StubUpstream(Slept()).send(TARGET, body("answer-1000", stream=True))
    await exchange.chunk()
    exchange.close()
    exchange.close()
    assert await exchange.chunk() == b""


async def test_a_cancelled_wait_ends_at_once() -> None:
    task = asyncio.create_task(StubUpstream().send(TARGET, body("hang")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
