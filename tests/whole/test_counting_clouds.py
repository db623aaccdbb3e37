"""Tokens counted by Bedrock and Vertex AI, with requests as botocore and Anthropic's own SDK write them."""

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.emulators.natives import AWS, PROJECT, Natives
from tests.whole.program import Answer, Program
from tests.whole.test_native_providers import toml

REASON = "botocore is not installed; AWS's own library says how requests are written"
botocore_serialize: Any = pytest.importorskip("botocore.serialize", reason=REASON)
botocore_session: Any = pytest.importorskip("botocore.session", reason=REASON)

CLAUDE, NOVA = "anthropic.claude-sonnet-4-5-v1:0", "amazon.nova-pro-v1:0"
AT_VERTEX = f"/v1/projects/{PROJECT}/locations/us-central1/publishers"
VERTEX_CLAUDE = f"{AT_VERTEX}/anthropic/models/count-tokens:rawPredict"
VERTEX_GEMINI = f"{AT_VERTEX}/google/models/gemini-2.5-flash:countTokens"
MESSAGES = [{"role": "user", "content": "Hello!"}]
BY_BEDROCK, BY_ANTHROPIC = (200, b'{"inputTokens": 13}'), (200, b'{"input_tokens": 14}')


class House(NamedTuple):
    """A gateway between a caller and the clouds."""

    program: Program
    natives: Natives
    key: str

    def by_anthropic(self, model: str, **fields: Any) -> Answer:
        """Counted at the Anthropic door."""
        body = {"model": model, "messages": MESSAGES, **fields}
        headers = {"anthropic_version": "2023-06-01", "anthropic_beta": "some-beta"}
        return self.program.ask("POST", "/v1/messages/count_tokens", body, token=self.key, **headers)

    def by_gemini(self, model: str) -> Answer:
        """Counted at the Gemini door."""
        body = {"contents": [{"role": "user", "parts": [{"text": "Hello!"}]}]}
        path = f"/v1beta/models/{model.replace('/', '%2F')}:countTokens"
        return self.program.ask("POST", path, body, token=self.key)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("clouds")
    with Natives(folder) as natives:
        natives.write_files()
        aws: dict[str, Any] = {"AWS_ACCESS_KEY_ID": AWS.access_key, "AWS_SECRET_ACCESS_KEY": AWS.secret_key}
        with Program(folder / "house", toml=toml(natives), UNPRICED="allow", HOME=str(folder), **aws) as program:
            yield House(program, natives, program.user()[1])


@pytest.fixture(autouse=True)
def fresh(house: House) -> None:
    house.natives.counted.clear()
    house.natives.counts = {
        f"/model/{CLAUDE.replace(':', '%3A')}/count-tokens": BY_BEDROCK,
        f"/model/{NOVA.replace(':', '%3A')}/count-tokens": BY_BEDROCK,
        VERTEX_CLAUDE: BY_ANTHROPIC,
        VERTEX_GEMINI: (200, b'{"totalTokens": 15}'),
    }


def as_botocore(model: str, counted: dict[str, Any]) -> Any:
    """The body that AWS's own library writes, after it has checked the input against the service's model."""
    operation = botocore_session.get_session().get_service_model("bedrock-runtime").operation_model("CountTokens")
    serializer = botocore_serialize.create_serializer("rest-json")
    request = serializer.serialize_to_request({"modelId": model, "input": counted}, operation)
    return json.loads(request["body"])


def test_claude_on_bedrock_is_counted_by_its_whole_request(house: House) -> None:
    answer = house.by_anthropic(f"bedrock/{CLAUDE}", system="Be brief.")
    assert (answer.json, answer.headers["x-dominion-provider"]) == ({"input_tokens": 13}, "bedrock")
    assert "x-dominion-usage" not in answer.headers
    sent = json.loads(house.natives.counted[-1].body)
    inner = base64.b64decode(sent["input"]["invokeModel"]["body"])
    assert sent == as_botocore(CLAUDE, {"invokeModel": {"body": inner}})
    asked = json.loads(inner)
    assert asked.pop("max_tokens") > 0
    assert asked.pop("anthropic_beta") == ["some-beta"]
    assert asked == {"messages": MESSAGES, "system": "Be brief.", "anthropic_version": "bedrock-2023-05-31"}
    assert house.by_gemini(f"bedrock/{CLAUDE}").json == {"totalTokens": 13}
    inner = base64.b64decode(json.loads(house.natives.counted[-1].body)["input"]["invokeModel"]["body"])
    assert json.loads(inner)["messages"][0]["role"] == "user"


def test_other_models_of_bedrock_are_counted_by_their_conversation(house: House) -> None:
    tools = [{"name": "weather", "description": "Weather.", "input_schema": {"type": "object", "properties": {}}}]
    answer = house.by_anthropic(f"bedrock/{NOVA}", system="Be brief.", tools=tools, temperature=0.5)
    assert (answer.json, answer.headers["x-dominion-provider"]) == ({"input_tokens": 13}, "bedrock")
    sent = json.loads(house.natives.counted[-1].body)
    assert sent["input"]["converse"].keys() == {"messages", "system", "toolConfig"}
    assert sent == as_botocore(NOVA, sent["input"])


def test_claude_on_vertex_is_counted_where_google_counts_it(house: House) -> None:
    answer = house.by_anthropic("vertex/claude-sonnet-4-5@20250929", system="Be brief.", new_field=[1])
    assert (answer.json, answer.headers["x-dominion-provider"]) == ({"input_tokens": 14}, "vertex")
    asked = house.natives.counted[-1]
    own = {"model": "claude-sonnet-4-5@20250929", "anthropic_version": "vertex-2023-10-16"}
    assert json.loads(asked.body) == {**own, "messages": MESSAGES, "system": "Be brief.", "new_field": [1]}
    assert (asked.headers["anthropic-beta"], "anthropic-version" in asked.headers) == ("some-beta", False)
    assert house.by_gemini("vertex/claude-sonnet-4-5@20250929").json == {"totalTokens": 14}
    assert json.loads(house.natives.counted[-1].body).keys() == {"model", "messages", "anthropic_version"}


def test_gemini_on_vertex_is_counted_at_both_doors(house: House) -> None:
    assert house.by_anthropic("vertex/gemini-2.5-flash").json == {"input_tokens": 15}
    assert house.by_gemini("vertex/gemini-2.5-flash").json == {"totalTokens": 15}


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
def test_models_that_bedrock_does_not_count_are_estimated(house: House, model: str) -> None:
    refused = 400, b'{"message":"The provided model doesn\'t support counting tokens."}'
    house.natives.counts = dict.fromkeys(house.natives.counts, refused)
    answer = house.by_anthropic(f"bedrock/{model}")
    assert (answer.status, answer.headers["x-dominion-usage"]) == (200, "estimated")
    assert len(house.natives.counted) == 1


def test_requests_that_vertex_refuses_are_refused(house: House) -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "messages: too few"}}
    house.natives.counts[VERTEX_CLAUDE] = 400, json.dumps(error).encode()
    assert house.by_anthropic("vertex/claude-sonnet-4-5@20250929").status == 400
