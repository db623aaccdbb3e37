"""The stub without a server: the same to the same, no connection, and faults by name."""

import socket

import pytest

from dominion.client.provider import LLMCompletionOptions, LLMResponse
from dominion.client.stub import StubProvider
from dominion.domain.errors import NetworkFailure, ProviderRateLimited, ProviderTimeout
from dominion.providers.stub_upstream import StubUpstream

HELLO = LLMCompletionOptions(messages=[{"role": "user", "content": "Hello there, stub!"}])


def model(name: str) -> LLMCompletionOptions:
    return LLMCompletionOptions(messages=HELLO.messages, model=name)


@pytest.mark.promise("000-032", "000-033")
async def test_the_same_request_has_the_same_answer_and_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the stub opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    first, second = await StubProvider().complete(HELLO), await StubProvider().complete(HELLO)
    assert first == second
    assert first.content.endswith("Hello there, stub!")
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens > 0


async def test_a_streamed_answer_is_the_whole_one_in_pieces() -> None:
    *texts, streamed = [piece async for piece in StubProvider().stream(HELLO)]
    whole = await StubProvider().complete(HELLO)
    assert isinstance(streamed, LLMResponse)
    assert len(texts) > 1
    assert "".join(str(text) for text in texts) == streamed.content == whole.content
    assert streamed.usage == whole.usage


async def test_faults_come_by_the_names_of_models() -> None:
    stub = StubProvider()
    with pytest.raises(ProviderRateLimited):
        await stub.complete(model("fail-429"))
    with pytest.raises(NetworkFailure):
        [piece async for piece in stub.stream(model("cut-1"))]
    assert (await stub.complete(model("answer-7"))).usage.completion_tokens == 7


async def test_waiting_takes_the_time_that_it_is_given() -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    stub = StubProvider("slow-1500", StubUpstream(sleep))
    assert (await stub.complete(HELLO)).content.endswith("Hello there, stub!")
    with pytest.raises(ProviderTimeout):
        await stub.complete(model("hang"))
    assert slept == [1.5, 120.0]
