"""Requests of this gateway's own API: OpenAI's chat requests, with a provider and a prompt. Refuses what it knows not.

{"provider"?, "model"?, "messages" | "prompt", "max_tokens" | "maxTokens", ...}; an assistant's message may hold the
`reasoning` of an earlier answer, as that answer wrote it.
"""

import difflib
import re
from typing import Any

import msgspec

from dominion.domain.contracts import Fields, Peek, Written
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import Request, Thinking
from dominion.wire.fields import LARGEST_CAP, decode, flag, splice, text, whole
from dominion.wire.openai_chat import request as openai_chat_request
from dominion.wire.openai_chat import request_writing as openai_chat_request_writing
from dominion.wire.openai_chat import shapes as openai_chat_shapes
from dominion.wire.openai_chat.spelling import Spelling

AUTO = "auto"
LONGEST_NAME = 256
CAPS = ("max_tokens", "maxTokens")
KNOWN = (
    *("provider", "model", "messages", "prompt", "stream", *CAPS),
    *("temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty", "user"),
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
)
_SPELLING = Spelling(cap="max_tokens", signed="")
_OURS = frozenset({"provider", "prompt", "maxTokens"})
_NOT_EMPTY_ARRAY = re.compile(rb"\s*\[\s*[^\s\]]")


class ReasoningPiece(msgspec.Struct, omit_defaults=True):
    """Reasoning with what must go back to the provider: its signature, or the whole of it sealed."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


_ASSISTANT = msgspec.Raw(b'"assistant"')
_TURNS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_REASONING = msgspec.json.Decoder(list[ReasoningPiece] | str | None)


def read_peek(fields: Fields) -> Peek:
    """What routing and admission need. Raises InvalidRequest, for every unknown field too."""
    for name in fields:
        if name not in KNOWN:
            nearest = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0)[0]
            raise InvalidRequest(
                f"The field '{name[:100]}' is unknown; the nearest one is '{nearest}'.", param=name[:100]
            )
    prompt, messages = text(fields, "prompt"), fields.get("messages")
    if prompt is not None and messages is not None:
        raise InvalidRequest("Send either 'messages' or 'prompt', not both.", param="prompt")
    if not prompt and (messages is None or not _NOT_EMPTY_ARRAY.match(messages)):
        raise InvalidRequest("'messages' must be an array with at least one message.", param="messages")
    caps = [cap for name in CAPS if (cap := whole(fields, name, 1, LARGEST_CAP)) is not None]
    if len(caps) > 1:
        raise InvalidRequest("'max_tokens' and 'maxTokens' are one field; send one of them.", param="maxTokens")
    return Peek(
        model=_name(fields, "model"),
        stream=flag(fields, "stream") or False,
        output_cap=caps[0] if caps else None,
        provider=_name(fields, "provider"),
    )


def patch(fields: Fields, *, model: str, output_cap: int | None) -> bytes:
    """The same request for another gateway, which has its own providers."""
    changes = {"model": msgspec.json.encode(model)}
    replaced = {"provider"}
    if output_cap is not None:
        changes["max_tokens"] = b"%d" % output_cap
        replaced.update(CAPS)
    return splice({name: value for name, value in fields.items() if name not in replaced}, changes)


def read_request(fields: Fields) -> Request:
    """The whole request. Raises InvalidRequest."""
    peek = read_peek(fields)
    chat = {name: value for name, value in fields.items() if name not in _OURS}
    if peek.output_cap is not None:
        chat["max_tokens"] = msgspec.Raw(b"%d" % peek.output_cap)
    prompt = text(fields, "prompt")
    if prompt is not None:
        chat["messages"] = msgspec.Raw(msgspec.json.encode([{"role": "user", "content": prompt}]))
    elif b'"reasoning"' in bytes(chat["messages"]):
        chat["messages"] = msgspec.Raw(msgspec.json.encode(_unfold(fields)))
    return msgspec.structs.replace(openai_chat_request.read_request(chat), model=peek.model)


def write_request(request: Request, *, model: str, output_cap: int | None) -> Written:
    """The request for another gateway, and what was lost on the way."""
    written = openai_chat_request_writing.write_request(request, model=model, cap=output_cap, spelling=_SPELLING)
    body: Fields = msgspec.json.decode(written.body, type=Fields)
    body.pop("stream_options", None)
    return Written(msgspec.json.encode(body), written.lost)


def _name(fields: Fields, field: str) -> str:
    name = text(fields, field) or AUTO
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(f"'{field}' must be a name of at most {LONGEST_NAME} characters.", param=field)
    return name


def _unfold(fields: Fields) -> list[dict[str, Any]]:
    """The messages with their `reasoning` in OpenRouter's form, which the reader of chat requests knows."""
    turns: list[dict[str, Any]] = []
    for turn in decode(fields, "messages", _TURNS) or []:
        reasoning = decode(turn, "reasoning", _REASONING) if turn.get("role") == _ASSISTANT else None
        if isinstance(reasoning, list):
            thinking = [Thinking(piece.text, piece.signature, piece.redacted) for piece in reasoning]
            details = {"reasoning_details": openai_chat_shapes.write_details(thinking)}
            turns.append({name: value for name, value in turn.items() if name != "reasoning"} | details)
        else:
            turns.append(dict(turn))
    return turns
