"""Keys of callers are rotated at the running program without a refused request, expire, and are carried in one way."""

import itertools
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.whole.program import Answer, Program
from tests.whole.test_two_gateways import both, seconds_until  # noqa: F401 - a fixture

BODY = json.dumps({"model": "stub/echo", "messages": [{"role": "user", "content": "Hi"}]}).encode()


def rotate(program: Program, key: str, overlap: int | None = None) -> Any:
    body = {} if overlap is None else {"overlap_seconds": overlap}
    return program.admin("POST", f"/admin/keys/{key.split('_')[1]}/rotate", body)


class Asking(threading.Thread):
    """Asks over one kept connection until it is told to stop; `key` may change meanwhile."""

    def __init__(self, program: Program, key: str) -> None:
        super().__init__(daemon=True)
        self.key = key
        self.statuses: list[int] = []
        self._program = program
        self._ends = threading.Event()
        self._more = threading.Condition()

    def run(self) -> None:
        connection = self._program.connect()
        while not self._ends.is_set():
            headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
            connection.request("POST", "/v1/chat/completions", BODY, headers)
            answer = connection.getresponse()
            answer.read()
            with self._more:
                self.statuses.append(answer.status)
                self._more.notify_all()
        connection.close()

    def some_more(self) -> None:
        """Return after ten more answers."""
        with self._more:
            wanted = len(self.statuses) + 10
            assert self._more.wait_for(lambda: len(self.statuses) >= wanted, 30)

    def end(self) -> None:
        self._ends.set()
        self.join(30)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_rotation_under_load_refuses_nobody(folder: Path, workers: str) -> None:
    with Program(folder, WORKERS=workers) as program:
        rotate_under_load(program)


def rotate_under_load(program: Program) -> None:
    """Five rotations of one key while requests come over one connection, and a look at all six keys."""
    user_id, key = program.user()
    asking = Asking(program, key)
    asking.start()
    keys = [key]
    for _ in range(5):
        asking.some_more()
        made = rotate(program, keys[-1])
        assert (made["user_id"], made["replaces"]["id"]) == (user_id, keys[-1].split("_")[1])
        keys.append(made["api_key"])
        asking.some_more()  # with the old one
        asking.key = made["api_key"]
    asking.some_more()
    asking.end()
    assert set(asking.statuses) == {200}
    assert [program.chat(each).status for each in keys] == [200] * 6
    rows = program.admin("GET", f"/admin/keys?user_id={user_id}")["keys"]
    assert sum(row["expires_at"] is None for row in rows) == 1


def test_the_old_key_ends_with_its_overlap_on_an_open_connection_too(program: Program) -> None:
    key = program.user()[1]
    connection = program.connect()

    def ask() -> Answer:
        connection.request("POST", "/v1/chat/completions", BODY, {"authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return Answer(answer.status, {}, answer.read())

    assert ask().status == 200
    anew = rotate(program, key, 1)["api_key"]
    assert seconds_until(401, ask) < 3
    assert program.chat(key).json["error"]["message"] == "The API key has expired."
    assert program.chat(anew).status == 200
    last = rotate(program, anew, 0)["api_key"]
    assert [program.chat(each).status for each in (anew, last)] == [401, 200]
    connection.close()


def test_a_key_can_be_made_to_expire_and_is_followed_by_one_that_lives_as_long(program: Program) -> None:
    user_id = program.user()[0]
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    made = program.admin("POST", "/admin/keys", {"user_id": user_id, "expires_at": ends.isoformat()})
    assert datetime.fromisoformat(made["expires_at"]) == ends
    assert program.chat(made["api_key"]).status == 200
    anew = rotate(program, made["api_key"])
    assert ends <= datetime.fromisoformat(anew["expires_at"]) <= ends + timedelta(minutes=1)
    for wrong in ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "2030-01-01T00:00:00", "never", 5):
        body = {"user_id": user_id, "expires_at": wrong}
        assert program.ask("POST", "/admin/keys", body, token=program.admin_token).status == 400


def test_the_budget_of_a_key_goes_on_with_its_successor(program: Program) -> None:
    key = program.user()[1]
    program.admin("PUT", "/admin/budgets", {"scope": f"key:{key.split('_')[1]}", "daily_requests": 1})
    assert [program.chat(key).status for _ in range(2)] == [200, 429]
    made = rotate(program, key, 0)
    assert [program.chat(made["api_key"]).status for _ in range(2)] == [200, 429]
    entry = program.admin("GET", f"/admin/audit?subject=key:{key.split('_')[1]}")["entries"][-1]
    assert (entry["action"], entry["after"]["replaced_by"]) == ("key_rotated", made["id"])


@pytest.mark.parametrize(
    ("body", "status"),
    [({"overlap_seconds": -1}, 400), ({"overlap_seconds": 10**9}, 400), ({"key": "mine"}, 400), ({}, 409)],
)
def test_a_rotation_that_cannot_be_is_refused(program: Program, body: dict[str, Any], status: int) -> None:
    key_id = program.user()[1].split("_")[1]
    if status == 409:
        program.admin("DELETE", f"/admin/keys/{key_id}")
    assert program.ask("POST", f"/admin/keys/{key_id}/rotate", body, token=program.admin_token).status == status
    absent = program.ask("POST", "/admin/keys/0000000000000000/rotate", {}, token=program.admin_token)
    assert (absent.status, program.ask("POST", f"/admin/keys/{key_id}/rotate", {}).status) == (404, 401)


def test_a_rotation_at_one_gateway_ends_the_key_at_the_other(
    both: tuple[Program, Program],  # noqa: F811 - a fixture
) -> None:
    one, other = both
    key = one.user()[1]
    assert other.chat(key).status == 200
    anew = rotate(one, key, 0)["api_key"]
    assert seconds_until(401, lambda: other.chat(key)) < 3
    assert other.chat(anew).status == 200


def test_every_carrier_of_a_key_gives_the_same_rights_and_two_that_differ_none(program: Program) -> None:
    (_, key), (_, other) = program.user(), program.user()
    carriers = {"authorization": f"Bearer {key}", "x_api_key": key}
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/llm/complete"):
        fields = {**json.loads(BODY), "max_tokens": 5}
        for name, value in carriers.items():
            assert program.ask("POST", path, fields, **{name: value}).status == 200
            quota = program.ask("GET", "/v1/llm/quota", **{name: value})
            assert quota.json["user_id"] == program.ask("GET", "/v1/llm/quota", token=key).json["user_id"]
        assert program.ask("POST", path, fields, **carriers).status == 200
        for first, second in itertools.permutations((key, other)):
            twice = program.ask("POST", path, fields, authorization=f"Bearer {first}", x_api_key=second)
            assert twice.status == 400
        for query in (f"?key={key}", f"?api_key={key}", f"?access_token={key}"):
            assert program.ask("POST", path + query, fields).status == 401
        for name in ("cookie", "api_key", "proxy_authorization"):
            assert program.ask("POST", path, fields, **{name: key}).status == 401
