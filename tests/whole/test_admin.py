"""The operator's routes of document 001 on the running program: their exact exchanges, and what they refuse."""

import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.whole.program import Answer, Program

NOBODY = "usr_0000000000000000"


def operator(program: Program, method: str, path: str, body: Any = None) -> Answer:
    return program.ask(method, path, body, token=program.admin_token)


def complete(program: Program, key: str, model: str = "stub/answer-7", **fields: Any) -> Answer:
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], **fields}
    return program.ask("POST", "/v1/llm/complete", asked, token=key)


# --- users and keys


@pytest.mark.promise("000-070", "001-010", "001-044", "001-045", "001-046", "001-053")
@pytest.mark.promise("000-048", "000-049", "000-050", "000-051")
def test_a_user_is_made_listed_and_shown_with_the_default_limits(program: Program) -> None:
    made = operator(program, "POST", "/admin/users", {"name": "Test User", "email": "test@example.com"})
    assert made.status == 201
    user = made.json
    assert (user["name"], user["email"], user["status"]) == ("Test User", "test@example.com", "active")
    assert datetime.fromisoformat(user["created_at"]) <= datetime.now(UTC)
    limits = user["limits"]
    assert (limits["daily_requests"], limits["daily_tokens"], limits["concurrent_requests"]) == (1000, 100_000, 5)
    assert limits["monthly_spend_cap_usd"] == "50.000000000"
    shown = operator(program, "GET", f"/admin/users/{user['id']}").json
    assert shown.items() >= user.items()
    assert (shown["keys"], shown["quota"]["daily_requests"]["remaining"]) == ([], 1000)
    assert user in everybody(program)


def everybody(program: Program) -> list[Any]:
    """Every user, by pages of two."""
    users: list[Any] = []
    after: str | None = ""
    while after is not None:
        page = operator(program, "GET", f"/admin/users?limit=2&after={after}").json
        assert 0 < len(page["users"]) <= 2
        users += page["users"]
        after = page["next"]
    return users


def test_pages_hold_every_user_once(program: Program) -> None:
    made = {operator(program, "POST", "/admin/users", {"name": f"N{number}"}).json["id"] for number in range(3)}
    ids = [user["id"] for user in everybody(program)]
    assert ids == sorted(set(ids))
    assert made <= set(ids)


@pytest.mark.promise("000-071", "000-072", "001-011", "001-049", "001-054", "001-055", "001-062")
def test_a_key_is_shown_once_and_works(program: Program) -> None:
    user = operator(program, "POST", "/admin/users", {"name": "Test User"}).json
    named = operator(program, "POST", "/admin/keys", {"user_id": user["id"], "name": "My Key"})
    nameless = operator(program, "POST", "/admin/keys", {"user_id": user["id"]})
    assert (named.status, nameless.status) == (201, 201)
    assert (named.json["message"], named.json["name"], nameless.json["name"]) == ("Save this key now!", "My Key", None)
    keys = [made.json["api_key"] for made in (named, nameless)]
    for key in keys:
        assert key.startswith("dom_")
        assert program.ask("GET", "/v1/llm/quota", token=key).json["user_id"] == user["id"]
    listed = operator(program, "GET", f"/admin/keys?user_id={user['id']}")
    assert {one["last4"] for one in listed.json["keys"]} == {key[-4:] for key in keys}
    shown = operator(program, "GET", f"/admin/users/{user['id']}")
    assert shown.json["keys"] == listed.json["keys"]
    for key in keys:
        secret = key.split("_", 2)[2]
        assert not any(secret in answer.body.decode() for answer in (listed, shown))


@pytest.mark.promise("001-010", "001-011", "001-047", "001-048", "001-050")
def test_suspending_activating_and_revoking_hold_from_the_next_request_on(program: Program) -> None:
    user_id, key = program.user()
    key_id = operator(program, "GET", f"/admin/keys?user_id={user_id}").json["keys"][0]["id"]
    assert complete(program, key).status == 200
    assert operator(program, "POST", f"/admin/users/{user_id}/suspend").json["status"] == "suspended"
    refused = complete(program, key)
    assert (refused.status, refused.json["error"]) == (403, "forbidden")
    assert operator(program, "POST", f"/admin/users/{user_id}/activate").json["status"] == "active"
    assert complete(program, key).status == 200
    revoked = operator(program, "DELETE", f"/admin/keys/{key_id}").json
    assert revoked["revoked_at"] is not None
    assert complete(program, key).status == 401
    assert operator(program, "DELETE", f"/admin/keys/{key_id}").json == revoked
    assert program.usage(user_id)["requests"] == 2


# --- limits


@pytest.mark.promise("001-051", "001-005")
def test_limits_change_one_by_one_null_lifts_and_the_next_request_obeys(program: Program) -> None:
    user = operator(program, "POST", "/admin/users", {"name": "Somebody"}).json
    key = operator(program, "POST", "/admin/keys", {"user_id": user["id"]}).json["api_key"]
    changed = operator(program, "POST", "/admin/limits", {"user_id": user["id"], "daily_requests": 1}).json
    assert changed["limits"] == user["limits"] | {"daily_requests": 1}
    assert complete(program, key).status == 200
    refused = complete(program, key).json
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert (
        refused.items()
        >= {
            "error": "quota_exceeded",
            "message": "Daily request limit exceeded",
            "limit": 1,
            "used": 1,
            "resets_at": f"{midnight:%Y-%m-%dT%H:%M:%SZ}",
        }.items()
    )
    lifted = operator(program, "POST", "/admin/limits", {"user_id": user["id"], "daily_requests": None}).json
    assert lifted["limits"]["daily_requests"] is None
    assert complete(program, key).status == 200
    for tight in ({"daily_tokens": 5}, {"monthly_spend_cap_usd": "0.00001"}):
        operator(program, "POST", "/admin/limits", {"user_id": user["id"], **tight})
        assert complete(program, key, max_tokens=100).json["error"] == "quota_exceeded"
        operator(program, "POST", "/admin/limits", {"user_id": user["id"], **dict.fromkeys(tight)})
    assert complete(program, key, max_tokens=100).status == 200


# --- usage


@pytest.mark.promise("000-057", "001-008", "001-009", "001-052")
def test_usage_is_summed_by_day_user_provider_and_model(program: Program) -> None:
    (user_id, key), (other_id, other) = program.user(), program.user()
    answers = [complete(program, key, "stub/answer-7"), complete(program, key, "stub/answer-9")]
    complete(program, other, "stub/answer-7")
    failed = complete(program, key, "stub/fail-500")
    assert failed.status == 503
    usage = operator(program, "GET", f"/admin/usage?user_id={user_id}").json
    spent = [answer.json["usage"] for answer in answers]
    totals = usage["totals"]
    assert (totals["requests"], totals["failed"]) == (2, 1)
    assert totals["input_tokens"] == sum(one["promptTokens"] for one in spent)
    assert totals["output_tokens"] == 16
    assert totals["cost_usd"] == f"0.{1000 * totals['input_tokens'] + 2000 * 16:09d}"
    assert [(row["provider"], row["model"], row["requests"]) for row in usage["rows"]] == [
        ("stub", "answer-7", 1),
        ("stub", "answer-9", 1),
        ("stub", "fail-500", 0),
    ]
    assert program.usage(other_id)["requests"] == 1
    everybody_s = operator(program, "GET", "/admin/usage").json
    assert [row for row in everybody_s["rows"] if row["user_id"] == user_id] == usage["rows"]
    pages, after = [], ""
    while after is not None:
        page = operator(program, "GET", f"/admin/usage?limit=2&after={after}").json
        assert page["totals"] == everybody_s["totals"]
        pages += page["rows"]
        after = page["next"]
    assert pages == everybody_s["rows"]
    assert operator(program, "GET", "/admin/usage?after=yesterday").status == 400
    past = operator(program, "GET", f"/admin/usage?user_id={user_id}&from=2020-01-01&to=2020-01-31").json
    assert (past["rows"], past["totals"]["cost_usd"]) == ([], "0.000000000")


# --- what is refused


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "named"),
    [
        ("POST", "/admin/users", {"name": ""}, 400, "name"),
        ("POST", "/admin/users", {"email": "a@example.com"}, 400, "name"),
        ("POST", "/admin/users", {"name": "A", "role": "king"}, 400, "role"),
        ("POST", "/admin/users", b"{", 400, "body"),
        ("POST", "/admin/keys", {"user_id": NOBODY}, 404, NOBODY),
        ("POST", "/admin/keys", {}, 400, "user_id"),
        ("POST", "/admin/limits", {"user_id": NOBODY, "daily_requests": 1}, 404, NOBODY),
        ("POST", "/admin/limits", {"user_id": "{id}", "daily_requests": -1}, 400, "daily_requests"),
        ("POST", "/admin/limits", {"user_id": "{id}", "daily_tokens": "many"}, 400, "daily_tokens"),
        ("POST", "/admin/limits", {"user_id": "{id}", "monthly_spend_cap_usd": -1}, 400, "monthly_spend_cap_usd"),
        ("POST", "/admin/limits", {"user_id": "{id}", "hourly_requests": 1}, 400, "hourly_requests"),
        ("GET", f"/admin/users/{NOBODY}", None, 404, NOBODY),
        ("POST", f"/admin/users/{NOBODY}/suspend", None, 404, NOBODY),
        ("DELETE", "/admin/keys/nokey", None, 404, "nokey"),
        ("GET", "/admin/usage?from=yesterday", None, 400, "YYYY-MM-DD"),
        ("GET", f"/admin/usage?user_id={NOBODY}", None, 404, NOBODY),
        ("GET", "/admin/users?limit=0", None, 400, "limit"),
    ],
)
def test_what_an_operator_gets_wrong_is_named(
    program: Program, method: str, path: str, body: Any, status: int, named: str
) -> None:
    if isinstance(body, dict) and body.get("user_id") == "{id}":
        body = body | {"user_id": program.user()[0]}
    answer = operator(program, method, path, body)
    assert answer.status == status, answer.body
    assert named in answer.json["message"]
    assert answer.json["action"]


@pytest.mark.promise("001-026")
def test_every_admin_route_is_closed_to_strangers_and_to_callers(program: Program) -> None:
    _, key = program.user()
    document = program.ask("GET", "/openapi.json").json
    routes = [
        (method, path)
        for path, item in document["paths"].items()
        for method, each in item.items()
        if path.startswith("/admin/") or each["security"] == [{"admin": []}]
    ]
    assert len(routes) > 20
    for method, path in routes:
        program.admin("GET", "/admin/users?limit=1")  # a right token ends the slowing down
        answer = program.ask(method.upper(), path.replace("{id}", "x"), token=key)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        assert key not in answer.body.decode()
    assert program.ask("GET", "/admin/users").status == 401


def seconds_of(program: Program, path: str) -> float:
    """How long an answer takes."""
    began = time.monotonic()
    assert program.ask("GET", path).status == 200
    return time.monotonic() - began


@pytest.mark.promise("001-026")
def test_guessing_the_admin_token_gets_slower_and_is_logged_without_the_guess(folder: Path) -> None:
    with Program(folder) as program:
        for number, pause in enumerate((0.1, 0.2, 0.4)):
            began = time.monotonic()
            answer = program.ask("GET", "/admin/users", token=f"adm_a_wrong_guess_{number}")
            assert (answer.status, answer.json["error"]) == (401, "invalid_api_key")
            assert time.monotonic() - began >= pause
        assert min(seconds_of(program, "/health") for _ in range(5)) < 0.4  # nobody else waits
    log = "".join(program.lines)
    assert log.count("a wrong admin token from 127.0.0.1") == 3
    assert "wrong_guess" not in log


# --- limits on addresses


@pytest.fixture
def five_a_window(folder: Path) -> Iterator[Program]:
    with Program(folder, RATE_LIMIT_MAX="5", RATE_LIMIT_WINDOW_MS="86400000", TRUSTED_PROXIES="127.0.0.1") as program:
        yield program


@pytest.mark.promise("001-004", "001-027", "001-028", "001-064")
def test_one_address_is_limited_whatever_key_it_shows_and_no_other_one_is(five_a_window: Program) -> None:
    program = five_a_window
    keys = [program.user()[1] for _ in range(2)]
    flood = [*keys, "dom_0000000000000000_wrong", *keys]
    asked = {"model": "stub/echo", "messages": [{"role": "user", "content": "Hello!"}]}

    def ask(key: str, address: str) -> Answer:
        return program.ask("POST", "/v1/llm/complete", asked, token=key, x_forwarded_for=address)

    assert [ask(key, "203.0.113.1").status for key in flood] == [200, 200, 401, 200, 200]
    refused = ask(keys[0], "203.0.113.1")
    assert refused.status == 429
    assert refused.json.items() >= {"error": "rate_limited", "limit": 5, "used": 5}.items()
    assert int(refused.headers["retry-after"]) > 0
    assert datetime.fromisoformat(refused.json["resets_at"]) > datetime.now(UTC)
    for path in ("/v1/llm/quota", "/v1/models"):
        assert program.ask("GET", path, token=keys[0], x_forwarded_for="203.0.113.1").status == 429
    assert ask(keys[0], "203.0.113.2").status == 200
    assert program.ask("GET", "/health", x_forwarded_for="203.0.113.1").status == 200
    assert program.ask("GET", "/metrics", x_forwarded_for="203.0.113.1").status == 401  # for this machine only


@pytest.mark.promise("001-003", "001-027")
def test_a_new_user_s_rate_is_that_of_the_settings(five_a_window: Program) -> None:
    user = five_a_window.admin("POST", "/admin/users", {"name": "Somebody"})
    assert user["limits"]["requests_per_minute"] == 5
    key = five_a_window.admin("POST", "/admin/keys", {"user_id": user["id"]})["api_key"]
    asked = {"model": "stub/echo", "messages": [{"role": "user", "content": "Hello!"}]}
    answers = [
        five_a_window.ask("POST", "/v1/llm/complete", asked, token=key, x_forwarded_for=f"203.0.113.{number}")
        for number in range(6)
    ]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert answers[5].json["message"] == "Rate limit exceeded"


# --- machines


@pytest.mark.promise("001-032")
def test_health_needs_no_key_and_says_ok(program: Program) -> None:
    answer = program.ask("GET", "/health")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


@pytest.mark.promise("001-033", "001-034")
def test_readiness_names_the_database_and_each_provider(program: Program, folder: Path) -> None:
    alone = {"status": "ready", "database": "ok", "providers": {"stub": "ok"}}
    answer = program.ask("GET", "/health/ready")
    assert (answer.status, answer.json) == (200, alone)
    with socket.socket() as nobody:  # a port that is taken, where nobody listens
        nobody.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with Program(folder, OPENAI_API_KEY="sk-somebody", OPENAI_BASE_URL=gone) as other:
            providers = other.ask("GET", "/health/ready").json["providers"]
    assert providers == {"openai": "provider_unreachable", "stub": "ok"}


def test_metrics_count_what_was_done_and_name_nobody(program: Program) -> None:
    user_id, key = program.user()
    before = counters(program)
    usage = [complete(program, key, "stub/answer-7").json["usage"] for _ in range(3)]
    complete(program, key, "stub/fail-429")
    complete(program, key, "no-such-model")
    after = counters(program)
    gained = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}
    tokens_in = sum(one["promptTokens"] for one in usage)
    expected = {
        "dominion_requests_total{door=native,outcome=ok,provider=stub}": 3,
        "dominion_requests_total{door=native,outcome=failed,provider=stub}": 1,
        "dominion_tokens_total{kind=input,provider=stub}": tokens_in,
        "dominion_tokens_total{kind=output,provider=stub}": 21,
        "dominion_cost_nano_usd_total{provider=stub}": 1000 * tokens_in + 2000 * 21,
        "dominion_attempts_failed_total{code=provider_rate_limited,provider=stub}": 1,
        "dominion_attempts_failed_seconds_count{provider=stub}": 1,
        "dominion_attempts_answered_seconds_count{provider=stub}": 3,
        "dominion_refused_total{code=provider_rate_limited}": 1,
        "dominion_refused_total{code=model_not_found}": 1,
        "dominion_request_seconds_count{}": 4,
    }
    assert {name: gained.get(name) for name in expected} == expected
    page = program.ask("GET", "/metrics").body.decode()
    assert user_id not in page
    assert key.split("_")[1] not in page


def counters(program: Program) -> dict[str, float]:
    """The metrics page, read as Prometheus reads it."""
    page = program.ask("GET", "/metrics")
    assert page.status == 200
    samples = [each for family in text_string_to_metric_families(page.body.decode()) for each in family.samples]
    labels = [",".join(f"{name}={value}" for name, value in sorted(each.labels.items())) for each in samples]
    return {f"{each.name}{{{shown}}}": each.value for each, shown in zip(samples, labels, strict=True)}


def test_the_openapi_document_describes_every_route_and_refers_to_nothing_that_is_missing(program: Program) -> None:
    document = program.ask("GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert document["info"].keys() >= {"title", "version"}
    operations = [(path, method, each) for path, item in document["paths"].items() for method, each in item.items()]
    names = [each["operationId"] for _, _, each in operations]
    assert len(names) == len(set(names)) > 15
    schemes = document["components"]["securitySchemes"].keys()
    for path, method, each in operations:
        assert method in {"get", "post", "put", "patch", "delete"}
        assert each["responses"].keys() & {"200", "201"}
        assert {name for need in each["security"] for name in need} <= schemes
        declared = {one["name"] for one in each.get("parameters", []) if one["in"] == "path" and one["required"]}
        assert declared == set(re.findall(r"{(\w+)}", path))
        if {"admin": []} not in each["security"]:  # wrong admin tokens are slow, and another test's matter
            served = program.ask(method.upper(), path, b"" if method == "post" else None)
            assert served.status == (401 if each["security"] else 200), path
    for reference in references(document):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert isinstance(place, dict)


def references(value: Any) -> Iterator[str]:
    """Every $ref in a JSON value."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)
