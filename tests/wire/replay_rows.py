"""The dialects whose recordings are replayed: where each is spoken, and how its usage is read by the plainest means.

Nothing here reads by ours: what is found here is what ours is held against.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from genai_prices import extract_usage

from dominion.domain.contracts import Dialect
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.anthropic_cloud import BEDROCK_INVOKE
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.ollama.dialect import OLLAMA_CHAT
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.openai_completions.dialect import OPENAI_COMPLETIONS
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES
from tests.wire.recordings import Recording

Told = dict[str, Any]
Counts = dict[str, int]


class Replayed(NamedTuple):
    """A dialect and the `path` it is spoken at, without the query.

    `told` finds the usage in a stream, `told_whole` in an answer; `meter` reads it independently of us. `answers` says
    whether a body is an answer at all; `prepare` turns a recording into what the gateway would have asked for.
    `gathers`: its streams have calls whole, so pieces of them cannot come back as they were. `others`: providers that
    have another API at the same path. `apart`: recordings that
    cannot be the same when written again, by the end of their id, with the reason.
    """

    name: str
    dialect: Dialect
    path: str
    told: Callable[[bytes], Told]
    meter: Callable[[Told], Counts]
    told_whole: Callable[[Told], Told] = lambda body: body.get("usage") or {}
    answers: Callable[[Recording], bool] = lambda _: True
    prepare: Callable[[Recording], Recording] = lambda one: one
    gathers: bool = False
    others: tuple[str, ...] = ()
    apart: Mapping[str, str] = MappingProxyType({})


def _data(body: bytes) -> Iterator[Told]:
    for line in body.replace(b"\r", b"\n").split(b"\n"):
        if line.startswith(b"data:") and line[5:].strip() not in (b"", b"[DONE]"):
            yield json.loads(line[5:])


def _chat_usage(body: bytes) -> Told:
    found = [chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") for chunk in _data(body)]
    return next(filter(None, reversed(found)), {})


def _messages_usage(body: bytes) -> Told:
    usage: Told = {}
    for event in _data(body):
        found = (event.get("message") or event).get("usage") or {}
        usage |= {name: value for name, value in found.items() if value is not None}
    return usage


def _responses_usage(body: bytes) -> Told:
    """That of the first answer: some fixtures hold several."""
    found = ((event.get("response") or {}).get("usage") for event in _data(body))
    return next(filter(None, found), {})


def _gemini_usage(body: bytes) -> Told:
    return [*_data(body)][-1].get("usageMetadata") or {}


def _gemini_whole(body: Told) -> Told:
    """A blocked prompt tells its price class, but no counts."""
    told: Told = body.get("usageMetadata") or {}
    return told if "promptTokenCount" in told else {}


def _converse_usage(body: bytes) -> Told:
    """The last message of the stream holds it, as JSON between checksums."""
    _, name, rest = body.rpartition(b'"usage":')
    told: Told = json.JSONDecoder().raw_decode(rest.decode(errors="replace").lstrip())[0] if name else {}
    return told or {}


def _invoke_usage(body: bytes) -> Told:
    """The API's own events stand in base64 inside the messages."""
    inside = re.findall(rb'\{"bytes": ?"([A-Za-z0-9+/=]+)"', body)
    return _messages_usage(b"\n".join(b"data:" + base64.b64decode(found) for found in inside))


def _ollama_usage(body: bytes) -> Told:
    return _ollama_whole(json.loads(body.splitlines()[-1]))


def _ollama_whole(body: Told) -> Told:
    return {name: body[name] for name in ("prompt_eval_count", "eval_count") if name in body}


def _metered(provider: str, flavor: str, **more: Any) -> Callable[[Told], Counts]:
    """By genai-prices; without the model's name, which it need not know."""

    def meter(told: Told) -> Counts:
        return _named(extract_usage({"usage": told, **more}, provider_id=provider, api_flavor=flavor).usage)

    return meter


def _completions_meter(told: Told) -> Counts:
    """An answer of nothing has no count of its tokens."""
    return _metered("openai", "chat")({"completion_tokens": 0} | told)


def _google_meter(told: Told) -> Counts:
    """It stumbles over enums as numbers."""
    if any(isinstance(detail["modality"], int) for detail in told.get("promptTokensDetails", ())):
        told = {name: count for name, count in told.items() if not name.endswith("TokensDetails")}
    body = {"usageMetadata": told, "modelVersion": "gemini-2.5-pro"}
    return _named(extract_usage(body, provider_id="google").usage)


def _named(usage: Any) -> Counts:
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    counts = (getattr(usage, name) or 0 for name in names)
    return dict(zip(("input", "output", "read", "write"), map(int, counts), strict=True))


def _ollama_meter(told: Told) -> Counts:
    """No independent meter knows this API; its two counts are what they are called."""
    return {"input": told.get("prompt_eval_count", 0), "output": told.get("eval_count", 0), "read": 0, "write": 0}


def _as_sse(one: Recording) -> Recording:
    """Gemini's streams that came as arrays, which the gateway never asks for, as `alt=sse` would have brought them."""
    if one.kind != "json" or "streamGenerateContent" not in one.path or one.status != 200:
        return one
    chunks = json.loads(one.body)
    return one._replace(kind="sse", body=b"".join(b"data: %b\r\n\r\n" % json.dumps(chunk).encode() for chunk in chunks))


def _is_there(one: Recording) -> bool:
    """An answer in the background mode only says that it will come."""
    return one.kind != "json" or json.loads(one.body)["status"] != "queued"


def _speaks_messages(one: Recording) -> bool:
    """Claude's former API of one prompt is none of ours."""
    return "anthropic" in one.path and one.request is not None and "messages" in one.request


ROWS = (
    Replayed("openai_chat", OPENAI_CHAT, r"chat/completions$", _chat_usage, _metered("openai", "chat")),
    Replayed(
        "anthropic_messages", ANTHROPIC_MESSAGES, r"v1/messages$", _messages_usage, _metered("anthropic", "default")
    ),
    Replayed(
        "gemini",
        GEMINI,
        r":(?:generate|streamGenerate)Content$",
        _gemini_usage,
        _google_meter,
        told_whole=_gemini_whole,
        prepare=_as_sse,
        gathers=True,
    ),
    Replayed(
        "openai_responses",
        OPENAI_RESPONSES,
        r"/responses$",
        _responses_usage,
        _metered("openai", "responses", model="gpt-5"),
        answers=_is_there,
        apart=MappingProxyType(
            {
                "test_openai_responses_raw_cot_stream_openrouter.yaml#0": "its thought ends after the message behind it"
                " has begun, and is written as an item of its own then",
            }
        ),
    ),
    Replayed(
        "openai_completions",
        OPENAI_COMPLETIONS,
        r"(?<!chat)/completions$",
        _chat_usage,
        _completions_meter,
        others=("writer",),
    ),
    Replayed(
        "bedrock_converse",
        BEDROCK_CONVERSE,
        r"/converse(?:-stream)?$",
        _converse_usage,
        _metered("aws", "default"),
    ),
    Replayed(
        "bedrock_invoke",
        BEDROCK_INVOKE,
        r"/invoke(?:-with-response-stream)?$",
        _invoke_usage,
        _metered("anthropic", "default"),
        answers=_speaks_messages,
    ),
    Replayed("ollama_chat", OLLAMA_CHAT, r"/api/chat$", _ollama_usage, _ollama_meter, told_whole=_ollama_whole),
)
