"""The commands about registered providers: what they send, what they print, and that no key is an argument."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Scripted, said

ADMIN = "adm_verysecret"
KEY = "CANARY-key-of-a-provider"
ROW: dict[str, Any] = {
    "id": "mine",
    "name": "Mine",
    "kind": "custom",
    "source": "registry",
    "enabled": True,
    "configured": True,
    "default_model": "m-1",
    "models": ["m-1", "m-2"],
    "wire": "openai_chat",
    "scheme": "bearer",
    "base_url": "https://llm.example",
    "key": "...vX2Q",
    "position": 1,
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
    "validated_at": None,
    "problem": None,
}
WELL: dict[str, Any] = {"id": "mine", "valid": True, "message": "It answers.", "action": None, "took_ms": 12}
ILL = WELL | {"valid": False, "message": "Your Mine API key is invalid.", "action": "Re-enter the key."}


def admin(run: Run, server: Scripted, *words: str, stdin: str | None = None) -> Any:
    result = run("providers", *words, stdin=stdin, ADMIN_TOKEN=ADMIN, DOMINION_API_URL=server.url)
    assert ADMIN not in result.output
    assert KEY not in result.output
    return result


@pytest.mark.promise("003-063")
def test_providers_are_listed_with_the_fixed_names(run: Run, server: Scripted) -> None:
    server.answers["GET /admin/providers"] = said({"providers": [ROW]})
    rows = json.loads(admin(run, server, "list", "--all", "--json").stdout)["providers"]
    assert {"id", "name", "kind", "enabled", "configured", "default_model"} <= set(rows[0])
    heading, row = (line.split("\t") for line in admin(run, server, "list").stdout.splitlines())
    assert heading[:4] == ["ID", "NAME", "KIND", "SOURCE"]
    assert row == ["mine", "Mine", "custom", "registry", "yes", "yes", "m-1", "...vX2Q", "-"]
    assert [asked.path for asked in server.asked] == ["/admin/providers?all=true", "/admin/providers"]


@pytest.mark.parametrize(
    ("words", "method", "path", "body"),
    [
        (("show", "mine"), "GET", "/admin/providers/mine", None),
        (
            ("change", "mine", "--default-model", "m-2", "--model", "a", "--model", "b", "--position", "3"),
            "PATCH",
            "/admin/providers/mine",
            {"default_model": "m-2", "models": ["a", "b"], "position": 3},
        ),
        (("enable", "mine"), "POST", "/admin/providers/mine/enable", None),
        (("disable", "mine"), "POST", "/admin/providers/mine/disable", None),
        (("remove-key", "mine"), "DELETE", "/admin/providers/mine/credentials", None),
        (("show", "../users"), "GET", "/admin/providers/..%2Fusers", None),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_command_about_a_provider_asks_the_right_route(
    run: Run, server: Scripted, words: tuple[str, ...], method: str, path: str, body: Any
) -> None:
    server.answers[f"{method} {path}"] = said(ROW)
    result = admin(run, server, *words)
    assert result.exit_code == 0, result.stderr
    assert "Mine" in result.stdout
    [asked] = server.asked
    assert (asked.method, asked.path, asked.headers["authorization"]) == (method, path, f"Bearer {ADMIN}")
    assert (asked.json() if asked.body else None) == body
    assert json.loads(admin(run, server, *words, "--json").stdout) == ROW


@pytest.mark.promise("003-228")
def test_one_command_adds_a_provider_with_a_key_from_a_pipe_and_tries_it(run: Run, server: Scripted) -> None:
    server.answers["POST /admin/providers"] = said(ROW, 201)
    server.answers["POST /admin/providers/mine/validate"] = said(WELL)
    result = admin(run, server, "add", "mine", "--base-url", "https://llm.example", stdin=f"{KEY}\n")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "Mine is registered and can be asked from now on.\nIt answers. It took 12 ms.\n"
    assert server.asked[0].json() == {"id": "mine", "base_url": "https://llm.example", "api_key": KEY}


def test_a_key_that_the_provider_refuses_is_said_with_what_to_do_and_exit_code_1(run: Run, server: Scripted) -> None:
    server.answers["POST /admin/providers"] = said(ROW, 201)
    server.answers["POST /admin/providers/mine/validate"] = said(ILL)
    server.answers["GET /admin/providers/mine"] = said(ROW)
    result = admin(run, server, "add", "mine", stdin=KEY)
    assert (result.exit_code, result.stderr) == (1, "Your Mine API key is invalid.\nRe-enter the key.\n")
    result = admin(run, server, "add", "mine", "--json", stdin=KEY)
    assert (result.exit_code, json.loads(result.stdout)["validation"]) == (1, ILL)
    assert admin(run, server, "validate", "mine").exit_code == 1
    assert json.loads(admin(run, server, "validate", "mine", "--json").stdout) == ILL


def test_a_provider_without_a_key_is_not_tried(run: Run, server: Scripted) -> None:
    waiting = ROW | {"configured": False, "key": None}
    server.answers["POST /admin/providers"] = said(waiting, 201)
    result = admin(run, server, "add", "mine", "--no-key")
    assert (result.exit_code, len(server.asked)) == (0, 1)
    assert "Configured: no" in result.stdout
    assert server.asked[0].json() == {"id": "mine"}


def test_a_key_comes_from_a_pipe_and_is_shown_by_its_end(run: Run, server: Scripted) -> None:
    server.answers["PUT /admin/providers/mine/credentials"] = said(ROW)
    result = admin(run, server, "set-key", "mine", stdin=f"{KEY}\n")
    assert "...vX2Q" in result.stdout
    assert server.asked[0].json() == {"api_key": KEY}
    assert admin(run, server, "set-key", "mine", KEY.lower()).exit_code == 2  # never an argument
    assert len(server.asked) == 1


def test_a_removed_provider_is_said(run: Run, server: Scripted) -> None:
    server.answers["DELETE /admin/providers/mine"] = said({"id": "mine", "removed": True})
    assert admin(run, server, "remove", "mine").stdout == "mine is removed, and its key is forgotten.\n"


@pytest.mark.promise("003-114", "003-115", "003-116")
def test_the_models_of_a_provider_are_a_table_with_prices(run: Run, server: Scripted) -> None:
    model = {"id": "gpt-4o", "name": "GPT-4o", "default": True, "context_window": 128000, "max_output": 16384}
    model |= {"input_usd_per_million": "2.5", "output_usd_per_million": "10"}
    found = {"id": "openai", "source": "catalogue", "note": "Can't reach OpenAI.", "models": [model]}
    server.answers["GET /admin/providers/openai/models"] = said(found)
    result = admin(run, server, "models", "openai")
    assert result.stdout.splitlines()[1].split("\t") == ["gpt-4o", "GPT-4o", "default", "128000", "16384", "2.5", "10"]
    assert result.stderr == "Can't reach OpenAI. These are the models that are known of it.\n"


def test_what_a_run_costs_and_what_another_model_would(run: Run, server: Scripted) -> None:
    server.answers["GET /admin/models/estimate"] = said({"model": "openai/gpt-4o", "cost_usd": "0.007500000"})
    server.answers["GET /admin/models/difference"] = said({"message": "This will cost ~$0.05 more per run"})
    assert admin(run, server, "estimate", "gpt-4o").stdout == "openai/gpt-4o: $0.007500000\n"
    assert admin(run, server, "difference", "a", "b", "--input", "9").stdout == "This will cost ~$0.05 more per run\n"
    assert [asked.path for asked in server.asked] == [
        "/admin/models/estimate?model=gpt-4o&input=1000&output=500",
        "/admin/models/difference?from=a&to=b&input=9&output=500",
    ]


def test_a_recommendation_is_one_word_for_scripts_and_none_is_exit_code_1(run: Run, server: Scripted) -> None:
    server.answers["GET /admin/models/recommend"] = said({"model": "openai/gpt-4o", "message": "It costs $0.01."})
    result = admin(run, server, "recommend", "--budget", "$0.05", "--task", "code")
    assert (result.stdout, result.stderr) == ("openai/gpt-4o\n", "It costs $0.01.\n")
    assert server.asked[0].path == "/admin/models/recommend?budget=0.05&task=code"
    server.answers["GET /admin/models/recommend"] = said({"model": None, "message": "None."})
    assert admin(run, server, "recommend", "--budget", "1").exit_code == 1
    assert admin(run, server, "recommend", "--budget", "1", "--task", "cooking").exit_code == 2


def test_the_log_of_changes_is_a_table_and_says_how_to_go_on(run: Run, server: Scripted) -> None:
    entry = {"number": 7, "at": "2026-01-01T00:00:00Z", "actor": "admin", "action": "model_changed"}
    entry |= {"subject": "provider:mine", "before": {"default_model": "a"}, "after": {"default_model": "b"}}
    server.answers["GET /admin/audit"] = said({"entries": [entry], "next": 7})
    result = admin(run, server, "audit", "--provider", "mine", "--limit", "1")
    assert server.asked[0].path == "/admin/audit?subject=provider%3Amine&after=0&limit=1"
    number, _, actor, action, _, _, after = result.stdout.splitlines()[1].split("\t")
    assert (number, actor, action, after) == ("7", "admin", "model_changed", '{"default_model":"b"}')
    assert "--after 7" in result.stderr


@pytest.mark.parametrize(("words", "nearest"), [(("lst",), "list"), (("validat", "x"), "validate")])
def test_a_mistyped_command_gets_the_nearest_one(run: Run, words: tuple[str, ...], nearest: str) -> None:
    result = run("providers", *words)
    assert (result.exit_code, f"'{nearest}'" in result.stderr) == (2, True)


def test_nothing_to_change_is_wrong_usage(run: Run, server: Scripted) -> None:
    assert admin(run, server, "change", "mine").exit_code == 2
    assert server.asked == []
