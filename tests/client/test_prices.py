"""`dominion.estimate_cost` and `get_pricing`: exact, without a gateway."""

from decimal import Decimal
from pathlib import Path

import pytest

import dominion
from dominion.domain.errors import InvalidRequest, UnknownModel


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.promise("003-199", "003-017", "003-040")
def test_a_thousand_tokens_in_and_five_hundred_out_of_gpt_4o_are_exactly_0_0075_dollars(home: Path) -> None:
    assert dominion.estimate_cost("gpt-4o", 1000, 500) == Decimal("0.0075")
    assert dominion.estimate_cost("gpt-4o", *dominion.TokenCount(input=1000, output=500)) == Decimal("0.0075")
    assert dominion.estimate_cost("openai/gpt-4o", 1000, 500) == Decimal("0.0075")
    assert list(home.iterdir()) == []


@pytest.mark.promise("003-018", "003-029", "003-030")
def test_the_price_of_a_model_is_told_per_token(home: Path) -> None:
    price = dominion.get_pricing("gpt-4o")
    assert (price.provider, price.model) == ("openai", "gpt-4o")
    assert (price.cost_per_input_token, price.cost_per_output_token) == (Decimal("0.0000025"), Decimal("0.00001"))
    sonnet = dominion.get_pricing("claude-sonnet-4-5")  # which only the price source knows
    assert (sonnet.cost_per_input_token, sonnet.cost_per_output_token) == (Decimal("0.000003"), Decimal("0.000015"))
    assert [path.name.partition("-")[0] for path in (home / "dominion").iterdir()] == ["prices"]


def test_what_nobody_knows_or_prices_is_an_error_and_never_free() -> None:
    with pytest.raises(UnknownModel):
        dominion.estimate_cost("nobody's-model", 1, 1)
    with pytest.raises(InvalidRequest, match="not known"):
        dominion.get_pricing("openai/gpt-99")


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError):
        _ = dominion.nothing
