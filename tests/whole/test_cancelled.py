"""A caller who leaves: the provider is cut off at once, and exactly one row says what was used."""

import json
import socket
import struct
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.whole.faultd import FaultServer
from tests.whole.program import Program

STREAMS = 100


def leave(program: Program, faults: FaultServer, key: str, model: str, nonce: str, *, stream: bool) -> float:
    """Ask, wait until the provider is at work, hang up (every other time with a reset); the moment of hanging up."""
    host, port = program.url.removeprefix("http://").split(":")
    body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": nonce}]}).encode()
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (key.encode(), len(body), body)
        )
        if stream and not model.endswith("mute"):
            received = b""
            while b"data: " not in received:
                received += caller.recv(65536)
        faults.wait_for_arrival(nonce)
        if nonce.endswith(("1", "3", "5", "7", "9")):
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return time.monotonic()


CASES = {
    "in the middle of a stream": ("faults/drip-1000-5", True),
    "while the provider is silent": ("faults/silent", True),
    "before the head of a stream": ("faults/mute", True),
    "before a whole answer": ("faults/mute", False),
}


@pytest.mark.parametrize("case", CASES)
def test_100_of_100_callers_who_leave_leave_one_row_and_no_connection(folder: Path, case: str) -> None:
    model, stream = CASES[case]
    prices = {"drip-1000-5": 1000, "silent": 1000, "mute": 1000}
    with FaultServer() as faults, Program(folder, toml=faults.toml(**prices)) as program:
        user_id, key = program.user(daily_tokens=10**9, monthly_spend_cap_usd="1000000")
        left: dict[str, float] = {}
        for number in range(STREAMS):
            nonce = f"{case} {number}"
            left[nonce] = leave(program, faults, key, model, nonce, stream=stream)
        reached = faults.wait_for(STREAMS)
        delays = sorted(one.closed_at - left[one.nonce] for one in reached if one.closed_at is not None)
        assert len(delays) == STREAMS
        assert max(delays) <= 0.25, delays[-5:]
        totals = program.usage(user_id)
        assert totals["requests"] == STREAMS
        quota = program.ask("GET", "/v1/llm/quota", token=key).json
        assert quota["concurrent_requests"]["used"] == quota["daily_requests"]["held"] == 0
        written = Counter({one.nonce: one.tokens for one in reached})
        if model.endswith("5"):  # one token a frame: what was relayed is what the row estimates, give or take a chunk
            assert totals["output_tokens"] <= sum(written.values())
            assert totals["output_tokens"] >= sum(written.values()) - 2 * STREAMS
