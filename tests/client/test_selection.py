"""Which provider answers, and with which key."""

from pathlib import Path

import pytest

from dominion.client.config_file import ClientConfig, GatewaySection, ProviderSection
from dominion.client.selection import DEFAULT_URL, choose
from dominion.client.stored_login import StoredLogin

TOKEN = {"DOMINION_API_TOKEN": "dom_env"}
LOGIN = StoredLogin("https://kept.example", "dom_kept")


def config(url: str | None = None, token: str | None = None, default: str | None = None) -> ClientConfig:
    return ClientConfig(GatewaySection(url, token), ProviderSection(default), Path("pm.config.yaml"))


@pytest.mark.promise("000-003", "000-014", "000-023", "000-035", "000-074")
def test_a_token_in_the_environment_chooses_the_gateway_above_everything_else() -> None:
    choice = choose(config(token="dom_file", default="openai"), TOKEN, LOGIN)
    assert (choice.provider, choice.token) == ("gateway", "dom_env")


@pytest.mark.promise("000-036")
def test_without_a_token_the_configured_default_is_chosen() -> None:
    assert choose(config(default="anthropic"), {}, None).provider == "anthropic"


@pytest.mark.promise("000-037")
def test_without_a_token_and_a_default_the_stub_is_chosen() -> None:
    assert choose(ClientConfig(), {}, None).provider == "stub"


@pytest.mark.promise("001-060")
def test_a_token_in_the_file_chooses_the_gateway_above_a_login_and_the_default() -> None:
    choice = choose(config("https://kept.example", "dom_file", "openai"), {}, LOGIN)
    assert (choice.provider, choice.token) == ("gateway", "dom_file")


@pytest.mark.promise("001-056")
def test_a_stored_login_chooses_the_gateway_it_was_made_for() -> None:
    choice = choose(config(default="openai"), {}, LOGIN)
    assert (choice.provider, choice.url, choice.token) == ("gateway", "https://kept.example", "dom_kept")


@pytest.mark.parametrize(
    ("environ", "file"),
    [({"DOMINION_API_URL": "https://other.example"}, None), ({}, "https://other.example")],
)
def test_a_stored_key_is_not_used_for_another_address(environ: dict[str, str], file: str | None) -> None:
    choice = choose(config(url=file), environ, LOGIN)
    assert (choice.provider, choice.url, choice.token) == ("stub", "https://other.example", "")


@pytest.mark.promise("000-073", "001-057", "001-059")
def test_the_address_comes_from_the_environment_then_the_file_then_the_login_then_the_default() -> None:
    environ = {"DOMINION_API_URL": "https://env.example"}
    assert choose(config(url="https://file.example"), environ, LOGIN).url == "https://env.example"
    assert choose(config(url="https://file.example"), {}, LOGIN).url == "https://file.example"
    assert choose(config(), {}, LOGIN).url == "https://kept.example"
    assert choose(config(), {}, None).url == DEFAULT_URL


def test_an_address_means_the_same_with_a_slash_or_the_v1_of_other_sdks() -> None:
    for url in ("https://kept.example/", "https://kept.example/v1", "https://kept.example/v1/"):
        assert choose(config(url=url), {}, LOGIN).token == "dom_kept"


def test_no_default_sends_a_key_to_somebody_else() -> None:
    assert choose(ClientConfig(), TOKEN, None).url == "http://127.0.0.1:3100"


def test_nothing_shows_a_key_by_accident() -> None:
    chosen = choose(config(token="dom_file"), {}, None)
    for value in (chosen, LOGIN, config(token="dom_file")):
        assert "dom_" not in repr(value)
        assert "***" in repr(value)
