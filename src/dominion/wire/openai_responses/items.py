"""The items that requests, answers and streams of OpenAI Responses share, to neutral parts and back. Never raises.

Sealed reasoning: the API ties `encrypted_content` to the id of its item, so both travel as one neutral signature,
"<id>:<sealed>"; base64 has no colon, so a signature without one was sealed by another API. When this gateway writes
such a one into an item, the item's id begins with `OURS` and a letter that says what the seal belongs to.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from dominion.domain.messages import Image, Part, Refusal, Text, Thinking, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.openai_chat import shapes as chat

OURS = "rs_dom_"
BETWEEN_SUMMARIES = "\n\n"

SealOf = Literal["t", "r", "c"]
"""What is sealed: the signature of a thought (t), a redacted thought (r), or the signature of the next call (c)."""


class Content(msgspec.Struct):
    """An element of `content`, `summary`, or of the `output` of a function call."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: Any = None


class Item(msgspec.Struct):
    """An item of a type in `KNOWN`; which fields it has depends on the type. Messages may leave their type out."""

    type: str = "message"
    role: str | None = None
    id: str | None = None
    content: str | list[Content] | None = None
    phase: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    output: str | list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None


class Kind(msgspec.Struct):
    """What an item is, whatever else it holds."""

    type: str = "message"


KNOWN = frozenset({"message", "function_call", "function_call_output", "reasoning"})
KIND = msgspec.json.Decoder(Kind)
ITEM = msgspec.json.Decoder(Item)


def read_parts(item: Item, unread: set[str]) -> list[Part]:
    """The parts of a message, function call or reasoning. Adds the kinds that have no place to `unread`."""
    match item.type:
        case "message":
            return list(read_content(item.content, unread))
        case "function_call":
            return [ToolCall(item.call_id or item.id or "", item.name or "", item.arguments or "")]
        case "reasoning":
            return read_reasoning(item)
    return []


def read_content(content: str | list[Content] | None, unread: set[str]) -> list[Text | Image | Refusal]:
    """The parts of a `content` or `output`; empty ones carry nothing and are left out."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    found = []
    for piece in content or ():
        if piece.prompt_cache_breakpoint is not None:
            unread.add("input.prompt_cache_breakpoint")
        known = _read_piece(piece)
        if known is None:
            unread.add(f"input.{piece.type}")
        elif isinstance(known, Image) or known.text:
            found.append(known)
    return found


def read_reasoning(item: Item) -> list[Part]:
    """The thought of a reasoning item, if it holds any: its summary, else its raw text, and the seal."""
    raw = "".join(piece.text or "" for piece in content) if isinstance(content := item.content, list) else ""
    text = BETWEEN_SUMMARIES.join(piece.text or "" for piece in item.summary or ()) or raw
    seal = seal_of(item)
    if not text and not seal:
        return []
    return [Thinking(text, seal) if text else Thinking(redacted=seal)]


def seal_of(item: Item) -> str:
    """What must go back to the provider: the sealed content with its id, or for a thought told raw, the id alone."""
    return f"{item.id or ''}:{item.encrypted_content or ''}" if item.encrypted_content or item.content else ""


def write_reasoning(part: Thinking, place: str) -> dict[str, Any]:
    """A reasoning item; `place` makes the id of one that another API sealed unique."""
    item_id, known, sealed = (part.signature or part.redacted).rpartition(":")
    item: dict[str, Any] = {"id": item_id if known else made_up_id("r" if part.redacted else "t", place)}
    item |= {"type": "reasoning", "summary": [{"type": "summary_text", "text": part.text}] if part.text else []}
    if known and not sealed:  # only a provider that shows its thoughts raw sends them without a seal
        item["content"] = [{"type": "reasoning_text", "text": part.text}]
    return item | {"encrypted_content": sealed or None}


def made_up_id(what: SealOf, place: str) -> str:
    """The id of a reasoning item of ours."""
    return f"{OURS}{what}_{place}"


def write_image(image: Image) -> dict[str, Any]:
    """A content part of the type input_image."""
    url = image.url or f"data:{image.media_type};base64,{image.data}"
    return {"type": "input_image", "image_url": url, "detail": image.detail or "auto"}


def write_output(parts: Sequence[Part], answer_id: str) -> list[dict[str, Any]]:
    """The output items of an answer, one for each part that has a place."""
    items: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        place = f"{answer_id}_{number}"
        match part:
            case Text(text):
                items.append(message_item(f"msg_{place}", output_text(text)))
            case Image():
                items.append(message_item(f"msg_{place}", output_text(chat.image_text(part))))
            case Refusal(text):
                items.append(message_item(f"msg_{place}", {"type": "refusal", "refusal": text}))
            case Thinking():
                items.append(write_reasoning(part, place))
            case ToolCall(call_id, name, arguments):
                if part.signature:
                    items.append(sealed_item(part.signature, place))
                items.append(call_item(f"fc_{place}", call_id, name, arguments or "{}"))
    return items


def output_text(text: str) -> dict[str, Any]:
    """A content part of the type output_text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(item_id: str, *content: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    """An output item of the type message."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": list(content)}


def call_item(
    item_id: str, call_id: str, name: str, arguments: str = "", *, status: str = "completed"
) -> dict[str, Any]:
    """An output item of the type function_call."""
    item = {"id": item_id, "type": "function_call", "status": status}
    return item | {"call_id": call_id, "name": name, "arguments": arguments}


def sealed_item(signature: str, place: str) -> dict[str, Any]:
    """A reasoning item that carries the signature of the call after it, which has no field for one."""
    return {"id": made_up_id("c", place), "type": "reasoning", "summary": [], "encrypted_content": signature}


def read_usage(told: object) -> Usage | None:
    """The `usage` object normalised; None when it holds no token counts. As in chat, under other names; but here all
    reasoning is inside the output, xAI's too (reference/providers.md 1.1), so the total says nothing more.
    """
    if not isinstance(told, dict):
        return None
    names = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
    return chat.read_usage(
        {
            **{theirs: told[ours] for theirs, ours in names.items() if ours in told},
            **{f"{theirs}_details": told.get(f"{ours}_details") for theirs, ours in names.items()},
        }
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The `usage` object."""
    cached = {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": cached,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _read_piece(piece: Content) -> Text | Image | Refusal | None:
    if piece.type in {"input_text", "output_text", "text"} and piece.text is not None:
        return Text(piece.text)
    if piece.type == "refusal" and piece.refusal is not None:
        return Refusal(piece.refusal)
    if piece.type == "input_image" and piece.image_url is not None:
        address = chat.ContentPart("image_url", image_url=chat.Address(piece.image_url, _detail(piece.detail)))
        image = chat.read_content([address], set())[0]
        return image if isinstance(image, Image) else None
    return None


def _detail(told: str | None) -> str | None:
    return None if told == "auto" else told  # which is what all APIs do unasked
