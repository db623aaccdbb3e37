"""Measures what becomes of each thing between each door and each provider's dialect: kept, mapped, lost or dropped.

A case is written by one dialect, read by it in its other role, written by the second and read again: so a door that
cannot say a thing is told apart from a provider that cannot take it. Readers and writers are held against the vendors'
own SDKs and recordings by the tests of each dialect; here only the way between two of them is measured.
"""

import itertools
import json
from typing import Any, Literal, NamedTuple

import msgspec

from dominion.domain.contracts import Dialect
from dominion.domain.messages import Answer, Request, Text
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE
from dominion.wire.fields import read_fields
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.native.dialect import NATIVE
from dominion.wire.ollama.dialect import OLLAMA_CHAT
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES
from tests.translation.asked import ASKED, Asked, Facts
from tests.translation.told import TOLD, Told, collected, events_of

DOORS = (NATIVE, OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GEMINI)
PROVIDERS = (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GEMINI, BEDROCK_CONVERSE, OLLAMA_CHAT)
PLACE = "the model's turn"
PAIRS = tuple(itertools.product(DOORS, PROVIDERS))
MODELS = {
    "native": "auto",
    "openai_chat": "gpt-5.2",
    "openai_responses": "gpt-5.2",
    "anthropic_messages": "claude-sonnet-4-6",
    "gemini": "gemini-3-flash",
    "bedrock_converse": "us.anthropic.claude-sonnet-4-6-v1:0",
    "ollama_chat": "qwen3",
}
"""What is asked: where a dialect writes by the generation of the model, this one decides."""


class Outcome(NamedTuple):
    """What became of a thing. "unsaid": the side that begins has no word for it; "relayed": both speak one dialect.

    `told`: what arrived (mapped), or the names that the caller is told in `x-dominion-lost` (lost).
    """

    kind: Literal["kept", "mapped", "lost", "dropped", "unsaid", "relayed"]
    told: Facts = ()


def asked_between(door: Dialect, provider: Dialect, case: Asked) -> Outcome:
    """What becomes of a request."""
    if door is provider:
        return Outcome("relayed")
    request = read_by(door, case)
    wanted = case.facts(request)
    if not wanted:
        return Outcome("unsaid")
    written = provider.write_request(request, model=MODELS[provider.name], output_cap=None)
    if written.lost:
        return Outcome("lost", written.lost)
    arrived = case.facts(_read(provider, json.loads(written.body)))
    word = case.words.get(provider.name)
    if word is None or arrived:
        return _compared(wanted, arrived)
    assert word.encode() in written.body
    return Outcome("mapped", (word,)) if word else Outcome("kept")


def read_by(door: Dialect, case: Asked) -> Request:
    """The request as the door reads it of a caller, who gives the model's turns back as the door has written them."""
    turns = [
        msgspec.structs.replace(turn, parts=(Text(PLACE),)) if turn.role == "assistant" else turn
        for turn in case.request.messages
    ]
    request = msgspec.structs.replace(case.request, messages=tuple(turns))
    body = json.loads(door.write_request(request, model=MODELS[door.name], output_cap=None).body)
    for turn in case.request.messages:
        if turn.role == "assistant":
            _give_back(door, body, json.loads(door.write_answer(Answer("1", "x", turn.parts, "stop", None), now=7)))
    return _read(door, body | case.spoken.get(door.name, {}))


def _give_back(door: Dialect, body: dict[str, Any], answer: dict[str, Any]) -> None:
    """Put the turn that the door wrote in its place in the conversation."""
    match door.name:
        case "openai_chat":
            turns, said = body["messages"], [answer["choices"][0]["message"]]
        case "native":
            kept = ("content", "tool_calls", "reasoning")
            turns, said = (
                body["messages"],
                [{"role": "assistant"} | {name: answer[name] for name in kept if name in answer}],
            )
        case "openai_responses":
            turns, said = body["input"], answer["output"]
        case "anthropic_messages":
            turns, said = body["messages"], [{"role": "assistant", "content": answer["content"]}]
        case _:
            turns, said = body["contents"], [answer["candidates"][0]["content"]]
    place = next(place for place, turn in enumerate(turns) if PLACE in json.dumps(turn))
    turns[place : place + 1] = said


def told_between(door: Dialect, provider: Dialect, case: Told) -> Outcome:
    """What becomes of an answer, whole and streamed; they must agree."""
    if door is provider:
        return Outcome("relayed")
    answer = provider.read_answer(provider.write_answer(case.answer, now=7))
    wanted = case.facts(answer)
    if wanted != case.facts(case.answer):
        return Outcome("unsaid")
    body = door.write_answer(answer, now=7)
    whole = _compared(wanted, case.facts(door.read_answer(body)))
    if door.name in case.words:
        assert case.words[door.name].encode() in body
        return Outcome("mapped", (case.words[door.name],))
    streamed = whole
    if case.streams:
        streamed = _compared(wanted, case.facts(_streamed(door, _streamed(provider, case.answer))))
    if streamed != whole:
        raise AssertionError(f"{door.name} {provider.name} {case.name}: whole {whole}, streamed {streamed}")
    return whole


def requests_of(door: Dialect) -> dict[str, list[Outcome]]:
    """For each case the outcome at each of the `PROVIDERS`."""
    return {case.name: [asked_between(door, provider, case) for provider in PROVIDERS] for case in ASKED}


def answers_of(door: Dialect) -> dict[str, list[Outcome]]:
    """For each case the outcome from each of the `PROVIDERS`."""
    return {case.name: [told_between(door, provider, case) for provider in PROVIDERS] for case in TOLD}


def _read(dialect: Dialect, body: dict[str, Any]) -> Request:
    return dialect.read_request(read_fields(msgspec.json.encode({"model": MODELS[dialect.name]} | body)))


def _streamed(dialect: Dialect, answer: Answer) -> Answer:
    writer, reader = dialect.writer(now=7, asks_usage=True), dialect.reader()
    body = b"".join(map(writer.write, events_of(answer))) + writer.end()
    return collected(reader.feed(body) + reader.end())


def _compared(wanted: Facts, arrived: Facts) -> Outcome:
    if arrived == wanted:
        return Outcome("kept")
    return Outcome("mapped", arrived) if len(arrived) >= len(wanted) else Outcome("dropped")
