"""In which order providers are asked, what other models may stand in, and that the hold covers all of them."""

import pytest

from dominion.domain.errors import (
    ContextOverflow,
    InvalidRequest,
    ProviderUnavailable,
)
from dominion.domain.people import Limits
from dominion.services.completions.router import RouterRules
from tests.services.house import (
    CHEAP,
    DEAR,
    END,
    House,
    failing,
    streamed,
    text_event,
    well,
)

ONCE = RouterRules(retry_count=0)

# --- orderings


async def order(house: House, times: int = 1, *, stream: bool = False) -> str:
    """Who was asked first, each time."""
    for _ in range(times):
        for name in ("ant", "bee", "cow"):
            house.upstream.plays[name] = [streamed(text_event("x"), END) if stream else well()]
        await house.ask(stream=stream)
    return house.asked()


async def test_the_cheapest_goes_first_and_unknown_prices_last() -> None:
    house = House(
        "ant", "bee", "cow", rules=RouterRules(ordering="cost"), prices={"ant": None, "bee": DEAR, "cow": CHEAP}
    )
    house.play("cow", failing(500))
    house.play("bee", failing(500))
    house.play("ant", well())
    await house.ask()
    assert house.asked() == "cba"


async def test_weights_share_the_requests() -> None:
    chances = iter([0.5, 0.6, 0.9, 0.1] * 10)
    rules = RouterRules(ordering="weighted", weights={"ant": 3, "cow": 0})
    house = House("ant", "bee", "cow", rules=rules, chance=lambda: next(chances))
    assert await order(house, 2) == "aa"  # 0.5 ** (1/3) > 0.6, 0.9 ** (1/3) > 0.1
    chances = iter([0.1, 0.9])
    assert await order(house) == "b"


async def test_the_fastest_goes_first_once_all_are_known() -> None:
    house = House("ant", "bee", "cow", rules=RouterRules(ordering="latency"))
    send, takes = house.upstream.send, {"ant": 3.0, "bee": 1.0, "cow": 2.0}

    async def slow(target: object, *given: object) -> object:
        house.clock.move(takes[target.origin.host])  # type: ignore[attr-defined]
        return await send(target, *given)  # type: ignore[arg-type]

    house.upstream.send = slow  # type: ignore[assignment,method-assign]
    assert await order(house, 5) == "abcbb"
    assert house.router.snapshot()["bee"]["usual_ms"] == {"m (whole)": 1000}
    assert await order(house, 1, stream=True) == "a"  # of streams nothing is known yet


# --- other models

MODELS = {"m": [("ant", 0)], "other": [("bee", 0)], "large": [("cow", 0)]}


async def test_the_fallback_is_asked_when_all_who_serve_the_model_failed() -> None:
    house = House("ant", "bee", "cow", models=MODELS, fallback=["other"], rules=ONCE)
    house.play("ant", failing(503))
    house.play("bee", well())
    receipt = (await house.ask()).receipt
    assert receipt is not None
    assert (receipt.provider, receipt.model) == ("bee", "other")


async def test_a_prompt_that_is_too_long_goes_to_the_larger_model_if_the_operator_says_so() -> None:
    too_long = "This model's maximum context length is 8192 tokens"
    for larger in ({}, {"m": "large"}):
        house = House("ant", "bee", "cow", models=MODELS, fallback=["other"], larger=larger)
        house.play("ant", failing(400, too_long))
        house.play("cow", well())
        if larger:
            await house.ask()
            assert house.asked() == "ac"
        else:
            with pytest.raises(ContextOverflow):
                await house.ask()


# --- money


async def test_the_hold_covers_the_dearest_of_all_that_may_answer() -> None:
    prices = {"ant": CHEAP, "bee": CHEAP, "cow": DEAR}
    house = House("ant", "bee", "cow", models=MODELS, fallback=["other"], larger={"m": "large"}, prices=prices)
    held: list[int] = []

    def note() -> object:
        standing = house.admission.known("usr_1")
        assert standing is not None
        held.append(standing.month.held_spend)
        return well()

    house.play("ant", note)  # type: ignore[arg-type]
    await house.ask(max_tokens=100)
    assert held[0] >= 100 * 20_000 + 40 * 10_000
    (row,) = await house.rows()
    assert row.cost_nano == 4 * 1_000 + 3 * 2_000


async def test_a_capped_user_never_reaches_a_provider_whose_price_is_not_known() -> None:
    house = House("ant", "bee", prices={"bee": None}, limits=Limits(monthly_spend_nano=10**12), rules=ONCE)
    house.play("ant", failing(503))
    with pytest.raises(ProviderUnavailable):
        await house.ask()
    assert house.asked() == "a"
    house = House("ant", prices={"ant": None}, limits=Limits(monthly_spend_nano=10**12))
    with pytest.raises(InvalidRequest):
        await house.ask()


async def test_the_output_is_held_for_the_longest_and_sent_as_each_model_takes_it() -> None:
    house = House("ant", "bee", models={"m": [("ant", 50), ("bee", 500)]}, limits=Limits(monthly_spend_nano=10**12))
    house.play("ant", failing(503))
    house.play("bee", well())
    await house.ask()
    caps = [body.rpartition(b'"max_tokens":')[2].strip(b" }") for body, _ in house.upstream.sent]
    assert caps == [b"50", b"500"]
