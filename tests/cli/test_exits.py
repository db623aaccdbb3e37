"""Errors become exit codes by one table, and are told so that a person or a script can act on them."""

import json

import pytest

from dominion.cli.exits import EXITS, exit_code
from dominion.client.errors import GatewayUnreachable
from dominion.domain import errors as e
from tests.cli.conftest import Run
from tests.client.scripted import Scripted, said

COMPLETE = "POST /v1/llm/complete"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (e.InvalidRequest("x"), 1),
        (e.Internal("x"), 1),
        (e.ConfigProblem("x"), 1),
        (e.NetworkFailure("x"), 1),
        (e.Unauthenticated("x"), 3),
        (e.Forbidden("x"), 3),
        (e.QuotaExceeded("x", kind="", limit=1, used=1, resets_at=None, retry_after=1), 4),
        (e.RateLimited("x", kind="", limit=1, used=1, resets_at=None, retry_after=1), 4),
        (e.ProviderRateLimited("x"), 1),
        (GatewayUnreachable("x"), 5),
    ],
    ids=lambda value: value.code if isinstance(value, e.DominionError) else str(value),
)
def test_an_error_has_the_exit_code_of_its_kind(error: e.DominionError, code: int) -> None:
    assert exit_code(error) == code


def test_no_two_meanings_share_a_code_with_clicks_own() -> None:
    assert 2 not in EXITS.values()


def test_a_failure_says_what_happened_what_to_do_and_its_request_id(run: Run, server: Scripted) -> None:
    told = {"error": "forbidden", "message": "This user is suspended.", "action": "Ask.", "request_id": "req_9"}
    server.answers[COMPLETE] = said(told, 403)
    result = run("ask", "hi", DOMINION_API_URL=server.url, DOMINION_API_TOKEN="dom_1_s")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: This user is suspended.\nAsk.\nrequest id: req_9\n"


def test_a_failure_is_json_on_standard_error_when_json_was_asked_for(run: Run, server: Scripted) -> None:
    told = {
        "error": "quota_exceeded",
        "message": "No more.",
        "limit": 5,
        "used": 5,
        "resets_at": "2026-01-05T00:00:00Z",
    }
    server.answers[COMPLETE] = said(told, 429)
    result = run("ask", "--json", "hi", DOMINION_API_URL=server.url, DOMINION_API_TOKEN="dom_1_s")
    assert (result.exit_code, result.stdout) == (4, "")
    shown = json.loads(result.stderr)
    assert {name: shown[name] for name in told} == told
    assert shown["action"] == e.QuotaExceeded.default_action


def test_a_limit_is_told_with_its_numbers(run: Run, server: Scripted) -> None:
    told = {
        "error": "quota_exceeded",
        "message": "No more.",
        "limit": 5,
        "used": 5,
        "resets_at": "2026-01-05T00:00:00Z",
    }
    server.answers[COMPLETE] = said(told, 429)
    result = run("ask", "hi", DOMINION_API_URL=server.url, DOMINION_API_TOKEN="dom_1_s")
    assert "Used 5 of 5; resets at 2026-01-05T00:00:00Z." in result.stderr


def test_no_gateway_at_the_address_is_exit_code_5(run: Run) -> None:
    result = run("whoami", DOMINION_API_URL="http://127.0.0.1:9", DOMINION_API_TOKEN="dom_1_s")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "http://127.0.0.1:9" in result.stderr


def test_a_message_of_others_cannot_rewrite_the_terminal(run: Run, server: Scripted) -> None:
    server.answers[COMPLETE] = said({"error": "forbidden", "message": "\x1b[2Jgone\r", "action": "\x07"}, 403)
    result = run("ask", "hi", DOMINION_API_URL=server.url, DOMINION_API_TOKEN="dom_1_s")
    assert "gone" in result.stderr
    assert not set(result.stderr) & set("\x1b\r\x07")
