"""providers/catalog.py and its data: what model names mean, with and without configured providers."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.errors import UnknownModel, UnknownProvider
from dominion.domain.providers import ModelRow, Origin, ProviderRow, Slot, Target
from dominion.providers import catalog
from dominion.providers.address import address
from dominion.providers.catalog import Catalogue
from dominion.providers.catalog_files import read_other_apis

CATALOGUE = Catalogue.load()
DATA = Path(catalog.__file__).parent


def slot(provider: str, *models: str, default: str | None = None) -> Slot:
    row = CATALOGUE.providers.get(provider) or ProviderRow(id=provider, name=provider, base_url="https://x.example")
    default_model = row.default_model if default is None else default
    return Slot(row, Target(Origin("https", "x.example", 443), b""), models, default_model)


STUB = slot("stub")
BOTH = [slot("anthropic"), slot("openai"), STUB]
DEMO = [STUB]


def answers(model: str, slots: Sequence[Slot], provider: str = "auto") -> list[str]:
    return [f"{each.row.id}/{sends}" for each, sends, _ in CATALOGUE.resolve(model, provider, slots)]


@pytest.mark.promise("000-038", "000-039", "000-040", "000-041", "000-042", "000-043", "000-044", "001-001")
@pytest.mark.promise("002-022", "002-023", "002-024", "002-025", "002-026", "002-027", "002-028", "001-038")
@pytest.mark.promise("003-073", "003-074", "003-075", "003-076", "003-084", "003-085", "003-086")
@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("gpt-4o-mini", "openai/gpt-4o-mini"),
        ("gpt-4-turbo", "openai/gpt-4-turbo"),
        ("gpt-4-turbo-preview", "openai/gpt-4-turbo-preview"),
        ("gpt-4", "openai/gpt-4"),
        ("gpt-3.5-turbo", "openai/gpt-3.5-turbo"),
        ("o1", "openai/o1"),
        ("o3-mini", "openai/o3-mini"),
        ("claude-3-5-sonnet", "anthropic/claude-3-5-sonnet-20241022"),
        ("claude-3-5-sonnet-20241022", "anthropic/claude-3-5-sonnet-20241022"),
        ("claude-3-opus", "anthropic/claude-3-opus-20240229"),
        ("claude-3-sonnet", "anthropic/claude-3-sonnet-20240229"),
        ("claude-3-haiku", "anthropic/claude-3-haiku-20240307"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("claude-opus-4-5", "anthropic/claude-opus-4-5"),
        ("claude-haiku-4", "anthropic/claude-haiku-4-5"),
        ("claude-sonnet-4-6", "anthropic/claude-sonnet-4-6"),
    ],
)
def test_every_model_of_the_documents_is_known_and_leads_to_its_provider(model: str, answer: str) -> None:
    (found,) = CATALOGUE.resolve(model, "auto", BOTH)
    assert f"{found[0].row.id}/{found[1]}" == answer
    assert found[2] is not None
    assert found[2].context_window > 0
    assert found[2].max_output > 0


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("OpenAI/gpt-4o", "openai/gpt-4o"),
        ("anthropic/claude-3-haiku", "anthropic/claude-3-haiku-20240307"),
        ("openai/some-new-model", "openai/some-new-model"),
        ("openai/auto", "openai/gpt-4o"),
        ("gpt-99-ultra", "openai/gpt-99-ultra"),
        ("claude-99", "anthropic/claude-99"),
        ("stub", "stub/echo"),
        ("stub/answer-7", "stub/answer-7"),
        ("STUB/echo", "stub/echo"),
    ],
)
def test_a_provider_prefix_or_a_well_known_beginning_of_a_name_leads_to_the_provider(model: str, answer: str) -> None:
    assert answers(model, BOTH) == [answer]


@pytest.mark.promise("000-045", "000-047", "001-037", "003-006")
def test_auto_picks_the_default_model_of_the_first_available_provider_and_keeps_the_others_behind_it() -> None:
    assert answers("auto", BOTH) == ["anthropic/claude-sonnet-4-5", "openai/gpt-4o"]
    assert answers("", [slot("openai"), STUB]) == ["openai/gpt-4o"]
    assert answers("auto", BOTH, "openai") == ["openai/gpt-4o"]
    assert answers("auto", DEMO) == ["stub/echo"]


@pytest.mark.promise("004-061")
def test_the_operators_default_model_answers_auto_where_its_provider_is_configured() -> None:
    def auto(default: str, slots: Sequence[Slot]) -> list[str]:
        found = Catalogue.load(default).resolve("auto", "auto", slots)
        return [f"{each.row.id}/{sends}" for each, sends, _ in found]

    assert auto("gpt-4o-mini", BOTH) == ["openai/gpt-4o-mini"]
    assert auto("gpt-4o-mini", [slot("anthropic"), STUB]) == ["anthropic/claude-sonnet-4-5"]
    assert auto("house-model", [slot("groq"), STUB]) == ["groq/house-model"]
    assert auto("house-model", [slot("groq"), slot("x", "house-model"), STUB]) == ["x/house-model"]
    assert auto("gpt-4o-mini", DEMO) == ["stub/echo"]


@pytest.mark.promise("001-037")
def test_a_provider_named_apart_gets_any_model_under_either_spelling() -> None:
    assert answers("gpt-4o", BOTH, "OpenAI") == ["openai/gpt-4o"]
    assert answers("openai/gpt-4o", BOTH, "openai") == ["openai/gpt-4o"]
    assert answers("openai/gpt-4o", [slot("openrouter"), *BOTH], "openrouter") == ["openrouter/openai/gpt-4o"]
    assert answers("claude-3-haiku", BOTH, "anthropic") == ["anthropic/claude-3-haiku-20240307"]


def test_bare_names_go_first_to_slots_whose_operator_named_them() -> None:
    slots = [slot("openai"), slot("mine", "gpt-4o", default=""), STUB]
    assert answers("gpt-4o", slots) == ["mine/gpt-4o", "openai/gpt-4o"]
    assert answers("meta/llama", [slot("mine", "meta/llama", default=""), STUB]) == ["mine/meta/llama"]


def test_a_configured_provider_prefix_stands_above_a_name_with_a_slash() -> None:
    slots = [slot("openrouter"), slot("openai"), STUB]
    assert answers("openai/gpt-4o", slots) == ["openai/gpt-4o"]
    assert answers("openai/gpt-4o", slots[:1] + slots[2:]) == ["openrouter/openai/gpt-4o"]


def test_the_default_model_of_a_slot_is_a_name_of_it() -> None:
    slots = [slot("groq"), slot("llamacpp"), slot("lmstudio"), STUB]
    assert answers("llama-3.3-70b-versatile", slots) == ["groq/llama-3.3-70b-versatile"]
    assert answers("local-model", slots) == ["llamacpp/local-model", "lmstudio/local-model"]


@pytest.mark.parametrize("model", ["gpt-4o", "claude-3-5-sonnet", "openai/gpt-4o", "groq/llama", "gpt-99"])
def test_where_no_real_provider_is_configured_the_stub_answers_for_known_models(model: str) -> None:
    assert answers(model, DEMO) == ["stub/echo"]


@pytest.mark.parametrize(
    ("model", "provider", "action"),
    [
        ("gpt-4o", "auto", "set OPENAI_API_KEY, or api_key under [providers.openai] in dominion.toml"),
        ("openai/gpt-4o", "auto", "set OPENAI_API_KEY"),
        ("gpt-4o", "openai", "set OPENAI_API_KEY"),
        ("amazon.nova-lite-v1:0", "auto", "add [providers.bedrock] to dominion.toml"),
        ("vertex/x", "auto", "add [providers.vertex] to dominion.toml"),
        ("deepseek/deepseek-chat", "auto", 'add [[providers.openai_compat]] with id = "deepseek"'),
    ],
)
def test_a_known_model_of_an_unconfigured_provider_is_refused_and_says_how_to_configure_it(
    model: str, provider: str, action: str
) -> None:
    with pytest.raises(UnknownProvider) as caught:
        CATALOGUE.resolve(model, provider, [slot("anthropic"), STUB])
    assert "not configured" in caught.value.message
    assert action in caught.value.action


def test_a_provider_named_apart_is_never_replaced_by_the_stub() -> None:
    with pytest.raises(UnknownProvider):
        CATALOGUE.resolve("gpt-4o", "openai", DEMO)


def test_an_unknown_provider_is_refused_with_the_configured_ones() -> None:
    with pytest.raises(UnknownProvider, match="configured: anthropic, openai, stub"):
        CATALOGUE.resolve("gpt-4o", "opena", BOTH)


@pytest.mark.parametrize(
    ("model", "near"),
    [("gtp-4o", "gpt-4o"), ("claud-3-opus", "claude-3-opus"), ("opena/gpt-4o", "openai/gpt-4o"), ("stbu", "")],
)
@pytest.mark.parametrize("slots", [BOTH, DEMO])
def test_an_unknown_model_is_refused_with_the_nearest_known_names(model: str, near: str, slots: list[Slot]) -> None:
    with pytest.raises(UnknownModel) as caught:
        CATALOGUE.resolve(model, "auto", slots)
    assert (f"Did you mean {near}" if near else "No provider here serves") in caught.value.message


@pytest.mark.parametrize("model", ["stub/ech", "stub/answer-", "stub/answer-100001", "stub/fail-200"])
def test_an_unknown_stub_model_is_refused_whether_or_not_others_are_configured(model: str) -> None:
    for slots in (BOTH, DEMO):
        with pytest.raises(UnknownModel, match="The stub has no model"):
            CATALOGUE.resolve(model, "auto", slots)


@pytest.mark.parametrize("model", ["gpt-4o\r\nx: y", "gpt-" + "4" * 300, "gpt-4ö", "gpt-\0"])
@pytest.mark.parametrize("provider", ["auto", "openai"])
def test_what_cannot_stand_in_a_header_is_no_model_name(model: str, provider: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        CATALOGUE.resolve(model, provider, BOTH)
    assert len(caught.value.message) < 200
    assert caught.value.message.isprintable()


@given(st.text(max_size=300), st.sampled_from(["auto", "openai", "stub", "x", ""]), st.sampled_from([BOTH, DEMO]))
def test_any_name_gives_slots_or_one_of_two_errors(model: str, provider: str, slots: list[Slot]) -> None:
    try:
        found = CATALOGUE.resolve(model, provider, slots)
    except (UnknownModel, UnknownProvider):
        return
    assert found
    assert all(each in slots and sends for each, sends, _ in found)


@pytest.mark.parametrize(
    "slots", [BOTH, DEMO, [slot("openrouter"), slot("openai"), slot("mine", "gpt-4o", "a/b", default=""), STUB]]
)
def test_every_listed_model_resolves_to_its_own_provider(slots: list[Slot]) -> None:
    rows = CATALOGUE.models(slots)
    assert rows
    for row in rows:
        found = CATALOGUE.resolve(row.id, "auto", slots)
        assert (found[0][0].row.id, found[0][1]) == (row.provider, row.sends)


def test_the_stub_is_listed_only_where_nothing_else_is() -> None:
    assert {row.provider for row in CATALOGUE.models(BOTH)} == {"openai", "anthropic"}
    assert "stub/echo" in [row.id for row in CATALOGUE.models(DEMO)]


def test_models_that_two_providers_serve_are_listed_under_both_names() -> None:
    listed = [row.id for row in CATALOGUE.models([slot("openai"), slot("mine", "gpt-4o", default=""), STUB])]
    assert "openai/gpt-4o" in listed
    assert "gpt-4o" in listed
    assert "mine/gpt-4o" not in listed


# --- the data -------------------------------------------------------------------------------------------------------


def test_rows_have_only_fields_that_the_catalogue_knows() -> None:
    providers = tomllib.loads((DATA / "catalog.toml").read_text())["provider"]
    models = tomllib.loads((DATA / "models.toml").read_text())["model"]
    assert all(row.keys() <= set(ProviderRow.__struct_fields__) for row in providers)
    assert all(row.keys() - {"prices"} <= set(ModelRow.__struct_fields__) for row in models)
    assert len(CATALOGUE.providers) == len(providers)
    names = [(row["provider"], row["id"]) for row in models]
    assert len(names) == len(set(names))
    assert {row["provider"] for row in models} <= set(CATALOGUE.providers)


@pytest.mark.promise("003-079", "003-088")
def test_every_address_of_the_catalogue_can_be_dialled() -> None:
    for row in CATALOGUE.providers.values():
        if row.base_url:
            origin, _ = address(row.base_url, row.chat_path)
            assert origin.scheme == ("http" if row.local else "https")
    assert {row.id for row in CATALOGUE.providers.values() if not row.base_url} == {"stub", "lepton", "azure_openai"}


def test_another_api_of_a_provider_stands_beside_it_and_says_which_models_are_its_own() -> None:
    tables = tomllib.loads((DATA / "catalog.toml").read_text())["other_api"]
    assert all(table.keys() <= set(ProviderRow.__struct_fields__) for table in tables)
    for row in read_other_apis():
        first = CATALOGUE.providers[row.id]
        assert row.wire != first.wire
        assert row.model_prefixes
        assert row.prices_as == first.prices_as
        assert address(row.base_url, row.chat_path)[0].scheme == "https"


def test_every_deprecated_model_names_a_living_one_that_is_listed() -> None:
    for row in CATALOGUE._rows.values():
        if row.deprecated:
            living = CATALOGUE.row(row.provider, row.deprecated)
            assert living is not None
            assert not living.deprecated


@pytest.mark.promise(*(f"004-{number:03d}" for number in range(22, 57)))
def test_all_compatible_providers_of_the_document_are_there_with_default_and_free_tier() -> None:
    compatible = {
        row.id: (row.documented_model or row.default_model, row.free_tier)
        for row in CATALOGUE.providers.values()
        if row.id != "stub" and not row.own_table
    }
    expected = dict(line.split(" ", 1) for line in DOCUMENTED.strip().splitlines())
    assert expected.keys() <= compatible.keys()  # what was added since is no business of the document
    for provider, line in expected.items():
        model, free = line.split()
        assert compatible[provider][0].endswith(model), provider
        assert compatible[provider][1] == (free == "yes"), provider


DOCUMENTED = """
groq llama-3.3-70b-versatile yes
deepseek deepseek-chat no
openrouter openai/gpt-4o yes
xai grok-2-latest no
mistral mistral-large-latest no
perplexity sonar-pro no
together Meta-Llama-3.1-70B-Instruct-Turbo no
fireworks llama-v3p3-70b-instruct no
cerebras llama3.3-70b yes
sambanova Meta-Llama-3.1-405B-Instruct yes
hyperbolic Llama-3.3-70B-Instruct no
novita llama-3.1-70b-instruct no
lepton llama3-3-70b yes
corethink deepseek-r1 no
featherless Meta-Llama-3.1-70B-Instruct no
requesty openai/gpt-4o no
glama openai/gpt-4o yes
chutes DeepSeek-R1 yes
cohere command-r-plus-08-2024 yes
gemini gemini-2.0-flash yes
moonshot moonshot-v1-8k no
glm glm-4-flash yes
doubao doubao-pro-4k no
qwen qwen-turbo no
zai z1-preview no
yi yi-large no
minimax MiniMax-Text-01 no
hunyuan hunyuan-turbo no
stepfun step-1-8k no
lmstudio local-model yes
llamacpp local-model yes
localai gpt-4 yes
litellm gpt-3.5-turbo yes
"""
