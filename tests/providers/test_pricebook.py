"""providers/pricebook.py and price_export.py: whose price counts, when, and that it is the source's own."""

import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

import pytest
from genai_prices import types as source
from genai_prices.data_snapshot import get_snapshot

from dominion.domain.errors import ConfigProblem
from dominion.domain.providers import ProviderRow
from dominion.domain.usage import NANO_PER_USD, Price, Usage
from dominion.providers.catalog import Catalogue
from dominion.providers.price_export import export
from dominion.providers.price_file import DatedPrice, price_at, with_dashed_date
from dominion.providers.pricebook import PriceBook, ensure_prices, read_prices
from dominion.rules.prices.pricing import charge

CATALOGUE = Catalogue.load()
BOOK = PriceBook(CATALOGUE, exported=export())


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = at("2026-11-21T12:00")


@pytest.mark.promise("003-199", "003-214", "003-081", "003-082")
def test_gpt_4o_costs_exactly_2_50_and_10_dollars_per_million() -> None:
    price = BOOK.price("openai", "gpt-4o", NOW)
    assert price == Price(input=2_500_000, output=10_000_000, cache_read=1_250_000)
    assert charge(Usage(input_tokens=1000, output_tokens=500), price) == 7_500_000


@pytest.mark.promise("000-058", "000-059", "000-060", "000-061", "003-089", "003-090")
@pytest.mark.parametrize(
    ("provider", "model", "day", "per_thousand"),
    [
        ("openai", "gpt-4o", "2024-06-01", ("0.005", "0.015")),
        ("openai", "gpt-4o-mini", "2026-11-21", ("0.00015", "0.0006")),
        ("anthropic", "claude-3-5-sonnet", "2026-11-21", ("0.003", "0.015")),
        ("anthropic", "claude-3-5-sonnet-20241022", "2026-11-21", ("0.003", "0.015")),
        ("anthropic", "claude-3-haiku", "2026-11-21", ("0.00025", "0.00125")),
        ("anthropic", "claude-sonnet-4-5", "2026-11-21", ("0.003", "0.015")),
    ],
)
def test_the_prices_of_the_documents_are_dated_rows_of_the_book(
    provider: str, model: str, day: str, per_thousand: tuple[str, str]
) -> None:
    price = BOOK.price(provider, model, at(day))
    assert price is not None
    expected = tuple(int(Decimal(text) * NANO_PER_USD) for text in per_thousand)
    assert (charge(Usage(input_tokens=1000), price), charge(Usage(output_tokens=1000), price)) == expected


def test_a_dated_price_begins_with_its_utc_day() -> None:
    before, after = (BOOK.price("openai", "gpt-4o", at(f"2024-10-{day}")) for day in ("01T23:59:59", "02T00:00:00"))
    assert before is not None
    assert after is not None
    assert (before.input, after.input) == (5_000_000, 2_500_000)


def test_the_operators_price_stands_above_ours_and_ours_above_the_sources() -> None:
    mine = Price(input=1, output=1)
    theirs = export()
    book = PriceBook(CATALOGUE, {"openai/gpt-4o": mine, "anthropic/claude-3-haiku": mine, "mine/*": mine}, theirs)
    assert book.price("openai", "gpt-4o", NOW) == mine
    assert book.price("anthropic", "claude-3-haiku-20240307", NOW) == mine
    assert book.price("anthropic", "claude-3-haiku", NOW) == mine
    assert book.price("mine", "whatever", NOW) == mine
    assert book.price("openai", "gpt-4o-mini", NOW) == PriceBook(CATALOGUE).price("openai", "gpt-4o-mini", NOW)
    assert PriceBook(CATALOGUE).price("openai", "gpt-5", NOW) is None
    assert book.price("openai", "gpt-5", NOW) == Price(input=1_250_000, output=10_000_000, cache_read=125_000)


def test_our_own_newest_prices_are_still_those_of_the_source() -> None:
    for (provider, model), row in CATALOGUE._rows.items():
        if row.price is not None:
            theirs = BOOK._from_source(provider, row.sends or model)
            assert price_at(theirs, NOW) == row.price, model


def test_a_model_that_nobody_prices_is_unpriced_and_not_free() -> None:
    assert BOOK.price("openai", "gpt-99-ultra", NOW) is None
    assert BOOK.price("lepton", "llama3-3-70b", NOW) is None
    assert BOOK.price("openai", "whisper-1", NOW) is None


def test_an_endpoint_of_the_operators_own_is_not_priced_by_its_name() -> None:
    assert "aws" in export()
    assert BOOK.price("aws", "anthropic.claude-3-haiku-20240307-v1:0", NOW) is None


def test_every_stub_and_every_local_model_has_a_nominal_price() -> None:
    for model in ("echo", "answer-5", "stub"):
        assert BOOK.price("stub", model, NOW) == Price(input=1_000_000, output=2_000_000)
    assert BOOK.price("llamacpp", "local-model", NOW) == Price(input=20_000, output=80_000)


def test_the_model_named_by_the_document_is_priced_as_what_is_sent() -> None:
    assert BOOK.price("anthropic", "claude-haiku-4", NOW) == BOOK.price("anthropic", "claude-haiku-4-5", NOW)
    assert BOOK.price("gemini", "gemini-2.5-flash", NOW) is not None


def test_the_book_remembers_a_bounded_number_of_names() -> None:
    book = PriceBook(CATALOGUE)
    for number in range(5000):
        book.price("openai", f"gpt-{number}", NOW)
    assert len(book._found) <= 2000


@pytest.mark.parametrize(
    ("clock", "holds"), [("00:29", 1), ("00:30", 2), ("16:29", 2), ("16:30", 1), ("23:00", 3), ("00:15", 3)]
)
def test_prices_by_the_hour_hold_between_their_utc_times_also_across_midnight(clock: str, holds: int) -> None:
    def price(rate: int) -> Price:
        return Price(input=rate, output=rate)

    rows = (
        DatedPrice(price(1)),
        DatedPrice(price(2), daily=(1800, 59_400)),
        DatedPrice(price(3), daily=(82_800, 1200)),
    )
    assert price_at(rows, at(f"2026-01-05T{clock}")).input == holds


def test_a_date_is_found_in_either_spelling() -> None:
    assert with_dashed_date("gpt-5.2-20251211") == "gpt-5.2-2025-12-11"
    assert with_dashed_date("gpt-5.2-20251399") == "gpt-5.2-20251399"
    assert BOOK.price("openai", "gpt-5.2-20251211", NOW) == BOOK.price("openai", "gpt-5.2", NOW)


# --- the whole export against the source's own calculation ----------------------------------------------------------

EVERYONE = PriceBook(
    Catalogue([ProviderRow(id=each.id, name=each.id, base_url="") for each in get_snapshot().providers], []),
    exported=export(),
)
TOKEN_KEYS = {
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "cache_write_1h_mtok",
    "requests_kcount",
}
# Priced by things that this gateway does not count: left out of the comparison, as no text request has them.
BESIDE_TOKENS = ("audio", "image", "video", "searches", "kpages", "citation", "mchars", "hours", "messages")


def _cases() -> Iterator[tuple[str, str, source.ModelInfo]]:
    for provider in get_snapshot().providers:
        for model in provider.models:
            found = provider.find_model(model.id)
            if found is not None:
                yield provider.id, model.id, found


@pytest.mark.parametrize("when", ["2026-11-21T12:00", "2026-08-20T02:30", "2025-06-10T00:00", "2024-05-01T23:59"])
def test_every_price_of_the_source_charges_what_the_source_itself_calculates(when: str) -> None:
    dice = random.Random(when)
    moment = datetime.fromisoformat(when).replace(tzinfo=UTC)
    compared = 0
    for provider, name, model in _cases():
        prices = model.get_prices(moment)
        price = EVERYONE.price(provider, name, moment.timestamp())
        if price is None:
            rows = [model.prices] if isinstance(model.prices, source.ModelPrice) else [x.prices for x in model.prices]
            assert any(row.input_mtok is None or row.output_mtok is None for row in rows), (provider, name)
            continue
        keys = {key for key, value in vars(prices).items() if value is not None}
        keys = {key for key in keys if not any(part in key for part in BESIDE_TOKENS)}
        if not keys <= TOKEN_KEYS or not _exact(prices):
            continue
        whole = dice.choice((dice.randrange(1, 5000), dice.randrange(1, 2_000_000)))
        read = dice.randrange(whole)
        write = dice.randrange(whole - read)
        usage = Usage(
            input_tokens=whole,
            output_tokens=dice.randrange(100_000),
            cache_read_tokens=read,
            cache_write_tokens=write,
            cache_write_1h_tokens=dice.randrange(write + 1),
        )
        assert charge(usage, price) == _their_nano(prices, usage), (provider, name)
        compared += 1
    assert compared > 1800


def _their_nano(prices: source.ModelPrice, usage: Usage) -> int:
    theirs = prices.calc_price(
        source.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
        )
    )
    return int((theirs["total_price"] * NANO_PER_USD).to_integral_value(ROUND_CEILING))


def _exact(prices: source.ModelPrice) -> bool:
    """Whether the source's digits are not the residue of a float."""
    values = [getattr(prices, key) for key in TOKEN_KEYS]
    return all(value is None or isinstance(value, source.TieredPrices) or value * 10**6 % 1 == 0 for value in values)


# --- the file -------------------------------------------------------------------------------------------------------


def test_the_price_file_is_made_once_by_another_process_and_replaces_those_of_older_versions(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "prices-0.0.1.msgpack").write_bytes(b"old")
    path = ensure_prices(folder)
    assert [each.name for each in folder.iterdir()] == [path.name]
    made = path.stat().st_mtime_ns
    assert ensure_prices(folder) == path
    assert path.stat().st_mtime_ns == made
    assert dict(read_prices(path)) == export()


def test_a_price_file_that_cannot_be_made_or_read_is_a_config_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigProblem, match="could not be exported"):
        ensure_prices(tmp_path / "file" / "data")
    (tmp_path / "prices.msgpack").write_bytes(b"\x01garbage")
    with pytest.raises(ConfigProblem, match="cannot be read"):
        read_prices(tmp_path / "prices.msgpack")
    with pytest.raises(ConfigProblem, match="cannot be read"):
        read_prices(tmp_path / "none.msgpack")


def test_the_server_side_never_loads_the_price_source() -> None:
    code = (
        "import sys, dominion.config, dominion.providers.pricebook, dominion.providers.stub_upstream\n"
        "print({'genai_prices', 'pydantic', 'httpx2'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "set()"
