"""providers/pricebook.py: the operator's dated rows stand above everything else, each from its own second on."""

from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dominion.domain.prices import PriceRow
from dominion.domain.usage import Price
from dominion.providers.catalog import Catalogue
from dominion.providers.price_export import export
from dominion.providers.pricebook import PriceBook

CATALOGUE = Catalogue.load()
NOW = 1_795_000_000
SOURCE = export()
FILE = Price(input=7, output=7)


def row(number: int, valid_from: int = NOW, model: str = "gpt-4o", provider: str = "openai") -> PriceRow:
    return PriceRow(
        provider=provider, model=model, valid_from=valid_from, price=Price(input=number, output=number), number=number
    )


def book(*rows: PriceRow) -> PriceBook:
    made = PriceBook(CATALOGUE, {"openai/gpt-4o": FILE}, SOURCE)
    made.replace(rows)
    return made


def test_a_row_holds_from_its_second_on_and_before_it_what_held_before() -> None:
    prices = book(row(1, NOW), row(2, NOW + 10))
    found = [prices.explain("openai", "gpt-4o", at) for at in (NOW - 0.001, NOW, NOW + 9.999, NOW + 10)]
    one, two = Price(input=1, output=1), Price(input=2, output=2)
    assert found == [(FILE, "file"), (one, "operator"), (one, "operator"), (two, "operator")]


def test_a_later_row_for_the_same_second_replaces_the_earlier_one() -> None:
    assert book(row(2), row(1)).price("openai", "gpt-4o", NOW) == Price(input=2, output=2)


def test_every_source_is_named() -> None:
    prices = book()
    found = {model: prices.explain("openai", model, NOW)[1] for model in ("gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-99")}
    assert found == {"gpt-4o": "file", "gpt-4o-mini": "catalogue", "gpt-5": "genai-prices", "gpt-99": None}


def test_a_row_for_all_models_of_a_provider_gives_way_to_one_of_their_own() -> None:
    prices = book(row(1, NOW - 10, "*"), row(2, NOW))
    assert prices.price("openai", "gpt-4o", NOW - 1) == Price(input=1, output=1)
    assert prices.price("openai", "gpt-4o", NOW) == Price(input=2, output=2)
    assert prices.price("openai", "gpt-5", NOW) == Price(input=1, output=1)
    assert prices.price("openai", "gpt-5", NOW - 11) == book().price("openai", "gpt-5", NOW)
    assert prices.price("anthropic", "claude-sonnet-4-5", NOW) == book().price("anthropic", "claude-sonnet-4-5", NOW)


def test_a_row_is_found_by_the_callers_name_for_a_model_and_by_the_providers() -> None:
    sent = row(3, NOW, "claude-3-haiku-20240307", "anthropic")
    named = row(4, NOW, "claude-3-haiku", "anthropic")
    for name in ("claude-3-haiku", "claude-3-haiku-20240307", "Claude-3-Haiku-20240307"):
        assert book(sent).price("anthropic", name, NOW) == sent.price
    for name in ("claude-3-haiku", "claude-3-haiku-20240307"):
        assert book(named).price("anthropic", name, NOW) == named.price


def test_changes_are_seen_at_once_and_raise_the_version() -> None:
    prices = book()
    versions = [prices.version]
    assert prices.price("openai", "gpt-4o", NOW) == FILE
    prices.replace([row(1)])
    assert prices.price("openai", "gpt-4o", NOW) == Price(input=1, output=1)
    versions.append(prices.version)
    prices.learn({})
    assert prices.price("openai", "gpt-5", NOW) is None
    versions.append(prices.version)
    assert versions == sorted(set(versions))


def test_the_version_rises_once_when_a_row_begins() -> None:
    prices = book(row(1, NOW + 5), row(2, NOW + 6))
    prices.turn(NOW)
    before = prices.version
    assert [prices.turn(at) for at in (NOW + 4, NOW + 5, NOW + 5.5, NOW + 6, NOW + 7)] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert prices.version == before + 2


def test_the_history_of_a_model_is_its_rows_in_the_order_in_which_they_begin_and_what_was_before() -> None:
    prices = book(row(2, NOW + 9), row(1, NOW), row(3, NOW + 4))
    rows, before, source = prices.history("openai", "gpt-4o")
    assert [each.number for each in rows] == [1, 3, 2]
    assert [each.price for each in before] == [FILE]
    assert source == "file"


rows = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["gpt-4o", "*"])), max_size=8)


@given(rows, st.integers(-1, 31))
def test_the_row_that_holds_is_the_one_that_a_plain_search_finds(drawn: list[tuple[int, str]], second: int) -> None:
    made = [row(number, NOW + start, model) for number, (start, model) in enumerate(drawn, 1)]
    begun = [each for each in made if each.valid_from <= NOW + second]
    own = [each for each in begun if each.model == "gpt-4o"] or begun
    newest = max(own, key=attrgetter("valid_from", "number"), default=None)
    expected = FILE if newest is None else newest.price
    assert book(*made).price("openai", "gpt-4o", NOW + second) == expected
    assert (
        book(*(replace(each, note="x") for each in reversed(made))).price("openai", "gpt-4o", NOW + second) == expected
    )
