"""An image is held at what it may cost at every door: its address is short, its tokens are many."""

from typing import Any

import pytest

from tests.whole.program import Program

URL = "https://images.example/cat.png"
CHAT = {"type": "image_url", "image_url": {"url": URL}}
SOURCE = {"type": "image", "source": {"type": "url", "url": URL}}
FILE = {"fileData": {"mimeType": "image/png", "fileUri": URL}}
DOORS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "native": ("/v1/llm/complete", {"model": "stub/echo", "max_tokens": 50}, CHAT),
    "chat": ("/v1/chat/completions", {"model": "stub/echo", "max_tokens": 50}, CHAT),
    "responses": (
        "/v1/responses",
        {"model": "stub/echo", "max_output_tokens": 50},
        {"type": "input_image", "image_url": URL},
    ),
    "anthropic": ("/v1/messages", {"model": "stub/echo", "max_tokens": 50}, SOURCE),
    "gemini": ("/v1beta/models/stub%2Fecho:generateContent", {"generationConfig": {"maxOutputTokens": 50}}, FILE),
}


def body_of(door: str, part: Any) -> dict[str, Any]:
    """One turn with a text and this part."""
    _, body, _ = DOORS[door]
    if door == "gemini":
        return body | {"contents": [{"role": "user", "parts": [{"text": "See"}, part]}]}
    text = {"type": "input_text" if door == "responses" else "text", "text": "See"}
    turn = {"role": "user", "content": [text, part]}
    return body | {"input" if door == "responses" else "messages": [turn]}


@pytest.mark.parametrize("door", DOORS)
def test_an_image_that_may_not_be_affordable_is_refused_and_a_text_is_not(program: Program, door: str) -> None:
    path, _, image = DOORS[door]
    text: Any = {"text": "me."}
    if door != "gemini":
        text |= {"type": "input_text" if door == "responses" else "text"}
    _, key = program.user(daily_tokens=4_000)
    refused = program.ask("POST", path, body_of(door, image), token=key)
    assert refused.status == 429, refused.body
    assert program.ask("POST", path, body_of(door, text), token=key).status == 200
    _, rich = program.user(daily_tokens=100_000)
    assert program.ask("POST", path, body_of(door, image), token=rich).status == 200
