"""The shapes that requests, answers and streams of OpenAI chat completions share. Reads what is there, never insists.

Compatible providers leave fields out, send null, or add their own: only what we read is typed, and what we do not know
is passed over (in requests: named, so that the loss can be reported).
"""

import re
from typing import Any

import msgspec

from dominion.domain.messages import (
    CacheMark,
    FinishReason,
    Image,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from dominion.domain.usage import Usage

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "refusal",
    "error": "error",
    "insufficient_system_resource": "error",
}
"""Finish reasons of OpenAI, then Mistral, Copilot, DeepSeek; any other word means that the model stopped by itself."""

_DATA_URL = re.compile(r"data:([^;,]+)(?:;[^;,]+)*;base64,", re.IGNORECASE)
_ABSURD = 10**12
_PLAIN_COUNTS = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_CACHED_ELSEWHERE = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")  # DeepSeek, Mistral, Moonshot


class Address(msgspec.Struct):
    """`image_url` of a content part."""

    url: str
    detail: str | None = None


class CacheControl(msgspec.Struct):
    """Anthropic's cache mark, which OpenRouter and others take on content parts and tools."""

    ttl: str | None = None


class ContentPart(msgspec.Struct):
    """An element of a `content` list; `thinking` is Mistral's."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Address | str | None = None
    thinking: list["ContentPart"] | str | None = None
    cache_control: CacheControl | None = None


class Function(msgspec.Struct):
    """A call's name and arguments, in pieces inside a stream; arguments are text, but some servers send the object."""

    name: str | None = None
    arguments: Any = None

    @property
    def text(self) -> str:
        """The arguments as JSON text."""
        if self.arguments is None or isinstance(self.arguments, str):
            return self.arguments or ""
        return msgspec.json.encode(self.arguments).decode()


class _Google(msgspec.Struct):
    thought_signature: str = ""


class Extra(msgspec.Struct):
    """`extra_content` of a call: Google's sealed reasoning, which its compatible API wants back with the call."""

    google: _Google | None = None


class Call(msgspec.Struct):
    """An element of `tool_calls`; `index` inside streams only, and not at every provider."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    extra_content: Extra | None = None


class ReasoningDetail(msgspec.Struct):
    """OpenRouter's extension, which this gateway speaks too: reasoning with what must go back to the provider.

    {"type": "reasoning.text", "text", "signature"} · {"type": "reasoning.summary", "summary"} ·
    {"type": "reasoning.encrypted", "data"}; entries of one `index` in a stream belong together.
    """

    index: int | None = None
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None


class Message(msgspec.Struct):
    """A message of an answer, the delta of a stream, or a turn of the history."""

    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    images: list[ContentPart] | None = None


def read_parts(message: Message, unread: set[str]) -> list[Part]:
    """A message's parts: reasoning, content, refusal, tool calls. Adds the kinds that have no place to `unread`."""
    parts: list[Part] = [
        *_thinking(message),
        *read_content(message.content, unread),
        *read_content(message.images, unread),
    ]
    if message.refusal:
        parts.append(Refusal(message.refusal))
    for call in message.tool_calls or ():
        if call.function is None or not call.function.name:
            unread.add(f"messages.tool_calls.{call.type or 'unknown'}")
        else:
            call_id, signature = call.id or f"call_{len(parts)}", signature_of(call.extra_content)
            parts.append(ToolCall(call_id, call.function.name, call.function.text, signature=signature))
    return parts


def read_content(content: str | list[ContentPart] | None, unread: set[str]) -> list[Text | Image | Thinking | Refusal]:
    """The parts of a `content`; empty ones carry nothing and are left out."""
    if not content:
        return []
    if isinstance(content, str):
        return [Text(content)]
    found = []
    for part in content:
        known = _read_part(part)
        if known is None:
            unread.add(f"messages.content.{part.type}")
        elif isinstance(known, Image) or known.text:
            found.append(known)
    return found


def write_call(call: ToolCall) -> dict[str, object]:
    """An element of `tool_calls`."""
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function, **extra_content(call.signature)}


def signature_of(extra: Extra | None) -> str:
    """The signature of a call; empty where there is none."""
    return extra.google.thought_signature if extra is not None and extra.google is not None else ""


def extra_content(signature: str) -> dict[str, Extra]:
    """The field of a call that carries its signature; none without one."""
    return {"extra_content": Extra(_Google(signature))} if signature else {}


def write_image(image: Image) -> dict[str, object]:
    """A content part of the type image_url."""
    return {
        "type": "image_url",
        "image_url": {"url": _address(image), **({"detail": image.detail} if image.detail else {})},
    }


def image_text(image: Image) -> str:
    """An image as Markdown, for answers that have no other place for one."""
    return f"![image]({_address(image)})"


def write_details(parts: list[Thinking]) -> list[dict[str, object]]:
    """Reasoning as `reasoning_details`."""
    details: list[dict[str, object]] = []
    for index, part in enumerate(parts):
        if part.redacted:
            details.append({"type": "reasoning.encrypted", "index": index, "data": part.redacted})
        else:
            signed = {"signature": part.signature} if part.signature else {}
            details.append({"type": "reasoning.text", "index": index, "text": part.text, **signed})
    return details


def read_usage(told: object) -> Usage | None:
    """The `usage` object normalised (reference/providers.md 1.1); None when it holds no token counts.

    What is not a sane count is taken as not reported. A total above prompt plus completion hides reasoning outside the
    completion (xAI, Gemini's compatible API), but at Mistral it holds audio of the prompt.
    """
    if not isinstance(told, dict):
        return None
    prompt, completion = _count(told.get("prompt_tokens")), _count(told.get("completion_tokens"))
    total = _count(told.get("total_tokens")) or 0
    if prompt is None and completion is None:
        return None
    if prompt is None or (total and told.get("prompt_audio_seconds")):
        prompt = max(prompt or 0, total - (completion or 0))
    completion = max(completion or 0, total - prompt)
    if told.keys() == _PLAIN_COUNTS:  # what most servers send
        return Usage(input_tokens=prompt, output_tokens=completion)
    inputs, outputs = _details(told, "prompt_tokens_details"), _details(told, "completion_tokens_details")
    cached = _count(inputs.get("cached_tokens"))
    if cached is None:
        cached = next((count for name in _CACHED_ELSEWHERE if (count := _count(told.get(name))) is not None), 0)
    cached = min(cached, prompt)
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=cached,
        cache_write_tokens=min(_count(inputs.get("cache_write_tokens")) or 0, prompt - cached),
        reasoning_tokens=min(_count(outputs.get("reasoning_tokens", told.get("reasoning_tokens"))) or 0, completion),
    )


def write_usage(usage: Usage) -> dict[str, object]:
    """The `usage` object."""
    written = {"cache_write_tokens": usage.cache_write_tokens} if usage.cache_write_tokens else {}
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, **written},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def finish_of(told: str, *, refused: bool, calls: bool) -> FinishReason:
    """The finish reason; several servers say "stop" after tool calls, and OpenAI does after a refusal."""
    reason = FINISH.get(told, "stop")
    if reason == "stop":
        return "tool_calls" if calls else "refusal" if refused else "stop"
    return reason


def finish_word(reason: FinishReason, *, refused: bool) -> str:
    """The finish reason as OpenAI writes it; `refused`: the refusal's own words were in the answer."""
    if reason == "refusal":
        return "stop" if refused else "content_filter"
    return "stop" if reason == "pause" else reason


def _address(image: Image) -> str:
    return image.url or f"data:{image.media_type};base64,{image.data}"


def _thinking(message: Message) -> list[Thinking]:
    found: list[Thinking] = []
    for detail in message.reasoning_details or ():
        text = detail.text or detail.summary or ""
        if detail.data:
            found.append(Thinking(redacted=detail.data))
        elif detail.signature and not text and found and not found[-1].signature and not found[-1].redacted:
            found[-1] = msgspec.structs.replace(found[-1], signature=detail.signature)
        elif text or detail.signature:
            found.append(Thinking(text, detail.signature or ""))
    if not any(part.text for part in found) and (told := message.reasoning_content or message.reasoning):
        found.insert(0, Thinking(told))
    return found


def _read_part(part: ContentPart) -> Text | Image | Thinking | Refusal | None:
    mark = CacheMark(part.cache_control.ttl or "") if part.cache_control else None
    if part.type in {"text", "input_text", "output_text"} and part.text is not None:
        return Text(part.text, mark)
    if part.type == "image_url" and part.image_url is not None:
        address = Address(part.image_url) if isinstance(part.image_url, str) else part.image_url
        inline = _DATA_URL.match(address.url)
        if inline:
            data = address.url[inline.end() :]
            return Image(media_type=inline[1], data=data, detail=address.detail or "", cache=mark)
        return Image(url=address.url, detail=address.detail or "", cache=mark)
    if part.type == "refusal" and part.refusal is not None:
        return Refusal(part.refusal)
    if part.type == "thinking" and part.thinking is not None:
        pieces = part.thinking
        return Thinking(pieces if isinstance(pieces, str) else "".join(piece.text or "" for piece in pieces))
    return None


def _details(told: dict[str, object], name: str) -> dict[str, object]:
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _ABSURD else None
