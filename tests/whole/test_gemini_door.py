"""The Gemini door byte by byte: addresses, keys, both forms of streams, lists of models, bad input."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.whole.program import Answer, Program

HELLO = {"contents": [{"parts": [{"text": "Hello!"}]}]}
ECHO = "/v1beta/models/stub/echo:generateContent"
STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 405: "INVALID_ARGUMENT"}


@pytest.fixture(scope="module")
def key(program: Program) -> str:
    return program.user(daily_tokens=10**9, monthly_spend_cap_usd=1000)[1]


def said(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return str(answer.json["candidates"][0]["content"]["parts"][0]["text"])


def check_error(answer: Answer) -> dict[str, Any]:
    """The error in Google's shape, with our code, action and request id where its clients look for details."""
    error = answer.json["error"]
    assert error["message"].strip()
    assert error["status"] == STATUSES.get(answer.status, error["status"])
    info = error["details"][0]
    assert info["metadata"]["action"]
    assert info["metadata"]["request_id"] == answer.headers["x-request-id"]
    return dict(error)


def idle(program: Program, key: str) -> bool:
    quota = program.ask("GET", "/v1/llm/quota", token=key).json
    return bool((quota["concurrent_requests"]["used"], quota["daily_requests"]["held"]) == (0, 0))


# --- addresses


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("model", ["stub/echo", "stub%2Fecho", "stub"])
def test_models_are_named_in_the_address_with_their_provider_or_alone(
    program: Program, key: str, version: str, model: str
) -> None:
    answer = program.ask("POST", f"/{version}/models/{model}:generateContent", HELLO, x_goog_api_key=key)
    assert "Hello!" in said(answer)
    assert answer.headers["x-dominion-provider"] == "stub"


def test_the_address_decides_over_model_and_stream_whatever_the_body_says(program: Program, key: str) -> None:
    answer = program.ask("POST", ECHO, HELLO | {"model": "models/stub/fail-500", "stream": True}, token=key)
    assert "Hello!" in said(answer)


def test_what_is_no_action_or_no_post_is_said_so(program: Program, key: str) -> None:
    for path in ("/v1beta/models/stub/echo:fly", "/v1/models/stub/echo:embedContent"):
        answer = program.ask("POST", path, HELLO, token=key)
        assert answer.status == 404
        assert "generateContent" in check_error(answer)["message"]
    for method in ("GET", "PUT", "DELETE"):
        answer = program.ask(method, ECHO, token=key)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        check_error(answer)
    for method, path in (("GET", "/v1beta/nothing"), ("POST", "/v1beta/models"), ("POST", "/v1beta/models/stub/echo")):
        answer = program.ask(method, path, token=key)
        assert answer.status in (404, 405)
        check_error(answer)


# --- keys


def test_a_key_comes_in_google_s_header_in_the_query_or_as_everywhere_else(program: Program, key: str) -> None:
    assert program.ask("POST", ECHO, HELLO, x_goog_api_key=key).status == 200
    assert program.ask("POST", f"{ECHO}?key={key}", HELLO).status == 200
    assert program.ask("POST", ECHO, HELLO, token=key).status == 200
    assert program.ask("POST", f"{ECHO}?key={key}", HELLO, token=key, x_goog_api_key=key).status == 200
    for path, headers in ((ECHO, {}), (ECHO, {"x_goog_api_key": "dom_a_b"}), (f"{ECHO}?key=dom_a_b", {})):
        answer = program.ask("POST", path, HELLO, **headers)
        assert answer.status == 401
        check_error(answer)


def test_two_different_keys_are_refused(program: Program, key: str) -> None:
    for path, headers in (
        (f"{ECHO}?key=dom_a_b", {"x_goog_api_key": key}),
        (f"{ECHO}?key=dom_a_b&key={key}", {}),
        (ECHO, {"x_goog_api_key": key, "authorization": "Bearer dom_a_b"}),
        (f"{ECHO}?key={key}", {"x_api_key": "dom_a_b"}),
        (f"/v1beta/models?key={key}", {"x_goog_api_key": "dom_a_b"}),
    ):
        method = "POST" if ":" in path else "GET"
        answer = program.ask(method, path, HELLO if method == "POST" else None, **headers)
        assert answer.status == 400, path
        check_error(answer)


def test_a_connection_does_not_lend_its_key_to_the_next_request(program: Program, key: str) -> None:
    body = json.dumps(HELLO)
    chat = json.dumps({"model": "stub", "messages": [{"role": "user", "content": "Hello!"}]})
    connection = program.connect()
    try:
        for keyed, path, sent, status in (
            (True, ECHO, body, 200),
            (True, ECHO, body, 200),
            (False, "/v1/chat/completions", chat, 401),
        ):
            headers = {"content-type": "application/json"} | ({"x-goog-api-key": key} if keyed else {})
            connection.request("POST", path, sent, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status, path
    finally:
        connection.close()


def test_a_key_in_the_query_never_reaches_the_log(folder: Path) -> None:
    with Program(folder, LOG_LEVEL="debug") as program:
        user_id, key = program.user()
        for method, path in (
            ("POST", ECHO),
            ("POST", "/v1beta/models/stub/fail-500:generateContent"),
            ("POST", "/v1beta/models/no-such-model:streamGenerateContent"),
            ("POST", "/v1beta/models/stub/echo:fly"),
            ("GET", "/v1beta/models"),
            ("GET", "/v1beta/nothing"),
        ):
            body = HELLO if method == "POST" else None
            answer = program.ask(method, f"{path}?key={key}", body)
            assert key.encode() not in answer.body
        program.stop()
        log = "".join(program.lines)
    assert f"user.created of user:{user_id}" in log  # it does talk
    assert key not in log
    assert key.rpartition("_")[2] not in log


# --- streams


@pytest.mark.parametrize("query", ["", "?alt=json"])
def test_a_stream_is_one_json_array_unless_events_are_asked_for(program: Program, key: str, query: str) -> None:
    path = f"/v1beta/models/stub/drip-5x1:streamGenerateContent{query}"
    answer = program.ask("POST", path, HELLO, token=key)
    assert answer.headers["content-type"] == "application/json"
    texts = [each["candidates"][0]["content"]["parts"][0]["text"] for each in answer.json]
    assert "".join(texts) == "000 001 002 003 004 "
    assert answer.json[-1]["usageMetadata"]["candidatesTokenCount"] == 5


def test_both_forms_of_a_stream_hold_the_same(program: Program, key: str) -> None:
    path = "/v1beta/models/stub/drip-5x1:streamGenerateContent"
    events = program.ask("POST", f"{path}?alt=sse", HELLO, token=key)
    assert events.headers["content-type"] == "text/event-stream"
    frames = [json.loads(frame.removeprefix(b"data: ")) for frame in events.body.split(b"\n\n") if frame]
    assert frames == program.ask("POST", path, HELLO, token=key).json


def test_an_array_comes_element_by_element(program: Program, key: str) -> None:
    connection = program.connect()
    try:
        headers = {"content-type": "application/json", "x-goog-api-key": key}
        path = "/v1beta/models/stub/stall:streamGenerateContent"
        connection.request("POST", path, json.dumps(HELLO), headers)
        first = connection.getresponse().read1()  # while the provider says nothing more
        assert json.loads(first + b"]")[0]["candidates"]
    finally:
        connection.close()


def test_an_array_that_breaks_ends_with_the_error_and_is_json(program: Program, key: str) -> None:
    answer = program.ask("POST", "/v1beta/models/stub/cut-3:streamGenerateContent", HELLO, token=key)
    assert answer.json[0]["candidates"]
    assert answer.json[-1]["error"]["details"][0]["metadata"]["request_id"] == answer.headers["x-request-id"]


def test_an_array_that_never_began_is_one_error(program: Program, key: str) -> None:
    answer = program.ask("POST", "/v1beta/models/stub/fail-429:streamGenerateContent", HELLO, token=key)
    assert answer.status == 429
    (only,) = answer.json
    assert only["error"]["status"] == "RESOURCE_EXHAUSTED"


# --- lists


def test_the_list_of_models_has_the_shape_of_the_caller_s_api(program: Program, key: str) -> None:
    for answer in (
        program.ask("GET", "/v1beta/models", token=key),
        program.ask("GET", "/v1/models", x_goog_api_key=key),
        program.ask("GET", f"/v1/models?key={key}"),
    ):
        assert "models/stub/echo" in [model["name"] for model in answer.json["models"]]
    assert program.ask("GET", "/v1/models", token=key).json["object"] == "list"
    assert program.ask("GET", "/v1/models", x_api_key=key, anthropic_version="2023-06-01").json["has_more"] is False


def test_a_model_that_is_not_there_is_told_in_the_shape_of_the_caller_s_api(program: Program, key: str) -> None:
    for path, headers in (("/v1beta/models/nope", {"authorization": f"Bearer {key}"}), ("/v1/models/nope", {})):
        answer = program.ask("GET", path, **(headers or {"x_goog_api_key": key}))
        assert answer.status == 404
        check_error(answer)
    answer = program.ask("GET", "/v1/models/nope", x_api_key=key, anthropic_version="2023-06-01")
    assert answer.json["type"] == "error"
    assert program.ask("GET", "/v1/models/nope", token=key).json["error"]["code"] == "model_not_found"
    one = program.ask("GET", "/v1beta/models/stub/echo", token=key).json
    assert one["name"] == "models/stub/echo"
    assert "countTokens" in one["supportedGenerationMethods"]


# --- bad input


def config(text: str) -> bytes:
    return json.dumps(HELLO)[:-1].encode() + f', "generationConfig": {text}}}'.encode()


BAD: dict[str, Any] = {
    "broken JSON": json.dumps(HELLO).encode()[:-3],
    "an empty body": b"",
    "an array": b"[]",
    "NaN": config('{"temperature": NaN}'),
    "contents missing": {},
    "contents empty": {"contents": []},
    "contents of the wrong type": {"contents": 5},
    "a duplicate": config('{"maxOutputTokens": 1, "maxOutputTokens": 99999}'),
    "two spellings of one cap": config('{"maxOutputTokens": 1, "max_output_tokens": 99999}'),
    "a lookalike of a cap": config('{"MaxOutputTokens": 99999}'),
    "two configs": config('{}, "generation_config": {"maxOutputTokens": 99999}'),
    "a cap of the wrong type": config('{"maxOutputTokens": "1"}'),
    "a negative cap": config('{"maxOutputTokens": -1}'),
    "a huge cap": config('{"maxOutputTokens": 1000000000000000000}'),
    "too many candidates": config('{"candidateCount": 1000}'),
    "a role nobody knows": {"contents": [{"role": "wizard", "parts": [{"text": "x"}]}]},
    "100 levels of nesting": config("[" * 100 + "]" * 100),
}


@pytest.mark.parametrize("action", ["generateContent", "streamGenerateContent?alt=sse", "countTokens"])
@pytest.mark.parametrize("case", BAD)
def test_bad_bodies_get_a_clear_error_and_leave_no_hold(program: Program, key: str, case: str, action: str) -> None:
    answer = program.ask("POST", f"/v1beta/models/stub/echo:{action}", BAD[case], token=key)
    assert 400 <= answer.status < 500, answer.body
    check_error(answer)
    assert idle(program, key)


def test_models_of_absurd_names_are_refused(program: Program, key: str) -> None:
    for name in ("m" * 10_000, "stub%2Fecho%0D%0Ax-injected:1", "stub/no-such", "%E2%82%AC", "no-such-model", ""):
        answer = program.ask("POST", f"/v1beta/models/{name}:generateContent", HELLO, token=key)
        assert answer.status in (400, 404), name
        check_error(answer)
        assert "x-injected" not in answer.headers
    assert idle(program, key)


def test_the_openapi_document_has_the_doors_of_every_vendor(program: Program) -> None:
    paths = program.ask("GET", "/openapi.json").json["paths"]
    for version in ("v1", "v1beta"):
        for action in ("generateContent", "streamGenerateContent", "countTokens"):
            described = paths[f"/{version}/models/{{model}}:{action}"]["post"]
            assert [one["name"] for one in described["parameters"]] == ["model"]
            assert described["requestBody"]["content"]["application/json"]["schema"]["required"] == ["contents"]
        assert {"get"} == paths[f"/{version}/models"].keys() == paths[f"/{version}/models/{{model}}"].keys()
    for path in ("/v1/responses", "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/messages/count_tokens"):
        assert paths[path].keys() == {"post"}
