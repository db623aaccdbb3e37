"""Anthropic's own SDK as a judge of what this gateway writes. Never asks anybody but the SDK."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pydantic
from anthropic.types import Message, MessageParam
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming

ASKED: list[MessageParam] = [{"role": "user", "content": "Hello"}]
SAMPLING = ("temperature", "top_p", "top_k")
"""Of the API version 2023-06-01, which this gateway sends; the SDK is of the next one, which has dropped them."""
_PARAMS = pydantic.TypeAdapter[Any](MessageCreateParamsStreaming | MessageCreateParamsNonStreaming)


def check_request(body: bytes) -> dict[str, Any]:
    """The body as plain values, all of which the SDK's own types of parameters know, to the last block."""
    plain: dict[str, Any] = json.loads(body)
    judged = {name: value for name, value in plain.items() if name not in SAMPLING}
    assert _exhaust(_PARAMS.validate_python(judged)) == judged
    return plain


def answer_in_sdk(body: bytes) -> Message:
    """What the SDK makes of a whole answer."""
    with _client(200, body, "application/json") as client:
        return client.messages.create(model="claude-opus-4-8", max_tokens=8, messages=ASKED)


def stream_in_sdk(body: bytes) -> Message:
    """What the SDK collects from a stream. Raises the SDK's error for an error inside the stream."""
    with (
        _client(200, body, "text/event-stream") as client,
        client.messages.stream(model="claude-opus-4-8", max_tokens=8, messages=ASKED) as stream,
    ):
        message: Message = stream.get_final_message()
        return message


def error_in_sdk(status: int, body: bytes) -> anthropic.APIStatusError:
    """What the SDK raises for an error answer."""
    with _client(status, body, "application/json") as client:
        try:
            client.messages.create(model="claude-opus-4-8", max_tokens=8, messages=ASKED)
        except anthropic.APIStatusError as error:
            return error
    raise AssertionError("the SDK did not raise")


def _client(status: int, body: bytes, content_type: str) -> anthropic.Anthropic:
    answer = httpx2.Response(status, content=body, headers={"content-type": content_type})
    transport = httpx2.MockTransport(lambda _: answer)
    return anthropic.Anthropic(api_key="none", max_retries=0, http_client=httpx2.Client(transport=transport))


def _exhaust(value: Any) -> Any:
    """Pydantic checks iterables only as they are walked."""
    if isinstance(value, dict):
        return {name: _exhaust(inner) for name, inner in value.items()}
    if isinstance(value, list | Iterator) or type(value).__name__ == "ValidatorIterator":
        return [_exhaust(inner) for inner in value]
    return value
