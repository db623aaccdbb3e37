"""Parts of Gemini contents, to neutral parts and back. Never decides what a loss means.

`thoughtSignature` is sealed reasoning that Google ties to the part it stands on, and wants back there. On a call it is
the call's; on a thought the thought's; on text or an image it becomes a Thinking of nothing but a signature behind
them; alone (the end of streams: an empty text) it becomes a sealed Thinking.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from dominion.domain.messages import Image, Refusal, Text, Thinking, ToolCall
from dominion.domain.messages import Part as NeutralPart
from dominion.wire.anthropic.parts import ABSENT, NO_ARGUMENTS, sealed_elsewhere, write_arguments

_MEDIA_TYPES = {"png": "image/png", "webp": "image/webp", "gif": "image/gif", "heic": "image/heic"}


class Blob(msgspec.Struct, rename="camel"):
    """`inlineData` or `fileData`."""

    mime_type: str = ""
    data: str = ""
    file_uri: str = ""


class PartialArg(msgspec.Struct, rename="camel"):
    """A piece of a call's arguments (Vertex, `streamFunctionCallArguments`); the value has one of four names."""

    json_path: str = ""
    string_value: str | None = None
    number_value: int | float | None = None
    bool_value: bool | None = None

    @property
    def value(self) -> str | float | bool | None:
        """The value; None is null."""
        told = (self.string_value, self.number_value, self.bool_value)
        return next((value for value in told if value is not None), None)


class Call(msgspec.Struct, rename="camel"):
    """`functionCall`; `id` is missing in older versions."""

    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = ABSENT
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class Response(msgspec.Struct):
    """`functionResponse`."""

    id: str | None = None
    name: str | None = None
    response: msgspec.Raw = ABSENT
    parts: list["Part"] | None = None


class Part(msgspec.Struct, rename="camel"):
    """A part of any kind; those that no other dialect has are kept raw, to be named when they are lost."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: Blob | None = None
    function_call: Call | None = None
    function_response: Response | None = None
    executable_code: msgspec.Raw = ABSENT
    code_execution_result: msgspec.Raw = ABSENT
    tool_call: msgspec.Raw = ABSENT
    tool_response: msgspec.Raw = ABSENT
    video_metadata: msgspec.Raw = ABSENT
    media_resolution: msgspec.Raw = ABSENT


_RAW = [
    (field.name, f"contents.parts.{field.encode_name}")
    for field in msgspec.structs.fields(Part)
    if field.type is msgspec.Raw
]


class Content(msgspec.Struct):
    """A turn."""

    role: str | None = None
    parts: list[Part] | None = None


def call_ids(answer_id: str = "") -> Iterator[str]:
    """Ids for calls that have none: the same ones at each reading, others in each answer."""
    stem = f"call_{answer_id}_" if answer_id else "call_"
    return (f"{stem}{index}" for index in itertools.count())


def read_part(part: Part, ids: Iterator[str], unread: set[str]) -> list[Text | Image | ToolCall | Thinking]:
    """A part as none, one or two neutral ones; kinds without a neutral form are named in `unread`."""
    unread.update(name for field, name in _RAW if getattr(part, field) != ABSENT)
    signature = part.thought_signature or ""
    call = part.function_call
    if call is not None:
        arguments = NO_ARGUMENTS if call.args == ABSENT else bytes(call.args).decode()
        return [ToolCall(call.id or next(ids), call.name or "", arguments, signature=signature)]
    shown = _shown(part, unread)
    if part.thought:
        return [Thinking(part.text or "", signature)] if part.text or (signature and shown is None) else []
    if shown is not None:
        return [shown, Thinking(signature=signature)] if signature else [shown]
    return [Thinking(redacted=signature)] if signature and part.text is not None else []


def read_parts(parts: Iterable[Part], ids: Iterator[str], unread: set[str]) -> list[NeutralPart]:
    """The parts of a model's turn, thoughts that came in pieces made whole."""
    joined: list[NeutralPart] = []
    for part in itertools.chain.from_iterable(read_part(part, ids, unread) for part in parts):
        join(joined, part)
    return joined


def join(parts: list[NeutralPart], part: NeutralPart) -> None:
    """Append a part; more of an unsigned thought becomes one with it."""
    match (*parts[-1:], part):
        case Thinking(text, signature="", redacted=""), Thinking(more, signature, redacted=""):
            parts[-1] = Thinking(text + more, signature)
        case _:
            parts.append(part)


def write_parts(parts: Sequence[NeutralPart], lost: set[str], *, answer: bool = False) -> list[dict[str, Any]]:
    """A turn's parts, other than tool results; signatures on the part before them where they came from one.

    `answer`: a signature without a part stands on an empty thought, so that it is told apart when it comes back.
    Google itself is known to take it on an empty text only.
    """
    written: list[dict[str, Any]] = []
    for part in parts if answer else _sealed_by_google(parts, lost):
        if isinstance(part, Thinking) and part.signature and not part.text:
            if written and _may_sign(written[-1]):
                written[-1]["thoughtSignature"] = part.signature
            else:
                written.append(write_thinking(part if answer else Thinking(redacted=part.signature)))
        elif (block := _write_part(part, lost)) is not None:
            written.append(block)
    return written


def write_thinking(part: Thinking) -> dict[str, Any]:
    """Reasoning: open, signed or sealed."""
    if part.redacted:
        return {"text": "", "thoughtSignature": part.redacted}
    return {"text": part.text, "thought": True, **_signed(part.signature)}


def write_call(call: ToolCall, lost: set[str]) -> dict[str, Any]:
    """A call."""
    arguments = write_arguments(call.arguments)
    if isinstance(arguments, dict):
        lost.add("messages.tool_calls.arguments")
    return {"functionCall": {"id": call.id, "name": call.name, "args": arguments}, **_signed(call.signature)}


def write_image(image: Image, lost: set[str]) -> dict[str, Any]:
    """An image; Google wants a media type with addresses too, and takes the nearest."""
    if image.detail not in ("", "auto"):
        lost.add("messages.image.detail")
    if image.data:
        return {"inlineData": {"mimeType": image.media_type, "data": image.data}}
    suffix = image.url.partition("?")[0].rpartition(".")[2].lower()
    media_type = image.media_type or _MEDIA_TYPES.get(suffix, "image/jpeg")
    return {"fileData": {"mimeType": media_type, "fileUri": image.url}}


def _sealed_by_google(parts: Sequence[NeutralPart], lost: set[str]) -> Iterator[NeutralPart]:
    """The parts without the seals of other APIs, which Google refuses; the thoughts stay."""
    for part in parts:
        if isinstance(part, Thinking) and sealed_elsewhere(part):
            lost.add("messages.thinking.signature")
            yield Thinking(part.text)
        else:
            yield part


def _shown(part: Part, unread: set[str]) -> Text | Image | None:
    if part.text:
        return Text(part.text)
    kind, blob = ("inlineData", part.inline_data) if part.inline_data else ("fileData", part.file_data)
    if blob is None:
        return None
    if blob.mime_type.startswith("image/"):
        return Image(url=blob.file_uri, media_type=blob.mime_type, data=blob.data)
    unread.add(f"contents.parts.{kind}.{blob.mime_type or 'unknown'}")
    return None


def _write_part(part: NeutralPart, lost: set[str]) -> dict[str, Any] | None:
    match part:
        case Text(text) | Refusal(text):
            return {"text": text} if text else None
        case Thinking():
            return write_thinking(part) if part.text or part.redacted else None
        case ToolCall():
            return write_call(part, lost)
        case Image():
            return write_image(part, lost)
    return None


def _may_sign(block: dict[str, Any]) -> bool:
    return "functionCall" not in block and "thought" not in block and "thoughtSignature" not in block


def _signed(signature: str) -> dict[str, str]:
    return {"thoughtSignature": signature} if signature else {}
