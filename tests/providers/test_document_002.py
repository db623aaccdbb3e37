"""The models that document 002 names, each at a provider that is configured."""

import pytest

from dominion.domain.providers import Slot
from tests.providers.test_catalog import CATALOGUE, slot

CONFIGURED: tuple[Slot, ...] = tuple(
    slot(provider) for provider in ("gemini", "mistral", "groq", "deepseek", "qwen", "ollama", "stub")
)


@pytest.mark.promise("002-029", "002-030", "002-031", "002-032", "002-033")
@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("gemini-pro", "gemini/gemini-pro"),
        ("gemini-ultra", "gemini/gemini-2.5-pro"),
        ("gemini/gemini-pro", "gemini/gemini-pro"),
        ("groq/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
        ("ollama/llama3.1", "ollama/llama3.1"),
        ("mistral/mistral-large-latest", "mistral/mistral-large-latest"),
        ("deepseek/deepseek-chat", "deepseek/deepseek-chat"),
        ("qwen/qwen-max", "qwen/qwen-max"),
    ],
)
def test_gemini_and_open_models_are_reached_at_their_providers(model: str, answer: str) -> None:
    ((found, sends, _),) = CATALOGUE.resolve(model, "auto", CONFIGURED)
    assert f"{found.row.id}/{sends}" == answer


@pytest.mark.promise("002-031", "002-032", "002-033")
@pytest.mark.parametrize(
    ("provider", "family"),
    [("groq", "llama"), ("ollama", "llama"), ("mistral", "mistral"), ("deepseek", "deepseek"), ("qwen", "qwen")],
)
def test_families_of_open_models_are_the_defaults_of_their_providers(provider: str, family: str) -> None:
    ((found, sends, _),) = CATALOGUE.resolve("auto", provider, CONFIGURED)
    assert found.row.id == provider
    assert sends.startswith(family)


@pytest.mark.promise("002-029", "002-030")
def test_names_that_google_serves_no_more_say_what_to_use_instead() -> None:
    for model in ("gemini-pro", "gemini-ultra"):
        ((_, _, row),) = CATALOGUE.resolve(model, "auto", CONFIGURED)
        assert row is not None
        assert row.deprecated == "gemini-2.5-pro"
        assert row.max_output > 0
