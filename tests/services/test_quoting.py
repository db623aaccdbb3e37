"""services/prices/quoting.py: what a quote says at most is what would be set aside, and nobody is asked."""

import json
from typing import Any

import msgspec
import pytest

from dominion.domain.contracts import Call
from dominion.domain.errors import InvalidRequest, MaxCostExceeded, RateLimited, UnknownModel
from dominion.domain.people import Limits
from dominion.domain.usage import Price, usd
from dominion.services.prices.quoting import Quoting
from dominion.wire.fields import read_fields
from dominion.wire.native.dialect import NATIVE
from tests.services.house import CHEAP, DEAR, Heard, House, well

PRICED = {"models": {"m": [("acme", 0)], "n": [("best", 0)]}, "prices": {"acme": CHEAP, "best": DEAR}}


def house(**changes: Any) -> House:
    return House("acme", "best", **{**PRICED, **changes})


def call(house: House, **fields: Any) -> Call:
    """A native request, as compact as it can be written."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi, quote me."}], **fields}
    raw = json.dumps(body, separators=(",", ":")).encode()
    return msgspec.structs.replace(house.call(), door=NATIVE, fields=read_fields(raw), size=len(raw))


async def quoted(house: House, **fields: Any) -> dict[str, Any]:
    heard = Heard()
    quoting = Quoting(house.completions._routing, house.completions, house.admission, house.clock)
    await quoting.answer(call(house, **fields), heard)
    told: dict[str, Any] = json.loads(heard.body)
    return told


async def test_the_most_is_what_is_set_aside_for_the_same_request_to_the_nano_dollar() -> None:
    one = house()
    told = (await quoted(one, max_tokens=100))["quotes"][0]
    asked = call(one, max_tokens=100)
    held: list[int] = []

    def answer() -> Any:
        held.extend(hold.grant.nano for hold in one.admission.holds.values())
        return well()

    one.play("acme", answer)
    await one.completions.answer(asked, Heard())
    assert held == [told["most_nano"]]
    assert told["most_usd"] == usd(held[0])


@pytest.mark.promise("003-009")
async def test_several_models_are_quoted_side_by_side_with_their_difference() -> None:
    told = await quoted(house(), models=["m", "n"], max_tokens=100)
    first, second = told["quotes"]
    assert (first["model"], first["provider"], first["difference"]) == ("m", "acme", None)
    assert (first["input_usd_per_million"], second["input_usd_per_million"]) == ("1", "10")
    for kind in ("likely_nano", "most_nano"):
        assert second["difference"][kind] == second[kind] - first[kind]
        assert second[kind] == 10 * first[kind]
    assert second["difference"]["message"].startswith("This will cost ~$0.00")
    reverse = (await quoted(house(), models=["n", "m"], max_tokens=100))["quotes"][1]["difference"]
    assert reverse["most_nano"] == -second["difference"]["most_nano"]


async def test_naming_models_does_not_change_what_a_request_is_quoted_for() -> None:
    alone = (await quoted(house(), max_tokens=100))["quotes"][0]
    among = (await quoted(house(), max_tokens=100, models=["m", "n"]))["quotes"][0]
    assert among == alone


async def test_nobody_is_asked_and_nothing_is_charged_or_held() -> None:
    one = house()
    await quoted(one)
    assert one.asked() == ""
    assert await one.rows() == []
    assert one.admission.running == 0
    standing = await one.admission.standing(one.user)
    assert (standing.day.requests, standing.month.spend, standing.month.held_spend) == (0, 0, 0)


async def test_what_is_left_of_the_month_is_told_and_whether_the_request_fits() -> None:
    one = house(limits=Limits(monthly_spend_nano=200_000))
    told = await quoted(one, max_tokens=10, models=["m", "n"])
    assert (told["budget"]["remaining_nano"], told["budget"]["remaining_usd"]) == (200_000, "0.000200000")
    assert told["budget"]["resets_at"] == "2026-02-01T00:00:00Z"
    assert [each["fits"] for each in told["quotes"]] == [True, False]
    assert (await quoted(house()))["budget"]["remaining_nano"] is None


async def test_a_model_without_a_price_is_quoted_without_money() -> None:
    told = (await quoted(house(prices={"acme": CHEAP, "best": None}), models=["m", "n"]))["quotes"]
    unpriced = told[1]
    money = ("likely_usd", "most_usd", "likely_nano", "input_usd_per_million", "difference", "fits")
    assert {unpriced[name] for name in money} == {None}
    assert unpriced["output_tokens"]["most"] == 1000


async def test_a_quote_counts_against_the_rate() -> None:
    one = house(limits=Limits(requests_per_minute=2))
    await quoted(one)
    await quoted(one)
    with pytest.raises(RateLimited):
        await quoted(one)


@pytest.mark.parametrize("models", [[], "m", [1], ["m"] * 21, {}], ids=str)
async def test_models_that_are_no_list_of_names_are_refused(models: Any) -> None:
    with pytest.raises(InvalidRequest, match="models"):
        await quoted(house(), models=models)


async def test_a_model_that_nobody_serves_has_no_quote() -> None:
    with pytest.raises(UnknownModel):
        await quoted(house(), models=["m", "nobody's"])


# --- the most that a caller allows


async def limited(one: House, nano: int, **fields: Any) -> Heard:
    heard = Heard()
    await one.completions.answer(msgspec.structs.replace(call(one, **fields), max_nano=nano), heard)
    return heard


async def test_a_request_runs_when_it_may_cost_what_is_allowed_and_is_refused_for_a_nano_dollar_less() -> None:
    one = house()
    most = (await quoted(one, max_tokens=100))["quotes"][0]["most_nano"]
    one.play("acme", well())
    assert (await limited(one, most, max_tokens=100)).body
    with pytest.raises(MaxCostExceeded, match="up to 100 tokens"):
        await limited(one, most - 1, max_tokens=100)
    assert one.asked() == "a"
    assert (len(await one.rows()), one.admission.running) == (1, 0)


async def test_the_dearest_that_may_answer_counts_against_the_maximum() -> None:
    one = house(fallback=["n"])
    cheap = (await quoted(house(), max_tokens=100))["quotes"][0]["most_nano"]
    with pytest.raises(MaxCostExceeded):
        await limited(one, cheap, max_tokens=100)


async def test_an_unpriced_model_is_above_every_maximum() -> None:
    with pytest.raises(MaxCostExceeded, match="not known"):
        await limited(house(prices={"acme": None, "best": None}), 10**12)


async def test_a_free_model_is_below_every_maximum() -> None:
    one = house(prices={"acme": Price(input=0, output=0), "best": DEAR})
    one.play("acme", well())
    assert (await limited(one, 0)).body


@pytest.mark.parametrize(("limits", "sent"), [(Limits(monthly_spend_nano=10**12), b"50"), (Limits(), b"900")])
async def test_with_a_budget_no_provider_is_asked_for_a_longer_answer_than_was_held_for(
    limits: Limits, sent: bytes
) -> None:
    """What is known of a model's longest output comes from others, and may be too little."""
    one = house(models={"m": [("acme", 50)], "n": [("best", 0)]}, limits=limits)
    one.play("acme", well())
    await one.ask(max_tokens=900)
    ((body, _),) = one.upstream.sent
    assert body.rpartition(b'"max_tokens":')[2].strip(b" }") == sent
