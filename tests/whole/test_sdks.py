"""The vendors' own Python SDKs, unmodified, against the running program."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from openai.types.chat import ChatCompletionMessageFunctionToolCall, ChatCompletionMessageParam, ChatCompletionToolParam

from tests.whole.faultd import FaultServer
from tests.whole.program import Program

WEATHER: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello!"}]
GREETING: list[MessageParam] = [{"role": "user", "content": "Hello!"}]
OPENAI_TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "description": "w", "parameters": WEATHER},
}
ANTHROPIC_TOOL: ToolParam = {"name": "weather", "input_schema": WEATHER}


@pytest.fixture(scope="module")
def key(program: Program) -> str:
    return program.user(daily_tokens=10**9, monthly_spend_cap_usd=1000)[1]


@pytest.fixture
def openai_client(program: Program, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{program.url}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(program: Program, key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=program.url, api_key=key, max_retries=0) as client:
        yield client


# --- OpenAI


def test_openai_chat(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(model="stub/echo", messages=HELLO)
    assert "Hello!" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@pytest.mark.parametrize("include", [True, False])
def test_openai_stream_with_and_without_usage(openai_client: openai.OpenAI, include: bool) -> None:  # noqa: FBT001
    stream = openai_client.chat.completions.create(
        model="stub/echo",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True} if include else openai.omit,
    )
    chunks = list(stream)
    assert "Hello!" in "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert [c.usage is not None for c in chunks].count(True) == (1 if include else 0)


def test_openai_tools(openai_client: openai.OpenAI) -> None:
    made = openai_client.chat.completions.create(model="stub/tool", messages=HELLO, tools=[OPENAI_TOOL])
    assert made.choices[0].finish_reason == "tool_calls"
    (call,) = made.choices[0].message.tool_calls or []
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert call.function.name == "weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)


def test_openai_tools_in_a_stream(openai_client: openai.OpenAI) -> None:
    stream = openai_client.chat.completions.create(model="stub/tool", messages=HELLO, tools=[OPENAI_TOOL], stream=True)
    calls = [call for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or []]
    pieces = [call.function for call in calls if call.function is not None]
    assert pieces[0].name == "weather"
    assert isinstance(json.loads("".join(piece.arguments or "" for piece in pieces))["city"], str)


def test_openai_structured_output(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(
        model="stub/json",
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": WEATHER, "strict": True}},
    )
    assert isinstance(json.loads(answer.choices[0].message.content or "")["city"], str)


def test_openai_models(openai_client: openai.OpenAI) -> None:
    names = [model.id for model in openai_client.models.list()]
    assert any("stub" in name for name in names)
    assert openai_client.models.retrieve(names[0]).id == names[0]


def test_openai_errors_become_the_sdk_s_own_classes(program: Program, openai_client: openai.OpenAI) -> None:
    cases: list[tuple[str, type[openai.APIStatusError]]] = [
        ("no-such-model", openai.NotFoundError),
        ("stub/fail-400", openai.BadRequestError),
        ("stub/fail-401", openai.InternalServerError),
        ("stub/fail-429", openai.RateLimitError),
        ("stub/fail-500", openai.InternalServerError),
        ("stub/fail-503", openai.InternalServerError),
    ]
    for model, expected in cases:
        with pytest.raises(expected) as caught:
            openai_client.chat.completions.create(model=model, messages=HELLO)
        assert caught.value.request_id
    with (
        openai.OpenAI(base_url=f"{program.url}/v1", api_key="dom_wrong_key", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_openai_quota_is_a_rate_limit_error_with_the_body_of_document_000(program: Program) -> None:
    _, key = program.user(daily_requests=1)
    with openai.OpenAI(base_url=f"{program.url}/v1", api_key=key, max_retries=2) as client:
        client.chat.completions.create(model="stub", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="stub", messages=HELLO)
        body = caught.value.body
        assert isinstance(body, dict)
        assert (body["limit"], body["used"]) == (1, 1)
        assert body["resets_at"].endswith("T00:00:00Z")
        assert caught.value.response.headers["x-should-retry"] == "false"


def test_openai_retries_are_honoured(folder: Path) -> None:
    """The SDK waits as retry-after says and comes again: 3 requests at a rate of 2 a second all pass."""
    with Program(folder, RATE_LIMIT_WINDOW_MS="1000") as program:
        _, key = program.user(requests_per_minute=2)
        with openai.OpenAI(base_url=f"{program.url}/v1", api_key=key, max_retries=3) as client:
            for _ in range(3):
                client.chat.completions.create(model="stub", messages=HELLO)
        assert 'dominion_refused_total{code="rate_limited"}' in program.ask("GET", "/metrics").body.decode()


def test_openai_stream_that_breaks_raises(openai_client: openai.OpenAI) -> None:
    stream = openai_client.chat.completions.create(model="stub/cut-3", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


# --- Anthropic, second generation


def test_anthropic_message(anthropic_client: anthropic.Anthropic) -> None:
    answer = anthropic_client.messages.create(model="stub/echo", max_tokens=100, messages=GREETING)
    assert answer.content[0].type == "text"
    assert "Hello!" in answer.content[0].text
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


def test_anthropic_stream(anthropic_client: anthropic.Anthropic) -> None:
    with anthropic_client.messages.stream(model="stub/echo", max_tokens=100, messages=GREETING) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert "Hello!" in text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0


@pytest.mark.parametrize("stream", [True, False])
def test_anthropic_tools(anthropic_client: anthropic.Anthropic, stream: bool) -> None:  # noqa: FBT001
    if stream:
        with anthropic_client.messages.stream(
            model="stub/tool", max_tokens=100, messages=GREETING, tools=[ANTHROPIC_TOOL]
        ) as running:
            final: anthropic.types.Message = running.get_final_message()
    else:
        final = anthropic_client.messages.create(
            model="stub/tool", max_tokens=100, messages=GREETING, tools=[ANTHROPIC_TOOL]
        )
    assert final.stop_reason == "tool_use"
    (call,) = [block for block in final.content if block.type == "tool_use"]
    assert call.name == "weather"
    assert isinstance(call.input["city"], str)


def test_anthropic_thinking(anthropic_client: anthropic.Anthropic) -> None:
    answer = anthropic_client.messages.create(
        model="stub/think",
        max_tokens=2000,
        messages=GREETING,
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    assert [block.type for block in answer.content] == ["thinking", "text"]


def test_anthropic_models(anthropic_client: anthropic.Anthropic) -> None:
    assert any("stub" in model.id for model in anthropic_client.models.list())


def test_anthropic_errors_become_the_sdk_s_own_classes(program: Program, anthropic_client: anthropic.Anthropic) -> None:
    cases: list[tuple[str, type[anthropic.APIStatusError]]] = [
        ("no-such-model", anthropic.NotFoundError),
        ("stub/fail-400", anthropic.BadRequestError),
        ("stub/fail-429", anthropic.RateLimitError),
        ("stub/fail-500", anthropic.InternalServerError),
    ]
    for model, expected in cases:
        with pytest.raises(expected):
            anthropic_client.messages.create(model=model, max_tokens=10, messages=GREETING)
    with (
        anthropic.Anthropic(base_url=program.url, api_key="dom_wrong_key", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.models.list()


def test_anthropic_spend_cap_is_402_as_its_dialect_expects(program: Program) -> None:
    _, key = program.user(monthly_spend_cap_usd=0)
    with (
        anthropic.Anthropic(base_url=program.url, api_key=key, max_retries=2) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        client.messages.create(model="stub", max_tokens=10, messages=GREETING)
    assert caught.value.status_code == 402


# --- Anthropic, first generation: other version header, other key header

OLD_SDK = """
import anthropic, json, sys
assert anthropic.__version__.startswith("0."), anthropic.__version__
client = anthropic.Anthropic(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0)
hello = [{"role": "user", "content": "Hello!"}]
answer = client.messages.create(model="stub/echo", max_tokens=100, messages=hello)
with client.messages.stream(model="stub/echo", max_tokens=100, messages=hello) as stream:
    text = "".join(stream.text_stream)
tool = client.messages.create(model="stub/tool", max_tokens=100, messages=hello,
    tools=[{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}])
try:
    client.messages.create(model="no-such-model", max_tokens=10, messages=hello)
    error = ""
except anthropic.NotFoundError as caught:
    error = type(caught).__name__
print(json.dumps([answer.content[0].text, text, tool.stop_reason, error, len(client.models.list().data) > 0]))
"""


def test_the_first_generation_of_the_anthropic_sdk(program: Program, key: str, first_anthropic: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", OLD_SDK, program.url, key],
        env={**os.environ, "PYTHONPATH": str(first_anthropic)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    text, streamed, stop, error, models = json.loads(ran.stdout)
    assert "Hello!" in text
    assert "Hello!" in streamed
    assert (stop, error, models) == ("tool_use", "NotFoundError", True)


# --- same bytes


def test_a_relayed_stream_is_the_provider_s_bytes(folder: Path) -> None:
    with FaultServer() as faults, Program(folder, toml=faults.toml(**{"drip-3-1": 1})) as program:
        _, key = program.user()
        relayed = program.chat(key, "faults/drip-3-1", stream=True, stream_options={"include_usage": True}).body
        frames = relayed.split(b"\n\n")
        assert frames[0] == (
            b'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", '
            b'"choices": [{"index": 0, "delta": {"content": "w1 "}, "finish_reason": null}]}'
        )
        assert relayed.endswith(b"data: [DONE]\n\n")
        hidden = program.chat(key, "faults/drip-3-1", stream=True).body
        assert hidden == b"\n\n".join(frame for frame in frames if b'"usage"' not in frame)
