"""OpenAI Responses between the other dialects: as a door to their providers, and as a provider behind their doors."""

import json
from typing import Any

import pytest

from dominion.domain.contracts import Dialect
from dominion.domain.messages import Request
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.fields import read_fields
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES as RESPONSES
from tests.wire.dialect_pairs import CALLS, EXPECTED, MODEL, collect, facts_of, relayed, streamed_answer, whole_answer
from tests.wire.openai_oracle import check_answer, check_request, check_stream, stream_in_sdk

others = pytest.mark.parametrize("other", [OPENAI_CHAT, ANTHROPIC_MESSAGES], ids=lambda dialect: dialect.name)
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 150,
}
RESPONSE = {"id": "1", "model": "x", "status": "completed", "usage": USAGE} | {
    "output": [
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "seal"}
        | {"summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
        *(
            {"type": "function_call", "id": f"fc_{call}", "call_id": call, "name": name, "arguments": json.dumps(given)}
            for call, name, given in CALLS
        ),
    ]
}


def facts(told: dict[str, Any]) -> tuple[str, str, list[tuple[str, str, Any]], dict[str, Any]]:
    """Text, reasoning, calls and usage of a response, read plainly."""
    output = told["output"]
    return (
        "".join(piece["text"] for item in output if item["type"] == "message" for piece in item["content"]),
        "".join(piece["text"] for item in output if item["type"] == "reasoning" for piece in item["summary"]),
        [
            (item["call_id"], item["name"], json.loads(item["arguments"]))
            for item in output
            if item["type"] == "function_call"
        ],
        told["usage"],
    )


@others
def test_an_answer_of_another_provider_is_the_same_whole_and_streamed(other: Dialect) -> None:
    whole = RESPONSES.write_answer(other.read_answer(whole_answer(other)), now=7)
    check_answer(whole)
    body = streamed_answer(other)
    streamed = relayed(other, RESPONSES, [bytes([byte]) for byte in body])
    assert facts(json.loads(whole)) == ("Hello", "hm", CALLS, USAGE)
    assert facts(check_stream(streamed)[-1]["response"]) == ("Hello", "hm", CALLS, USAGE)
    assert stream_in_sdk(streamed).output_text == "Hello"


@others
def test_a_conversation_goes_on_at_another_provider_with_its_seals(other: Dialect) -> None:
    """What the provider sealed comes back to it as it was, though it went through the items of another API."""
    output = json.loads(RESPONSES.write_answer(other.read_answer(whole_answer(other)), now=7))["output"]
    results = [{"type": "function_call_output", "call_id": call, "output": "1"} for call, _, _ in CALLS]
    asked = {"model": "m", "input": [{"role": "user", "content": "Hi"}, *output, *results]}
    request = RESPONSES.read_request(read_fields(json.dumps(asked).encode()))
    written = other.write_request(request, model=MODEL[other.name], output_cap=100)
    assert written.lost == ()
    again: Request = other.read_request(read_fields(written.body))
    assert again.messages[1].parts == other.read_answer(whole_answer(other)).parts


@others
def test_an_answer_of_this_provider_reaches_another_door_and_the_conversation_comes_back(other: Dialect) -> None:
    answer = RESPONSES.read_answer(json.dumps(RESPONSE).encode())
    body = other.write_answer(answer, now=7)
    assert facts_of(other, body) == EXPECTED[other.name]
    told = json.loads(body)
    turn = {"role": "assistant", "content": told["content"]} if "content" in told else told["choices"][0]["message"]
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}, turn]}
    written = RESPONSES.write_request(
        other.read_request(read_fields(json.dumps(asked).encode())), model="gpt-5", output_cap=None
    )
    assert written.lost == ()
    items = check_request(written.body)["input"]
    assert [item["type"] for item in items] == ["message", "reasoning", "message", "function_call", "function_call"]
    assert (items[1]["id"], items[1]["encrypted_content"]) == ("rs_1", "seal")


def test_a_stream_of_this_provider_reaches_the_other_doors() -> None:
    writer = RESPONSES.writer(now=7, asks_usage=True)
    reader = ANTHROPIC_MESSAGES.reader()
    events = reader.feed(streamed_answer(ANTHROPIC_MESSAGES)) + reader.end()
    body = b"".join(map(writer.write, events)) + writer.end()
    message = collect(relayed(RESPONSES, ANTHROPIC_MESSAGES, [body]))
    assert facts_of(ANTHROPIC_MESSAGES, json.dumps(message).encode()) == EXPECTED["anthropic_messages"]
