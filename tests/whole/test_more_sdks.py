"""OpenAI's SDK at the doors besides chat: Responses, legacy completions and embeddings; Anthropic's for counting."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall

from tests.whole.program import Program

WEATHER: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: FunctionToolParam = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}


@pytest.fixture(scope="module")
def key(program: Program) -> str:
    return program.user(daily_tokens=10**9, monthly_spend_cap_usd=1000)[1]


@pytest.fixture
def client(program: Program, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{program.url}/v1", api_key=key, max_retries=0) as running:
        yield running


# --- Responses


def test_responses_whole(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="stub/echo", input="Hello!", instructions="Be brief.", max_output_tokens=50)
    assert "Hello!" in answer.output_text
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


def test_responses_cut_by_their_cap_are_incomplete(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="stub/answer-200", input="Hello!", max_output_tokens=20)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 20


def test_responses_streamed(client: openai.OpenAI) -> None:
    with client.responses.stream(model="stub/echo", input="Hello!") as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert len(pieces) > 1
    assert "".join(pieces) == final.output_text
    assert "Hello!" in final.output_text
    assert final.usage is not None
    assert final.usage.output_tokens == len(pieces)


def test_responses_call_tools_and_take_their_answers(client: openai.OpenAI) -> None:
    first = client.responses.create(model="stub/tool", input="Weather?", tools=[TOOL])
    (call,) = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert call.name == "weather"
    assert isinstance(json.loads(call.arguments)["city"], str)
    second = client.responses.create(
        model="stub/tool",
        tools=[TOOL],
        input=[
            {"role": "user", "content": "Weather?"},
            {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
            {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."},
        ],
    )
    assert "Weather?" in second.output_text


def test_responses_call_tools_in_a_stream(client: openai.OpenAI) -> None:
    with client.responses.stream(model="stub/tool", input="Weather?", tools=[TOOL]) as stream:
        pieces = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        (call,) = stream.get_final_response().output
    assert call.type == "function_call"
    assert "".join(pieces) == call.arguments
    assert isinstance(json.loads(call.arguments)["city"], str)


def test_responses_hold_to_a_schema(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="stub/json",
        input="Where?",
        text={"format": {"type": "json_schema", "name": "place", "schema": WEATHER, "strict": True}},
    )
    assert isinstance(json.loads(answer.output_text)["city"], str)


def test_responses_refuse_to_remember(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="stub/echo", input="Hello!", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"


# --- legacy completions


def test_completions_whole(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="stub/echo", prompt="Hello!", max_tokens=50)
    assert "Hello!" in answer.choices[0].text
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


def test_completions_streamed(client: openai.OpenAI) -> None:
    stream = client.completions.create(
        model="stub/echo", prompt="Hello!", stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "Hello!" in "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert [chunk.usage is not None for chunk in chunks].count(True) == 1


# --- errors of all of them


ASK: dict[str, Any] = {
    "responses": lambda client, model: client.responses.create(model=model, input="Hello!"),
    "completions": lambda client, model: client.completions.create(model=model, prompt="Hello!"),
    "embeddings": lambda client, model: client.embeddings.create(model=model, input="Hello!"),
}


@pytest.mark.parametrize("door", ASK)
def test_errors_become_the_sdk_s_own_classes(program: Program, client: openai.OpenAI, door: str) -> None:
    cases: list[tuple[str, type[openai.APIStatusError]]] = [
        ("no-such-model", openai.NotFoundError),
        ("stub/fail-400", openai.BadRequestError),
        ("stub/fail-429", openai.RateLimitError),
        ("stub/fail-503", openai.InternalServerError),
    ]
    for model, expected in cases:
        with pytest.raises(expected) as caught:
            ASK[door](client, model)
        assert caught.value.request_id
    with (
        openai.OpenAI(base_url=f"{program.url}/v1", api_key="dom_wrong_key", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        ASK[door](stranger, "stub/echo")


def test_streams_that_break_raise(client: openai.OpenAI) -> None:
    completion = client.completions.create(model="stub/cut-3", prompt="Hello!", stream=True)
    with pytest.raises(openai.APIError):
        list(completion)
    response = client.responses.create(model="stub/cut-3", input="Hello!", stream=True)
    with pytest.raises(openai.APIError):
        list(response)


# --- embeddings


def test_embeddings_are_the_same_in_both_encodings(client: openai.OpenAI) -> None:
    texts = ["The first.", "The second."]
    packed = client.embeddings.create(model="stub/echo", input=texts)  # the SDK asks for base64 by itself
    plain = client.embeddings.create(model="stub/echo", input=texts, encoding_format="float")
    assert [each.embedding for each in packed.data] == [each.embedding for each in plain.data]
    assert [each.index for each in plain.data] == [0, 1]
    assert plain.data[0].embedding != plain.data[1].embedding
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 3 + 3


def test_embeddings_of_tokens_and_of_a_size(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="stub/echo", input=[[1, 2, 3], [4]], dimensions=5)
    assert [len(each.embedding) for each in answer.data] == [5, 5]
    assert answer.usage.prompt_tokens == 4


# --- counting


def test_anthropic_counts_tokens_by_estimate_where_the_provider_cannot(program: Program, key: str) -> None:
    with anthropic.Anthropic(base_url=program.url, api_key=key, max_retries=0) as client:
        short = client.messages.count_tokens(model="stub/echo", messages=[{"role": "user", "content": "Hello!"}])
        raw = client.messages.with_raw_response.count_tokens(
            model="stub/echo", messages=[{"role": "user", "content": "Hello! " * 1000}], system="Be brief."
        )
        with pytest.raises(anthropic.NotFoundError):
            client.messages.count_tokens(model="no-such-model", messages=[{"role": "user", "content": "Hello!"}])
    assert 1 <= short.input_tokens < 100
    assert 1000 < raw.parse().input_tokens < 3000
    assert raw.headers["x-dominion-usage"] == "estimated"
    assert raw.headers["x-dominion-cost-usd"] == "0.000000000"
