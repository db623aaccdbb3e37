"""A server that the bench sends requests to, and one plain exchange with it."""

import http.client
import json
from dataclasses import dataclass

from bench.request import PATH, completion_body


@dataclass(frozen=True)
class Target:
    """A server on loopback. `pid` is the root of the process tree whose CPU counts; 0 is for the bare upstream."""

    name: str
    pid: int
    port: int
    stream_port: int
    key: str


@dataclass(frozen=True)
class Reply:
    """The status and the body of an answer."""

    status: int
    body: bytes


def ask(port: int, key: str, body: bytes | None = None, *, timeout: float = 10) -> Reply:
    """Send one completion over a fresh connection. Raises OSError or http.client.HTTPException."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return exchange(port, "POST", PATH, headers, completion_body() if body is None else body, timeout=timeout)


def ask_json(port: int, key: str, method: str, path: str, body: object = None) -> object:
    """Send JSON, read JSON. Raises RuntimeError when the answer is not a 2xx."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    reply = exchange(port, method, path, headers, None if body is None else json.dumps(body).encode(), timeout=10)
    if reply.status // 100 != 2:  # noqa: PLR2004
        raise RuntimeError(f"{method} {path}: {reply.status} {reply.body[:500]!r}")
    return json.loads(reply.body)


def exchange(
    port: int, method: str, path: str, headers: dict[str, str], body: bytes | None, *, timeout: float
) -> Reply:
    """One request and its answer over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Reply(response.status, response.read())
    finally:
        connection.close()
