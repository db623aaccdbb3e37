"""Images are counted at admission in every dialect: bytes do not bound their tokens."""

import json
from typing import Any

import msgspec
import pytest

from dominion.domain.contracts import Dialect, Fields
from dominion.domain.messages import Image, Message, Request, Text, ToolCall, ToolResult
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE
from dominion.wire.fields import read_fields
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.native.dialect import NATIVE
from dominion.wire.ollama.dialect import OLLAMA_CHAT
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES

DATA = "iVBORw0KGgo="
INLINE = Image(media_type="image/png", data=DATA)
LINKED = Image(url="https://images.example/cat.png")
DIALECTS = (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GEMINI, NATIVE, BEDROCK_CONVERSE, OLLAMA_CHAT)
DOORS = (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GEMINI, NATIVE)
CHOSEN = {"model": msgspec.Raw(b'"m"')}


def asked(dialect: Dialect, *messages: Message) -> Fields:
    """A request as a caller of the dialect would write it; the address of some names the model."""
    body = dialect.write_request(Request(model="m", messages=messages), model="m", output_cap=9).body
    return CHOSEN | read_fields(body)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_images_inside_the_body_are_counted_with_their_bytes(dialect: Dialect) -> None:
    count, size = dialect.peek(asked(dialect, Message("user", (Text("What is it?"), INLINE, INLINE)))).images
    assert count == 2
    assert size // 2 in (len(DATA), len(f"data:image/png;base64,{DATA}"))


@pytest.mark.parametrize("dialect", DOORS, ids=lambda dialect: dialect.name)
def test_images_behind_an_address_are_counted_and_take_no_bytes(dialect: Dialect) -> None:
    assert dialect.peek(asked(dialect, Message("user", (LINKED, Text("What is it?"))))).images == (1, 0)


@pytest.mark.parametrize("dialect", [OPENAI_RESPONSES, ANTHROPIC_MESSAGES], ids=lambda dialect: dialect.name)
def test_images_that_a_tool_returned_are_counted(dialect: Dialect) -> None:
    call, result = ToolCall("call_1", "shoot", "{}"), ToolResult("call_1", (Text("Here"), LINKED))
    turns = (Message("user", (Text("Shoot"),)), Message("assistant", (call,)), Message("tool", (result,)))
    assert dialect.peek(asked(dialect, *turns)).images == (1, 0)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_request_that_only_speaks_of_images_has_none(dialect: Dialect) -> None:
    said = 'An "image_url", a "fileData", an "image" and \\u0069mages'
    assert dialect.peek(asked(dialect, Message("user", (Text(said),)))).images == (0, 0)


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        (OPENAI_CHAT, ("image_url",)),
        (ANTHROPIC_MESSAGES, ("image",)),
        (OPENAI_RESPONSES, ("input_image",)),
        (GEMINI, ("fileData", "inlineData")),
    ],
)
def test_an_image_cannot_hide_behind_escapes(dialect: Dialect, names: tuple[str, ...]) -> None:
    fields = asked(dialect, Message("user", (LINKED, Text("What is it?"))))
    body = msgspec.json.encode(fields).decode()
    for name in names:
        body = body.replace(f'"{name}"', '"{}"'.format("".join(f"\\u{ord(letter):04x}" for letter in name)))
    assert dialect.peek(CHOSEN | read_fields(body.encode())).images == (1, 0)


@pytest.mark.parametrize(
    ("item", "images"),
    [
        ({"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}, (1, 0)),
        ({"type": "item_reference", "id": "msg_1"}, (0, 0)),
        ({"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "https://x"}}, (1, 0)),
    ],
)
def test_images_of_a_conversation_that_the_provider_keeps_are_counted(
    item: dict[str, Any], images: tuple[int, int]
) -> None:
    said = {"role": "user", "content": "an image?"}
    body = {"model": "m", "previous_response_id": "resp_1", "input": [said, item]}
    assert OPENAI_RESPONSES.peek(read_fields(json.dumps(body).encode())).images == images


PDF = "JVBERi0="
PART = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}
LINK = {"type": "document", "source": {"type": "url", "url": "https://papers.example/a.pdf"}}
RESULT = {"type": "tool_result", "tool_use_id": "1", "content": [LINK]}
FILM = {"fileData": {"mimeType": "video/mp4", "fileUri": "https://films.example/a"}}


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (OPENAI_CHAT, {"messages": [{"role": "user", "content": [PART]}]}),
        (ANTHROPIC_MESSAGES, {"max_tokens": 9, "messages": [{"role": "user", "content": [LINK]}]}),
        (ANTHROPIC_MESSAGES, {"max_tokens": 9, "messages": [{"role": "user", "content": [RESULT]}]}),
        (GEMINI, {"contents": [{"role": "user", "parts": [{"text": "See"}, FILM]}]}),
        (GEMINI, {"cachedContent": "cachedContents/1", "contents": [{"role": "user", "parts": [{"text": "See"}]}]}),
        (OPENAI_RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]}),
        (OPENAI_RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        (OPENAI_RESPONSES, {"input": "Hi", "prompt": {"id": "pmpt_1"}}),
        (OPENAI_RESPONSES, {"input": "Hi", "tools": [{"type": "file_search"}]}),
    ],
)
def test_a_prompt_that_its_bytes_do_not_bound_is_said_to_be_one(dialect: Dialect, body: dict[str, Any]) -> None:
    fields = read_fields(json.dumps({"model": "m", **body}).encode())
    assert dialect.peek(fields).kept


@pytest.mark.parametrize("dialect", DOORS, ids=lambda dialect: dialect.name)
def test_a_prompt_that_only_speaks_of_files_is_none(dialect: Dialect) -> None:
    said = '{"type": "file", "file": {}, "document": 1, "input_file": 2, "item_reference": 3, "data": 4}'
    assert not dialect.peek(asked(dialect, Message("user", (Text(said),)))).kept
