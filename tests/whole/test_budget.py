"""A budget worth 50 requests admits exactly 50 of 200 that come at once, whatever kind of budget it is."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.whole.faultd import FaultServer
from tests.whole.program import Program

TOKENS = 20
REQUESTS = 200
WORTH = 50


async def release(program: Program, key: str, body: bytes, count: int) -> list[int]:
    """`count` requests, all but their last byte sent, then all last bytes at once; their statuses."""
    return [int(answer[9:12]) for answer in await answers(program, key, body, count)]


async def answers(program: Program, key: str, body: bytes, count: int, labels: str = "") -> list[bytes]:
    """The same, with more lines of the head; all that came back."""
    host, port = program.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n{labels}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode()
    pairs = await asyncio.gather(*[asyncio.open_connection(host, int(port)) for _ in range(count)])
    for _, writer in pairs:
        writer.write(head + body[:-1])
        await writer.drain()
    for _, writer in pairs:
        writer.write(body[-1:])
    found = await asyncio.gather(*[reader.read() for reader, _ in pairs])
    for _, writer in pairs:
        writer.close()
    return found


def body(model: str, **fields: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}], **fields}).encode()


BUDGETS: dict[str, dict[str, Any]] = {
    "daily_requests": {"daily_requests": WORTH},
    # a price of $1,000 per million tokens and an input that costs nothing: each request holds and costs $0.02
    "monthly_spend": {"monthly_spend_cap_usd": "1.00"},
}


def race(program: Program, limits: dict[str, Any], model: str) -> None:
    """One run: exactly WORTH of REQUESTS pass, the ledger agrees, and nothing is held afterwards."""
    user_id, key = program.user(**limits)
    statuses = asyncio.run(release(program, key, body(model, max_tokens=TOKENS), REQUESTS))
    assert sorted(set(statuses)) == [200, 429]
    assert statuses.count(200) == WORTH
    assert program.usage(user_id)["requests"] == WORTH
    quota = program.ask("GET", "/v1/llm/quota", token=key).json
    assert quota["daily_requests"]["used"] == WORTH
    assert (quota["daily_requests"]["held"], quota["monthly_spend"]["held_usd"]) == (0, "0.000000000")
    assert quota["monthly_spend"]["used_usd"] == program.usage(user_id)["cost_usd"]


@pytest.mark.promise("001-065")
@pytest.mark.parametrize("budget", BUDGETS)
def test_exactly_50_of_200_requests_pass_a_budget_worth_50(folder: Path, budget: str) -> None:
    runs = int(os.environ.get("DOMINION_TEST_RUNS", "3"))
    with FaultServer() as faults, Program(folder, toml=faults.toml(**{f"drip-{TOKENS}-5": 1000})) as program:
        for _ in range(runs):
            race(program, BUDGETS[budget], f"faults/drip-{TOKENS}-5")


def test_a_budget_of_tokens_is_never_overrun(folder: Path) -> None:
    slow = f"drip-{TOKENS}-100"  # or the first would have ended, and given back, before the last is asked
    with FaultServer() as faults, Program(folder, toml=faults.toml(**{slow: 1000})) as program:
        asked = body(f"faults/{slow}", max_tokens=TOKENS)
        limit = WORTH * (len(asked) + TOKENS)
        user_id, key = program.user(daily_tokens=limit)
        statuses = asyncio.run(release(program, key, asked, REQUESTS))
        assert statuses.count(200) == WORTH  # the input bound is strict: each holds its bytes and its cap
        assert program.usage(user_id)["total_tokens"] <= limit


def test_small_calls_use_at_least_95_percent_of_a_budget(folder: Path) -> None:
    """max_tokens is ten times the real answer, 32 callers at once, until everything is refused."""
    with FaultServer() as faults, Program(folder, toml=faults.toml(**{"drip-5-1": 1000})) as program:
        user_id, key = program.user(monthly_spend_cap_usd="1.00")  # 200 answers of $0.005, each held as $0.05
        asked = body("faults/drip-5-1", max_tokens=50)

        async def spend() -> int:
            passed, refused = 0, 0
            while refused < 3:
                statuses = await release(program, key, asked, 32)
                passed += statuses.count(200)
                refused = refused + 1 if statuses.count(200) == 0 else 0
            return passed

        passed = asyncio.run(spend())
        totals = program.usage(user_id)
        assert totals["requests"] == passed
        assert 0.95 <= float(totals["cost_usd"]) <= 1.0
