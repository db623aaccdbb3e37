"""Validation over real sockets: what proves a key, how a failure is told, and that it never takes long."""

import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from dominion.config import load
from dominion.config.registered import Registered
from dominion.domain.contracts import Dialect
from dominion.domain.errors import InvalidCredentials, InvalidRequest, ProviderError
from dominion.domain.providers import Origin, Slot
from dominion.domain.registry import Registration
from dominion.providers.catalog import Catalogue
from dominion.services.offer.explaining import Explanations
from dominion.services.offer.lineup import Lineup
from dominion.services.offer.routing import Route
from dominion.services.registry.validation import Told, Validation, check_form, told_of
from dominion.upstream.pool import HttpUpstream
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.openai_chat.dialect import (
    OPENAI_CHAT,
    OPENAI_CHAT_GOOGLE,
    OPENAI_CHAT_MISTRAL,
    OPENAI_CHAT_OLD_CAP,
    OPENAI_CHAT_OPENROUTER,
)
from tests.emulators.compatible import Services
from tests.emulators.listed import Listed
from tests.emulators.vendors import VENDORS, Vendor
from tests.services.clocks import HandClock

CATALOGUE = Catalogue.load()
DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        OPENAI_CHAT,
        OPENAI_CHAT_GOOGLE,
        OPENAI_CHAT_MISTRAL,
        OPENAI_CHAT_OLD_CAP,
        OPENAI_CHAT_OPENROUTER,
        ANTHROPIC_MESSAGES,
    )
}
KEY = "right-key-0123456789"


def made(key: str = KEY, **fields: str) -> Slot:
    """A registered provider as a slot."""

    def anywhere(origin: Origin) -> Origin:
        return origin

    given: dict[str, Any] = {"id": "made-up", "name": "OpenAI", "default_model": "gpt-4o", **fields}
    registration = Registration(**given)
    return Registered(load({}), CATALOGUE, anywhere).slot(registration, key)


def validation(sockets: HttpUpstream, seconds: float = 4.5) -> Validation:
    return Validation(sockets, DIALECTS, HandClock(), seconds)


async def told(sockets: HttpUpstream, slot: Slot, seconds: float = 4.5) -> Told | None:
    """What people are told of a check; None: it is well."""
    lineup = Lineup([slot, made(id="anthropic", name="")], {})
    row = CATALOGUE.row(slot.row.id, slot.default_model)
    try:
        await validation(sockets, seconds).check(slot)
    except ProviderError as error:
        route = Route(slot, DIALECTS[slot.row.wire], slot.default_model, row, None, slot.target, slot.target)
        Explanations(CATALOGUE, lineup).explain(error, route)
        return told_of(error, slot)
    return None


# --- what proves a key


@pytest.mark.parametrize(
    ("lists", "asked"),
    [
        ("keyed", ["GET", "GET"]),
        ("open", ["GET", "GET", "POST"]),
        ("none", ["GET", "POST"]),
    ],
)
async def test_a_list_that_everybody_gets_proves_no_key_and_a_completion_does(
    sockets: HttpUpstream, listed: Listed, lists: str, asked: list[str]
) -> None:
    listed.service.lists = lists
    assert await told(sockets, made(base_url=listed.url)) is None
    assert [method for method, _, _ in listed.service.asked] == asked
    wrong = await told(sockets, made("wrong-key-0123456789", base_url=listed.url))
    assert wrong is not None
    assert wrong.code == InvalidCredentials.code


async def test_a_provider_without_keys_is_asked_once(sockets: HttpUpstream, listed: Listed) -> None:
    listed.service.lists = "open"
    assert await told(sockets, made("", base_url=listed.url, scheme="none")) is None
    assert listed.service.asked == [("GET", "/v1/models", "")]


async def test_without_a_list_and_a_model_nothing_can_be_proved(sockets: HttpUpstream, listed: Listed) -> None:
    listed.service.lists = "none"
    with pytest.raises(InvalidRequest) as raised:
        await validation(sockets).check(made(base_url=listed.url, default_model=""))
    assert raised.value.action == "Set its default model and try again."


@pytest.mark.promise("003-198", "003-200")
@pytest.mark.parametrize(
    ("provider", "key"),
    [("openai", "sk-test123"), ("openai", "gsk_0123456789abcdef0123"), ("anthropic", "sk-0123456789abcdef0123")],
)
def test_a_key_that_cannot_be_one_of_the_provider_is_refused_without_asking(provider: str, key: str) -> None:
    slot = made(key, id=provider, name="", default_model="")
    with pytest.raises(InvalidCredentials) as raised:
        check_form(slot)
    sentence = told_of(raised.value, slot)
    assert sentence.message == f"Your {slot.row.name} API key is invalid. Please check and try again."
    assert "begin with sk-" in sentence.action
    assert key not in f"{raised.value} {sentence}"


async def test_the_form_of_a_key_does_not_matter_elsewhere(sockets: HttpUpstream, listed: Listed) -> None:
    assert await told(sockets, made(id="openai", base_url=listed.url)) is None


# --- sentences


@pytest.mark.promise("003-164", "003-165", "003-166", "003-167", "003-204")
@pytest.mark.parametrize(
    ("state", "message", "action"),
    [
        ("revoked", "Your OpenAI API key is invalid. Please check and try again.", "Re-enter the key."),
        ("limited", "OpenAI rate limit hit. Retrying in 30 seconds...", "tried again by itself"),
        ("gone", "GPT-4o is unavailable right now. Try GPT-4o mini instead?", "another default model"),
        ("capped", "You've hit your OpenAI usage cap. Upgrade your plan or use Anthropic.", "another provider"),
        ("silent", "OpenAI did not answer within 0.2 seconds.", "Try again."),
        ("down", "OpenAI is unavailable right now", ""),
    ],
)
async def test_a_failure_is_told_as_specification_003_has_it(
    sockets: HttpUpstream, listed: Listed, state: str, message: str, action: str
) -> None:
    listed.service.state = state
    listed.service.lists = "none" if state == "gone" else "keyed"
    found = await told(sockets, made(id="openai", base_url=listed.url), 0.2 if state == "silent" else 4.5)
    assert found is not None
    assert found.message.startswith(message)
    assert action in found.action
    assert found.retry_after == (30 if state in ("limited", "capped") else None)


@pytest.mark.promise("003-168", "003-204")
async def test_nobody_there_is_a_matter_of_the_network(sockets: HttpUpstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    found = await told(sockets, made(base_url=f"http://127.0.0.1:{port}"))
    assert found is not None
    assert (found.message, found.action) == ("Can't reach OpenAI. Check your internet connection.", "Try again.")


async def test_a_page_that_is_no_list_is_no_proof(sockets: HttpUpstream, listed: Listed) -> None:
    listed.service.lists = "odd"
    found = await told(sockets, made(base_url=listed.url))
    assert found is not None
    assert found.code == "provider_unexpected_response"


# --- every service that we know


def of_emulator(vendor: Vendor) -> dict[str, str]:
    """What an operator says of it, its address without the host."""
    row = CATALOGUE.providers.get(vendor.id)
    if row is None:
        return {"base_url": "/llm", "chat_path": "/v2/converse"}
    base = urlsplit(row.base_url).path or ("/api" if vendor.id == "lepton" else "")
    return {"base_url": base, "wire": row.wire if vendor.id == "gemini" else ""}


@pytest.mark.promise("003-200", "003-231", "003-233")
async def test_the_right_key_of_every_known_service_is_taken_and_a_wrong_one_is_not(sockets: HttpUpstream) -> None:
    times, right, wrong = [], [], []
    with Services() as services:
        for vendor in VENDORS:
            fields = {"id": vendor.id, "name": "", "default_model": "m-1", **of_emulator(vendor)}
            fields["base_url"] = services.url(vendor.id) + fields["base_url"]
            began = time.monotonic()
            right.append((vendor.id, await told(sockets, made(services.services[vendor.id].key, **fields))))
            times.append(time.monotonic() - began)
            if vendor.keyed:
                found = await told(sockets, made("wrong-key-0123456789", **fields))
                wrong.append((vendor.id, found and found.code))
    assert [vendor for vendor, problem in right if problem is not None] == []
    assert {code for _, code in wrong} == {InvalidCredentials.code}
    assert len(right) >= 33
    assert sum(times) / len(times) < 5
