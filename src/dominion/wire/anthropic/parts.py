"""Content blocks of the Anthropic Messages API, to neutral parts and back. Never decides what a loss means."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import (
    CacheMark,
    Image,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dominion.wire.seals import MARK

NO_ARGUMENTS = "{}"
SMALLEST_BUDGET = 1024
"""Tokens of thinking that the API asks for at least."""
ABSENT = msgspec.Raw(b"null")
"""Stands for fields that are absent or null: msgspec keeps raw bytes in fields of this one type only."""

_REQUIRED = {
    "text": ("text",),
    "image": ("source",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}
_ID = re.compile(r"[^a-zA-Z0-9_-]")
_CALL_SEAL = "dom_call:"


class CacheControl(msgspec.Struct):
    """`cache_control` of a block or tool."""

    ttl: str | None = None


class Block(msgspec.Struct):
    """A content block of any type; which fields it has depends on the type."""

    type: str
    text: str | None = None
    source: msgspec.Raw = ABSENT
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT
    tool_use_id: str | None = None
    content: msgspec.Raw = ABSENT
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    citations: list[Any] | None = None
    cache_control: CacheControl | None = None


class _Source(msgspec.Struct):
    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""


_SOURCE = msgspec.json.Decoder(_Source)
_RESULT = msgspec.json.Decoder(str | list[Block])


def cache_mark(control: CacheControl | None) -> CacheMark | None:
    """The neutral mark."""
    return None if control is None else CacheMark(control.ttl or "")


def read_block(block: Block, where: str, unread: set[str]) -> Part | None:
    """A block of a request; None, and its type in `unread`, for blocks that other dialects have no place for.

    `where` is the block's place in the request. Raises InvalidRequest when a field that the type needs is missing.
    """
    missing = [name for name in _REQUIRED.get(block.type, ()) if getattr(block, name) in (None, ABSENT)]
    if missing:
        raise InvalidRequest(f"'{where}.{missing[0]}' is missing.", param=f"{where}.{missing[0]}")
    if block.citations:
        unread.add("messages.citations")
    if block.type == "image":
        return _image(block, where, unread)
    if block.type == "tool_result":
        return _tool_result(block, where, unread)
    part = read_answer_block(block)
    if part is None:
        unread.add(f"messages.{block.type}")
    return part


def read_answer_block(block: Block) -> Text | ToolCall | Thinking | None:
    """A block that a model may write; None for the blocks of tools that the provider runs itself."""
    cache = cache_mark(block.cache_control)
    match block.type:
        case "text":
            return Text(block.text or "", cache)
        case "tool_use":
            arguments = NO_ARGUMENTS if block.input == ABSENT else bytes(block.input).decode()
            return ToolCall(block.id or "", block.name or "", arguments, cache)
        case "thinking":
            return Thinking(block.thinking or "", block.signature or "")
        case "redacted_thinking":
            return Thinking(redacted=block.data or "")
    return None


def seal_of_call(signature: str) -> dict[str, str]:
    """The block that carries the signature of the call after it to the caller, since a call has no field for one."""
    return {"type": "redacted_thinking", "data": _CALL_SEAL + signature}


def seal_calls(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts of a turn with such signatures back on their calls."""
    seal = ""
    for part in parts:
        if isinstance(part, Thinking) and part.redacted.startswith(_CALL_SEAL):
            seal = part.redacted.removeprefix(_CALL_SEAL)
        elif isinstance(part, ToolCall) and seal:
            yield msgspec.structs.replace(part, signature=seal)
            seal = ""
        else:
            yield part


def sealed_elsewhere(part: Thinking) -> bool:
    """Whether an API of another kind sealed this: no seal of Anthropic's or Google's holds a colon."""
    seal = part.signature or part.redacted
    return ":" in seal or seal.startswith(MARK)


def write_part(part: Part, role: Role, lost: set[str]) -> dict[str, Any] | None:
    """A part of a message as a block, or None when it has no place there."""
    block: dict[str, Any] | None
    match part:
        case Text(text) | Refusal(text):
            block = {"type": "text", "text": text} if text.strip() else None  # the API refuses blank text
        case Thinking():
            block = _write_thinking(part, lost)
        case ToolCall():
            block = _write_call(part, lost)
        case ToolResult():
            block = _write_result(part, lost)
        case Image() if role in ("user", "tool"):
            block = _write_image(part, lost)
        case _:
            lost.add("messages.image")
            block = None
    cache: CacheMark | None = getattr(part, "cache", None)
    if block is not None and cache is not None:
        block["cache_control"] = mark(cache)
    return block


def write_arguments(arguments: str) -> msgspec.Raw | dict[str, str]:
    """Arguments must be an object here; what a model wrote that is none (cut off, say) goes along as text."""
    text = arguments.strip() or NO_ARGUMENTS
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return {"invalid_arguments": arguments}
    return msgspec.Raw(text.encode())


def plain(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """A single text without a mark may be written as a string, as most callers do."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def mark(cache: CacheMark) -> dict[str, str]:
    """`cache_control` of a block or tool."""
    return {"type": "ephemeral"} | ({"ttl": cache.ttl} if cache.ttl else {})


def _image(block: Block, where: str, unread: set[str]) -> Image | None:
    source = _decoded(_SOURCE, block.source, f"{where}.source")
    cache = cache_mark(block.cache_control)
    if source.type == "base64":
        return Image(media_type=source.media_type, data=source.data, cache=cache)
    if source.type == "url":
        return Image(url=source.url, cache=cache)
    unread.add(f"messages.image.{source.type}")
    return None


def _tool_result(block: Block, where: str, unread: set[str]) -> ToolResult:
    content = "" if block.content == ABSENT else _decoded(_RESULT, block.content, f"{where}.content")
    parts: list[Text | Image] = []
    if isinstance(content, str):
        parts += [Text(content)] if content else []
    else:
        for place, inner in enumerate(content):
            part = read_block(inner, f"{where}.content[{place}]", unread)
            if isinstance(part, Text | Image):
                parts.append(part)
            elif part is not None:
                unread.add(f"messages.tool_result.{inner.type}")
    return ToolResult(
        call_id=block.tool_use_id or "",
        parts=tuple(parts),
        is_error=bool(block.is_error),
        cache=cache_mark(block.cache_control),
    )


def _decoded(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, where: str) -> Any:
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"'{where}' is wrong: {error}.", param=where) from error


def _write_thinking(part: Thinking, lost: set[str]) -> dict[str, Any] | None:
    if sealed_elsewhere(part) or not (part.signature or part.redacted):
        if part != Thinking():
            lost.add("messages.thinking")  # the API refuses reasoning that it has not signed itself
        return None
    if part.redacted:
        return {"type": "redacted_thinking", "data": part.redacted}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _write_call(part: ToolCall, lost: set[str]) -> dict[str, Any]:
    if part.signature:
        lost.add("messages.tool_calls.signature")
    written = write_arguments(part.arguments)
    if isinstance(written, dict):
        lost.add("messages.tool_calls.arguments")
    return {"type": "tool_use", "id": _safe_id(part.id), "name": part.name, "input": written}


def _write_result(part: ToolResult, lost: set[str]) -> dict[str, Any]:
    written = [write_part(inner, "tool", lost) for inner in part.parts]
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _safe_id(part.call_id)}
    block["content"] = plain([inner for inner in written if inner is not None])
    if part.is_error:
        block["is_error"] = True
    return block


def _write_image(image: Image, lost: set[str]) -> dict[str, Any]:
    if image.detail not in ("", "auto"):
        lost.add("messages.image.detail")
    if image.data:
        source = {"type": "base64", "media_type": image.media_type, "data": image.data}
    else:
        source = {"type": "url", "url": image.url}
    return {"type": "image", "source": source}


def _safe_id(call_id: str) -> str:
    """The API takes ids of letters, digits, _ and - only; other providers write more."""
    return _ID.sub("_", call_id)
