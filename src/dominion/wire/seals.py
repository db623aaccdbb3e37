"""Marks of origin on sealed reasoning: what one provider sealed goes back to that provider, and to no other.

A seal that passes a translation is marked with who made it; one without a mark came by a relay, from a provider of the
door's own dialect. Marked seals are base64, as Gemini's SDKs want them, and no dialect takes them for its own.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from dominion.domain.messages import Answer, Message, Part, Request, Thinking, ThinkingDelta, ToolCall, ToolCallDelta

MARK = "ZG9taW5p"
"""How marked seals begin: base64 of "domini"."""
_MARKED = MARK.encode()
_PLAIN = b"domini%b:%b"
_FIELDS = ("signature", "data", "thought_signature", "thoughtSignature")
"""What seals are called where this gateway writes them."""
_BY_RELAY: Mapping[str, frozenset[str]] = MappingProxyType(
    {"anthropic_messages": frozenset({"anthropic"}), "gemini": frozenset({"gemini", "vertex"})}
)
"""Whose seals a door's callers may have without a mark. Of other doors nothing is known, and their dialects judge."""


def origin_of(speaks: str, model: str, provider: str) -> str:
    """Who seals the answers of this model: Anthropic wherever it is served (its documentation says that seals hold on
    all its platforms), else the provider. `speaks` is the dialect's, `provider` its id."""
    anthropic = speaks == "anthropic_messages" or (speaks == "bedrock_converse" and "anthropic." in model)
    return "anthropic" if anthropic else provider


def mark_at(door: str, origin: str) -> str:
    """With what to mark the seals of `origin` for the callers of a door; empty: they know it by itself."""
    return "" if origin in _BY_RELAY.get(door, ()) else origin


def marked(seal: str, origin: str) -> str:
    """The seal with its mark."""
    return base64.b64encode(_PLAIN % (origin.encode(), seal.encode())).decode() if seal else ""


def mark_delta(event: ThinkingDelta | ToolCallDelta, origin: str) -> ThinkingDelta | ToolCallDelta:
    """The event with its seals marked."""
    changes = {"signature": marked(event.signature, origin)} if event.signature else {}
    if isinstance(event, ThinkingDelta) and event.redacted:
        changes["redacted"] = marked(event.redacted, origin)
    return msgspec.structs.replace(event, **changes) if changes else event


def mark_answer(answer: Answer, origin: str) -> Answer:
    """The answer with its seals marked."""
    parts = tuple(_with_seals(part, lambda seal: marked(seal, origin)) for part in answer.parts)
    return msgspec.structs.replace(answer, parts=parts)


def only_own(request: Request, door: str, origin: str) -> Request:
    """The request of a door for `origin`: with the seals that it made, unmarked, and none of others, which are named in
    `unread`. A thought that was all seal is gone with it."""
    if not any(_seals(part) for message in request.messages for part in message.parts):
        return request
    lost: set[str] = set()
    messages = tuple(_own_message(message, door, origin, lost) for message in request.messages)
    return msgspec.structs.replace(
        request,
        messages=tuple(message for message in messages if message.parts),
        unread=tuple(sorted({*request.unread, *lost})),
    )


def without_marked(raw: bytes, instead: Callable[[dict[str, Any]], Any]) -> bytes | None:
    """What a conversation must become that is relayed: `instead` of each object with a marked seal, which the provider
    would refuse; None leaves it out. None for all of it: there is no mark, as almost always."""
    if _MARKED not in raw:
        return None
    return msgspec.json.encode(_mended(msgspec.json.decode(raw), instead))


def unsealed(value: dict[str, Any]) -> dict[str, Any]:
    """An object without its marked seals."""
    return {name: inner for name, inner in value.items() if not _is_marked(name, inner)}


def _mended(value: Any, instead: Callable[[dict[str, Any]], Any]) -> Any:
    if isinstance(value, list):
        items = (_mended(item, instead) for item in value)
        return [item for item in items if item is not None]
    if not isinstance(value, dict):
        return value
    if any(_is_marked(name, inner) for name, inner in value.items()):
        value = instead(value)
    if value is None:
        return None
    mended = {name: (inner, _mended(inner, instead)) for name, inner in value.items()}
    return {name: new for name, (old, new) in mended.items() if new is not None or old is None}


def _is_marked(name: str, value: Any) -> bool:
    return name in _FIELDS and isinstance(value, str) and value.startswith(MARK)


def _own_message(message: Message, door: str, origin: str, lost: set[str]) -> Message:
    def own(seal: str) -> str:
        made_by, told = _opened(seal)
        if made_by == origin if made_by else origin in _BY_RELAY.get(door, (origin,)):
            return told
        lost.add("messages.tool_calls.signature" if isinstance(part, ToolCall) else "messages.thinking.signature")
        return ""

    parts: list[Part] = []
    for part in message.parts:
        kept = _with_seals(part, own)
        if kept == part or kept != Thinking():
            parts.append(kept)
    return msgspec.structs.replace(message, parts=tuple(parts))


def _with_seals(part: Part, change: Callable[[str], str]) -> Part:
    seals = {name: change(seal) for name, seal in _seals(part).items()}
    return msgspec.structs.replace(part, **seals) if seals else part


def _seals(part: Part) -> dict[str, str]:
    """By the names of their fields."""
    if not isinstance(part, Thinking | ToolCall):
        return {}
    redacted = part.redacted if isinstance(part, Thinking) else ""
    return {name: seal for name, seal in (("signature", part.signature), ("redacted", redacted)) if seal}


def _opened(seal: str) -> tuple[str, str]:
    """Who made it, and the seal without its mark; nobody for one that has none."""
    if seal.startswith(MARK):
        try:
            origin, _, told = base64.b64decode(seal, validate=True).removeprefix(b"domini").decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "nobody", ""
        return origin or "nobody", told
    return "", seal
