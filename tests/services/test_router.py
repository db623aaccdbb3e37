"""Which provider is asked when another fails, how often, and after how long; what it leaves in the ledger."""

import asyncio
import logging

import pytest

from dominion.domain.errors import (
    NetworkFailure,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from dominion.domain.records import Outcome
from dominion.rules.routing.breaker import BreakerRules
from dominion.services.completions.router import RouterRules
from tests.services.house import (
    House,
    Play,
    closed,
    failing,
    streamed,
    text_event,
    unsent,
    well,
)

ONCE = RouterRules(retry_count=0)


async def test_slots_are_asked_in_their_order_and_one_row_tells_who_answered() -> None:
    house = House("ant", "bee", "cow")
    house.play("ant", failing(503))
    house.play("bee", failing(500))
    house.play("cow", well("Moo"))
    assert b"Moo" in (await house.ask()).body
    assert house.asked() == "abc"
    (row,) = await house.rows()
    assert (row.provider, row.outcome, row.input_tokens, row.output_tokens) == ("cow", Outcome.OK, 4, 3)
    assert all(exchange.closed for exchange in house.upstream.exchanges)
    assert house.admission.running == 0


async def test_when_all_fail_the_last_error_is_told_and_one_row_costs_nothing() -> None:
    house = House("ant", "bee", rules=ONCE)
    house.play("ant", failing(503))
    house.play("bee", failing(429))
    with pytest.raises(ProviderRateLimited):
        await house.ask()
    (row,) = await house.rows()
    assert (row.provider, row.outcome, row.cost_nano, row.error) == ("bee", Outcome.FAILED, 0, "provider_rate_limited")
    assert house.counters.attempts_failed == {
        ("ant", "provider_unavailable"): 1,
        ("bee", "provider_rate_limited"): 1,
    }


async def test_a_fault_of_the_request_is_not_tried_elsewhere() -> None:
    house = House("ant", "bee")
    house.play("ant", failing(400, "temperature is wrong"))
    with pytest.raises(ProviderRefused):
        await house.ask()
    assert house.asked() == "a"


# --- repeats


@pytest.mark.parametrize(
    "play",
    [
        failing(408),
        failing(409),
        failing(429),
        failing(500),
        failing(503),
        failing(529),
        unsent(),
        closed(),
    ],
)
async def test_what_cost_nothing_is_asked_again(play: Play) -> None:
    house = House("ant")
    house.play("ant", play, well())
    assert (await house.ask()).receipt
    assert house.asked() == "aa"
    assert len(await house.rows()) == 1


@pytest.mark.parametrize(
    "play",
    [
        ProviderTimeout("silent"),
        NetworkFailure("eof inside the head"),
        streamed(NetworkFailure("reset")),
        streamed(ProviderTimeout("silent")),
        failing(200, "half"),
        failing(307),
        failing(500, x_should_retry="false"),
    ],
)
async def test_what_may_have_been_billed_or_is_for_ever_is_asked_elsewhere_only(play: Play) -> None:
    house = House("ant", "bee")
    house.play("ant", play)
    house.play("bee", well())
    await house.ask()
    assert house.asked() == "ab"
    assert house.slept == []


async def test_a_connection_that_breaks_before_any_answer_is_tried_once_more_only() -> None:
    house = House("ant")
    house.play("ant", *[closed() for _ in range(4)])
    with pytest.raises(NetworkFailure):
        await house.ask()
    assert house.asked() == "aa"


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"retry_after": "3"}, 3.0),
        ({"retry_after_ms": "1500", "retry_after": "3"}, 1.5),
        ({"retry_after": "Mon, 05 Jan 2026 00:00:07 GMT"}, 7.0),
        ({"retry_after": "soon"}, 0.125),
        ({}, 0.125),
    ],
)
async def test_the_providers_hint_is_waited_for_else_a_jittered_moment(headers: dict[str, str], waited: float) -> None:
    house = House("ant")
    house.play("ant", failing(429, **headers), well())
    await house.ask()
    assert house.slept == [waited]


async def test_a_hint_in_the_body_is_waited_for() -> None:
    house = House("ant")
    house.play("ant", failing(429, "Please try again in 2.5s."), well())
    await house.ask()
    assert house.slept == [2.5]


async def test_backoff_doubles_up_to_the_number_of_repeats() -> None:
    house = House("ant", chance=lambda: 1.0)
    house.play("ant", *[failing(503) for _ in range(4)])
    with pytest.raises(ProviderUnavailable):
        await house.ask()
    assert house.slept == [0.25, 0.5, 1.0]


async def test_a_rate_limit_is_waited_for_three_times_and_then_the_next_provider_is_asked() -> None:
    house = House("ant", "bee")
    house.play("ant", *[failing(429) for _ in range(4)])
    house.play("bee", well())
    await house.ask()
    assert house.asked() == "aaaab"


async def test_a_long_hint_is_not_waited_for_but_told() -> None:
    house = House("ant", "bee")
    house.play("ant", failing(429, retry_after="2"))
    house.play("bee", failing(429, retry_after="30"))
    with pytest.raises(ProviderRateLimited) as caught:
        await house.ask()
    assert (house.asked(), house.slept, caught.value.retry_after) == ("ab", [], 30.0)


async def test_all_attempts_end_with_one_deadline() -> None:
    house = House("ant", "bee", rules=RouterRules(retry_count=9, deadline=5.0))
    house.play("ant", *[failing(429, retry_after="1") for _ in range(9)])
    house.play("bee", failing(429, retry_after="1"))
    with pytest.raises(ProviderRateLimited):
        await house.ask()
    assert house.asked() == "aaaaab"
    assert house.slept == [1.0] * 4


async def test_an_attempt_after_the_first_is_cut_at_the_deadline() -> None:
    house = House("ant", "bee", rules=RouterRules(retry_count=0, deadline=0.05))
    house.play("ant", failing(503))
    house.play("bee", asyncio.Event())
    with pytest.raises(ProviderTimeout, match=r"within 0\.05 s"):
        await house.ask()
    (row,) = await house.rows()
    assert (row.provider, row.outcome, row.error) == ("bee", Outcome.FAILED, "provider_timeout")


async def test_a_caller_who_leaves_during_a_wait_leaves_one_row_and_no_attempt() -> None:
    house = House("ant")
    waiting = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    house.router._sleep = sleep
    house.play("ant", failing(503), well())
    task = asyncio.create_task(house.ask())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert house.asked() == "a"
    (row,) = await house.rows()
    assert row.outcome == Outcome.CANCELLED
    assert house.admission.running == 0


async def test_every_attempt_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    house = House("ant", "bee")
    house.play("ant", failing(503))
    house.play("bee", failing(500), well())
    with caplog.at_level(logging.INFO, "dominion.router"):
        await house.ask()
    assert [record.getMessage() for record in caplog.records] == [
        "req_1: ant failed after 0 ms (provider_unavailable, status 503), not asking it again",
        "req_1: bee failed after 0 ms (provider_unavailable, status 500), asking it again in 0.125 s",
        "req_1: bee answered after 0 ms",
    ]
    known = house.router.snapshot()
    assert (known["ant"]["answered"], known["ant"]["failed"]) == (0, 1)
    assert (known["bee"]["answered"], known["bee"]["failures"]) == (1, {"provider_unavailable": 1})
    assert known["ant"]["last_failure"]["status"] == 503


# --- the circuit breaker

QUICK = RouterRules(retry_count=0, breaker=BreakerRules(minimum=4, window=10.0, pause=2.0))


async def broken(count: int = 4) -> House:
    """A house whose first provider has failed so often that it rests."""
    house = House("ant", "bee", rules=QUICK)
    for _ in range(count):
        house.play("ant", failing(503))
        house.play("bee", well())
        await house.ask()
    assert house.asked() == "ab" * count
    return house


async def test_a_provider_that_fails_too_often_rests_and_is_tried_out_by_one_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "dominion.router"):
        house = await broken()
    assert "ant fails too often and rests for 2.0 s" in caplog.text
    assert house.router.snapshot()["ant"]["state"] == "open"
    house.play("bee", well(), well())
    await house.ask()
    assert house.asked() == "b"
    house.clock.move(2.0)
    assert house.router.snapshot()["ant"]["state"] == "half-open"
    go = asyncio.Event()
    house.play("ant", go, well())
    probe = asyncio.create_task(house.ask())
    await house.upstream.waiting.wait()
    await house.ask()
    assert house.asked() == "ab"  # while one request tries it out, others go elsewhere
    go.set()
    await probe
    assert house.asked() == ""
    assert house.router.snapshot()["ant"]["state"] == "closed"


async def test_a_failed_try_makes_the_rest_longer() -> None:
    house = await broken()
    for pause in (2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        assert house.router.snapshot()["ant"]["tried_again_in_seconds"] == pause
        house.clock.move(pause)
        house.play("ant", failing(503))
        house.play("bee", well())
        await house.ask()
        assert house.asked() == "ab"
    assert house.router.snapshot()["ant"]["times_opened"] == 7


async def test_a_resting_provider_is_still_asked_when_all_others_fail() -> None:
    house = await broken()
    house.play("bee", failing(503))
    house.play("ant", well())
    await house.ask()
    assert house.asked() == "ba"


async def test_streams_that_break_count_against_their_provider() -> None:
    house = House("ant", "bee", rules=QUICK)
    house.play("ant", well(), well())
    await house.ask()
    await house.ask()
    assert house.asked() == "aa"
    for _ in range(4):
        house.play("ant", streamed(text_event("Hel"), NetworkFailure("reset")))
        await house.ask(stream=True)
        assert house.asked() == "a"
    assert house.router.snapshot()["ant"]["failures"] == {"provider_unreachable": 4}
    house.play("bee", well())
    await house.ask()
    assert house.asked() == "b"


async def test_the_only_provider_is_never_locked_out() -> None:
    house = House("ant", rules=QUICK)
    for _ in range(20):
        house.play("ant", failing(503))
        with pytest.raises(ProviderUnavailable):
            await house.ask()
    house.play("ant", well())
    await house.ask()
    assert house.asked() == "a" * 21


async def test_a_caller_who_leaves_does_not_end_the_trying_out() -> None:
    house = await broken()
    house.clock.move(2.0)
    house.play("ant", asyncio.Event(), well())
    task = asyncio.create_task(house.ask())
    await house.upstream.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await house.ask()
    assert house.asked() == "aa"


async def test_faults_of_callers_never_open_a_breaker() -> None:
    house = House("ant", "bee", rules=QUICK)
    for _ in range(20):
        house.play("ant", failing(400, "wrong"))
        with pytest.raises(ProviderRefused):
            await house.ask()
    assert house.router.snapshot()["ant"]["state"] == "closed"


async def test_repeats_of_a_provider_that_is_down_are_bounded() -> None:
    house = House("ant", chance=lambda: 0.0)
    asked = 0
    for _ in range(200):
        house.play("ant", *[failing(503) for _ in range(4)])
        with pytest.raises(ProviderUnavailable):
            await house.ask()
        asked += len(house.asked())
        house.upstream.plays.clear()
    assert asked == 200 + 100 + (200 + 175) // 5  # of 800: one each, the free repeats, and a fifth of all attempts
