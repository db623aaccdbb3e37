"""A request belongs to scopes besides its user: one verdict and one hold over all, and a refusal names its scope."""

import asyncio

import pytest

from dominion.domain.errors import InvalidRequest, ModelNotAvailable, QuotaExceeded, TooManyConcurrent
from dominion.domain.people import Limits
from dominion.domain.records import Outcome
from tests.services.house import House, failing, well

SEVEN_TOKENS = 10_000
"""Nano-dollars of the answer that `well` plays: 4 tokens in, 3 out, at $1 and $2 per million."""


async def test_a_request_without_scopes_that_have_limits_makes_no_standing() -> None:
    house = House("alpha")
    await house.budget("key:other", daily_requests=0)
    house.play("alpha", well())
    await house.ask(labels=("acme", "run-1"))
    assert house.scopes.standings == {}
    (row,) = await house.rows()
    assert (row.customer, row.run) == ("acme", "run-1")


@pytest.mark.parametrize("scope", ["key:k1", "customer:acme", "provider:alpha"])
async def test_the_refusal_names_the_scope_whose_limit_it_is(scope: str) -> None:
    house = House("alpha")
    await house.budget(scope, daily_requests=1)
    house.play("alpha", well())
    await house.ask(labels=("acme", ""))
    with pytest.raises(QuotaExceeded) as caught:
        await house.ask(labels=("acme", ""))
    kind, name = scope.split(":")
    assert caught.value.message == f"Daily request limit exceeded for {kind} {name}"
    assert (caught.value.scope, caught.value.limit, caught.value.used) == (scope, 1, 1)
    assert caught.value.details["scope"] == scope


async def test_the_cap_is_the_smallest_that_any_scope_affords() -> None:
    house = House("alpha", limits=Limits(daily_tokens=900))
    await house.budget("key:k1", daily_tokens=800)
    await house.budget("customer:acme", daily_spend_nano=500_000)
    house.play("alpha", well(), well())
    heard = await house.ask(labels=("acme", ""))
    assert heard.receipt is not None
    size = house.call(labels=("acme", "")).size  # each byte counts as one token of $0.000001
    assert heard.receipt.output_cap == (500_000 - size * 1_000) // 2_000
    heard = await house.ask()
    assert heard.receipt is not None
    assert heard.receipt.output_cap == 800 - 7 - house.call().size


@pytest.mark.promise("003-134", "003-135", "003-136")
@pytest.mark.parametrize("window", ["daily", "monthly"])
async def test_a_provider_whose_budget_is_used_up_is_left_out_and_named_only_when_none_is_left(window: str) -> None:
    house = House("alpha", "beta")
    limit = {f"{window}_spend_nano": SEVEN_TOKENS}
    await house.budget("provider:alpha", **limit)
    house.play("alpha", well())
    house.play("beta", well(), well())
    await house.ask()
    assert house.asked() == "b"  # its worst case does not fit into alpha's budget
    await house.budget("provider:alpha", **{f"{window}_spend_nano": 10_000_000})
    await house.ask()
    assert house.asked() == "a"
    await house.budget("provider:alpha", **limit)
    await house.ask()
    assert house.asked() == "b"
    await house.budget("provider:beta", **limit)
    with pytest.raises(QuotaExceeded, match=f"{window.title()} spend cap exceeded") as caught:
        await house.ask()
    assert caught.value.scope == "provider:beta"
    assert {row.outcome for row in await house.rows()} == {Outcome.OK}


async def test_what_is_set_aside_moves_with_the_request_to_another_provider() -> None:
    house = House("alpha", "beta")
    for name in ("alpha", "beta"):
        await house.budget(f"provider:{name}", daily_spend_nano=10_000_000)
    gate = asyncio.Event()
    house.play("alpha", failing(400 + 4))
    house.play("beta", gate, well())
    asking = asyncio.create_task(house.ask())
    await house.upstream.waiting.wait()
    alpha, beta = (house.scopes.standings[f"provider:{name}"] for name in ("alpha", "beta"))
    (hold,) = house.admission.holds.values()
    assert (alpha.running, alpha.day.held_spend, alpha.month.held_spend) == (0, 0, 0)
    assert (beta.running, beta.day.held_spend, beta.month.held_spend) == (1, hold.grant.nano, hold.grant.nano)
    gate.set()
    await asking
    assert (beta.running, beta.day.held_spend, beta.day.spend, beta.month.spend) == (0, 0, SEVEN_TOKENS, SEVEN_TOKENS)
    assert (alpha.day.spend, alpha.day.requests, beta.day.requests) == (0, 0, 1)


async def test_a_provider_without_room_is_passed_over_by_the_router_and_its_breaker_stays_closed() -> None:
    house = House("alpha", "beta")
    await house.budget("provider:beta", daily_spend_nano=1)
    house.play("alpha", failing(404))
    with pytest.raises(ModelNotAvailable, match="Daily spend cap exceeded for provider beta"):
        await house.ask()
    assert house.asked() == "a"
    assert house.router.snapshot()["beta"]["state"] == "closed"


async def test_places_at_the_same_time_of_a_key_and_a_customer() -> None:
    house = House("alpha")
    await house.budget("customer:acme", concurrent_requests=1)
    gate = asyncio.Event()
    house.play("alpha", gate, well(), well())
    asking = asyncio.create_task(house.ask(labels=("acme", "")))
    await house.upstream.waiting.wait()
    with pytest.raises(TooManyConcurrent, match="for customer acme"):
        await house.ask(labels=("acme", ""))
    gate.set()
    await asking
    await house.ask(labels=("acme", ""))


@pytest.mark.promise("003-137", "003-138")
async def test_a_run_is_warned_above_its_soft_cap_and_refused_above_its_hard_one() -> None:
    house = House("alpha")
    await house.budget("run:*", soft_run_tokens=10, hard_run_tokens=500)
    house.play("alpha", *(well() for _ in range(200)))
    warnings: list[str] = []

    async def run_on() -> None:
        for _ in range(200):
            heard = await house.ask(labels=("", "r1"), max_tokens=20)
            assert heard.receipt is not None
            warnings.append(heard.receipt.warning)

    with pytest.raises(QuotaExceeded) as caught:
        await run_on()
    assert warnings[0] == ""
    assert warnings[1] == "run r1 has used 14 tokens, its soft cap is 10"
    assert (caught.value.message, caught.value.kind) == ("Token limit exceeded for run r1", "run_tokens")
    assert caught.value.limit == 500
    assert caught.value.resets_at is None
    size = house.call(max_tokens=20).size
    assert len(warnings) * 7 + size + 16 > 500 >= (len(warnings) - 1) * 7 + size + 16
    await house.ask(labels=("", "r2"), max_tokens=20)
    house.clock.move(40 * 86_400)
    with pytest.raises(QuotaExceeded):
        await house.ask(labels=("", "r1"), max_tokens=20)


async def test_limits_that_come_while_requests_run_count_what_is_held_and_what_is_not_yet_posted() -> None:
    house = House("alpha")
    gate = asyncio.Event()
    house.play("alpha", well(), gate, well())
    await house.ask(labels=("acme", ""))
    asking = asyncio.create_task(house.ask(labels=("acme", "")))
    await house.upstream.waiting.wait()
    await house.budget("customer:acme", daily_requests=2)
    with pytest.raises(QuotaExceeded) as caught:
        await house.ask(labels=("acme", ""))
    assert caught.value.used == 2
    gate.set()
    await asking
    standing = house.scopes.standings["customer:acme"]
    assert (standing.day.requests, standing.day.held_requests, standing.running) == (2, 0, 0)


async def test_days_of_scopes_turn_and_never_turn_back() -> None:
    house = House("alpha")
    await house.budget("key:k1", daily_requests=1)
    house.play("alpha", well(), well())
    await house.ask()
    house.clock.move(86_400)
    await house.ask()
    house.clock.move(-86_400)
    with pytest.raises(QuotaExceeded):
        await house.ask()


async def test_a_model_without_a_price_is_refused_in_scopes_that_cap_money() -> None:
    house = House("alpha", prices={"alpha": None})
    await house.budget("provider:alpha", daily_requests=10)
    house.play("alpha", well())
    await house.ask()
    await house.budget("provider:alpha", monthly_spend_nano=1)
    with pytest.raises(InvalidRequest, match="price of m is not known"):
        await house.ask()


async def test_a_released_hold_gives_its_money_back_at_once_and_is_charged_when_it_ends() -> None:
    house = House("alpha")
    await house.budget("customer:acme", daily_spend_nano=10_000_000)
    gate = asyncio.Event()
    house.play("alpha", gate, well())
    asking = asyncio.create_task(house.ask(labels=("acme", "")))
    await house.upstream.waiting.wait()
    standing = house.scopes.standings["customer:acme"]
    (hold,) = house.admission.holds.values()
    assert standing.day.held_spend == hold.grant.nano > 0
    assert house.admission.release(hold.id) is hold
    assert house.admission.release("nobody") is None
    assert (standing.day.held_spend, standing.month.held_spend, hold.month.held_spend, hold.day.held_tokens) == (0,) * 4
    gate.set()
    await asking
    assert (standing.day.held_spend, standing.day.spend, hold.month.held_spend) == (0, SEVEN_TOKENS, 0)
    (row,) = await house.rows()
    assert row.over_hold
