"""Content blocks of Bedrock's Converse API, to neutral parts and back. Never decides what a loss means.

A block is an object with one field, whose name is its kind. A `cachePoint` is a block of its own after what it marks.
Source: botocore's model of `bedrock-runtime`.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import CacheMark, Image, Part, Refusal, Role, Text, Thinking, ToolCall, ToolResult
from dominion.wire.anthropic.parts import ABSENT, NO_ARGUMENTS, sealed_elsewhere, write_arguments

Lost = set[str]

IMAGE_FORMATS = frozenset({"png", "jpeg", "gif", "webp"})
_FORBIDDEN_IN_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_LONGEST_ID = 64


class CachePoint(msgspec.Struct):
    """The prompt up to here is to be cached."""

    ttl: str | None = None


class _Source(msgspec.Struct):
    bytes: str | None = None


class _Image(msgspec.Struct):
    format: str
    source: _Source


class ToolUse(msgspec.Struct, rename="camel"):
    """A tool call; `type` only for tools that the provider runs itself, though Claude's say "tool_use"."""

    tool_use_id: str
    name: str
    input: msgspec.Raw = ABSENT
    type: str | None = None


class _ToolResult(msgspec.Struct, rename="camel"):
    tool_use_id: str
    content: list[dict[str, msgspec.Raw]]
    status: str | None = None
    type: str | None = None  # only in results of tools that the provider runs itself


class _ReasoningText(msgspec.Struct):
    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _Cited(msgspec.Struct):
    text: str | None = None


class _Citations(msgspec.Struct):
    content: list[_Cited] = []


class _Guarded(msgspec.Struct):
    text: _Cited | None = None


class Block(msgspec.Struct, rename="camel"):
    """A content block of a message or of the system prompt."""

    text: str | None = None
    image: _Image | None = None
    tool_use: ToolUse | None = None
    tool_result: _ToolResult | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None
    guard_content: _Guarded | None = None
    cache_point: CachePoint | None = None
    document: msgspec.Raw = ABSENT
    video: msgspec.Raw = ABSENT
    audio: msgspec.Raw = ABSENT
    search_result: msgspec.Raw = ABSENT


_UNREAD = {"document": "document", "video": "video", "audio": "audio", "search_result": "searchResult"}
_TEXT = msgspec.json.Decoder(str)
_IMAGE = msgspec.json.Decoder(_Image)


def read_blocks(blocks: Sequence[Block], unread: Lost) -> list[Part]:
    """The parts of a message. Names kinds without a place, and cache points with nothing before them, in `unread`."""
    parts: list[Part] = []
    for block in blocks:
        part = read_block(block, unread)
        if part is not None:
            parts.append(part)
        elif block.cache_point is not None:
            if parts and isinstance(parts[-1], Text | Image | ToolCall | ToolResult):
                parts[-1] = msgspec.structs.replace(parts[-1], cache=CacheMark(block.cache_point.ttl or ""))
            else:
                unread.add("messages.cachePoint")
    return parts


def read_block(block: Block, unread: Lost) -> Part | None:
    """One block; None for cache points and, named in `unread`, for what has no place."""
    part: Part | None = None
    match block:
        case Block(text=str(text)):
            part = Text(text)
        case Block(image=_Image() as image):
            part = _read_image(image, unread)
        case Block(tool_use=ToolUse() as call):
            part = _read_call(call, unread)
        case Block(tool_result=_ToolResult() as result):
            part = _read_result(result, unread)
        case Block(reasoning_content=_Reasoning() as told):
            part = _read_reasoning(told)
        case Block(citations_content=_Citations() as cited):
            unread.add("messages.citationsContent.citations")
            part = Text("".join(piece.text or "" for piece in cited.content))
        case Block(guard_content=_Guarded(_Cited(str(text)))):
            unread.add("messages.guardContent")  # the text stays, its guard does not
            part = Text(text)
        case Block(cache_point=None):
            known = (told for name, told in _UNREAD.items() if getattr(block, name) != ABSENT)
            unread.add(f"messages.{next(known, 'content')}")
    return part


def write_part(part: Part, role: Role, lost: Lost, *, caches: bool) -> list[dict[str, Any]]:
    """A part of a message as a block, with its cache point; nothing where it has no place here.

    `caches`: the model knows cache points.
    """
    block = _write_block(part, role, lost)
    mark = cache_point(getattr(part, "cache", None), lost, known=caches and block is not None)
    return [] if block is None else [block, *mark]


def cache_point(cache: CacheMark | None, lost: Lost, *, known: bool) -> list[dict[str, Any]]:
    """The cache point after a marked block or tool, if the model knows them."""
    if cache is None:
        return []
    if not known:
        lost.add("cache_control")
        return []
    return [{"cachePoint": {"type": "default"} | ({"ttl": cache.ttl} if cache.ttl else {})}]


def write_call_id(call_id: str) -> str:
    """The API takes 64 letters, digits and _.:- only; what is longer elsewhere stays distinct as its digest."""
    if len(call_id) > _LONGEST_ID:
        return hashlib.blake2b(call_id.encode(), digest_size=16).hexdigest()
    return _FORBIDDEN_IN_ID.sub("_", call_id)


def write_thinking(part: Thinking) -> dict[str, Any]:
    """Reasoning as a block."""
    if part.redacted:
        return {"reasoningContent": {"redactedContent": part.redacted}}
    signed = {"signature": part.signature} if part.signature else {}
    return {"reasoningContent": {"reasoningText": {"text": part.text, **signed}}}


def write_image(image: Image) -> dict[str, Any] | None:
    """An image as a block; None where it is an address, or of a format that the API does not know."""
    form = image.media_type.removeprefix("image/").lower().replace("jpg", "jpeg")
    if not image.data or form not in IMAGE_FORMATS:
        return None
    return {"image": {"format": form, "source": {"bytes": image.data}}}


def write_call(call: ToolCall) -> dict[str, Any]:
    """A tool call as a block."""
    return {
        "toolUse": {"toolUseId": write_call_id(call.id), "name": call.name, "input": write_arguments(call.arguments)}
    }


def _read_image(image: _Image, unread: Lost) -> Image | None:
    if image.source.bytes is None:
        unread.add("messages.image.s3Location")
        return None
    return Image(media_type=f"image/{image.format}", data=image.source.bytes)


def _read_call(call: ToolUse, unread: Lost) -> ToolCall | None:
    if call.type == "server_tool_use":
        unread.add("messages.toolUse.server_tool_use")
        return None
    arguments = NO_ARGUMENTS if call.input == ABSENT else bytes(call.input).decode()
    return ToolCall(call.tool_use_id, call.name, arguments)


def _read_reasoning(told: _Reasoning) -> Thinking:
    text = told.reasoning_text or _ReasoningText()
    return Thinking(text.text, text.signature or "", told.redacted_content or "")


def _read_result(result: _ToolResult, unread: Lost) -> ToolResult | None:
    if result.type is not None:
        unread.add(f"messages.toolResult.{result.type}")
        return None
    parts: list[Text | Image] = []
    for piece in result.content:
        part: Text | Image | None = None
        try:
            if "text" in piece:
                part = Text(_TEXT.decode(piece["text"]))
            elif "json" in piece:
                part = Text(bytes(piece["json"]).decode())
            elif "image" in piece:
                part = _read_image(_IMAGE.decode(piece["image"]), unread)
            else:
                unread.add(f"messages.toolResult.{next(iter(piece), 'content')}")
        except ValueError as error:
            raise InvalidRequest(f"A tool result is wrong: {error}.", param="messages") from error
        parts += [part] if part is not None else []
    return ToolResult(result.tool_use_id, tuple(parts), is_error=result.status == "error")


def _write_block(part: Part, role: Role, lost: Lost) -> dict[str, Any] | None:
    match part:
        case Text(text) | Refusal(text):
            return {"text": text} if text.strip() else None  # the API refuses blank text
        case Thinking():
            if sealed_elsewhere(part) or not (part.signature or part.redacted):
                if part != Thinking():
                    lost.add("messages.thinking")  # models refuse reasoning that they have not signed
                return None
            return write_thinking(part)
        case ToolCall():
            if part.signature:
                lost.add("messages.tool_calls.signature")
            written = write_call(part)
            if isinstance(written["toolUse"]["input"], dict):
                lost.add("messages.tool_calls.arguments")
            return written
        case ToolResult():
            return _write_result(part, lost)
        case Image():
            return _write_request_image(part, role, lost)


def _write_request_image(image: Image, role: Role, lost: Lost) -> dict[str, Any] | None:
    if image.detail not in ("", "auto"):
        lost.add("messages.image.detail")
    written = write_image(image) if role in ("user", "tool") else None
    if written is None:
        lost.add("messages.image.url" if image.url else "messages.image")
    return written


def _write_result(result: ToolResult, lost: Lost) -> dict[str, Any]:
    """`content` may be empty; `status` is told only for errors, since not every model takes it."""
    content = [block for part in result.parts if (block := _write_block(part, "tool", lost)) is not None]
    failed = {"status": "error"} if result.is_error else {}
    return {"toolResult": {"toolUseId": write_call_id(result.call_id), "content": content, **failed}}
