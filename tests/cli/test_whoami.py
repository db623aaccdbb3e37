"""`whoami`: the four lines of specification 000, and the same as JSON."""

import json
from typing import Any

import pytest

from dominion.cli.caller.login import dollars, short
from tests.cli.conftest import Run
from tests.client.scripted import Scripted, said

QUOTA: dict[str, Any] = {
    "user_id": "abc123",
    "name": "Ada",
    "status": "active",
    "daily_requests": {"limit": 1000, "used": 50, "remaining": 950, "resets_at": "2026-01-05T00:00:00Z"},
    "daily_tokens": {"limit": 100_000, "used": 25_000, "remaining": 75_000, "resets_at": "2026-01-05T00:00:00Z"},
    "monthly_spend": {"limit_usd": "50.000000000", "used_usd": "2.500000000", "remaining_usd": "47.500000000"},
    "concurrent_requests": {"limit": 5, "used": 0},
    "requests_per_minute": {"limit": 60, "used": 1},
}
UNLIMITED = QUOTA | {
    "daily_requests": {"limit": None, "used": 50, "remaining": None},
    "daily_tokens": {"limit": None, "used": 25_300, "remaining": None},
    "monthly_spend": {"limit_usd": None, "used_usd": "0.000007500", "remaining_usd": None},
}


@pytest.mark.promise("000-017", "000-018", "000-019", "000-020", "000-021")
def test_it_prints_exactly_what_the_specification_prints(run: Run, server: Scripted) -> None:
    server.answers["GET /v1/llm/quota"] = said(QUOTA)
    result = run("whoami", DOMINION_API_URL=server.url, DOMINION_API_TOKEN="dom_1_s")
    assert result.exit_code == 0
    assert result.stdout == (
        "User ID: abc123\n"
        "Daily Requests: 50/1000 (950 remaining)\n"
        "Daily Tokens: 25K/100K (75K remaining)\n"
        "Monthly Spend: $2.50/$50.00\n"
    )
    assert server.asked[0].headers["authorization"] == "Bearer dom_1_s"


def test_a_lifted_limit_is_called_unlimited(run: Run, server: Scripted) -> None:
    server.answers["GET /v1/llm/quota"] = said(UNLIMITED)
    lines = run("whoami", DOMINION_API_URL=server.url, DOMINION_API_TOKEN="dom_1_s").stdout.splitlines()
    assert lines[1:] == [
        "Daily Requests: 50/unlimited",
        "Daily Tokens: 25.3K/unlimited",
        "Monthly Spend: $0.0000075/unlimited",
    ]


@pytest.mark.promise("000-022")
def test_json_is_all_that_the_gateway_tells(run: Run, server: Scripted) -> None:
    server.answers["GET /v1/llm/quota"] = said(QUOTA | {"later": 1})
    result = run("whoami", "--json", DOMINION_API_URL=server.url, DOMINION_API_TOKEN="dom_1_s")
    assert json.loads(result.stdout) == QUOTA | {"later": 1}


def test_without_a_key_it_says_how_to_get_one(run: Run) -> None:
    result = run("whoami")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "dominion login" in result.stderr


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1K"),
        (1099, "1K"),
        (1100, "1.1K"),
        (99_999, "99.9K"),
        (1_250_000, "1.2M"),
        (3 * 10**9, "3B"),
    ],
)
def test_counts_are_cut_and_never_rounded_up(count: int, shown: str) -> None:
    assert short(count) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0.000000000", "$0.00"),
        ("0.000000001", "$0.000000001"),
        ("0.009900000", "$0.0099"),
        ("0.019999999", "$0.01"),
        ("49.999999999", "$49.99"),
        ("1234.500000000", "$1234.50"),
    ],
)
def test_money_is_cut_to_cents_and_never_shown_as_nothing(amount: str, shown: str) -> None:
    assert dollars(amount) == shown
