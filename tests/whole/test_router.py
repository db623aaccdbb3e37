"""The router of the running program: who was asked, what its operator sees of it, and a caller who does not wait."""

import http.client
import json
import time
from pathlib import Path

import pytest

from tests.emulators.fault_server import FaultServer
from tests.whole.fault_cases import OMEGA, TIMES, slot
from tests.whole.heard import OPENAI, heard
from tests.whole.program import Program

TURNS = [{"role": "user", "content": "Hello!"}]


@pytest.mark.promise("004-004", "004-010", "004-011", "004-013", "004-087", "004-088")
def test_the_next_provider_answers_and_the_operator_sees_which_ones_fail(tmp_path: Path) -> None:
    with FaultServer() as faults:
        tables = [slot("limited", faults.base_url("429_seconds"), "m"), slot("down", faults.base_url("503"), "m")]
        tables.append(slot("last", faults.base_url("well-omega"), "m"))
        with Program(tmp_path, toml="".join(tables), UNPRICED="allow", **TIMES) as program:
            user_id, key = program.user()
            for _ in range(12):
                body = {"model": "m", "messages": TURNS}
                answer = program.ask("POST", OPENAI, body, token=key)
                assert heard(OPENAI, answer, stream=False).text == OMEGA
                assert answer.headers["x-dominion-provider"] == "last"
            known = program.admin("GET", "/admin/router")["providers"]
            usage = program.usage(user_id)
            page = program.ask("GET", "/metrics").body.decode()
    assert {name: (one["state"], one["answered"], one["failed"]) for name, one in known.items()} == {
        "limited": ("open", 0, 10),
        "down": ("open", 0, 10),
        "last": ("closed", 12, 0),
    }
    assert known["down"]["failures"] == {"provider_unavailable": 10}
    assert known["limited"]["last_failure"]["status"] == 429
    assert known["limited"]["tried_again_in_seconds"] > 20  # it asked to be left alone for 30 s
    assert (usage["requests"], usage["failed"]) == (12, 0)
    assert 'dominion_provider_breaker_closed{provider="down"} 0.0' in page
    assert 'dominion_attempts_answered_seconds_count{provider="last"} 12.0' in page


def test_a_caller_who_leaves_while_the_gateway_waits_ends_the_request_at_once(tmp_path: Path) -> None:
    with Program(tmp_path, ROUTER_RETRY_COUNT="3") as program:  # the stub asks to be asked again after a second
        user_id, key = program.user()
        caller = http.client.HTTPConnection(program.url.removeprefix("http://"))
        body = json.dumps({"model": "stub/fail-429", "messages": TURNS})
        caller.request("POST", OPENAI, body, {"authorization": f"Bearer {key}", "content-type": "application/json"})
        while not program.admin("GET", "/admin/router")["providers"]:
            pass
        caller.close()
        left = time.monotonic()
        while program.ask("GET", "/v1/llm/quota", token=key).json["concurrent_requests"]["used"]:
            assert time.monotonic() - left < 0.75  # the second is not over
        known = program.admin("GET", "/admin/router")["providers"]
        usage = program.usage(user_id)
    assert known["stub"]["failed"] == 1
    assert (usage["requests"], usage["failed"]) == (1, 0)
