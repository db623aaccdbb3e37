"""Every OpenAI-compatible row of the catalogue passes the same conversation with an emulator of its own service."""

import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from dominion.providers.catalog_files import read_providers
from tests.emulators.compatible import ARGUMENTS, CALL_ID, TEXT, Service, Services
from tests.emulators.vendors import HINT, INPUT_TOKENS, OUTPUT_TOKENS, VENDORS, Vendor
from tests.whole.heard import ANTHROPIC, OPENAI, Heard, heard
from tests.whole.program import Answer, Program

ROWS = {row.id: row for row in read_providers()}
LEPTON = "/api"
"""Where operators of Lepton's dedicated endpoints may have theirs: the catalogue knows no address."""
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
DOORS = {OPENAI: "openai", ANTHROPIC: "anthropic"}


class House(NamedTuple):
    """A gateway between a caller and all services."""

    program: Program
    services: Services
    user_id: str
    key: str

    def ask(self, vendor: Vendor, door: str, step: str, *, stream: bool = False, **fields: Any) -> Answer:
        """One request; every step has a model of its own, so that its row can be told apart."""
        shared = {"model": f"{vendor.id}/{model_of(door, step)}", "stream": stream}
        return self.program.ask("POST", door, conversation(door) | shared | fields, token=self.key)

    def row(self, vendor: Vendor, door: str, step: str) -> dict[str, int]:
        """What the ledger says of a step."""
        rows = self.program.admin("GET", f"/admin/usage?user_id={self.user_id}")["rows"]
        (found,) = [row for row in rows if (row["provider"], row["model"]) == (vendor.id, model_of(door, step))]
        return dict(found)


def slot(vendor: Vendor, url: str) -> str:
    """The vendor's table of dominion.toml: id, key, and the emulator's address. A made-up one names its path."""
    row = ROWS.get(vendor.id)
    key = f'api_key = "key-of-{vendor.id}"\n' if vendor.keyed else ""
    head = f'[[providers.openai_compat]]\nid = "{vendor.id}"\n{key}'
    if row is None:
        return f'{head}base_url = "{url}/llm"\nchat_path = "/v2/converse"\n'
    base = urlsplit(row.base_url).path or (LEPTON if vendor.id == "lepton" else "")
    return f'{head}base_url = "{url}{base}"\n'


def model_of(door: str, step: str) -> str:
    return f"m-{DOORS[door]}-{step}"


def conversation(door: str) -> dict[str, Any]:
    """The request without tools. OpenAI's own SDK sends the cap by its new name."""
    asked = {"role": "user", "content": "Hello!"}
    if door == OPENAI:
        return {"messages": [{"role": "system", "content": "Be brief."}, asked], "max_completion_tokens": 50}
    return {"system": "Be brief.", "messages": [asked], "max_tokens": 50}


def tools(door: str) -> dict[str, Any]:
    """A tool that must be called."""
    if door == ANTHROPIC:
        return {"tools": [{"name": "weather", "input_schema": SCHEMA}], "tool_choice": {"type": "any"}}
    function = {"name": "weather", "parameters": SCHEMA}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}


def call_of(door: str, answer: Answer) -> tuple[str, str, Any, list[dict[str, Any]]]:
    """Id, name and arguments of the tool call, and the turns that carry it back with a result."""
    told = answer.json
    if door == OPENAI:
        message = told["choices"][0]["message"]
        (call,) = message["tool_calls"]
        result = {"role": "tool", "tool_call_id": call["id"], "content": "Sunny."}
        return call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]), [message, result]
    (call,) = [block for block in told["content"] if block["type"] == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "Sunny."}
    turns = [{"role": "assistant", "content": told["content"]}, {"role": "user", "content": [result]}]
    return call["id"], call["name"], call["input"], turns


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Services() as services:
        toml = "".join(slot(vendor, services.url(vendor.id)) for vendor in VENDORS)
        folder = tmp_path_factory.mktemp("providers")
        with Program(folder, toml=toml, UNPRICED="allow", UPSTREAM_TOTAL_SECONDS="3") as program:
            yield House(program, services, *program.user())


@pytest.fixture
def service(house: House, vendor: Vendor) -> Iterator[Service]:
    """The vendor's emulator, well again afterwards."""
    found = house.services.services[vendor.id]
    yield found
    found.state = "well"


EVERYWHERE = pytest.mark.parametrize(
    ("vendor", "door"),
    [
        pytest.param(vendor, door, id=f"{vendor.id}-{name}")
        for vendor, (door, name) in itertools.product(VENDORS, DOORS.items())
    ],
)
"""Every vendor at every door."""


def test_there_is_an_emulator_for_every_compatible_row() -> None:
    compatible = {row.id for row in ROWS.values() if not row.own_table} - {"stub"}
    assert compatible == {vendor.id for vendor in VENDORS} - {"made-up"}


@EVERYWHERE
@pytest.mark.promise("002-001", "002-032", "002-033", "003-001", "003-209", "003-210", "003-222")
def test_a_text_is_answered_and_metered(house: House, vendor: Vendor, door: str) -> None:
    answer = house.ask(vendor, door, "text")
    assert heard(door, answer, stream=False) == Heard(200, TEXT, "", ended=True), answer.body
    assert answer.headers["x-dominion-provider"] == vendor.id
    row = house.row(vendor, door, "text")
    assert (row["requests"], row["input_tokens"], row["output_tokens"]) == (1, INPUT_TOKENS, OUTPUT_TOKENS)


@EVERYWHERE
def test_a_stream_is_answered_and_metered(house: House, vendor: Vendor, door: str) -> None:
    answer = house.ask(vendor, door, "stream", stream=True)
    ended = vendor.done or door == ANTHROPIC
    assert heard(door, answer, stream=True) == Heard(200, TEXT, "", ended=ended), answer.body
    row = house.row(vendor, door, "stream")
    assert (row["requests"], row["input_tokens"], row["output_tokens"]) == (1, INPUT_TOKENS, OUTPUT_TOKENS)


@EVERYWHERE
def test_a_tool_is_forced_and_its_result_taken(house: House, vendor: Vendor, door: str) -> None:
    answer = house.ask(vendor, door, "tools", **tools(door))
    if not vendor.forced:
        assert answer.status == 400
        assert "Tools are not supported." in answer.json["error"]["message"]
        return
    assert answer.status == 200, answer.body
    call_id, name, arguments, turns = call_of(door, answer)
    assert (call_id, name, arguments) == (CALL_ID, "weather", ARGUMENTS)
    messages = conversation(door)["messages"] + turns
    again = house.ask(vendor, door, "result", **tools(door) | {"messages": messages})
    assert heard(door, again, stream=False) == Heard(200, TEXT, "", ended=True), again.body


@EVERYWHERE
def test_a_revoked_key_is_the_operators_to_mend(house: House, service: Service, vendor: Vendor, door: str) -> None:
    service.state = "revoked"
    answer = house.ask(vendor, door, "revoked")
    assert answer.status == 502, answer.body
    assert answer.json["error"]["code"] == "provider_credentials_invalid"
    assert service.key.encode() not in answer.body
    assert house.row(vendor, door, "revoked")["failed"] == 1


@EVERYWHERE
def test_a_rate_limit_is_told_with_the_time_to_wait(house: House, service: Service, vendor: Vendor, door: str) -> None:
    service.state = "limited"
    answer = house.ask(vendor, door, "limited")
    assert answer.status == 429, answer.body
    assert answer.json["error"]["code"] in ("rate_limit_exceeded", "provider_rate_limited")
    assert answer.headers.get("retry-after") == (str(HINT) if vendor.hinted else None)
    assert house.row(vendor, door, "limited")["failed"] == 1
