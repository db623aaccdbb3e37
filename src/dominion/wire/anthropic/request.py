"""Requests of the Anthropic Messages API, read as a door. Never refuses what only a translation would lose."""

import itertools
import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from dominion.domain.contracts import Fields, Peek
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import (
    Message,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
)
from dominion.wire.anthropic.parts import (
    ABSENT,
    SMALLEST_BUDGET,
    Block,
    CacheControl,
    cache_mark,
    read_block,
    seal_calls,
    sealed_elsewhere,
)
from dominion.wire.fields import (
    LARGEST_CAP,
    decode,
    flag,
    number,
    read_object,
    refuse_lookalikes,
    splice,
    text,
    whole,
)
from dominion.wire.seals import MARK

LONGEST_MODEL = 256
GUARDED = frozenset({"model", "messages", "max_tokens", "stream"})
KNOWN = GUARDED | {
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "stop_sequences",
    "metadata",
    "temperature",
    "top_p",
    "top_k",
}
_TOOL_EXTRAS = ("allowed_callers", "defer_loading", "eager_input_streaming", "input_examples")
_SEALED_ELSEWHERE = (b'"dom_call:', b'"rs_', f'"{MARK}'.encode())
"""How seals begin that this gateway writes for other APIs: of calls, of the Responses API, and those it has marked."""
_NOTHING = frozenset({b"null", b"false", b"[]", b"{}"})
_NOT_EMPTY_ARRAY = re.compile(rb"\s*\[\s*[^\s\]]")


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class _Tool(msgspec.Struct):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = ABSENT
    strict: bool | None = None
    cache_control: CacheControl | None = None
    allowed_callers: msgspec.Raw = ABSENT
    defer_loading: msgspec.Raw = ABSENT
    eager_input_streaming: msgspec.Raw = ABSENT
    input_examples: msgspec.Raw = ABSENT


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw = ABSENT


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None
    task_budget: msgspec.Raw = ABSENT


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Seal(msgspec.Struct):
    type: str = ""
    signature: str | None = None
    data: str | None = None


_RAW_TURNS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_RAW_BLOCKS = msgspec.json.Decoder(list[msgspec.Raw])
_SEAL = msgspec.json.Decoder(_Seal)
_WHOLE = msgspec.json.Decoder(int)
_MESSAGES = msgspec.json.Decoder(list[_Message])
_SYSTEM = msgspec.json.Decoder(str | list[Block] | None)
_TOOLS = msgspec.json.Decoder(list[_Tool] | None)
_CHOICE = msgspec.json.Decoder(_Choice | None)
_THINKING = msgspec.json.Decoder(_Thinking | None)
_FORMAT = msgspec.json.Decoder(_Format | None)
_OUTPUT_CONFIG = msgspec.json.Decoder(_OutputConfig | None)
_STRINGS = msgspec.json.Decoder(list[str] | None)
_METADATA = msgspec.json.Decoder(_Metadata | None)


def read_peek(fields: Fields) -> Peek:
    """What routing and admission need. Raises InvalidRequest. An output cap of 0 only warms the provider's cache."""
    refuse_lookalikes(fields, KNOWN, GUARDED)
    model = text(fields, "model")
    if not model or len(model) > LONGEST_MODEL or not model.isprintable():
        raise InvalidRequest(f"'model' must name a model in at most {LONGEST_MODEL} characters.", param="model")
    cap = decode(fields, "max_tokens", _WHOLE)
    if cap is None or not 0 <= cap <= LARGEST_CAP:
        raise InvalidRequest(
            f"'max_tokens' must be given as a whole number from 0 to {LARGEST_CAP}.", param="max_tokens"
        )
    messages = fields.get("messages")
    if messages is None or not _NOT_EMPTY_ARRAY.match(messages):
        raise InvalidRequest("'messages' must be an array with at least one message.", param="messages")
    return Peek(model=model, stream=bool(flag(fields, "stream")), output_cap=cap)


def thinking_under(fields: Fields, cap: int) -> bytes | None:
    """What `thinking` must become under a lowered cap, which the API wants above the budget; None: it may stay."""
    thinking = decode(fields, "thinking", _THINKING)
    if thinking is None or thinking.budget_tokens is None or thinking.budget_tokens < cap:
        return None
    if cap // 2 < SMALLEST_BUDGET:
        return b'{"type":"disabled"}'
    return splice(read_object(fields["thinking"], "thinking"), {"budget_tokens": b"%d" % (cap // 2)})


def own_seals(fields: Fields) -> bytes | None:
    """What `messages` must become without the seals of other APIs, which this one refuses: an earlier turn came from
    another provider. None: they may stay, as almost always.
    """
    raw = bytes(fields["messages"])
    if not any(mark in raw for mark in _SEALED_ELSEWHERE):
        return None
    turns = decode(fields, "messages", _RAW_TURNS) or []
    for turn in turns:
        if bytes(turn.get("content", ABSENT)).startswith(b"["):
            blocks = decode(turn, "content", _RAW_BLOCKS) or []
            own = [block for block in blocks if not _is_sealed_elsewhere(block)]
            turn["content"] = msgspec.Raw(msgspec.json.encode(own))
    return msgspec.json.encode(turns)


def _is_sealed_elsewhere(block: msgspec.Raw) -> bool:
    seal = decode({"messages": block}, "messages", _SEAL) or _Seal()
    thought = Thinking(signature=seal.signature or "", redacted=seal.data or "")
    return seal.type in ("thinking", "redacted_thinking") and sealed_elsewhere(thought)


def read_request(fields: Fields) -> Request:
    """The whole request. Raises InvalidRequest."""
    peek = read_peek(fields)
    unread = {name for name, value in fields.items() if name not in KNOWN and _says_something(value)}
    messages = [*_system(fields, unread), *_messages(fields, unread)]
    if all(message.role == "system" for message in messages):
        raise InvalidRequest("No message holds anything that other providers take.", param="messages")
    config = decode(fields, "output_config", _OUTPUT_CONFIG) or _OutputConfig()
    metadata = decode(fields, "metadata", _METADATA) or _Metadata()
    if config.task_budget != ABSENT:
        unread.add("output_config.task_budget")
    top_k = whole(fields, "top_k", 0, 2**31)
    return Request(
        model=peek.model,
        messages=tuple(messages),
        tools=tuple(_tools(fields, unread)),
        tool_choice=_tool_choice(fields, unread),
        max_output=peek.output_cap,
        temperature=number(fields, "temperature", 0, 1),
        top_p=number(fields, "top_p", 0, 1),
        top_k=top_k,
        stop=tuple(decode(fields, "stop_sequences", _STRINGS) or ()),
        stream=peek.stream,
        output_format=_output_format(fields, config.format, unread),
        reasoning=_reasoning(fields, config.effort, unread),
        user=metadata.user_id or "",
        unread=tuple(sorted(unread)),
    )


def _says_something(value: msgspec.Raw) -> bool:
    return bytes(value) not in _NOTHING


def _system(fields: Fields, unread: set[str]) -> Iterator[Message]:
    system = decode(fields, "system", _SYSTEM)
    if isinstance(system, str):
        if system:
            yield Message("system", (Text(system),))
    elif system:
        yield from _turn("system", system, "system", unread)


def _messages(fields: Fields, unread: set[str]) -> Iterator[Message]:
    messages = decode(fields, "messages", _MESSAGES)
    for place, message in enumerate(messages or []):
        if isinstance(message.content, str):
            yield Message(message.role, (Text(message.content),))
        else:
            yield from _turn(message.role, message.content, f"messages[{place}].content", unread)


def _turn(
    role: Literal["user", "assistant", "system"], blocks: list[Block], where: str, unread: set[str]
) -> Iterator[Message]:
    """One message as neutral ones: tool results stand alone there, each in a message of role "tool"."""
    read = (read_block(block, f"{where}[{place}]", unread) for place, block in enumerate(blocks))
    parts = seal_calls(part for part in read if part is not None)
    for results, group in itertools.groupby(parts, key=lambda part: isinstance(part, ToolResult)):
        if results:
            yield from (Message("tool", (part,)) for part in group)
        else:
            yield Message(role, tuple(group))


def _tools(fields: Fields, unread: set[str]) -> Iterator[Tool]:
    for place, tool in enumerate(decode(fields, "tools", _TOOLS) or ()):
        if tool.type not in (None, "custom"):
            unread.add(f"tools.{tool.type}")
            continue
        where = f"tools[{place}]"
        if not tool.name:
            raise InvalidRequest(f"'{where}.name' is missing.", param=f"{where}.name")
        if not bytes(tool.input_schema).startswith(b"{"):
            raise InvalidRequest(f"'{where}.input_schema' must be a JSON Schema.", param=f"{where}.input_schema")
        unread.update(f"tools.{name}" for name in _TOOL_EXTRAS if _says_something(getattr(tool, name)))
        yield Tool(
            name=tool.name,
            schema=tool.input_schema,
            description=tool.description or "",
            strict=tool.strict,
            cache=cache_mark(tool.cache_control),
        )


def _tool_choice(fields: Fields, unread: set[str]) -> ToolChoice | None:
    choice = decode(fields, "tool_choice", _CHOICE)
    if choice is None:
        return None
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    match choice.type:
        case "auto" | "none":
            return ToolChoice(choice.type, parallel=parallel)
        case "any":
            return ToolChoice("required", parallel=parallel)
        case "tool" if choice.name:
            return ToolChoice("tool", choice.name, parallel)
    unread.add("tool_choice")
    return None


def _output_format(fields: Fields, chosen: _Format | None, unread: set[str]) -> OutputFormat | None:
    """`output_format` is the name of `output_config.format` from its beta, still taken by the API."""
    chosen = chosen or decode(fields, "output_format", _FORMAT)
    if chosen is None:
        return None
    if chosen.type != "json_schema" or chosen.schema == ABSENT:
        unread.add("output_config.format")
        return None
    return OutputFormat("json_schema", schema=chosen.schema)


def _reasoning(fields: Fields, effort: str | None, unread: set[str]) -> Reasoning | None:
    thinking = decode(fields, "thinking", _THINKING)
    if thinking is None:
        return Reasoning(effort=effort) if effort else None
    if thinking.display is not None:
        unread.add("thinking.display")
    if thinking.type not in ("enabled", "adaptive", "disabled"):
        unread.add(f"thinking.{thinking.type}")
    return Reasoning(enabled=thinking.type != "disabled", effort=effort or "", budget=thinking.budget_tokens)
