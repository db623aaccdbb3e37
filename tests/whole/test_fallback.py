"""Other models in the running program: they stand in, are proposed first where somebody wants it, and leave traces."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from dominion import LLM
from dominion.domain.errors import SwitchProposed
from tests.client.conftest import Around, around  # noqa: F401 - a fixture
from tests.emulators.fault_server import FaultServer
from tests.whole.fault_cases import OMEGA, TIMES, slot
from tests.whole.heard import OPENAI, heard
from tests.whole.program import Answer, Program

TURNS = [{"role": "user", "content": "Hello!"}]
ASKED = {"model": "wanted", "messages": TURNS, "max_tokens": 1000}
DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "native": ("/v1/llm/complete", ASKED),
    "openai": ("/v1/chat/completions", ASKED),
    "responses": ("/v1/responses", {"model": "wanted", "input": "Hello!", "max_output_tokens": 1000}),
    "anthropic": ("/v1/messages", ASKED),
    "gemini": (
        "/v1beta/models/wanted:generateContent",
        {"contents": [{"parts": [{"text": "Hello!"}]}], "generationConfig": {"maxOutputTokens": 1000}},
    ),
}


def settings(faults: FaultServer, rules: str = "") -> str:
    """A model whose provider is down, a dearer one elsewhere, and an alias."""
    prices = '[prices."down/wanted"]\ninput = "1"\noutput = "2"\n[prices."up/other"]\ninput = "2"\noutput = "52"\n'
    tables = slot("down", faults.base_url("503"), "wanted") + slot("up", faults.base_url("well-omega"), "other")
    return f'{tables}{prices}[fallback]\norder = ["up/other"]\n{rules}[aliases]\nfast = ["down/wanted", "other"]\n'


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="module")
def asking(faults: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A program that always asks."""
    toml = settings(faults, "always_ask = true\n")
    with Program(tmp_path_factory.mktemp("asking"), toml=toml, **TIMES) as running:
        yield running


def details(door: str, answer: Answer) -> dict[str, Any]:
    """What the error says, wherever the door has it."""
    error = answer.json if door == "native" else answer.json["error"]
    return dict(error["details"][0]["metadata"] if door == "gemini" else error)


@pytest.mark.promise("002-056", "003-170", "003-197", "003-205", "003-234")
def test_another_model_stands_in_and_every_attempt_leaves_a_trace(tmp_path: Path, faults: FaultServer) -> None:
    with Program(tmp_path, toml=settings(faults), **TIMES) as program:
        key = program.user()[1]
        alone = program.chat(key, "other")
        answer = program.ask("POST", OPENAI, ASKED, token=key)
        alias = program.chat(key, "fast")
        listed_models = {row["id"]: row for row in program.ask("GET", "/v1/llm/models", token=key).json["models"]}
        request_id = answer.headers["x-request-id"]
        (attempts,) = program.admin("GET", f"/admin/attempts?request_id={request_id}")["requests"]
        listed = program.admin("GET", "/admin/attempts?since=2026-01-01&limit=1")["requests"]
        bad = program.ask("GET", "/admin/attempts?since=never", token=program.admin_token)
        audit = program.admin("GET", "/admin/audit")["entries"]
        assert program.ask("GET", "/admin/attempts", token=key).status == 401
    assert (listed_models["fast"]["provider"], listed_models["fast"]["output_usd_per_million"]) == ("down", "2")
    assert heard(OPENAI, answer, stream=False).text == OMEGA
    assert answer.headers["x-dominion-provider"] == "up"
    assert [one.headers.get("x-dominion-attempts") for one in (alone, answer, alias)] == [None, "2", "2"]
    (failed,) = attempts["attempts"]
    assert (failed["provider"], failed["status"], failed["code"]) == ("down", 503, "provider_unavailable")
    assert (attempts["ended"]["provider"], attempts["ended"]["outcome"]) == ("up", "ok")
    assert [one["request_id"] for one in listed] == [alias.headers["x-request-id"]]
    assert (bad.status, bad.json["param"]) == (400, "since")
    found = [entry for entry in audit if entry["action"] == "fallback_triggered"]
    assert [(entry["subject"], entry["request_id"]) for entry in found] == [("provider:down", request_id)]
    assert found[0]["after"] == {"model": "up/other"}


def test_attempts_outlive_the_death_of_the_process(tmp_path: Path, faults: FaultServer) -> None:
    program = Program(tmp_path, toml=settings(faults), **TIMES)
    with program:
        key = program.user()[1]
        request_id = program.ask("POST", OPENAI, ASKED, token=key).headers["x-request-id"]
        program.kill()
        program.start()
        (attempts,) = program.admin("GET", f"/admin/attempts?request_id={request_id}")["requests"]
    assert [one["number"] for one in attempts["attempts"]] == [1]
    assert attempts["ended"]["provider"] == "up"


def test_fallback_can_be_switched_off(tmp_path: Path, faults: FaultServer) -> None:
    rules = TIMES | {"FALLBACK_ENABLED": "false", "ROUTER_RETRY_COUNT": "1"}
    with Program(tmp_path, toml=settings(faults), **rules) as program:
        answer = program.ask("POST", OPENAI, ASKED, token=program.user()[1])
    assert (answer.status, answer.headers["x-dominion-attempts"]) == (503, "2")


# --- asking first


@pytest.mark.promise("003-131", "003-132", "003-179")
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("stream", [False, True])
def test_each_door_proposes_the_switch_with_its_price_and_runs_what_was_agreed_to(
    asking: Program, door: str, *, stream: bool
) -> None:
    user_id, key = asking.user()
    path, body = DOORS[door]
    if stream and door == "gemini":
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    elif stream:
        body = {**body, "stream": True}
    answer = asking.ask("POST", path, body, token=key)
    told = details(door, answer)
    assert answer.status == 409
    assert answer.headers["x-should-retry"] == "false"
    assert told["proposed_model"] == "up/other"
    assert (told["more_input_usd_per_million"], told["more_output_usd_per_million"]) == ("1", "50")
    assert 0.05 < float(told["more_request_usd"]) < 0.051
    text = answer.body.decode()
    assert "Switch to other at up? This will cost ~$0.05 more per run." in text
    assert "Send it again with the header x-dominion-accept: up/other" in text
    agreed = asking.ask("POST", path, body, token=key, **{"x-dominion-accept": told["proposed_model"]})
    assert (agreed.status, agreed.headers["x-dominion-provider"]) == (200, "up")
    assert b"omega" in agreed.body
    usage = asking.usage(user_id)
    assert (usage["requests"], usage["failed"]) == (1, 1)


def test_a_caller_asks_to_be_asked_and_a_wrong_agreement_is_refused(tmp_path: Path, faults: FaultServer) -> None:
    with Program(tmp_path, toml=settings(faults), **TIMES) as program:
        key = program.user()[1]
        assert program.ask("POST", OPENAI, ASKED, token=key, **{"x-dominion-ask": "true"}).status == 409
        wrong = program.ask("POST", OPENAI, ASKED, token=key, **{"x-dominion-accept": "up/another"})
        assert (wrong.status, wrong.json["error"]["param"]) == (400, "x-dominion-accept")
        assert program.ask("POST", OPENAI, ASKED, token=key).status == 200


def test_the_vendors_client_does_not_ask_again_by_itself(asking: Program) -> None:
    user_id, key = asking.user()
    client = openai.OpenAI(base_url=f"{asking.url}/v1", api_key=key, max_retries=3)
    with client, pytest.raises(openai.ConflictError) as caught:
        client.chat.completions.create(model="wanted", messages=[{"role": "user", "content": "Hello!"}])
    assert caught.value.code == "switch_proposed"
    assert asking.usage(user_id)["failed"] == 1


async def test_our_own_client_raises_the_proposal_with_its_fields(asking: Program, around: Around) -> None:  # noqa: F811
    key = asking.user()[1]
    async with LLM(url=asking.url, token=key, surroundings=around()) as llm:
        with pytest.raises(SwitchProposed) as caught:
            await llm.complete(prompt="Hello!", model="wanted", max_tokens=1000)
        proposed = caught.value
        assert (proposed.model, proposed.more_input_usd_per_million) == ("up/other", "1")
        assert proposed.more_request_usd is not None
        with pytest.raises(SwitchProposed):
            await anext(aiter(llm.stream(prompt="Hello!", model="wanted")))
        response = await llm.complete(prompt="Hello!", model="wanted", accept=proposed.model)
        assert (response.content, response.provider) == (OMEGA, "up")
