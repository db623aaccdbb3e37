"""`make run-local`: a real language model streams through the gateway, and is metered by its own word."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.program import Program
from tests.whole.streams import Stream

MODEL = "llamacpp/local-model"
NANO_PER_INPUT_TOKEN, NANO_PER_OUTPUT_TOKEN = 20, 80


@pytest.fixture
def local(folder: Path) -> Iterator[Program]:
    """The program with the local model; its 250 MB are not left behind."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("requirements/local.txt is not installed (`make install-local` does it)")
    try:
        with Program(folder, "--local-model") as program:
            yield program
    finally:
        shutil.rmtree(folder / "data" / "local-model", ignore_errors=True)


def test_a_real_model_streams_and_the_quota_moves_by_exactly_what_it_reports(local: Program) -> None:
    local.wait_for_line("-d '")
    printed = "".join(local.lines)
    told = json.loads(printed[printed.index("-d '") + 4 :].split("'")[0])
    first = local.ask("POST", "/v1/llm/complete", told, token=local.key)
    assert (first.status, told["stream"]) == (200, True)
    assert b'"type":"end"' in first.body or b"[DONE]" in first.body
    user_id, key = local.user(daily_tokens=10_000)
    asked = {"max_tokens": 24, "temperature": 0, "stream_options": {"include_usage": True}}
    turns = [{"role": "user", "content": "Name three colours."}]
    with Stream(local, key, MODEL, messages=turns, **asked) as stream:
        *events, end = stream.rest()
    chunks = [json.loads(event) for event in events]
    pieces = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    usage = chunks[-1]["usage"]
    assert end == b"[DONE]"
    assert "".join(pieces).strip()
    assert len([piece for piece in pieces if piece]) > 1  # it did come in pieces
    assert 1 <= usage["completion_tokens"] <= 24
    assert usage["prompt_tokens"] >= 4
    quota = local.ask("GET", "/v1/llm/quota", token=key).json
    cost = usage["prompt_tokens"] * NANO_PER_INPUT_TOKEN + usage["completion_tokens"] * NANO_PER_OUTPUT_TOKEN
    assert (quota["daily_requests"]["used"], quota["daily_tokens"]["used"]) == (1, usage["total_tokens"])
    assert quota["monthly_spend"]["used_usd"] == f"0.{cost:09d}"
    assert local.usage(user_id)["total_tokens"] == usage["total_tokens"]
    asked_again = {"model": MODEL, "messages": turns, "max_tokens": 8}
    message = local.ask("POST", "/v1/messages", asked_again, token=key).json
    assert message["content"][0]["text"]
    counts = ("input_tokens", "cache_read_input_tokens", "output_tokens")  # in this dialect the cache stands apart
    more = sum(message["usage"][name] for name in counts)
    assert local.usage(user_id)["total_tokens"] == usage["total_tokens"] + more
