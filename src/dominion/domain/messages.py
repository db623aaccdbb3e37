"""A conversation, free of any dialect: the request, the events of an answer, and the answer collected from them."""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from dominion.domain.usage import Usage

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error"]


class CacheMark(msgspec.Struct, frozen=True):
    """Ask the provider to cache the prompt up to here; `ttl` as the dialect writes it ("5m", "1h") or empty."""

    ttl: str = ""


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Plain text."""

    text: str
    cache: CacheMark | None = None


class Image(msgspec.Struct, frozen=True, tag="image"):
    """An image: either a `url`, or base64 `data` with its `media_type`."""

    url: str = ""
    media_type: str = ""
    data: str = ""
    detail: str = ""
    cache: CacheMark | None = None

    @property
    def bytes_inside(self) -> int:
        """How much of a body it takes: what is behind an address is not there."""
        return len(self.data) + (len(self.url) if self.url.startswith("data:") else 0)


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """The model asks for a tool. `arguments` is JSON text exactly as the model wrote it.

    `signature` is sealed reasoning that some providers tie to the call; it must go back with it unchanged.
    """

    id: str
    name: str
    arguments: str
    cache: CacheMark | None = None
    signature: str = ""


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """What a tool answered, for the call with `call_id`."""

    call_id: str
    parts: tuple[Text | Image, ...]
    is_error: bool = False
    cache: CacheMark | None = None


class Thinking(msgspec.Struct, frozen=True, tag="thinking"):
    """Reasoning; `signature` must go back to the provider unchanged. `redacted` holds sealed reasoning instead."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The model declined, in its own words."""

    text: str


Part = Text | Image | ToolCall | ToolResult | Thinking | Refusal


class Message(msgspec.Struct, frozen=True):
    """One turn. Tool results travel in messages of role "tool"."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""


class Tool(msgspec.Struct, frozen=True):
    """A function the model may call; `schema` is the JSON Schema of its arguments."""

    name: str
    schema: msgspec.Raw
    description: str = ""
    strict: bool | None = None
    cache: CacheMark | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """`mode` "tool" forces the tool `name`. `parallel` None leaves it to the provider."""

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    name: str = ""
    parallel: bool | None = None


class OutputFormat(msgspec.Struct, frozen=True):
    """The form of the answer: any JSON object, or JSON by `schema`."""

    kind: Literal["json_object", "json_schema"]
    name: str = ""
    schema: msgspec.Raw = msgspec.Raw(b"")
    strict: bool | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """How hard to think: an `effort` word, or a `budget` in tokens; `enabled` False switches it off.

    `summary` asks a provider that hides its reasoning to tell it: "auto", "concise", "detailed"; empty: not asked.
    """

    enabled: bool = True
    effort: str = ""
    budget: int | None = None
    summary: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A completion request.

    `unread` names fields of the door's dialect that have no place here: they are lost in a translation, and reported.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    output_format: OutputFormat | None = None
    reasoning: Reasoning | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str = ""
    unread: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[int, int]:
        """The number of images, and how many bytes of a body they take."""
        found = list(_images(part for message in self.messages for part in message.parts))
        return len(found), sum(image.bytes_inside for image in found)


def _images(parts: Iterable[Part]) -> Iterator[Image]:
    for part in parts:
        if isinstance(part, Image):
            yield part
        elif isinstance(part, ToolResult):
            yield from _images(part.parts)


# --- the events of an answer; `part` counts the content parts of the answer from 0 and changes at each new part


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The answer has an id and a model."""

    id: str
    model: str


class TextDelta(msgspec.Struct, frozen=True, tag="text_delta"):
    """More text."""

    part: int
    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, tag="thinking_delta"):
    """More reasoning, or its signature, or sealed reasoning (always whole)."""

    part: int
    text: str = ""
    signature: str = ""
    redacted: str = ""


class RefusalDelta(msgspec.Struct, frozen=True, tag="refusal_delta"):
    """More of a refusal."""

    part: int
    text: str


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call_delta"):
    """The start of a tool call (`id` and `name` set, `signature` if any) or more of its arguments."""

    part: int
    arguments: str = ""
    id: str = ""
    name: str = ""
    signature: str = ""


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """Why the answer ended; `stop_sequence` when one was hit."""

    reason: FinishReason
    stop_sequence: str = ""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The provider reported an error inside a running stream. `message` is the provider's own."""

    message: str
    kind: str = ""


class Metered(msgspec.Struct, frozen=True, tag="metered"):
    """What the answer used, as far as the provider has said; the last one counts."""

    usage: Usage


Event = Started | TextDelta | ThinkingDelta | RefusalDelta | ToolCallDelta | Finished | Metered | Failed


class Answer(msgspec.Struct, frozen=True):
    """A whole answer. `usage` is None when the provider did not say."""

    id: str
    model: str
    parts: tuple[Part, ...]
    finish: FinishReason
    usage: Usage | None
    stop_sequence: str = ""
