"""Servers that spell OpenAI's chat completions otherwise: what they are sent, relayed and translated."""

import json
from typing import Any

import msgspec
import pytest

from dominion.domain.contracts import Envelope
from dominion.domain.messages import Answer, Message, Request, Text, Thinking, Tool, ToolChoice
from dominion.wire.fields import read_fields
from dominion.wire.openai_chat.dialect import (
    OPENAI_CHAT,
    OPENAI_CHAT_MISTRAL,
    OPENAI_CHAT_OLD_CAP,
    OPENAI_CHAT_OPENROUTER,
)
from tests.emulators.vendors import VENDORS

TURNS = [{"role": "user", "content": "Hi"}]
BOTH = pytest.mark.parametrize("server", [OPENAI_CHAT_OLD_CAP, OPENAI_CHAT_MISTRAL], ids=lambda server: server.name)


def relayed(server: Envelope, body: dict[str, Any], cap: int | None = None) -> dict[str, Any]:
    fields = read_fields(json.dumps({"model": "m", "messages": TURNS} | body).encode())
    peek = OPENAI_CHAT.peek(fields)
    sent: dict[str, Any] = json.loads(server.patch(server.carry(fields, {}), peek, model="o3-x", output_cap=cap))
    return sent


@BOTH
@pytest.mark.parametrize(
    ("asked", "gateways", "sent"),
    [
        ({"max_completion_tokens": 7}, None, 7),
        ({"max_tokens": 7}, None, 7),
        ({"max_tokens": 7, "max_completion_tokens": 9}, None, 9),
        ({"max_tokens": None, "max_completion_tokens": 9}, None, 9),
        ({"max_completion_tokens": 9}, 5, 5),
        ({}, 5, 5),
        ({"max_completion_tokens": None}, 5, 5),
    ],
)
def test_a_relayed_cap_goes_by_the_old_name(
    server: Envelope, asked: dict[str, Any], gateways: int | None, sent: int
) -> None:
    body = relayed(server, asked, gateways)
    assert (body["max_tokens"], "max_completion_tokens" in body) == (sent, False)


@BOTH
def test_a_translated_cap_goes_by_the_old_name(server: Envelope) -> None:
    request = Request(model="m", messages=(Message("user", (Text("Hi"),)),), max_output=7, seed=3)
    body = json.loads(server.write_request(request, model="o3-x", output_cap=None).body)
    assert (body["max_tokens"], "max_completion_tokens" in body) == (7, False)
    assert body["random_seed" if server is OPENAI_CHAT_MISTRAL else "seed"] == 3


def test_mistral_knows_a_forced_call_as_any_and_a_seed_as_random() -> None:
    tool = Tool("f", msgspec.Raw(b'{"type":"object"}'))
    body = relayed(OPENAI_CHAT_MISTRAL, {"tool_choice": "required", "seed": 3})
    assert (body["tool_choice"], body["random_seed"], "seed" in body) == ("any", 3, False)
    request = Request(model="m", messages=(Message("user", (Text("Hi"),)),), tools=(tool,))
    for choice, word in ((ToolChoice("required"), "any"), (ToolChoice("auto"), "auto"), (ToolChoice("none"), "none")):
        asked = msgspec.structs.replace(request, tool_choice=choice)
        written = OPENAI_CHAT_MISTRAL.write_request(asked, model="m", output_cap=None)
        assert json.loads(written.body)["tool_choice"] == word


def test_openrouter_gets_signed_reasoning_back_as_it_told_it() -> None:
    thoughts = (Thinking("hm", "c2ln"), Thinking(redacted="c2Vh"))
    told = Answer("1", "x", (*thoughts, Text("Hello")), "stop", None)
    said = OPENAI_CHAT_OPENROUTER.read_answer(OPENAI_CHAT_OPENROUTER.write_answer(told, now=7)).parts
    hello = Message("user", (Text("Hi"),))
    request = Request(model="m", messages=(hello, Message("assistant", said), hello))
    written = OPENAI_CHAT_OPENROUTER.write_request(request, model="anthropic/claude-sonnet-4.5", output_cap=None)
    turn = json.loads(written.body)["messages"][1]
    assert turn["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "hm", "signature": "c2ln"},
        {"type": "reasoning.encrypted", "index": 1, "data": "c2Vh"},
    ]
    assert ("reasoning_content" in turn, written.lost) == (False, ())
    assert OPENAI_CHAT.write_request(request, model="m", output_cap=None).lost == ("messages.thinking",)


def test_what_needs_no_other_spelling_is_relayed_to_the_byte() -> None:
    raw = b'{"model":"o3-x","messages":[{"role": "user", "content":"Hi"}],"tool_choice":"auto","x":[1, 2]}'
    fields = read_fields(raw)
    for server in (OPENAI_CHAT_OLD_CAP, OPENAI_CHAT_MISTRAL):
        assert server.patch(server.carry(fields, {}), OPENAI_CHAT.peek(fields), model="o3-x", output_cap=None) == raw


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor.refuses], ids=lambda vendor: vendor.id)
def test_servers_that_refuse_a_name_have_a_spelling_without_it(vendor: Any) -> None:
    server = OPENAI_CHAT_MISTRAL if vendor.forced == "any" else OPENAI_CHAT_OLD_CAP
    body = relayed(server, {"max_completion_tokens": 7, "tool_choice": "required"})
    assert not set(vendor.refuses) & set(body)
    assert body["tool_choice"] == vendor.forced
