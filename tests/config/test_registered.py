"""Registrations as rows and slots: what they leave open is the catalogue's, and every address is guarded."""

import pytest
from msgspec.structs import replace

from dominion.config import load
from dominion.config.registered import Registered
from dominion.credentials.present import PER_REQUEST
from dominion.domain.providers import Origin, Slot
from dominion.domain.registry import Registration
from dominion.providers.catalog import STUB, Catalogue

CATALOGUE = Catalogue.load()
KEY = "key-0123456789"


def guarded(origin: Origin) -> Origin:
    return replace(origin, guarded=True)


def maker(**environ: str) -> Registered:
    return Registered(load(environ), CATALOGUE, guarded)


def made(provider: str, key: str = KEY, **fields: str) -> Slot:
    given = {"base_url": "", **fields}
    return maker().slot(Registration(id=provider, **given), key)  # type: ignore[arg-type] # texts only


@pytest.mark.promise("003-092", "003-104")
@pytest.mark.parametrize(
    "provider", [row.id for row in CATALOGUE.providers.values() if row.credentials != PER_REQUEST and row.id != STUB]
)
def test_every_provider_of_the_catalogue_needs_its_key_or_its_address_only(provider: str) -> None:
    row = CATALOGUE.providers[provider]
    slot = made(provider, base_url="" if row.base_url else "https://llm.example")
    targets = [slot.target, slot.stream_target or slot.target, *(target for _, target in slot.also)]
    assert all(target.origin.guarded for target in targets)
    assert KEY.encode() in slot.target.head
    assert (slot.row.id, slot.default_model) == (provider, row.default_model)
    assert slot.row.base_url or row.base_url


def test_geminis_own_api_goes_before_its_compatible_one_which_can_be_chosen() -> None:
    assert made("gemini").target.path == b"/v1beta/models/{model}:generateContent"
    compatible = made("gemini", wire="openai_chat_google")
    assert compatible.target.path == b"/v1beta/openai/chat/completions"


@pytest.mark.parametrize(
    ("wire", "path", "shown"),
    [
        ("", b"/v1/chat/completions", b"authorization: Bearer "),
        ("anthropic_messages", b"/v1/messages", b"x-api-key: "),
        ("gemini", b"/v1beta/models/{model}:generateContent", b"x-goog-api-key: "),
        ("ollama_chat", b"/api/chat", b"authorization: Bearer "),
        ("openai_responses", b"/v1/responses", b"authorization: Bearer "),
        ("openai_completions", b"/v1/completions", b"authorization: Bearer "),
        ("brought_by_a_package", b"/v1/chat/completions", b"authorization: Bearer "),
    ],
)
def test_an_unknown_provider_has_what_usually_goes_with_its_dialect(wire: str, path: bytes, shown: bytes) -> None:
    slot = made("mine", wire=wire, base_url="https://llm.example")
    assert slot.target.path == path
    assert shown + KEY.encode() in slot.target.head
    assert slot.row.wire == (wire or "openai_chat")


def test_what_the_registration_says_goes_before_the_catalogue() -> None:
    fields = {"name": "Mine", "base_url": "https://llm.example/x", "chat_path": "/ask/{model}", "scheme": "api_key"}
    slot = made("anthropic", default_model="m-1", **fields)
    assert (slot.target.path, slot.target.origin.host) == (b"/x/ask/{model}", "llm.example")
    assert b"\r\napi-key: " in slot.target.head
    assert (slot.row.name, slot.default_model, slot.stream_target, slot.also) == ("Mine", "m-1", None, ())


def test_azure_gets_the_version_of_the_settings() -> None:
    slot = made("azure_openai", base_url="https://mine.openai.azure.com")
    assert slot.target.path == b"/openai/deployments/{model}/chat/completions?api-version=2024-10-21"


def test_a_provider_on_ones_own_machine_does_without_a_key() -> None:
    assert b"authorization" not in made("ollama", "").target.head
    assert b"authorization: Bearer " in made("ollama").target.head


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": STUB}, "always there"),
        ({"id": "copilot"}, "providers.copilot"),
        ({"id": "mine", "base_url": "https://llm.example", "scheme": "per_request"}, "proves each request"),
        ({"id": "mine", "base_url": "https://llm.example", "scheme": "anthropic_oauth"}, "ANTHROPIC_OAUTH"),
        ({"id": "mine", "base_url": "https://llm.example", "chat_path": "/{where}"}, "chat_path"),
        ({"id": "mine"}, "base URL"),
    ],
)
def test_what_cannot_be_used_is_the_end_of_a_sentence(fields: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        made(fields.pop("id"), **fields)


def test_an_oauth_token_counts_only_where_the_operator_wants_it() -> None:
    token = "sk-ant-oat01-0123456789"
    with pytest.raises(ValueError, match="ANTHROPIC_OAUTH") as raised:
        made("anthropic", token)
    assert token not in str(raised.value)
    slot = maker(ANTHROPIC_OAUTH="true").slot(Registration(id="anthropic"), token)
    assert f"authorization: Bearer {token}".encode() in slot.target.head
