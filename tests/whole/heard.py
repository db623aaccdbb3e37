"""What a caller hears of an answer at the OpenAI or the Anthropic door. Reads JSON plainly, never by our own code."""

import json
from typing import Any, NamedTuple

from tests.whole.program import Answer

OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"


class Heard(NamedTuple):
    """`code` of an error, before the answer or inside its stream; `ended` by the door's own end mark or an error."""

    status: int
    text: str
    code: str
    ended: bool


def heard(door: str, answer: Answer, *, stream: bool) -> Heard:
    """The answer as plain facts."""
    if answer.status != 200 or not stream:
        told = answer.json
        error = told.get("error") or {}
        return Heard(answer.status, "" if error else _text(door, told), error.get("code", ""), ended=True)
    text, code, ended = "", "", False
    for event in _events(answer.body):
        assert not ended or not (event and _delta(door, event)), "text after the end"
        if event is None:
            ended = True
        elif "error" in event:
            code, ended = str(event["error"].get("code") or event["error"]["type"]), True
        else:
            text += _delta(door, event)
            ended = ended or event.get("type") == "message_stop"
    return Heard(answer.status, text, code, ended)


def _events(body: bytes) -> list[dict[str, Any] | None]:
    """Events of a stream; None is [DONE]. A frame that is not JSON was the provider's, and is passed over."""
    found: list[dict[str, Any] | None] = []
    for line in body.splitlines():
        if line.startswith(b"data:"):
            data = line[5:].strip()
            try:
                found.append(None if data == b"[DONE]" else json.loads(data))
            except json.JSONDecodeError:
                continue
    return found


def _text(door: str, told: dict[str, Any]) -> str:
    if door == OPENAI:
        return str(told["choices"][0]["message"]["content"])
    return "".join(block["text"] for block in told["content"] if block["type"] == "text")


def _delta(door: str, event: dict[str, Any]) -> str:
    if door == OPENAI:
        return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
    return str(event.get("delta", {}).get("text", ""))
