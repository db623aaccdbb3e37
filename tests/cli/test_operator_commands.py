"""The commands of the operator: what they send, what they print, and that secrets are not shown twice."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Scripted, said

ADMIN = "adm_verysecret"
LIMITS = {
    "daily_requests": 1000,
    "daily_tokens": None,
    "monthly_spend_cap_usd": "50.000000000",
    "concurrent_requests": 5,
    "requests_per_minute": 60,
}
USER: dict[str, Any] = {
    "id": "usr_1",
    "name": "Ada",
    "email": None,
    "status": "active",
    "created_at": "2026-01-01T00:00:00Z",
}
USER |= {"limits": LIMITS}
KEY = {"id": "k1", "user_id": "usr_1", "name": "laptop", "last4": "abcd", "created_at": "2026-01-01T00:00:00Z"}
ROW = {"day": "2026-01-01", "user_id": "usr_1", "provider": "openai", "model": "gpt-4o"}
SUMS = {"requests": 3, "failed": 1, "input_tokens": 10, "output_tokens": 20, "cost_usd": "0.000225000"}


def admin(run: Run, server: Scripted, *words: str) -> Any:
    result = run(*words, ADMIN_TOKEN=ADMIN, DOMINION_API_URL=server.url)
    assert ADMIN not in result.output
    return result


@pytest.mark.parametrize(
    ("words", "method", "path", "body"),
    [
        (
            ("users", "create", "Ada", "--email", "a@example.com"),
            "POST",
            "/admin/users",
            {"name": "Ada", "email": "a@example.com"},
        ),
        (("users", "show", "usr_1"), "GET", "/admin/users/usr_1", None),
        (("users", "suspend", "usr_1"), "POST", "/admin/users/usr_1/suspend", None),
        (("users", "activate", "usr_1"), "POST", "/admin/users/usr_1/activate", None),
        (("limits", "show", "usr_1"), "GET", "/admin/users/usr_1", None),
        (
            (
                "limits",
                "set",
                "usr_1",
                "--daily-requests",
                "5",
                "--daily-tokens",
                "none",
                "--monthly-spend-cap-usd",
                "$0.02",
            ),
            "POST",
            "/admin/limits",
            {"user_id": "usr_1", "daily_requests": 5, "daily_tokens": None, "monthly_spend_cap_usd": "0.02"},
        ),
        (("users", "show", "../keys?x=1"), "GET", "/admin/users/..%2Fkeys%3Fx%3D1", None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_command_about_a_user_asks_the_right_route(
    run: Run, server: Scripted, words: tuple[str, ...], method: str, path: str, body: Any
) -> None:
    server.answers[f"{method} {path}"] = said(USER)
    result = admin(run, server, *words)
    assert result.exit_code == 0, result.stderr
    [asked] = server.asked
    assert (asked.method, asked.path, asked.headers["authorization"]) == (method, path, f"Bearer {ADMIN}")
    assert (asked.json() if asked.body else None) == body
    as_json = json.loads(admin(run, server, *words, "--json").stdout)
    assert as_json == ({"user_id": "usr_1", "limits": LIMITS} if words[0] == "limits" else USER)


def test_a_page_of_users_is_a_table_that_scripts_can_cut_and_says_how_to_go_on(run: Run, server: Scripted) -> None:
    server.answers["GET /admin/users"] = said({"users": [USER | {"name": "A\tB\x1b[2J"}], "next": "usr_1"})
    result = admin(run, server, "users", "list", "--limit", "1", "--after", "usr_0")
    assert server.asked[0].path == "/admin/users?after=usr_0&limit=1"
    heading, row = (line.split("\t") for line in result.stdout.splitlines())
    assert heading == ["ID", "NAME", "EMAIL", "STATUS", "CREATED"]
    assert row == ["usr_1", "A B\ufffd[2J", "-", "active", "2026-01-01T00:00:00Z"]
    assert "--after usr_1" in result.stderr


def test_a_new_key_is_shown_once(run: Run, server: Scripted) -> None:
    made = {"id": "k1", "user_id": "usr_1", "name": None, "api_key": "dom_k1_plain", "message": "Save this key now!"}
    server.answers["POST /admin/keys"] = said(made, 201)
    result = admin(run, server, "keys", "create", "usr_1", "--name", "laptop")
    assert server.asked[0].json() == {"user_id": "usr_1", "name": "laptop"}
    assert result.stdout.splitlines()[-1] == "dom_k1_plain"
    assert result.output.count("dom_k1_plain") == 1
    assert admin(run, server, "keys", "create", "usr_1", "--json").output.count("dom_k1_plain") == 1


def test_keys_are_listed_and_revoked(run: Run, server: Scripted) -> None:
    server.answers["GET /admin/keys"] = said({"keys": [KEY | {"revoked_at": None}]})
    server.answers["DELETE /admin/keys/k1"] = said(KEY | {"revoked_at": "2026-01-02T00:00:00Z"})
    listed = admin(run, server, "keys", "list", "usr_1")
    assert listed.stdout.splitlines()[1].split("\t") == ["k1", "laptop", "abcd", "2026-01-01T00:00:00Z", "-", "-"]
    assert "revoked since 2026-01-02T00:00:00Z" in admin(run, server, "keys", "revoke", "k1").stdout
    assert [asked.path for asked in server.asked] == ["/admin/keys?user_id=usr_1", "/admin/keys/k1"]


def test_limits_are_shown_with_lifted_ones_as_unlimited(run: Run, server: Scripted) -> None:
    server.answers["GET /admin/users/usr_1"] = said(USER)
    lines = admin(run, server, "limits", "show", "usr_1").stdout.splitlines()
    assert lines[:3] == ["Daily requests: 1000", "Daily tokens: unlimited", "Monthly spend, US dollars: 50.000000000"]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--daily-requests", "many"),
        ("--daily-requests", "-1"),
        ("--monthly-spend-cap-usd", "1e3"),
        ("--monthly-spend-cap-usd", "0.0000000001"),
    ],
)
def test_limits_that_are_none_are_wrong_usage_and_not_sent(run: Run, server: Scripted, words: tuple[str, ...]) -> None:
    assert admin(run, server, "limits", "set", "usr_1", *words).exit_code == 2
    assert server.asked == []


def test_usage_is_a_table_with_its_total(run: Run, server: Scripted) -> None:
    found = {"from": "2026-01-01", "to": "2026-01-31", "totals": SUMS, "rows": [ROW | SUMS]}
    server.answers["GET /admin/usage"] = said(found)
    words = ("usage", "--user", "usr_1", "--from", "2026-01-01", "--to", "2026-01-31")
    lines = [line.split("\t") for line in admin(run, server, *words).stdout.splitlines()]
    assert server.asked[0].path == "/admin/usage?user_id=usr_1&from=2026-01-01&to=2026-01-31"
    assert lines[1] == ["2026-01-01", "usr_1", "openai", "gpt-4o", "3", "1", "10", "20", "0.000225000"]
    assert (lines[2][0], lines[2][-1]) == ("total", "0.000225000")
    assert json.loads(admin(run, server, *words, "--json").stdout) == found
    assert admin(run, server, "usage", "--from", "yesterday").exit_code == 2


def test_models_are_listed_with_their_prices(run: Run, server: Scripted) -> None:
    row = {"id": "gpt-4o", "provider": "openai", "context_window": 128000, "input_usd_per_million": "2.5"}
    server.answers["GET /v1/llm/models"] = said({"models": [row, {"id": "old", "deprecated": "Use gpt-4o."}]})
    environ = {"DOMINION_API_URL": server.url, "DOMINION_API_TOKEN": "dom_1_s"}
    lines = [line.split("\t") for line in run("models", **environ).stdout.splitlines()]
    assert lines[1] == ["gpt-4o", "openai", "128000", "-", "2.5", "-", ""]
    assert lines[2][-1] == "Use gpt-4o."
    assert json.loads(run("models", "--json", **environ).stdout)["models"][0]["input_usd_per_million"] == "2.5"


def test_without_the_admin_token_nothing_is_sent(run: Run, server: Scripted) -> None:
    result = run("users", "list", DOMINION_API_URL=server.url, DOMINION_API_TOKEN="dom_1_s")
    assert result.exit_code == 3
    assert "ADMIN_TOKEN" in result.stderr
    assert server.asked == []


def test_the_address_may_come_from_an_option_or_the_file(run: Run, server: Scripted, folder: Any) -> None:
    server.answers["GET /admin/users"] = said({"users": [], "next": None})
    assert run("users", "list", "--url", server.url, "--admin-token", ADMIN).exit_code == 0
    (folder / "pm.config.yaml").write_text(f"gateway:\n  url: {server.url}\n")
    assert run("users", "list", ADMIN_TOKEN=ADMIN).exit_code == 0
    assert len(server.asked) == 2
