"""Another model answers, or is proposed with its price: by the operator's choice, by the caller's, and on agreement."""

import logging

import pytest

from dominion.domain.errors import (
    ContextOverflow,
    InvalidRequest,
    ProviderRefused,
    ProviderUnavailable,
    StorageUnavailable,
    SwitchProposed,
    UnknownModel,
)
from dominion.domain.people import Limits
from dominion.domain.records import HoldRecord, Outcome
from dominion.domain.usage import usd
from dominion.rules.routing.breaker import BreakerRules
from dominion.services.completions.fallback_audit import FallbackAudit
from dominion.services.completions.router import RouterRules
from dominion.stores.memory.registry import MemoryAudit
from tests.services.house import CHEAP, DEAR, House, closed, failing, well

ONCE = RouterRules(retry_count=0)
MODELS = {"m": [("ant", 0)], "other": [("bee", 0)], "third": [("cow", 0)]}
ORDER = ["other", "third"]


def house(**changes: object) -> House:
    """Three providers with a model each, the second ten times as dear."""
    chosen = {"models": MODELS, "fallback": ORDER, "rules": ONCE, "prices": {"bee": DEAR, "cow": CHEAP}} | changes
    return House("ant", "bee", "cow", **chosen)  # type: ignore[arg-type]


# --- without asking


@pytest.mark.promise("003-169", "003-170", "003-174", "003-205", "003-217")
async def test_other_models_are_asked_in_the_order_of_the_configuration() -> None:
    all_down = house()
    for name in ("ant", "bee"):
        all_down.play(name, failing(503))
    all_down.play("cow", well())
    receipt = (await all_down.ask()).receipt
    assert receipt is not None
    assert (all_down.asked(), receipt.provider, receipt.model, receipt.attempts) == ("abc", "cow", "third", 3)
    without = house(fallback=[])
    without.play("ant", failing(503))
    with pytest.raises(ProviderUnavailable) as caught:
        await without.ask()
    assert (without.asked(), caught.value.attempts) == ("a", 1)


@pytest.mark.promise("003-171", "003-172", "003-173", "003-175", "003-220")
async def test_a_rate_limit_is_waited_for_three_times_then_the_fallback_is_asked_and_then_the_caller_is_told() -> None:
    home = house(rules=RouterRules(), fallback=["other"])
    home.play("ant", *[failing(429) for _ in range(4)])
    home.play("bee", failing(500), failing(500), failing(500), failing(500))
    with pytest.raises(ProviderUnavailable) as caught:
        await home.ask()
    assert (home.asked(), caught.value.attempts) == ("aaaabbbb", 8)


@pytest.mark.promise("003-234")
@pytest.mark.parametrize(
    "play",
    [
        *(failing(status) for status in (401, 402, 403, 404, 408, 409, 420, 429, 500, 502, 503, 504, 529)),
        failing(200, "not an answer"),
        closed(),
    ],
)
async def test_the_fallback_answers_whatever_the_wanted_provider_fails_with(play: object) -> None:
    home = house()
    home.play("ant", play)  # type: ignore[arg-type]
    home.play("bee", well())
    assert (await home.ask()).receipt is not None
    assert home.asked() == "ab"


# --- asking first


@pytest.mark.parametrize("by", ["setting", "caller"])
async def test_a_switch_is_proposed_with_its_price_difference_and_nobody_else_is_asked(by: str) -> None:
    home = house(ask_first=by == "setting")
    home.play("ant", failing(503))
    with pytest.raises(SwitchProposed) as caught:
        await home.ask(first=by == "caller", max_tokens=1000)
    proposed = caught.value
    assert home.asked() == "a"
    assert proposed.model == "bee/other"
    assert (proposed.more_input_usd_per_million, proposed.more_output_usd_per_million) == ("9", "18")
    (hold,) = [record for record in home.journal.left if isinstance(record, HoldRecord)]
    assert proposed.more_request_usd == usd(9_000 * hold.likely_input + 18_000 * 1000)
    assert proposed.message.startswith("Ant is unavailable right now.")
    assert proposed.message.endswith("Switch to other at Bee? This will cost ~$0.02 more per run.")
    assert proposed.action == "Send it again with the header x-dominion-accept: bee/other"
    (row,) = await home.rows()
    assert (row.outcome, row.cost_nano, row.error) == (Outcome.FAILED, 0, "provider_unavailable")
    assert home.admission.running == 0


async def test_what_was_agreed_to_runs_and_when_it_fails_the_next_is_proposed() -> None:
    home = house(ask_first=True)
    home.play("bee", well())
    receipt = (await home.ask(accept="bee/other")).receipt
    assert receipt is not None
    assert (home.asked(), receipt.model) == ("b", "other")
    home.play("bee", failing(503))
    with pytest.raises(SwitchProposed) as caught:
        await home.ask(accept="bee/other")
    assert (home.asked(), caught.value.model) == ("b", "cow/third")
    assert caught.value.message.endswith("This will cost the same per run.")
    home.play("cow", failing(503))
    with pytest.raises(ProviderUnavailable):  # there is nobody left
        await home.ask(accept="cow/third")


async def test_only_what_is_offered_can_be_agreed_to() -> None:
    home = house()
    for name in ("ant/m", "cow/other", "x" * 1000):
        with pytest.raises(InvalidRequest, match="does not stand in for this model"):
            await home.ask(accept=name)
    assert home.asked() == ""


async def test_a_prompt_that_is_too_long_leads_to_the_larger_model_only() -> None:
    too_long = "This model's maximum context length is 8192 tokens"
    home = house(ask_first=True, larger={"m": "third"}, fallback=["other"])
    home.play("ant", failing(400, too_long))
    with pytest.raises(SwitchProposed) as caught:
        await home.ask()
    assert caught.value.model == "cow/third"
    home.play("cow", well())
    await home.ask(accept="cow/third")
    assert home.asked() == "ac"
    home = house(ask_first=True)
    home.play("ant", failing(400, too_long))
    with pytest.raises(ContextOverflow):  # no larger one is known
        await home.ask()


async def test_a_fault_of_the_request_is_no_reason_to_switch() -> None:
    home = house(ask_first=True)
    home.play("ant", failing(400, "temperature is wrong"))
    with pytest.raises(ProviderRefused):
        await home.ask()


async def test_a_difference_that_nobody_knows_is_said_and_never_offered_to_who_has_a_budget() -> None:
    prices = {"bee": None}
    home = house(ask_first=True, prices=prices)
    home.play("ant", failing(503))
    with pytest.raises(SwitchProposed) as caught:
        await home.ask()
    assert caught.value.more_request_usd is None
    assert caught.value.message.endswith("What it costs more is not known.")
    capped = house(ask_first=True, prices=prices, limits=Limits(monthly_spend_nano=10**12))
    capped.play("ant", failing(503))
    with pytest.raises(SwitchProposed) as caught:
        await capped.ask()
    assert caught.value.model == "cow/third"


async def test_what_is_set_aside_covers_the_other_model_only_once_it_may_answer() -> None:
    held = {}
    for accept in ("", "bee/other"):
        home = house(ask_first=True)

        def note(home: House = home, accept: str = accept) -> object:
            standing = home.admission.known("usr_1")
            assert standing is not None
            held[accept] = standing.month.held_spend
            return well()

        home.play("bee" if accept else "ant", note)  # type: ignore[arg-type]
        await home.ask(accept=accept)
    assert held["bee/other"] == 10 * held[""]


# --- names


@pytest.mark.parametrize("alias", ["fast", "m"])
async def test_an_alias_is_served_by_its_models_in_their_order(alias: str) -> None:
    home = house(fallback=[], aliases={alias: ["third", "nobody-has-it", "m", "third"]})
    home.play("cow", failing(503))
    home.play("ant", well())
    receipt = (await home.ask(model=alias)).receipt
    assert receipt is not None
    assert (home.asked(), receipt.model) == ("ca", "m")


async def test_an_alias_of_nothing_that_is_served_is_an_unknown_model(caplog: pytest.LogCaptureFixture) -> None:
    home = house(fallback=["fast"], aliases={"fast": ["gone"]})
    with pytest.raises(UnknownModel, match="No provider here serves what 'fast' stands for"):
        await home.ask(model="fast")
    home.play("ant", well())
    with caplog.at_level(logging.WARNING, "dominion.routing"):
        await home.ask()
    assert "The configuration names the model gone, but: No provider" in caplog.text


async def test_aliases_stand_in_too() -> None:
    home = house(fallback=["fast"], aliases={"fast": ["third", "other"]})
    home.play("ant", failing(503))
    home.play("cow", well())
    await home.ask()
    assert home.asked() == "ac"


# --- the audit log


@pytest.mark.promise("003-197")
async def test_the_audit_log_says_once_a_minute_that_another_model_stood_in() -> None:
    home = house()
    for _ in range(3):
        home.play("ant", failing(503))
        home.play("bee", well())
        await home.ask()
    home.clock.move(60)
    home.play("ant", failing(503))
    home.play("bee", well())
    await home.ask()
    await home.stood_in.close()
    entries = await home.audit.entries()
    assert [(each.actor, each.action, each.subject, each.request_id) for each in entries] == [
        ("system", "fallback_triggered", "provider:ant", "req_1"),
        ("system", "fallback_triggered", "provider:ant", "req_4"),
    ]
    assert (entries[0].before, entries[0].after) == ({"model": "ant/m"}, {"model": "bee/other"})


async def test_a_fallback_for_a_provider_that_rests_is_said_and_an_answer_of_the_wanted_one_is_not() -> None:
    home = house(rules=RouterRules(retry_count=0, breaker=BreakerRules(minimum=1)), fallback=["other"])
    home.play("ant", well())
    await home.ask()
    home.play("ant", failing(503), failing(503))
    home.play("bee", well(), well())
    await home.ask()
    home.clock.move(1)
    await home.ask()
    assert home.asked() == "aab" + "b"
    await home.stood_in.close()
    assert len(await home.audit.entries()) == 1


async def test_an_audit_log_that_fails_is_logged_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def before() -> None:
        raise StorageUnavailable("gone")

    home = house()
    stood_in = FallbackAudit(MemoryAudit(b"a" * 32, before), home.clock)
    home.router._listeners = home.router._listeners._replace(stands_in=stood_in.note)
    home.play("ant", failing(503))
    home.play("bee", well())
    with caplog.at_level(logging.WARNING, "dominion.router"):
        await home.ask()
        await stood_in.close()
    assert "the audit log does not say that bee/other stood in: gone" in caplog.text
