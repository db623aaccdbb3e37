"""`dominion.LLM`: one small API over whichever provider is chosen, for async programs and for scripts."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterable
from typing import Any

import pytest

import dominion
from dominion.client.config_file import Surroundings
from dominion.client.llm import LLM
from dominion.client.provider import LLMResponse
from dominion.domain.errors import ConfigProblem, InvalidRequest, Unauthenticated, UnknownProvider
from tests.client.conftest import Around
from tests.client.own_provider import Endless, MyProvider
from tests.client.scripted import events, said, scripted

MESSAGES = [{"role": "user", "content": "Hello"}]
ANSWER = {"id": "x", "model": "gpt-4o-mini", "content": "Hi", "finish_reason": "stop"}
OWN = "provider:\n  default: mine\n  custom:\n    mine: tests.client.own_provider:MyProvider\n"
COMPLETE = "POST /v1/llm/complete"


def test_the_public_name_is_the_class() -> None:
    assert dominion.LLM is LLM


def test_a_program_that_does_not_use_it_does_not_load_it() -> None:
    script = (
        "import sys, dominion, dominion.domain; sys.exit('httpx2' in sys.modules or 'dominion.client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.promise("000-001", "000-035", "000-036", "000-037")
@pytest.mark.parametrize(
    ("config", "environ", "chosen"),
    [
        ("provider: {default: openai}", {"DOMINION_API_TOKEN": "dom_1_s", "OPENAI_API_KEY": "k"}, "gateway"),
        ("provider: {default: openai}", {"OPENAI_API_KEY": "k"}, "openai"),
        ("provider: {default: anthropic}", {"ANTHROPIC_API_KEY": "k"}, "anthropic"),
        ("provider: {default: stub}", {"OPENAI_API_KEY": "k"}, "stub"),
        (OWN, {}, "my-provider"),
        ("", {}, "stub"),
        ("", {"OPENAI_API_KEY": "k"}, "stub"),
    ],
)
async def test_the_provider_is_chosen_in_the_order_of_the_specification(
    around: Around, config: str, environ: dict[str, str], chosen: str
) -> None:
    async with LLM(surroundings=around(config, **environ)) as llm:
        assert llm.provider.name == chosen


@pytest.mark.promise("000-003", "000-014", "000-073", "000-074")
async def test_a_token_and_an_address_are_the_whole_set_up(around: Around) -> None:
    with scripted({COMPLETE: said(ANSWER)}) as server:
        surroundings = around(DOMINION_API_URL=server.url, DOMINION_API_TOKEN="dom_1_s")
        async with LLM(surroundings=surroundings) as llm:
            assert (await llm.complete(prompt="Hello")).content == "Hi"
        assert server.asked[0].headers["authorization"] == "Bearer dom_1_s"
        assert server.asked[0].json()["messages"] == MESSAGES


@pytest.mark.promise("000-046", "000-047")
@pytest.mark.parametrize(("provider", "sent"), [("openai", "openai"), ("anthropic", "anthropic"), ("auto", None)])
async def test_a_gateway_is_told_which_of_its_providers_is_wanted(
    around: Around, provider: str, sent: str | None
) -> None:
    with scripted({COMPLETE: said(ANSWER)}) as server:
        async with LLM(url=server.url, token="dom_1_s", surroundings=around()) as llm:
            await llm.complete(MESSAGES, provider=provider, model="gpt-4o-mini")
        assert (server.asked[0].json().get("provider"), server.asked[0].json()["model"]) == (sent, "gpt-4o-mini")


async def test_an_own_provider_is_asked_by_name_even_beside_a_gateway(around: Around) -> None:
    with scripted({}) as server:
        async with LLM(url=server.url, token="dom_1_s", providers={"mine": MyProvider}, surroundings=around()) as llm:
            assert (await llm.complete(MESSAGES, provider="mine")).content.startswith("Hello")
        assert server.asked == []


@pytest.mark.promise("003-207", "004-006", "004-007", "004-008", "004-009", "004-108")
async def test_a_provider_of_ones_own_has_a_name_and_serves_many_at_once_whole_and_in_streams(around: Around) -> None:
    async with LLM(provider="mine", providers={"mine": MyProvider}, surroundings=around()) as llm:
        assert MyProvider.name
        asked = [llm.complete(MESSAGES, temperature=number / 10) for number in range(10)]
        answers = [answer.content for answer in await asyncio.gather(*asked)]
        assert answers == [f"Hello at {number / 10} up to None" for number in range(10)]
        streams = [llm.stream(MESSAGES) for _ in range(10)]
        pieces = await asyncio.gather(*(_all(stream) for stream in streams))
        assert pieces == [["Hello at None up to None"]] * 10


async def _all(stream: AsyncIterable[str]) -> list[str]:
    return [piece async for piece in stream]


@pytest.mark.promise("000-075", "000-076", "000-077", "000-078", "000-079", "000-080", "000-081")
async def test_the_custom_provider_of_the_specification_works_registered_by_argument_or_by_file(around: Around) -> None:
    by_argument = LLM(provider="mine", providers={"mine": MyProvider}, surroundings=around())
    by_file = LLM(surroundings=around(OWN))
    for llm in (by_argument, by_file):
        response = await llm.complete(MESSAGES, temperature=0.2, max_tokens=9)
        assert response.content == "Hello at 0.2 up to 9"
        assert response.to_dict()["usage"] == {"promptTokens": 3, "completionTokens": 4, "totalTokens": 7}
        stream = llm.stream(MESSAGES)
        assert [piece async for piece in stream] == ["Hello at None up to None"]
        assert stream.response is not None
        assert stream.response.usage.total_tokens == 7
        await llm.aclose()


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("tests.client.own_provider:NoProvider", "is not an LLMProvider"),
        ("tests.client.own_provider:Missing", "cannot be loaded"),
        ("no_such_module_anywhere:X", "cannot be loaded"),
        ("nonsense", "cannot be loaded"),
        ("", "cannot be loaded"),
    ],
)
def test_an_own_provider_that_cannot_be_had_is_told_with_its_place(around: Around, place: str, complaint: str) -> None:
    config = f"provider:\n  default: mine\n  custom:\n    mine: '{place}'\n"
    with pytest.raises(ConfigProblem, match=complaint) as caught:
        LLM(surroundings=around(config))
    assert "provider.custom.mine" in caught.value.message


def test_a_mistyped_provider_gets_the_nearest_name(around: Around) -> None:
    with pytest.raises(UnknownProvider, match="Did you mean openai"):
        LLM(provider="opnai", surroundings=around())


def test_a_gateway_without_a_key_says_how_to_get_one(around: Around) -> None:
    with pytest.raises(Unauthenticated) as caught:
        LLM(provider="gateway", surroundings=around())
    assert "dominion login" in caught.value.action


@pytest.mark.parametrize("arguments", [{}, {"messages": MESSAGES, "prompt": "Hello"}])
async def test_a_question_is_either_messages_or_a_prompt(around: Around, arguments: dict[str, Any]) -> None:
    async with LLM(surroundings=around()) as llm:
        with pytest.raises(InvalidRequest):
            await llm.complete(**arguments)


async def test_the_quota_is_read_from_a_gateway_and_from_nothing_else(around: Around) -> None:
    counted = {"limit": None, "used": 1, "remaining": None, "held": 0, "resets_at": "2026-01-05T00:00:00Z"}
    spend = {"limit_usd": "50.000000000", "used_usd": "2.500000000", "remaining_usd": "47.500000000", "resets_at": "x"}
    rate = {"limit": 5, "used": 0}
    quota = {"user_id": "u", "name": "n", "status": "active", "daily_requests": counted, "daily_tokens": counted}
    quota |= {"monthly_spend": spend, "concurrent_requests": rate, "requests_per_minute": rate}
    with scripted({"GET /v1/llm/quota": said(quota)}) as server:
        async with LLM(url=server.url, token="dom_1_s", surroundings=around()) as llm:
            read = await llm.quota()
    assert (read.daily_requests.limit, read.daily_requests.used) == (None, 1)
    assert (read.monthly_spend.used_usd, read.concurrent_requests.limit) == ("2.500000000", 5)
    async with LLM(surroundings=around()) as llm:
        with pytest.raises(InvalidRequest, match="only a gateway"):
            await llm.quota()


async def test_leaving_a_stream_early_stops_it_at_once(around: Around) -> None:
    endless = Endless()
    async with LLM(provider="endless", providers={"endless": lambda: endless}, surroundings=around()) as llm:
        stream = llm.stream(MESSAGES)
        async for piece in stream:
            assert piece == "Hello"
            break
        assert endless.open
        await stream.aclose()
        assert not endless.open
        assert stream.response is None


def test_a_script_that_leaves_a_stream_early_stops_it_too(around: Around) -> None:
    endless = Endless()
    with LLM.sync(provider="endless", providers={"endless": lambda: endless}, surroundings=around()) as llm:
        pieces = iter(llm.stream(MESSAGES))
        assert next(pieces) == "Hello"
        assert endless.open
        del pieces
        assert not endless.open


def test_a_script_does_the_same_without_async(around: Around) -> None:
    with LLM.sync(surroundings=around()) as llm:
        response = llm.complete(prompt="Hello there!")
        assert response.content.endswith("Hello there!")
        stream = llm.stream(prompt="Hello there!", max_tokens=2)
        pieces = list(stream)
        assert len(pieces) == 2
        assert stream.response is not None
        assert stream.response.finish_reason == "length"
        assert [model.id for model in llm.models()] == ["echo"]
        with pytest.raises(InvalidRequest):
            llm.quota()
    llm.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "dominion-sync"]


def test_a_script_over_a_gateway_keeps_one_connection_and_leaves_none(around: Around) -> None:
    done = {"type": "done", "id": "x", "model": "m", "finish_reason": "stop"}
    with scripted({COMPLETE: events({"type": "text", "text": "Hi"}, done, "[DONE]")}) as server:
        with LLM.sync(url=server.url, token="dom_1_s", surroundings=around()) as llm:
            for _ in range(3):
                assert list(llm.stream(prompt="Hello")) == ["Hi"]
        assert len(server.asked) == 3
        assert len({asked.port for asked in server.asked}) == 1


async def test_the_sync_face_works_inside_a_running_loop_too(around: Around) -> None:
    def ask() -> LLMResponse:
        with LLM.sync(surroundings=around()) as llm:
            return llm.complete(prompt="Hello")

    assert ask().content.endswith("Hello")
    assert (await asyncio.to_thread(ask)).content.endswith("Hello")


def test_surroundings_are_those_of_the_process_unless_given(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOMINION_API_TOKEN", "dom_1_s")
    assert Surroundings.real().folder == tmp_path
    assert Surroundings.real().environ["DOMINION_API_TOKEN"] == "dom_1_s"
