"""Bad input at each door of calls but Gemini's: a clear error in its dialect, in bounded time, and no hold is left."""

import json
import socket
import time
from typing import Any

import pytest

from tests.whole.program import Answer, Program

SPOKEN = {
    "/v1/responses": (b"input", b"max_output_tokens"),
    "/v1/completions": (b"prompt", b"max_tokens"),
    "/v1/embeddings": (b"input", b"dimensions"),
}
"""Doors whose requests have no messages: the field instead of them, and that instead of max_tokens."""
DOORS = ("/v1/llm/complete", "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", *SPOKEN)


def good(**changes: Any) -> dict[str, Any]:
    body = {"model": "stub/echo", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 20} | changes
    return {name: value for name, value in body.items() if value is not ...}


def spoken(door: str, body: Any) -> bytes:
    """A body of chat in the words of a door."""
    written: bytes = body if isinstance(body, bytes) else json.dumps(body).encode()
    if door not in SPOKEN:
        return written
    said, cap = SPOKEN[door]
    written = written.replace(b'[{"role": "user", "content": "Hello!"}]', b'"Hello!"').replace(
        b'"messages"', b'"%b"' % said
    )
    return written.replace(b"max_tokens", cap).replace(b"max\\u005ftokens", cap.replace(b"_", b"\\u005f"))


def deep(levels: int) -> bytes:
    return b'{"model":"stub/echo","max_tokens":9,"messages":[{"role":"user","content":"x"}],"tools":%b%b}' % (
        b"[" * levels,
        b"]" * levels,
    )


def raw(old: bytes, new: bytes) -> bytes:
    body = json.dumps(good()).encode()
    assert old in body
    return body.replace(old, new, 1)


BAD: dict[str, Any] = {
    "broken JSON": json.dumps(good()).encode()[:-5],
    "an empty body": b"",
    "an array": b"[]",
    "a string": b'"hello"',
    "trailing garbage": json.dumps(good()).encode() + b"x",
    "a NUL": json.dumps(good()).encode() + b"\0",
    "UTF-16": json.dumps(good()).encode("utf-16"),
    "invalid UTF-8": raw(b"Hello!", b"\xff\xfe\xfd"),
    "a lone surrogate": raw(b"Hello!", b"\\ud800"),
    "NaN": raw(b'"max_tokens": 20', b'"max_tokens": NaN'),
    "Infinity": raw(b'"max_tokens": 20', b'"temperature": Infinity, "max_tokens": 20'),
    "1e999": raw(b'"max_tokens": 20', b'"temperature": 1e999, "max_tokens": 20'),
    "duplicate max_tokens": raw(b'"max_tokens": 20', b'"max_tokens": 20, "max_tokens": 99999'),
    "duplicate model": raw(b'"model"', b'"model": "stub/echo", "model"'),
    "an escaped duplicate": raw(b'"max_tokens": 20', b'"max_tokens": 20, "max\\u005ftokens": 99999'),
    "100 levels of nesting": deep(100),
    "100,000 levels of nesting": deep(100_000),
    "a 5,000-digit number": raw(b'"max_tokens": 20', b'"max_tokens": ' + b"9" * 5000),
    "messages missing": good(messages=...),
    "messages empty": good(messages=[]),
    "messages of the wrong type": good(messages="Hello!"),
    "a message of the wrong type": good(messages=["Hello!"]),
    "model of the wrong type": good(model=5),
    "model null": good(model=None),
    "model an array": good(model=[]),
    "model too long": good(model="m" * 10_000),
    "a model with a line break": good(model="stub/echo\r\nx-injected: 1"),
    "negative max_tokens": good(max_tokens=-1),
    "huge max_tokens": good(max_tokens=10**18),
    "max_tokens of the wrong type": good(max_tokens="100"),
    "max_tokens true": good(max_tokens=True),
    "max_tokens a fraction": good(max_tokens=1.5),
    "stream of the wrong type": good(stream="yes"),
    "temperature of the wrong type": good(temperature="hot"),
    "a role nobody knows": good(messages=[{"role": "wizard", "content": "x"}]),
}
LENIENT = {
    # native callers leave the choice of the model to the gateway, by null too
    ("/v1/llm/complete", "model null"),
    # fields that a door relays without reading: the provider's business (the stub does not mind)
    ("/v1/messages", "temperature of the wrong type"),
    ("/v1/chat/completions", "a role nobody knows"),
    ("/v1/embeddings", "1e999"),
    ("/v1/embeddings", "temperature of the wrong type"),
    ("/v1/embeddings", "stream of the wrong type"),
    # a text, or texts, are what these doors ask for
    ("/v1/responses", "messages of the wrong type"),
    ("/v1/completions", "messages of the wrong type"),
    ("/v1/completions", "a message of the wrong type"),
    ("/v1/embeddings", "messages of the wrong type"),
    ("/v1/embeddings", "a message of the wrong type"),
}


def check_shape(door: str, answer: Answer) -> dict[str, Any]:
    """The error in the door's own envelope, with code, sentence, action and request id."""
    body = answer.json
    if door.startswith("/v1/messages"):
        assert body["type"] == "error"
        error = body["error"]
        assert {"type", "message", "action", "code"} <= set(error), body
        assert body["request_id"]
    elif door != "/v1/llm/complete":
        error = body["error"]
        assert {"type", "message", "code", "param", "action", "request_id"} <= set(error), body
    else:
        error = body
        assert {"error", "message", "action", "request_id"} <= set(error), body
    assert error["message"].strip()
    assert "Traceback" not in answer.body.decode()
    assert answer.headers["x-request-id"].startswith("req_")
    return dict(error)


@pytest.fixture(scope="module")
def somebody(program: Program) -> tuple[str, str]:
    return program.user(daily_tokens=10**9, monthly_spend_cap_usd=1000)


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("door", DOORS)
def test_bad_bodies_get_a_clear_error_and_leave_no_hold(
    program: Program, somebody: tuple[str, str], door: str, case: str
) -> None:
    began = time.monotonic()
    answer = program.ask("POST", door, spoken(door, BAD[case]), token=somebody[1])
    assert time.monotonic() - began < 2
    if (door, case) not in LENIENT:
        assert 400 <= answer.status < 500, (answer.status, answer.body[:300])
        check_shape(door, answer)
    quota = program.ask("GET", "/v1/llm/quota", token=somebody[1]).json
    assert (quota["concurrent_requests"]["used"], quota["daily_requests"]["held"]) == (0, 0)


@pytest.mark.parametrize("door", DOORS)
def test_unknown_models_and_providers_are_named_with_a_way_out(
    program: Program, somebody: tuple[str, str], door: str
) -> None:
    for model in ("no-such-model", "stub/no-such", "nobody/gpt-4o"):
        answer = program.ask("POST", door, spoken(door, good(model=model)), token=somebody[1])
        assert answer.status in (400, 404), (model, answer.status, answer.body)
        assert check_shape(door, answer)["action"]


@pytest.mark.parametrize("door", DOORS)
def test_keys_that_are_missing_wrong_revoked_or_suspended(program: Program, door: str) -> None:
    user_id, key = program.user()
    for token, status in ((None, 401), ("dom_abc_def", 401), ("sk-1", 401), (key, 200)):
        answer = program.ask("POST", door, spoken(door, good()), token=token)
        assert answer.status == status, answer.body
        if status == 401:
            check_shape(door, answer)
            assert not token or token not in answer.body.decode()
    program.admin("POST", f"/admin/users/{user_id}/suspend")
    assert check_shape(door, program.ask("POST", door, spoken(door, good()), token=key))
    assert program.ask("POST", door, spoken(door, good()), token=key).status == 403
    program.admin("POST", f"/admin/users/{user_id}/activate")
    assert program.ask("POST", door, spoken(door, good()), token=key).status == 200
    (key_id,) = [one["id"] for one in program.admin("GET", f"/admin/keys?user_id={user_id}")["keys"]]
    program.admin("DELETE", f"/admin/keys/{key_id}")
    answer = program.ask("POST", door, spoken(door, good()), token=key)
    assert answer.status == 401
    check_shape(door, answer)


@pytest.mark.parametrize("door", DOORS)
def test_wrong_methods_content_types_encodings_and_two_keys(
    program: Program, somebody: tuple[str, str], door: str
) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = program.ask(method, door, token=somebody[1])
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        check_shape(door, answer)
    body = spoken(door, good())
    for headers in ({"content_type": "text/plain"}, {"content_encoding": "gzip"}):
        answer = program.ask("POST", door, body, token=somebody[1], **headers)
        assert answer.status == 415
        check_shape(door, answer)
    answer = program.ask("POST", door, body, token=somebody[1], x_api_key="dom_another_one")
    assert answer.status == 400
    check_shape(door, answer)


def test_a_50_mb_body_is_refused_before_it_is_read(program: Program, somebody: tuple[str, str]) -> None:
    host, port = program.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {somebody[1]}\r\n"
        f"content-type: application/json\r\ncontent-length: {50 * 1024 * 1024}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as caller:
        caller.sendall(head.encode())
        assert caller.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_without_end_is_refused_at_the_limit(program: Program, somebody: tuple[str, str]) -> None:
    host, port = program.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {somebody[1]}\r\n"
        "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as caller:
        caller.sendall(head.encode())
        received = b""
        try:
            for _ in range(40):
                caller.sendall(piece)
        except ConnectionError:
            pass
        try:
            received = caller.recv(65536)
        except ConnectionError:
            return  # refused and closed while we were still sending
        assert received.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "headers", [[b"x-%d: 1" % number for number in range(10_000)], [b"x-long: " + b"a" * 1_000_000]]
)
def test_too_many_or_too_large_headers_are_refused(program: Program, headers: list[bytes]) -> None:
    host, port = program.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as caller:
        try:
            caller.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + b"\r\n".join(headers) + b"\r\n\r\n")
            answer = caller.recv(65536)
        except ConnectionError:
            return  # refused and closed while we were still sending
    assert answer.startswith(b"HTTP/1.1 431"), answer[:100]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "request_too_large"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/llm/complete HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization : Bearer a\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\nhello",
    ],
)
def test_malformed_http_is_answered_400_and_closed(program: Program, request_bytes: bytes) -> None:
    host, port = program.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as caller:
        caller.sendall(request_bytes)
        answer = b""
        while piece := caller.recv(65536):
            answer += piece
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401")), answer[:100]


def test_unknown_paths_answer_in_the_dialect_of_their_door(program: Program) -> None:
    assert program.ask("GET", "/v1/nothing").json["error"]["code"] == "not_found"
    assert program.ask("GET", "/v1/messages/nothing").json["error"]["type"] == "not_found_error"
    assert program.ask("GET", "/admin/nothing").json["error"] == "not_found"
    assert program.ask("POST", "/health").status == 405
