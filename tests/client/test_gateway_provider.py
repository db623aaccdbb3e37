"""The gateway provider against a server that says what the gateway would, and what it never would."""

import socket
import ssl
from collections.abc import AsyncIterator, Iterator

import pytest
import trustme

from dominion.client.errors import GatewayUnreachable
from dominion.client.gateway import GatewayProvider
from dominion.client.provider import LLMCompletionOptions, LLMResponse, LLMToolCall
from dominion.domain.errors import (
    ConfigProblem,
    InvalidRequest,
    NetworkFailure,
    ProviderUnavailable,
    QuotaExceeded,
    UnexpectedResponse,
)
from tests.client.scripted import Said, Scripted, events, said, scripted

KEY = "dom_0123_secret"
COMPLETE = "POST /v1/llm/complete"
USAGE = {"promptTokens": 150, "completionTokens": 500, "totalTokens": 650}
ANSWER = {"id": "x", "model": "gpt-4o-mini", "content": "Hi", "finish_reason": "stop", "usage": USAGE}
DONE = {"type": "done", "id": "x", "model": "gpt-4o-mini", "finish_reason": "length", "usage": USAGE}
HELLO = LLMCompletionOptions(messages=[{"role": "user", "content": "Hello!"}])


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted({}) as running:
        yield running


@pytest.fixture
async def gateway(server: Scripted) -> AsyncIterator[GatewayProvider]:
    provider = GatewayProvider(server.url, KEY)
    yield provider
    await provider.aclose()


@pytest.mark.promise("000-002", "000-004", "000-046", "000-078", "000-079", "000-080", "001-058")
async def test_a_request_carries_the_key_and_the_answer_comes_back_whole(
    server: Scripted, gateway: GatewayProvider
) -> None:
    headers = {"x-dominion-provider": "openai", "x-dominion-cost-usd": "0.000322500", "x-dominion-lost": "seed,user"}
    server.answers[COMPLETE] = said(ANSWER, headers=headers)
    options = LLMCompletionOptions(
        messages=HELLO.messages,
        provider="openai",
        model="gpt-4o-mini",
        temperature=0.2,
        max_tokens=64,
        extra={"top_p": 1},
    )
    response = await gateway.complete(options)
    [asked] = server.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.json() == {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hello!"}],
        "temperature": 0.2,
        "max_tokens": 64,
        "top_p": 1,
        "stream": False,
    }
    assert (response.content, response.model, response.provider) == ("Hi", "gpt-4o-mini", "openai")
    assert (response.usage.prompt_tokens, response.usage.completion_tokens, response.usage.total_tokens) == (
        150,
        500,
        650,
    )
    assert (response.finish_reason, response.cost_usd, response.lost) == ("stop", "0.000322500", ("seed", "user"))
    assert response.to_dict()["usage"] == USAGE


async def test_what_is_not_given_is_left_to_the_gateway(server: Scripted, gateway: GatewayProvider) -> None:
    server.answers[COMPLETE] = said({name: value for name, value in ANSWER.items() if name != "usage"})
    response = await gateway.complete(HELLO)
    assert server.asked[0].json() == {"messages": [{"role": "user", "content": "Hello!"}], "stream": False}
    assert (response.usage.total_tokens, response.cost_usd, response.lost) == (0, None, ())


async def test_a_stream_gives_its_pieces_and_then_the_whole(server: Scripted, gateway: GatewayProvider) -> None:
    call = {"type": "tool_call", "index": 0, "id": "call_1", "name": "look", "arguments": '{"a"'}
    rest = {"type": "tool_call", "index": 0, "arguments": ": 1}"}
    pieces = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    server.answers[COMPLETE] = events(*pieces, call, rest, DONE, "[DONE]")
    *texts, whole = [piece async for piece in gateway.stream(HELLO)]
    assert server.asked[0].json()["stream"] is True
    assert texts == ["Hel", "lo"]
    assert isinstance(whole, LLMResponse)
    assert (whole.content, whole.finish_reason, whole.usage.total_tokens) == ("Hello", "length", 650)
    assert whole.tool_calls == (LLMToolCall("call_1", "look", '{"a": 1}'),)


async def test_an_error_inside_a_stream_is_raised_as_what_it_is(server: Scripted, gateway: GatewayProvider) -> None:
    failed = {"type": "error", "error": "provider_unavailable", "message": "OpenAI is overloaded."}
    server.answers[COMPLETE] = events({"type": "text", "text": "Hel"}, failed, "[DONE]")
    stream = gateway.stream(HELLO)
    assert await anext(stream) == "Hel"
    with pytest.raises(ProviderUnavailable, match="OpenAI is overloaded"):
        await anext(stream)


async def test_a_stream_without_its_end_is_not_taken_for_a_whole_answer(
    server: Scripted, gateway: GatewayProvider
) -> None:
    server.answers[COMPLETE] = events({"type": "text", "text": "Hel"})
    with pytest.raises(UnexpectedResponse):
        [piece async for piece in gateway.stream(HELLO)]
    server.answers[COMPLETE] = events({"type": "text", "text": "Hel"}, broken=True)
    with pytest.raises(NetworkFailure, match="broke"):
        [piece async for piece in gateway.stream(HELLO)]


async def test_a_refusal_is_raised_with_what_to_do_and_when_to_come_again(
    server: Scripted, gateway: GatewayProvider
) -> None:
    told = {"error": "quota_exceeded", "message": "No more.", "limit": 5, "used": 5, "action": "Wait."}
    server.answers[COMPLETE] = said(told, 429, {"retry-after": "30"})
    for attempt in (gateway.complete(HELLO), anext(gateway.stream(HELLO))):
        with pytest.raises(QuotaExceeded, match="No more") as caught:
            await attempt
        assert (caught.value.action, caught.value.retry_after) == ("Wait.", 30.0)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_never_followed(server: Scripted, gateway: GatewayProvider, status: int) -> None:
    with scripted({COMPLETE: said(ANSWER)}) as thief:
        server.answers[COMPLETE] = Said(b"", status, {"location": f"{thief.url}/v1/llm/complete"})
        with pytest.raises(UnexpectedResponse, match="points elsewhere"):
            await gateway.complete(HELLO)
        assert thief.asked == []


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[1]", b'{"content": 5}'])
async def test_an_answer_of_something_else_is_an_unexpected_response(
    server: Scripted, gateway: GatewayProvider, body: bytes
) -> None:
    server.answers |= {COMPLETE: Said(body), "GET /v1/llm/models": Said(body), "GET /v1/llm/quota": Said(body)}
    for attempt in (gateway.complete(HELLO), gateway.models(), gateway.quota()):
        with pytest.raises(UnexpectedResponse):
            await attempt


async def test_no_gateway_at_the_address_is_told_with_the_address_and_without_the_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    provider = GatewayProvider(url, KEY)
    with pytest.raises(GatewayUnreachable, match=url) as caught:
        await provider.complete(HELLO)
    await provider.aclose()
    shown = f"{caught.value!r} {caught.value.message} {caught.value.action} {provider!r} {vars(provider)!r}"
    assert "secret" not in shown


@pytest.mark.promise("000-038", "001-042")
async def test_models_are_read_with_prices_and_what_the_gateway_does_not_know(
    server: Scripted, gateway: GatewayProvider
) -> None:
    row = {"id": "gpt-4o", "provider": "openai", "name": "GPT-4o", "context_window": 128000, "max_output": None}
    price = {"input_usd_per_million": "2.5", "output_usd_per_million": None, "deprecated": None, "available": True}
    server.answers["GET /v1/llm/models"] = said({"models": [row | price | {"later": 1}]})
    [model] = await gateway.models()
    assert (model.id, model.context_window, model.max_output) == ("gpt-4o", 128000, None)
    assert (model.input_usd_per_million, model.output_usd_per_million) == ("2.5", None)


@pytest.mark.parametrize("url", ["ftp://x", "gateway.example", "http://", "http://user:pass@x", "http://x?y=1", ""])
def test_an_address_that_is_none_is_refused_at_once_and_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        GatewayProvider(url, KEY)
    assert "pass@" not in caught.value.message


@pytest.mark.parametrize("token", ["", "dom_1_secret\nx-evil: 1", "dom 1 secret", "dom_1_secrét"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        GatewayProvider("http://127.0.0.1:1", token)
    assert "secr" not in f"{caught.value.message}{caught.value.action}{caught.value.__cause__}"


async def test_a_value_that_json_does_not_have_is_refused_before_anything_is_sent(
    server: Scripted, gateway: GatewayProvider
) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        await gateway.complete(LLMCompletionOptions(messages=[{"role": "user", "content": object()}]))
    assert server.asked == []


async def test_a_proxy_of_the_environment_does_not_stand_between_a_program_and_its_own_machine(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers[COMPLETE] = said(ANSWER)
    with scripted({}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        provider = GatewayProvider(server.url, KEY)
        assert (await provider.complete(HELLO)).content == "Hi"
        await provider.aclose()
        assert proxy.asked == []


async def test_a_server_whose_certificate_nobody_vouches_for_does_not_get_the_key() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with scripted({COMPLETE: said(ANSWER)}, tls) as server:
        provider = GatewayProvider(server.url, KEY)
        with pytest.raises(GatewayUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await provider.complete(HELLO)
        await provider.aclose()
        assert server.asked == []
