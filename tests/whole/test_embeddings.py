"""Embeddings: relayed byte for byte or translated, metered exactly, under the same limits as every other call."""

import base64
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.scripted import Said, Scripted, said, scripted
from tests.whole.faultd import FaultServer
from tests.whole.program import Program

VECTORS = [[0.5, -0.25], [1.0, 0.125]]
PACKED = [base64.b64encode(struct.pack("<2f", *vector)).decode() for vector in VECTORS]
RELAYED = (
    b'{ "object":"list", "data":[{"object":"embedding","index":0,"embedding":[0.50,-2.5e-1]}],'
    b' "model":"text-embedding-3-small", "usage":{"prompt_tokens":7,"total_tokens":7} }'
)
GEMINI = "/v1beta/models/gemini-embedding-001:batchEmbedContents"


ANSWERS = {
    "POST /v1/embeddings": Said(RELAYED, 200, {"content-type": "application/json"}),
    "POST /v2/embed": said(
        {"id": "x", "embeddings": {"float": VECTORS}, "meta": {"billed_units": {"input_tokens": 9}}}
    ),
    f"POST {GEMINI}": said({"embeddings": [{"values": vector} for vector in VECTORS]}),
}


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[Scripted]:
    with scripted(ANSWERS) as running:
        yield running


@pytest.fixture
def provider(shared_provider: Scripted) -> Scripted:
    """As if nobody had asked it yet."""
    shared_provider.asked.clear()
    shared_provider.answers = dict(ANSWERS)
    return shared_provider


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, shared_provider: Scripted) -> Iterator[Program]:
    toml = f"""
        [[providers.openai_compat]]
        id = "cohere"
        base_url = "{shared_provider.url}/compatibility"
        api_key = "k-0123456789"
        [prices."openai/text-embedding-3-small"]
        input = 0.02
        output = 0
        [prices."cohere/*"]
        input = 1
        output = 0
        """
    with Program(
        tmp_path_factory.mktemp("embeddings"),
        toml=toml,
        OPENAI_API_KEY="sk-0123456789",
        OPENAI_BASE_URL=shared_provider.url,
        GEMINI_API_KEY="g-0123456789",
        GOOGLE_GEMINI_BASE_URL=shared_provider.url,
    ) as running:
        yield running


def embed(program: Program, key: str, model: str, texts: Any = ("a", "b"), **fields: Any) -> Any:
    return program.ask("POST", "/v1/embeddings", {"model": model, "input": texts, **fields}, token=key)


def test_the_same_dialect_is_relayed_byte_for_byte_and_metered_by_the_provider_s_count(
    program: Program, provider: Scripted
) -> None:
    user_id, key = program.user(monthly_spend_cap_usd=1)
    answer = embed(program, key, "text-embedding-3-small", "Hello!", user="u-1", encoding_format="base64")
    assert answer.body == RELAYED
    assert answer.headers["x-dominion-cost-usd"] == "0.000000140"  # 7 tokens at $0.02 a million
    assert answer.headers["x-dominion-remaining-usd"] == "0.999999860"
    asked = provider.asked[-1]
    assert (asked.path, asked.headers["authorization"]) == ("/v1/embeddings", "Bearer sk-0123456789")
    assert asked.json() == {
        "model": "text-embedding-3-small",
        "input": "Hello!",
        "user": "u-1",
        "encoding_format": "base64",
    }
    totals = program.usage(user_id)
    assert (totals["requests"], totals["input_tokens"], totals["output_tokens"]) == (1, 7, 0)
    assert totals["cost_usd"] == "0.000000140"


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_cohere_s_own_api_is_translated_in_the_encoding_that_was_asked_for(
    program: Program, provider: Scripted, encoding: str
) -> None:
    user_id, key = program.user(monthly_spend_cap_usd=1)
    answer = embed(program, key, "cohere/embed-v4.0", encoding_format=encoding, user="u-1")
    assert [each["embedding"] for each in answer.json["data"]] == (VECTORS if encoding == "float" else PACKED)
    assert answer.json["usage"]["total_tokens"] == 9
    assert answer.json["model"] == "embed-v4.0"
    assert answer.headers["x-dominion-lost"] == "user"
    assert provider.asked[-1].path == "/v2/embed"
    assert provider.asked[-1].json()["texts"] == ["a", "b"]
    assert program.usage(user_id)["cost_usd"] == "0.000009000"
    strict = program.ask(
        "POST",
        "/v1/embeddings",
        {"model": "cohere/embed-v4.0", "input": "a", "user": "u"},
        token=key,
        x_dominion_strict="true",
    )
    assert (strict.status, strict.json["error"]["param"]) == (422, "user")


def test_gemini_s_batch_is_translated_and_what_it_does_not_count_is_estimated(
    program: Program, provider: Scripted
) -> None:
    user_id, key = program.user()
    answer = embed(program, key, "gemini/gemini-embedding-001", dimensions=2)
    assert [each["embedding"] for each in answer.json["data"]] == VECTORS
    assert answer.headers["x-dominion-usage"] == "estimated"
    asked = provider.asked[-1]
    assert asked.path == GEMINI
    assert asked.headers["x-goog-api-key"] == "g-0123456789"
    assert [each["outputDimensionality"] for each in asked.json()["requests"]] == [2, 2]
    assert program.usage(user_id)["input_tokens"] > 0


def test_a_provider_s_own_words_reach_callers_of_its_dialect(program: Program, provider: Scripted) -> None:
    _, key = program.user()
    error = {"error": {"message": "Too long.", "type": "invalid_request_error", "param": "input", "code": None}}
    provider.answers["POST /v1/embeddings"] = said(error, 400)
    answer = embed(program, key, "openai/text-embedding-3-small", encoding_format="base64")
    assert (answer.status, answer.json) == (400, error)
    provider.answers["POST /v1/embeddings"] = said("no embeddings")
    assert embed(program, key, "openai/text-embedding-3-small").status == 502


def test_no_default_and_no_model_without_embeddings(folder: Path, provider: Scripted) -> None:
    with Program(folder, ANTHROPIC_API_KEY="sk-ant-0123456789", ANTHROPIC_BASE_URL=provider.url) as program:
        _, key = program.user()
        for model in ("auto", "stub/auto"):
            answer = embed(program, key, model)
            assert (answer.status, answer.json["error"]["param"]) == (400, "model")
        answer = embed(program, key, "claude-sonnet-4-5")
        assert (answer.status, answer.json["error"]["message"]) == (400, "Anthropic has no embeddings.")
        assert provider.asked == []


def test_caps_hold_before_the_provider_is_asked(program: Program, provider: Scripted) -> None:
    _, key = program.user(daily_tokens=150)
    assert embed(program, key, "openai/text-embedding-3-small", "x" * 100).status == 429
    assert embed(program, key, "openai/no-price-known").status == 200  # no spend cap, no need for a price
    _, key = program.user(monthly_spend_cap_usd="0.000001")
    answer = embed(program, key, "openai/text-embedding-3-small", "x" * 100)  # may cost up to 100 tokens
    assert (answer.status, answer.json["error"]["code"]) == (429, "insufficient_quota")
    unpriced = embed(program, key, "openai/no-price-known")
    assert (unpriced.status, unpriced.json["error"]["param"]) == (400, "model")
    assert len(provider.asked) == 1


def test_a_text_of_tokens_is_bounded_by_its_bytes_however_prompts_are(folder: Path) -> None:
    """A token may be two bytes of JSON: with four bytes a token, as prompts may be held, a cap could be passed."""
    with Program(folder, BYTES_PER_TOKEN="16") as program:
        _, key = program.user(daily_tokens=200)
        assert embed(program, key, "stub/echo", [1] * 201).status == 429
        assert embed(program, key, "stub/echo", [1] * 10).status == 200


def test_a_caller_who_leaves_leaves_one_row_and_no_hold(folder: Path) -> None:
    with FaultServer() as faults, Program(folder, toml=faults.toml(mute=1)) as program:
        user_id, key = program.user(monthly_spend_cap_usd=1)
        host, port = program.url.removeprefix("http://").split(":")
        body = json.dumps({"model": "faults/mute", "input": "Hello!", "messages": [{"content": "gone"}]}).encode()
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(
                b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (key.encode(), len(body), body)
            )
            faults.wait_for_arrival("gone")
        (one,) = faults.wait_for(1)
        assert one.closed_at is not None
        assert program.usage(user_id)["requests"] == 1
        quota = program.ask("GET", "/v1/llm/quota", token=key).json
        assert quota["concurrent_requests"]["used"] == quota["daily_requests"]["held"] == 0


def test_a_row_outlives_the_process_that_answered(folder: Path) -> None:
    program = Program(folder)
    program.start()
    user_id, key = program.user()
    for _ in range(20):
        assert embed(program, key, "stub/echo", "Hello!").status == 200
    program.kill()
    with program:
        assert program.usage(user_id)["requests"] == 20
        assert program.usage(user_id)["input_tokens"] == 20 * 2
