"""OpenAI and Anthropic without a gateway, against servers that speak their APIs."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dominion.client.anthropic import AnthropicProvider
from dominion.client.config_file import DirectSection
from dominion.client.dialect_provider import DirectProvider
from dominion.client.openai import OpenAIProvider
from dominion.client.provider import LLMCompletionOptions, LLMResponse, LLMToolCall
from dominion.domain.errors import ConfigProblem, InvalidCredentials, InvalidRequest, ProviderRateLimited
from tests.client.scripted import Scripted, events, said, scripted

HELLO = LLMCompletionOptions(
    messages=[{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello!"}]
)
CHAT = "POST /v1/chat/completions"
MESSAGES = "POST /v1/messages"
CHAT_USAGE = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
CHAT_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4-turbo-preview",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": CHAT_USAGE,
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-3-5-sonnet-20241022",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 11, "output_tokens": 2},
}


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted({CHAT: said(CHAT_ANSWER), MESSAGES: said(MESSAGE)}) as running:
        yield running


def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}


async def complete(provider: DirectProvider, options: LLMCompletionOptions = HELLO) -> LLMResponse:
    try:
        return await provider.complete(options)
    finally:
        await provider.aclose()


async def pieces(provider: DirectProvider) -> list[str | LLMResponse]:
    try:
        return [piece async for piece in provider.stream(HELLO)]
    finally:
        await provider.aclose()


@pytest.mark.promise("000-026", "000-027", "000-028")
async def test_openai_gets_model_temperature_and_the_callers_own_key(server: Scripted) -> None:
    section = DirectSection("gpt-4-turbo-preview", 0.2, server.url)
    response = await complete(OpenAIProvider.configured(section, {"OPENAI_API_KEY": "sk-own"}))
    [asked] = server.asked
    assert asked.headers["authorization"] == "Bearer sk-own"
    assert {name: asked.json()[name] for name in ("model", "temperature")} == {
        "model": "gpt-4-turbo-preview",
        "temperature": 0.2,
    }
    assert [message["role"] for message in asked.json()["messages"]] == ["system", "user"]
    assert (response.content, response.provider, response.finish_reason) == ("Hi", "openai", "stop")
    assert (response.usage.prompt_tokens, response.usage.total_tokens, response.cost_usd) == (11, 13, None)


@pytest.mark.promise("000-029", "000-030", "000-031")
async def test_anthropic_gets_model_temperature_and_the_callers_own_key(server: Scripted) -> None:
    section = DirectSection("claude-3-5-sonnet-20241022", 0.2, server.url)
    response = await complete(AnthropicProvider.configured(section, {"ANTHROPIC_API_KEY": "sk-ant-own"}))
    [asked] = server.asked
    assert (asked.headers["x-api-key"], asked.headers["anthropic-version"]) == ("sk-ant-own", "2023-06-01")
    assert "authorization" not in asked.headers
    body = asked.json()
    assert (body["model"], body["temperature"]) == ("claude-3-5-sonnet-20241022", 0.2)
    assert body["max_tokens"] > 0
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert (response.content, response.provider, response.usage.total_tokens) == ("Hi", "anthropic", 13)


async def test_what_a_call_names_wins_over_the_file(server: Scripted) -> None:
    provider = OpenAIProvider.configured(DirectSection("gpt-4o", 0.2, server.url), {"OPENAI_API_KEY": "k"})
    await complete(
        provider, LLMCompletionOptions(messages=HELLO.messages, model="gpt-4o-mini", temperature=1, max_tokens=9)
    )
    asked = server.asked[0].json()
    assert (asked["model"], asked["temperature"]) == ("gpt-4o-mini", 1)
    assert 9 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))


async def test_fields_that_only_the_provider_knows_go_as_they_are(server: Scripted) -> None:
    provider = OpenAIProvider.configured(DirectSection(base_url=server.url), {"OPENAI_API_KEY": "k"})
    extra = {"top_p": 0.5, "logit_bias": {"50256": -100}}
    await complete(provider, LLMCompletionOptions(messages=HELLO.messages, extra=extra))
    asked = server.asked[0].json()
    assert (asked["top_p"], asked["logit_bias"]) == (0.5, {"50256": -100})


async def test_fields_without_a_place_at_the_provider_are_named(server: Scripted) -> None:
    provider = AnthropicProvider.configured(DirectSection(base_url=server.url), {"ANTHROPIC_API_KEY": "k"})
    response = await complete(provider, LLMCompletionOptions(messages=HELLO.messages, extra={"seed": 1}))
    assert response.lost == ("seed",)


async def test_openai_streams_text_tool_calls_and_usage(server: Scripted) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a"'}}
    rest = {"index": 0, "function": {"arguments": ": 1}"}}
    server.answers[CHAT] = events(
        chunk({"role": "assistant", "content": "H"}),
        chunk({"content": "i"}),
        chunk({"tool_calls": [call]}),
        chunk({"tool_calls": [rest]}),
        chunk({}, "tool_calls"),
        chunk({}) | {"choices": [], "usage": CHAT_USAGE},
        "[DONE]",
    )
    provider = OpenAIProvider.configured(DirectSection(base_url=server.url), {"OPENAI_API_KEY": "k"})
    *texts, whole = await pieces(provider)
    assert server.asked[0].json()["stream"] is True
    assert texts == ["H", "i"]
    assert isinstance(whole, LLMResponse)
    assert (whole.content, whole.finish_reason, whole.usage.total_tokens) == ("Hi", "tool_calls", 13)
    assert whole.tool_calls == (LLMToolCall("call_1", "look", '{"a": 1}'),)


async def test_anthropic_streams_text_and_usage(server: Scripted) -> None:
    start = {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        for text in ("H", "i")
    ]
    end = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 2}}
    stop = [{"type": "content_block_stop", "index": 0}, end, {"type": "message_stop"}]
    server.answers[MESSAGES] = events(start, block, *deltas, *stop)
    provider = AnthropicProvider.configured(DirectSection(base_url=server.url), {"ANTHROPIC_API_KEY": "k"})
    *texts, whole = await pieces(provider)
    assert texts == ["H", "i"]
    assert isinstance(whole, LLMResponse)
    assert (whole.content, whole.finish_reason, whole.usage.total_tokens) == ("Hi", "length", 13)


async def test_errors_of_the_provider_are_sorted_into_the_tree(server: Scripted) -> None:
    refused = {
        "error": {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": "invalid_api_key"}
    }
    server.answers[CHAT] = said(refused, 401)
    with pytest.raises(InvalidCredentials):
        await complete(OpenAIProvider.configured(DirectSection(base_url=server.url), {"OPENAI_API_KEY": "k"}))
    busy = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}}
    server.answers[MESSAGES] = said(busy, 429, {"retry-after": "7"})
    with pytest.raises(ProviderRateLimited) as caught:
        await pieces(AnthropicProvider.configured(DirectSection(base_url=server.url), {"ANTHROPIC_API_KEY": "k"}))
    assert caught.value.retry_after == 7.0


async def test_a_request_that_makes_no_sense_is_refused_before_it_is_sent(server: Scripted) -> None:
    provider = OpenAIProvider.configured(DirectSection(base_url=server.url), {"OPENAI_API_KEY": "k"})
    for options in (LLMCompletionOptions(messages=[]), LLMCompletionOptions(messages=HELLO.messages, max_tokens=-1)):
        with pytest.raises(InvalidRequest):
            await provider.complete(options)
    await provider.aclose()
    assert server.asked == []


async def test_models_are_listed_by_both(server: Scripted) -> None:
    server.answers["GET /v1/models"] = said({"data": [{"id": "m-1"}, {"id": "m-2", "display_name": "M 2"}]})
    provider = AnthropicProvider.configured(DirectSection(base_url=server.url), {"ANTHROPIC_API_KEY": "k"})
    assert [(model.id, model.name) for model in await provider.models()] == [("m-1", None), ("m-2", "M 2")]
    await provider.aclose()


@pytest.mark.parametrize(
    ("kind", "name"), [(OpenAIProvider, "OPENAI_API_KEY"), (AnthropicProvider, "ANTHROPIC_API_KEY")]
)
def test_a_missing_key_is_told_with_its_name_and_the_other_way(kind: type[DirectProvider], name: str) -> None:
    with pytest.raises(ConfigProblem, match=name) as caught:
        kind.configured(DirectSection(), {})
    assert "DOMINION_API_TOKEN" in caught.value.action
