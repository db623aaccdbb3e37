"""What models cost and which one to take: exact to the nano-dollar, in the words of specification 003."""

from collections.abc import Iterable

import pytest

from dominion.config import stub_slot
from dominion.domain.errors import InvalidRequest, UnknownModel
from dominion.domain.providers import Origin, ProviderRow, Slot, Target
from dominion.providers.catalog import Catalogue
from dominion.providers.pricebook import PriceBook
from dominion.rules.prices.choosing import difference_sentence
from dominion.services.offer.lineup import Lineup
from dominion.services.registry.advice import Advice
from tests.services.clocks import HandClock

CATALOGUE = Catalogue.load()


def slot(provider: str, *models: str) -> Slot:
    row = CATALOGUE.providers.get(provider) or ProviderRow(id=provider, name=provider, base_url="")
    return Slot(row, Target(Origin("https", "llm.example", 443), b""), models, next(iter(models), row.default_model))


class Learnt:
    """Remembers whose prices were wanted."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def learn(self, rows: Iterable[ProviderRow]) -> None:
        self.ids += [row.id for row in rows]


def advice(*slots: Slot, learnt: Learnt | None = None) -> Advice:
    """Over the prices of models.toml alone."""
    lineup = Lineup([*slots, stub_slot(CATALOGUE)], {})
    return Advice(CATALOGUE, lineup, PriceBook(CATALOGUE).price, (learnt or Learnt()).learn, HandClock())


@pytest.mark.promise("003-017", "003-018", "003-040", "003-199")
async def test_the_estimate_of_specification_003_is_exact() -> None:
    learnt = Learnt()
    found = await advice(learnt=learnt).estimate("gpt-4o", 1000, 500)
    assert (found["model"], found["cost_usd"]) == ("openai/gpt-4o", "0.007500000")
    assert (found["input_usd_per_million"], found["output_usd_per_million"]) == ("2.5", "10")
    assert learnt.ids == ["openai"]


@pytest.mark.promise("003-070")
@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini"])
async def test_a_model_is_known_by_its_name_with_and_without_its_provider_configured_or_not(name: str) -> None:
    for configured in ((), (slot("openai"),), (slot("mine", "m-1"),)):
        assert (await advice(*configured).estimate(name, 1, 1))["model"] == "openai/gpt-4o-mini"


async def test_what_has_no_name_or_no_price_is_said() -> None:
    with pytest.raises(UnknownModel):
        await advice().estimate("nobody-knows-1", 1, 1)
    with pytest.raises(InvalidRequest, match="The price of m-1 is not known"):
        await advice(slot("mine", "m-1")).estimate("mine/m-1", 1, 1)


async def test_the_difference_is_told_in_both_directions_as_a_sentence() -> None:
    more = await advice().difference("gpt-4o-mini", "gpt-4o", 10_000, 5_000)
    assert (more["from"]["cost_usd"], more["to"]["cost_usd"]) == ("0.004500000", "0.075000000")
    assert (more["difference_usd"], more["message"]) == ("0.070500000", "This will cost ~$0.07 more per run")
    less = await advice().difference("gpt-4o", "gpt-4o-mini", 10_000, 5_000)
    assert (less["difference_usd"], less["message"]) == ("-0.070500000", "This will cost ~$0.07 less per run")


@pytest.mark.parametrize(
    ("nano", "sentence"),
    [
        (0, "This will cost the same per run"),
        (50_000_000, "This will cost ~$0.05 more per run"),
        (-1_234_567_890, "This will cost ~$1.23 less per run"),
        (9_949_999, "This will cost ~$0.0099 more per run"),
        (1_250_000, "This will cost ~$0.0013 more per run"),
        (1, "This will cost ~$0.0000000010 more per run"),
        (1_000_000_000_000, "This will cost ~$1000.00 more per run"),
    ],
)
def test_a_difference_is_said_in_cents_or_in_two_digits(nano: int, sentence: str) -> None:
    assert difference_sentence(nano) == sentence


@pytest.mark.promise("003-071")
async def test_a_model_is_recommended_of_those_that_can_be_asked_within_the_budget() -> None:
    at = advice(slot("openai"))
    found = await at.recommend("0.01", "chat")
    assert (found["model"], found["configured"]) == ("openai/gpt-4o-mini", True)
    assert found["cost_usd"] == "0.000450000"
    assert found["message"] == "GPT-4o mini costs $0.00045 per run."
    none = await at.recommend("0.0000001", "chat")
    assert (none["model"], "No model" in none["message"]) == (None, True)
    assert (await advice().recommend("0.01", "chat"))["configured"] is False


@pytest.mark.parametrize(
    ("budget", "task", "param"), [("much", "chat", "budget"), ("-1", "chat", "budget"), ("1", "x", "task")]
)
async def test_a_budget_or_a_task_that_is_none_is_named(budget: str, task: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await advice().recommend(budget, task)
    assert raised.value.param == param


@pytest.mark.promise("003-024", "003-025", "003-026", "003-027", "003-028", "003-029", "003-030", "003-116")
async def test_a_model_is_shown_with_its_sizes_and_its_price_a_token() -> None:
    [found] = await advice().known(slot("openai"), ["gpt-4o"])
    told = {
        "id": "gpt-4o",
        "provider": "openai",
        "name": "GPT-4o",
        "default": True,
        "context_window": 128_000,
        "max_output": 16_384,
        "supports_streaming": True,
        "abilities": [],
        "input_usd_per_million": "2.5",
        "output_usd_per_million": "10",
        "cost_per_input_token": "0.0000025",
        "cost_per_output_token": "0.00001",
        "deprecated": None,
    }
    assert found.items() >= told.items()
    [unknown] = await advice().known(slot("openai"), ["gpt-99"])
    assert (unknown["context_window"], unknown["cost_per_input_token"], unknown["default"]) == (None, None, False)
