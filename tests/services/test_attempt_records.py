"""Every attempt leaves a record of what it took and what it may have cost, and operators can read them."""

import json
from typing import Any

import pytest

from dominion.domain.errors import (
    InvalidRequest,
    NetworkFailure,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
)
from dominion.services.completions.attempt_records import AttemptLog
from dominion.services.completions.router import RouterRules
from dominion.services.operations.router import of_router
from dominion.services.operations.table import Asked
from tests.services.house import JSON, House, Play, Played, closed, failing, unsent, well

ONCE = RouterRules(retry_count=0)


def log_of(house: House) -> AttemptLog:
    return AttemptLog(house.attempts, house.posting, house.clock)


async def shown(house: House, **query: str) -> list[dict[str, Any]]:
    """What the route answers."""
    (attempts,) = [one for one in of_router(house.router, log_of(house), house.clock) if one.name == "attempts"]
    answer = await attempts.run(Asked(path={}, query=query, body=b"", principal=None))
    found: list[dict[str, Any]] = answer["requests"]
    return found


async def test_each_failed_attempt_is_a_record_and_the_successful_one_is_the_row() -> None:
    house = House("ant", "bee", "cow", rules=RouterRules(retry_count=1))
    house.play("ant", failing(429), failing(429))
    house.play("bee", failing(503))
    house.play("cow", well())
    await house.ask()
    (request,) = await shown(house, request_id="req_1")
    assert [(one["number"], one["provider"], one["status"], one["code"]) for one in request["attempts"]] == [
        (1, "ant", 429, "provider_rate_limited"),
        (2, "ant", 429, "provider_rate_limited"),
        (3, "bee", 503, "provider_unavailable"),
    ]
    assert request["attempts"][0] == {
        "number": 1,
        "at": "2026-01-05T00:00:00Z",
        "provider": "ant",
        "model": "m",
        "status": 429,
        "code": "provider_rate_limited",
        "latency_ms": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": "0.000000000",
        "certainty": "measured",
    }
    ended = request["ended"]
    assert (ended["outcome"], ended["provider"], ended["output_tokens"]) == ("ok", "cow", 3)


async def test_a_request_that_one_attempt_answered_leaves_no_record() -> None:
    house = House("ant")
    house.play("ant", well())
    await house.ask()
    assert house.posting.pending == 1
    (request,) = await shown(house, request_id="req_1")
    assert (request["attempts"], request["ended"]["provider"]) == ([], "ant")


@pytest.mark.parametrize("play", [failing(503), failing(401), unsent(), failing(307)])
async def test_what_was_refused_or_never_left_cost_nothing(play: Play) -> None:
    house = House("ant", rules=ONCE)
    house.play("ant", play)
    with pytest.raises(ProviderError):
        await house.ask()
    (record,) = (await shown(house, request_id="req_1"))[0]["attempts"]
    assert (record["certainty"], record["input_tokens"], record["cost_usd"]) == ("measured", 0, "0.000000000")


@pytest.mark.parametrize("play", [NetworkFailure("reset"), closed(), ProviderTimeout("silent"), failing(200, "half")])
async def test_what_may_have_been_billed_is_counted_by_the_likely_prompt_and_flagged(play: Play) -> None:
    house = House("ant", rules=ONCE)
    house.play("ant", play)
    with pytest.raises(ProviderError):
        await house.ask()
    (record,) = (await shown(house, request_id="req_1"))[0]["attempts"]
    assert record["certainty"] == "unknown"
    assert record["input_tokens"] > 0
    assert record["cost_usd"] == f"0.{record['input_tokens'] * 1_000:09}"


async def test_usage_that_the_provider_told_with_its_failure_is_measured() -> None:
    house = House("ant", rules=ONCE)
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    told = {"id": "c1", "choices": [], "usage": usage, "error": {"message": "It broke.", "code": 502}}
    house.play("ant", Played(200, JSON, json.dumps(told).encode()))
    with pytest.raises(ProviderError):
        await house.ask()
    (record,) = (await shown(house, request_id="req_1"))[0]["attempts"]
    assert (record["certainty"], record["input_tokens"], record["output_tokens"]) == ("measured", 4, 2)
    assert record["cost_usd"] == "0.000008000"


@pytest.mark.promise("003-162")
async def test_an_attempt_says_how_long_it_took_and_a_timeout_its_duration() -> None:
    house = House("ant", rules=ONCE)

    def slow() -> Played:
        house.clock.move(2.5)
        raise ProviderTimeout("silent")

    house.play("ant", slow)
    with pytest.raises(ProviderTimeout) as caught:
        await house.ask()
    assert caught.value.duration == 2.5
    assert (await shown(house, request_id="req_1"))[0]["attempts"][0]["latency_ms"] == 2500


async def test_the_newest_are_listed_from_a_time_on_with_what_became_of_their_requests() -> None:
    house = House("ant", rules=ONCE)
    for _ in range(3):
        house.play("ant", failing(503))
        with pytest.raises(ProviderUnavailable):
            await house.ask()
        house.clock.move(1800)
    listed = await shown(house, since="2026-01-05T00:30:00Z")
    assert [one["request_id"] for one in listed] == ["req_3", "req_2"]
    assert {one["ended"]["outcome"] for one in listed} == {"failed"}
    assert [one["request_id"] for one in await shown(house)] == ["req_3", "req_2"]  # of the last hour
    assert [one["request_id"] for one in await shown(house, since="2026-01-05", limit="1")] == ["req_3"]
    assert await shown(house, request_id="req_9") == []
    for query in ({"since": "yesterday"}, {"limit": "0"}):
        with pytest.raises(InvalidRequest):
            await shown(house, **query)
