"""What a caller is told, what the operator is told and what `whoami` prints are one truth, at every moment."""

import json
import os
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.whole.faultd import Execution, FaultServer
from tests.whole.program import COMMAND, Program
from tests.whole.streams import Stream

PRICES = {"drip-5-1": 1000, "drip-1000-5": 1000, "silent": 1000}
STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


class House:
    """A gateway, a provider that does what it is told, and one caller with every limit set."""

    def __init__(self, program: Program, faults: FaultServer) -> None:
        self.program = program
        self.faults = faults
        limits = {"daily_requests": 100, "daily_tokens": 100_000, "concurrent_requests": 5}
        self.user_id, self.key = program.user(monthly_spend_cap_usd=50, **limits)

    def quota(self) -> Any:
        return self.program.ask("GET", "/v1/llm/quota", token=self.key).json

    def whoami(self) -> Any:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DOMINION_")}
        environment |= {"DOMINION_API_URL": self.program.url, "DOMINION_API_TOKEN": self.key}
        command = [*COMMAND, "whoami", "--json"]
        return json.loads(
            subprocess.run(command, cwd=self.program.folder, env=environment, capture_output=True, check=True).stdout
        )

    def hung_up(self) -> Execution:
        """The provider's last request, once the gateway has hung up on it: then its row is written."""
        return self.faults.wait_for(len(self.faults.executions))[-1]

    def agree(self) -> tuple[int, int, Decimal]:
        """Requests, tokens and dollars used, on which the three sources agree; nothing is held and nothing runs."""
        quota, totals = self.quota(), self.program.usage(self.user_id)
        day_requests, day_tokens, spend = (quota[name] for name in ("daily_requests", "daily_tokens", "monthly_spend"))
        used = (totals["requests"], totals["total_tokens"], totals["cost_usd"])
        assert (day_requests["used"], day_tokens["used"], spend["used_usd"]) == used
        assert (day_requests["remaining"], day_tokens["remaining"]) == (100 - used[0], 100_000 - used[1])
        assert Decimal(spend["remaining_usd"]) == 50 - Decimal(used[2])
        assert (day_requests["held"], day_tokens["held"], spend["held_usd"]) == (0, 0, "0.000000000")
        assert quota["concurrent_requests"]["used"] == 0
        assert self.whoami() == quota
        return used[0], used[1], Decimal(used[2])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, FaultServer]]:
    with FaultServer() as faults:
        folder = tmp_path_factory.mktemp("accounts")
        with Program(folder, toml=faults.toml(**PRICES)) as program:
            yield program, faults


@pytest.fixture
def house(gateway: tuple[Program, FaultServer]) -> House:
    return House(*gateway)


@pytest.mark.promise("000-007", "000-017", "000-022", "000-057", "001-008", "001-009", "001-043", "001-052")
@pytest.mark.promise("002-017", "002-034")
def test_quota_ledger_and_whoami_agree_after_every_kind_of_request(house: House) -> None:
    program, key = house.program, house.key
    assert house.agree() == (0, 0, Decimal(0))

    whole = program.ask(
        "POST", "/v1/llm/complete", {"model": "stub/answer-7", "prompt": "Hello!", "max_tokens": 50}, token=key
    )
    tokens = whole.json["usage"]["totalTokens"]
    cost = Decimal(whole.headers["x-dominion-cost-usd"])
    assert house.agree() == (1, tokens, cost)

    frames = program.chat(key, "faults/drip-5-1", max_tokens=50, **STREAM).body.split(b"\n\n")
    usage = json.loads(frames[-3].removeprefix(b"data: "))["usage"]
    assert usage["completion_tokens"] == 5
    tokens += usage["total_tokens"]
    cost += 5 * Decimal("0.001")
    assert house.agree() == (2, tokens, cost)

    turns = [{"role": "user", "content": "Hello!"}]
    message = program.ask(
        "POST", "/v1/messages", {"model": "stub/answer-9", "messages": turns, "max_tokens": 50}, token=key
    )
    tokens += sum(message.json["usage"][name] for name in ("input_tokens", "output_tokens"))
    cost += Decimal(message.headers["x-dominion-cost-usd"])
    assert house.agree() == (3, tokens, cost)

    assert program.chat(key, "stub/fail-500", max_tokens=50).status == 503  # no answer: neither cost nor quota
    assert program.chat(key, "no-such-model").status == 404
    assert program.chat(key, max_tokens=-1).status == 400
    assert house.agree() == (3, tokens, cost)
    assert program.usage(house.user_id)["failed"] == 1


@pytest.mark.promise("000-007", "000-051", "001-043")
def test_they_agree_while_a_stream_runs_and_when_its_caller_has_left(house: House) -> None:
    with Stream(house.program, house.key, "faults/silent", max_tokens=50) as stream:
        assert stream.event()
        running = house.quota()
        assert house.whoami() == running
        assert [running["daily_requests"][name] for name in ("used", "held", "remaining")] == [0, 1, 100]
        assert running["daily_tokens"]["held"] > 50
        assert running["monthly_spend"]["held_usd"] == "0.050000000"
        assert running["concurrent_requests"] == {"limit": 5, "used": 1}
        assert house.program.usage(house.user_id)["requests"] == 0
    house.hung_up()
    requests, tokens, cost = house.agree()
    assert requests == 1
    assert 0 < tokens < 50
    assert 0 < cost <= Decimal("0.050")


def test_they_agree_after_a_stream_that_its_caller_leaves_or_its_provider_cuts(house: House) -> None:
    with Stream(house.program, house.key, "faults/drip-1000-5", max_tokens=2000) as stream:
        for _ in range(3):
            stream.event()
    left = house.hung_up()
    requests, tokens, cost = house.agree()
    assert requests == 1
    assert 3 <= cost * 1000 <= left.tokens  # one token a frame, a tenth of a cent each

    with Stream(house.program, house.key, "stub/cut-3", max_tokens=50) as stream:
        *_, error, end = stream.rest()
    assert json.loads(error)["error"]["code"] == "provider_unreachable"
    assert end == b"[DONE]"
    cut = house.agree()
    assert cut[0] == 2
    assert cut[1] > tokens
    assert cut[2] > cost


@pytest.mark.promise("001-005", "000-052")
def test_they_agree_when_the_limit_is_reached(house: House) -> None:
    house.program.admin("POST", "/admin/limits", {"user_id": house.user_id, "daily_requests": 2})
    statuses = [house.program.chat(house.key, max_tokens=20).status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    quota = house.quota()
    assert quota["daily_requests"].items() >= {"limit": 2, "used": 2, "held": 0, "remaining": 0}.items()
    assert house.whoami() == quota
    assert house.program.usage(house.user_id)["requests"] == 2
