"""Callers of the Responses API reach providers that speak it untouched, with what these keep; others are translated."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import openai
import pytest

from dominion.config import load, slots
from dominion.providers.catalog import Catalogue
from tests.emulators.listening import Asked, Listening
from tests.emulators.natives import say
from tests.emulators.spoken import OPENAI_CHAT, TEXT
from tests.whole.program import Program

USAGE: dict[str, object] = {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35}
USAGE |= {"input_tokens_details": {"cached_tokens": 10}, "output_tokens_details": {"reasoning_tokens": 0}}


def answer_to(body: dict[str, object]) -> dict[str, object]:
    """What OpenAI would say, with a field that no other API has and this gateway does not know."""
    before = body.get("previous_response_id")
    text = f"after {before}" if before else "first"
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    told = {"id": "resp_2" if before else "resp_1", "object": "response", "created_at": 1, "status": "completed"}
    return told | {"model": body["model"], "output": [message], "usage": USAGE, "only_here": [1.50, None]}


class Service:
    """A provider with both of OpenAI's APIs. Never answers a request for what it has not kept."""

    def __init__(self, responses: str, credential: str) -> None:
        self.responses = responses
        self.credential = credential
        self.asked: list[Asked] = []
        self.said = b""

    async def answer(self, asked: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        self.asked.append(asked)
        body = json.loads(asked.body)
        if asked.headers.get(self.credential) not in ("Bearer sk-canary", "azure-canary"):
            await say(writer, 401, b"application/json", b'{"error":{"message":"Incorrect API key."}}')
        elif asked.path != self.responses:
            await say(writer, 200, b"application/json", OPENAI_CHAT.whole)
        elif body.get("previous_response_id") not in (None, "resp_1"):
            error = {"message": "not found", "code": "previous_response_not_found", "param": "previous_response_id"}
            await say(writer, 400, b"application/json", json.dumps({"error": error}).encode())
        elif body.get("stream"):
            told = answer_to(body)
            delta: dict[str, object] = {
                "type": "response.output_text.delta",
                "item_id": "msg_1",
                "output_index": 0,
                "content_index": 0,
            }
            events: list[dict[str, object]] = [
                {"type": "response.created", "response": told | {"output": [], "usage": None}}
            ]
            events += [
                delta | {"delta": "first", "sequence_number": 1},
                {"type": "response.completed", "response": told},
            ]
            frames = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
            self.said = b"".join(frames)
            await say(writer, 200, b"text/event-stream", *frames)
        else:
            self.said = json.dumps(answer_to(body), indent=1).encode()
            await say(writer, 200, b"application/json", self.said)


class House(NamedTuple):
    """A gateway before services with and without the Responses API."""

    program: Program
    services: dict[str, Service]
    key: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    services = {
        "openai": Service("/v1/responses", "authorization"),
        "azure_openai": Service("/openai/v1/responses", "api-key"),
        "xai": Service("/v1/responses", "authorization"),
        "acme": Service("/custom/responses", "authorization"),
    }
    with Listening(*(service.answer for service in services.values())) as at:
        url = dict(zip(services, at.urls, strict=True))
        toml = f"""
[providers.openai]
api_key = "sk-canary"
base_url = "{url["openai"]}"
responses_path = "/v1/responses"
[providers.azure_openai]
endpoint = "{url["azure_openai"]}"
api_key = "azure-canary"
[[providers.openai_compat]]
id = "xai"
api_key = "sk-canary"
base_url = "{url["xai"]}"
[[providers.openai_compat]]
id = "acme"
api_key = "sk-canary"
base_url = "{url["acme"]}"
responses_path = "/custom/responses"
"""
        with Program(tmp_path_factory.mktemp("responses"), toml=toml, UNPRICED="allow") as program:
            yield House(program, services, program.user()[1])


def client(house: House, key: str = "") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{house.program.url}/v1", api_key=key or house.key, max_retries=0)


RELAYED = ["openai/gpt-5", "azure_openai/my-deployment", "acme/m"]


@pytest.mark.parametrize("model", RELAYED)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_of_the_responses_api_is_relayed_to_the_byte(house: House, model: str, *, stream: bool) -> None:
    asked = {"model": model, "input": "Hello!", "stream": stream, "store": True, "only_there": {"a": [1.0]}}
    answer = house.program.ask("POST", "/v1/responses", asked, token=house.key)
    service = house.services[model.partition("/")[0]]
    assert (answer.status, answer.body) == (200, service.said)
    assert service.asked[-1].path == service.responses
    assert json.loads(service.asked[-1].body) == asked | {"model": model.partition("/")[2]}


@pytest.mark.parametrize("model", RELAYED)
def test_what_the_provider_keeps_can_be_gone_on_from(house: House, model: str) -> None:
    with client(house) as sdk:
        first = sdk.responses.create(model=model, input="Hello!")
        second = sdk.responses.create(model=model, input="And?", previous_response_id=first.id)
        assert (first.output_text, second.output_text) == ("first", "after resp_1")
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.responses.create(model=model, input="And?", previous_response_id="resp_9")
    assert caught.value.code == "previous_response_not_found"


def test_the_usage_of_a_relayed_answer_is_what_the_provider_said(house: House) -> None:
    user_id, key = house.program.user()
    for stream in (False, True):
        asked = {"model": "openai/gpt-5", "input": "Hello!", "stream": stream}
        assert house.program.ask("POST", "/v1/responses", asked, token=key).status == 200
    (row,) = house.program.admin("GET", f"/admin/usage?user_id={user_id}")["rows"]
    assert (row["requests"], row["input_tokens"], row["output_tokens"], row["cache_read_tokens"]) == (2, 60, 10, 20)


@pytest.mark.parametrize("model", ["openai/gpt-5", "azure_openai/my-deployment"])
def test_callers_of_chat_go_to_chat(house: House, model: str) -> None:
    answer = house.program.chat(house.key, model)
    assert answer.json["choices"][0]["message"]["content"] == TEXT
    assert "/chat/completions" in house.services[model.partition("/")[0]].asked[-1].path


def test_who_has_another_address_is_not_taken_to_speak_it(house: House) -> None:
    with client(house) as sdk:
        assert sdk.responses.create(model="xai/grok-4.3", input="Hello!").output_text == TEXT
        assert house.services["xai"].asked[-1].path == "/v1/chat/completions"
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.responses.create(model="xai/grok-4.3", input="And?", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"


@pytest.mark.parametrize(
    "more",
    [
        {"previous_response_id": "resp_1"},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"tools": [{"type": "web_search"}]},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_prompt_that_is_longer_than_the_request_is_held_as_a_full_window(
    house: House, more: dict[str, object]
) -> None:
    """Else a small request could bring a large prompt past a cap."""
    _, key = house.program.user(daily_tokens=100_000)
    asked = {"model": "openai/gpt-5", "input": "Hello!", "max_output_tokens": 50}
    sent = len(house.services["openai"].asked)
    assert house.program.ask("POST", "/v1/responses", asked | more, token=key).status == 429
    assert len(house.services["openai"].asked) == sent
    assert house.program.ask("POST", "/v1/responses", asked, token=key).status == 200


@pytest.mark.parametrize(
    ("toml", "also"),
    [
        ('[providers.openai]\napi_key = "sk-x"\n', [b"/v1/responses"]),
        ('[providers.openai]\napi_key = "sk-x"\nbase_url = "https://api.openai.com/v1/"\n', [b"/v1/responses"]),
        ('[providers.openai]\napi_key = "sk-x"\nbase_url = "https://api.openai.com.example"\n', []),
        ('[[providers.openai_compat]]\nid = "xai"\napi_key = "x"\n', [b"/v1/responses"]),
        ('[[providers.openai_compat]]\nid = "groq"\napi_key = "x"\n', []),
    ],
)
def test_who_speaks_it_at_its_own_address_needs_no_setting(tmp_path: Path, toml: str, also: list[bytes]) -> None:
    (tmp_path / "dominion.toml").write_text(toml)
    found, _ = slots(load({}, folder=tmp_path), Catalogue.load())
    assert [target.path for _, target in found[0].also] == also
