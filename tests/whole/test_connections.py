"""Callers' connections, byte by byte: several requests at once, late bodies, and garbage between them."""

import json
import re
import socket

import pytest

from tests.whole.program import ADMIN_TOKEN, Program

CLOSE = "connection: close\r\n"


def request(key: str, content: str, *, stream: bool = False, more: str = "") -> bytes:
    messages = [{"role": "user", "content": content}]
    body = json.dumps({"model": "stub/echo", "messages": messages, "max_tokens": 20, "stream": stream})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-length: {len(body)}\r\n{more}\r\n{body}".encode()


def exchange(program: Program, *pieces: bytes) -> bytes:
    """All that comes back on one connection until it ends. Each piece after the first waits for an answer's bytes."""
    host, port = program.url.removeprefix("http://").split(":")
    heard = b""
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
            if piece is not pieces[-1]:
                heard += connection.recv(65_536)
        while more := connection.recv(65_536):
            heard += more
    return heard


def statuses(heard: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", heard)]


def test_requests_that_are_sent_at_once_are_answered_in_order(program: Program) -> None:
    _, key = program.user()
    words = ["first", "second", "third", "fourth"]
    sent = [request(key, word, more=CLOSE if word == "fourth" else "") for word in words]
    heard = exchange(program, b"".join(sent))
    assert statuses(heard) == [200] * 4
    assert re.findall("|".join(words).encode(), heard) == [word.encode() for word in words]


def test_doors_other_routes_and_streams_share_a_connection(program: Program) -> None:
    _, key = program.user()
    health = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    sent = [request(key, "one"), health, request(key, "two", stream=True), health, request(key, "three", more=CLOSE)]
    heard = exchange(program, b"".join(sent))
    assert statuses(heard) == [200] * 5
    places = [heard.index(mark) for mark in (b"one", b'"status":"ok"', b"[DONE]", b"three")]
    assert places == sorted(places)


def test_garbage_behind_a_request_does_not_cost_its_answer(program: Program) -> None:
    _, key = program.user()
    heard = exchange(program, request(key, "kept"), b"\x00garbage\r\n\r\n")
    assert statuses(heard) == [200, 400]
    assert b"kept" in heard


@pytest.mark.parametrize("expects", ["", "expect: 100-continue\r\n"])
def test_a_body_may_come_late_and_in_pieces(program: Program, expects: str) -> None:
    _, key = program.user()
    host, port = program.url.removeprefix("http://").split(":")
    head, body = request(key, "late", more=CLOSE + expects).split(b"\r\n\r\n")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head + b"\r\n\r\n")
        if expects:
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for byte in range(len(body)):
            connection.sendall(body[byte : byte + 1])
        heard = b""
        while more := connection.recv(65_536):
            heard += more
    assert statuses(heard) == [200]
    assert b"late" in heard


def test_a_caller_who_leaves_with_the_body_half_sent_leaves_nothing_behind(program: Program) -> None:
    user, key = program.user(concurrent_requests=1)
    host, port = program.url.removeprefix("http://").split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(request(key, "never")[:-5])
    assert program.chat(key).status == 200
    assert program.usage(user)["requests"] == 1


def test_an_operator_who_leaves_with_the_body_half_sent_is_no_defect(program: Program) -> None:
    host, port = program.url.removeprefix("http://").split(":")
    head = f"POST /admin/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"{head}content-type: application/json\r\ncontent-length: 50\r\n\r\n{{".encode())
        assert program.ask("GET", "/health").status == 200
    for _ in range(3):
        assert program.ask("GET", "/health").status == 200
    assert [line for line in program.lines if "defect" in line] == []


def test_a_refused_body_ends_the_connection_and_says_so_once(program: Program) -> None:
    _, key = program.user()
    head = request(key, "large").split(b"\r\n\r\n")[0]
    heard = exchange(program, re.sub(rb"content-length: \d+", b"content-length: 999999999", head) + b"\r\n\r\n")
    assert statuses(heard) == [413]
    assert heard.lower().count(b"connection: close") == 1
