"""The commands against the program itself: one start, and the whole way from the first key to its revocation."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dominion.client.llm import LLM
from tests.cli.conftest import Run
from tests.client.conftest import Around, around  # noqa: F401 - a fixture
from tests.whole.program import Program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program with the stub as its only provider."""
    with Program(tmp_path_factory.mktemp("program")) as running:
        yield running


@pytest.fixture
def admin(run: Run, program: Program) -> Any:
    """An operator's command and its JSON."""

    def command(*words: str) -> Any:
        result = run(*words, "--json", ADMIN_TOKEN=program.admin_token, DOMINION_API_URL=program.url)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return command


@pytest.mark.promise("000-002", "000-015", "000-016", "000-072", "001-056", "001-057", "001-058")
def test_an_operator_makes_a_user_and_a_key_and_the_caller_logs_in_asks_and_sees_what_is_left(
    run: Run, admin: Any, program: Program
) -> None:
    user = admin("users", "create", "Ada", "--email", "ada@example.com")
    key = admin("keys", "create", user["id"], "--name", "laptop")
    assert key["api_key"].startswith("dom_")
    assert run("login", "--url", program.url, stdin=key["api_key"]).exit_code == 0
    before = json.loads(run("whoami", "--json").stdout)
    asked = json.loads(run("ask", "--model", "stub/answer-7", "--json", "hello").stdout)
    streamed = run("ask", "--model", "stub/echo", "hello there")
    assert (streamed.exit_code, streamed.stderr) == (0, "")
    assert streamed.stdout.endswith("hello there\n")
    assert asked["usage"]["completionTokens"] == 7
    after = json.loads(run("whoami", "--json").stdout)
    assert after["user_id"] == user["id"]
    assert after["daily_requests"]["used"] - before["daily_requests"]["used"] == 2
    assert after["daily_tokens"]["used"] - before["daily_tokens"]["used"] > asked["usage"]["totalTokens"]
    assert run("whoami").stdout.startswith(f"User ID: {user['id']}\nDaily Requests: 2/1000 (998 remaining)\n")
    used = admin("usage", "--user", user["id"])
    assert (used["totals"]["requests"], used["totals"]["total_tokens"]) == (2, after["daily_tokens"]["used"])


def test_limits_suspension_and_revocation_reach_the_caller_as_exit_codes(
    run: Run, admin: Any, program: Program
) -> None:
    user = admin("users", "create", "Grace")
    key = admin("keys", "create", user["id"])
    caller = {"DOMINION_API_URL": program.url, "DOMINION_API_TOKEN": key["api_key"]}
    assert admin("limits", "set", user["id"], "--daily-requests", "1")["limits"]["daily_requests"] == 1
    assert run("ask", "one", **caller).exit_code == 0
    refused = run("ask", "two", **caller)
    assert refused.exit_code == 4
    assert "Daily request limit exceeded" in refused.stderr
    assert admin("limits", "set", user["id"], "--daily-requests", "none")["limits"]["daily_requests"] is None
    assert run("ask", "three", **caller).exit_code == 0
    assert admin("users", "suspend", user["id"])["status"] == "suspended"
    assert run("ask", "four", **caller).exit_code == 3
    assert admin("users", "activate", user["id"])["status"] == "active"
    assert run("ask", "five", **caller).exit_code == 0
    assert [found["id"] for found in admin("keys", "list", user["id"])["keys"]] == [key["id"]]
    assert admin("keys", "revoke", key["id"])["revoked_at"] is not None
    assert run("ask", "six", **caller).exit_code == 3


def test_faults_of_a_provider_reach_the_caller_as_sentences(run: Run, program: Program) -> None:
    caller = {"DOMINION_API_URL": program.url, "DOMINION_API_TOKEN": program.user()[1]}
    for model in ("stub/fail-401", "stub/fail-500", "stub/fail-503", "stub/cut-1", "stub/nonsense"):
        result = run("ask", "--model", model, "hello", **caller)
        assert result.exit_code == 1, model
        assert result.stderr.startswith("Error: "), model
        assert "Traceback" not in result.output


@pytest.mark.promise("000-045", "000-046")
async def test_the_python_api_completes_streams_lists_and_counts(around: Around, program: Program) -> None:  # noqa: F811
    async with LLM(url=program.url, token=program.user()[1], surroundings=around()) as llm:
        whole = await llm.complete([{"role": "user", "content": "Hello!"}], max_tokens=50)
        stream = llm.stream(prompt="Hello!", max_tokens=50)
        pieces = [piece async for piece in stream]
        assert stream.response is not None
        assert "".join(pieces) == stream.response.content == whole.content
        assert stream.response.usage == whole.usage
        assert whole.provider == "stub"
        assert {model.provider for model in await llm.models()} == {"stub"}
        quota = await llm.quota()
        assert (quota.daily_requests.used, quota.daily_tokens.used) == (2, 2 * whole.usage.total_tokens)
        assert whole.cost_usd is not None
        assert Decimal(quota.monthly_spend.used_usd) == 2 * Decimal(whole.cost_usd)


def test_serve_tells_its_first_start_as_json_once_and_never_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from dominion.cli.main import main; main()", "serve", "--json", "--port", "0"]
    starts = []
    for _ in range(2):
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as serving:
            assert serving.stdout is not None
            lines: list[str] = []
            while not lines or lines[-1] != "}\n":
                lines.append(serving.stdout.readline())
            serving.send_signal(signal.SIGINT)
        starts.append(json.loads("".join(lines)))
        assert serving.returncode == 0
    assert starts[0]["providers"] == ["stub"]
    assert starts[0]["first_start"]["api_key"].startswith("dom_")
    assert starts[0]["first_start"]["admin_token"]
    assert starts[1]["first_start"] is None


def test_serve_stops_before_it_starts_when_the_configuration_is_wrong(run: Run) -> None:
    result = run("serve", "--port", "many")
    assert result.exit_code == 1
    assert "port" in result.stderr


def test_a_key_is_rotated_and_expires(run: Run, admin: Any, program: Program) -> None:
    user = admin("users", "create", "Grace")["id"]
    key = admin("keys", "create", user, "--expires-in", "30d")
    assert key["expires_at"] is not None
    anew = admin("keys", "rotate", key["id"], "--overlap", "90m")
    assert anew["replaces"]["id"] == key["id"]
    assert [program.chat(each["api_key"]).status for each in (key, anew)] == [200, 200]
    shown = run("keys", "rotate", anew["id"], ADMIN_TOKEN=program.admin_token, DOMINION_API_URL=program.url)
    assert (shown.exit_code, anew["id"] in shown.stderr) == (0, True)
    wrong = run("keys", "rotate", anew["id"], "--overlap", "a day", ADMIN_TOKEN=program.admin_token)
    assert (wrong.exit_code, "90s, 30m, 24h or 7d" in wrong.stderr) == (2, True)
