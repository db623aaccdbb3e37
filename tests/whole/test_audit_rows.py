"""Everything that an operator can change over HTTP leaves a row of the audit log: who, what, and by which request."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.whole.program import Program

SECRET = "sk-CANARY-audited-9Zx8"
ASKS_ONLY = {("post", "/admin/providers/{id}/validate"), ("post", "/admin/alerts/test")}
"""They change nothing here."""
MADE_UP = {"id": "made-up", "base_url": "http://127.0.0.1:9/v1", "default_model": "m-1", "api_key": SECRET}
PRICE = {"provider": "stub", "model": "echo", "input_usd_per_million": "3", "output_usd_per_million": "4"}


class Change(NamedTuple):
    """One request: the route, the real path, and the body."""

    method: str
    route: str
    path: str
    body: Any = None


@pytest.fixture
def gateway(folder: Path) -> Iterator[Program]:
    with Program(folder, DOMINION_EGRESS_ALLOW="127.0.0.0/8") as running:
        yield running


def changes(program: Program, user: str, key_id: str, hold: str) -> Iterator[Change]:
    """One of each, in an order in which each succeeds."""
    yield Change("post", "/admin/users", "/admin/users", {"name": "Grace", "email": "grace@example.com"})
    for what in ("suspend", "activate"):
        yield Change("post", f"/admin/users/{{id}}/{what}", f"/admin/users/{user}/{what}")
    yield Change("post", "/admin/limits", "/admin/limits", {"user_id": user, "daily_requests": 7})
    yield Change("post", "/admin/keys", "/admin/keys", {"user_id": user})
    yield Change("post", "/admin/holds/{id}/release", f"/admin/holds/{hold}/release")
    yield Change("post", "/admin/keys/{id}/rotate", f"/admin/keys/{key_id}/rotate", {"overlap_seconds": 60})
    yield Change("delete", "/admin/keys/{id}", f"/admin/keys/{key_id}")
    one = "/admin/providers/{id}"
    yield Change("post", "/admin/providers", "/admin/providers", MADE_UP)
    yield Change("patch", one, "/admin/providers/made-up", {"default_model": "m-2"})
    for what in ("disable", "enable"):
        yield Change("post", f"{one}/{what}", f"/admin/providers/made-up/{what}")
    own = "/admin/users/{id}/credentials/{provider}"
    yield Change("put", own, f"/admin/users/{user}/credentials/made-up", {"api_key": SECRET})
    yield Change("delete", own, f"/admin/users/{user}/credentials/made-up")
    yield Change("put", f"{one}/credentials", "/admin/providers/made-up/credentials", {"api_key": f"{SECRET}-2"})
    yield Change("delete", f"{one}/credentials", "/admin/providers/made-up/credentials")
    yield Change("delete", one, "/admin/providers/made-up")
    yield Change("post", "/admin/prices", "/admin/prices", PRICE)
    today = program.admin("GET", "/admin/usage")["to"]
    yield Change("post", "/admin/prices/reprice", "/admin/prices/reprice", {"from": today, "to": today})
    yield Change("put", "/admin/budgets", "/admin/budgets", {"scope": "provider:stub", "daily_requests": 9})


def with_a_hold(program: Program, key: str, run: Callable[[str], None]) -> None:
    """Run something while a request runs, by the id of its hold."""
    connection = program.connect()
    body = {"model": "stub/drip-50x100", "messages": [{"role": "user", "content": "x"}], "stream": True}
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        connection.getresponse().read(1)
        (hold,) = program.admin("GET", "/admin/holds")["holds"]
        run(hold["id"])
    finally:
        connection.close()


@pytest.mark.promise("003-221")
def test_every_change_by_an_operator_leaves_a_row(gateway: Program) -> None:
    user, key = gateway.user()
    key_id = gateway.admin("GET", f"/admin/keys?user_id={user}")["keys"][0]["id"]
    done: set[tuple[str, str]] = set()

    def all_of_them(hold: str) -> None:
        for change in changes(gateway, user, key_id, hold):
            answer = gateway.ask(change.method.upper(), change.path, change.body, token=gateway.admin_token)
            assert answer.status in (200, 201), (change, answer.body)
            rows = [row for row in entries(gateway) if row["request_id"] == answer.headers["x-request-id"]]
            assert rows, change
            assert {row["actor"] for row in rows} == {"admin"}
            assert all(row["before"] != row["after"] for row in rows), rows
            done.add((change.method, change.route))

    with_a_hold(gateway, key, all_of_them)
    document = gateway.ask("GET", "/openapi.json").json
    there_are = {
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/admin/")
    }
    assert done == {each for each in there_are if each[0] != "get"} - ASKS_ONLY
    text = json.dumps(entries(gateway))
    assert SECRET not in text
    assert "grace@example.com" not in text


def entries(program: Program) -> list[Any]:
    """The whole log."""
    found: list[Any] = program.admin("GET", "/admin/audit?limit=1000")["entries"]
    return found


def test_what_failed_leaves_none_and_the_first_start_is_nobodys(gateway: Program) -> None:
    first = entries(gateway)
    assert [(row["actor"], row["action"]) for row in first] == [("system", "user.created"), ("system", "key.created")]
    for method, path, body in (
        ("POST", "/admin/users/usr_nobody/suspend", None),
        ("POST", "/admin/limits", {"user_id": "usr_nobody", "daily_requests": 1}),
        ("POST", "/admin/keys", {"user_id": "usr_nobody"}),
        ("DELETE", "/admin/keys/0123456789abcdef", None),
        ("PUT", "/admin/budgets", {"scope": "provider:opanai", "daily_requests": 1}),
        ("PUT", "/admin/budgets", {"scope": "key:0123456789abcdef", "daily_requests": 1}),
    ):
        answer = gateway.ask(method, path, body, token=gateway.admin_token)
        assert answer.status == 404, (path, answer.body)
    assert entries(gateway) == first
