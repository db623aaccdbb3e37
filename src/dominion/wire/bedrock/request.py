"""Requests of Bedrock's Converse API, read as a door. Never refuses what only a translation would lose.

`model` and `stream` travel in the address; whoever reads that puts them into the fields.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from dominion.domain.contracts import Fields, Peek
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import (
    CacheMark,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolResult,
)
from dominion.wire.bedrock.parts import Block, CachePoint, Lost, read_blocks
from dominion.wire.fields import LARGEST_CAP, decode, flag, number, read_object, text, whole

IN_ADDRESS = frozenset({"model", "stream"})
LONGEST_MODEL = 2048

_READ = IN_ADDRESS | {"messages", "inferenceConfig", "system", "toolConfig", "outputConfig"}
_READ |= {"additionalModelRequestFields", "additionalModelResponseFieldPaths"}  # our writer asks for what it needs
_EFFORTS = ("reasoning_effort", "reasoning_config")
_MORE = frozenset({"thinking", "output_config", "top_k", "inferenceConfig", "reasoningConfig", *_EFFORTS})
_NOT_EMPTY_ARRAY = re.compile(rb"\s*\[\s*[^\s\]]")


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: list[Block]


class _Schema(msgspec.Struct):
    json: msgspec.Raw


class _Spec(msgspec.Struct, rename="camel"):
    name: str
    input_schema: _Schema
    description: str | None = None
    strict: bool | None = None


class _Named(msgspec.Struct):
    name: str


class _Tool(msgspec.Struct, rename="camel"):
    tool_spec: _Spec | None = None
    system_tool: _Named | None = None
    cache_point: CachePoint | None = None


class _Choice(msgspec.Struct):
    auto: dict[str, Any] | None = None
    any: dict[str, Any] | None = None
    tool: _Named | None = None


class _ToolConfig(msgspec.Struct, rename="camel"):
    tools: list[_Tool]
    tool_choice: _Choice | None = None


class _JsonSchema(msgspec.Struct):
    schema: str
    name: str = ""
    description: str | None = None


class _Structure(msgspec.Struct, rename="camel"):
    json_schema: _JsonSchema


class _TextFormat(msgspec.Struct):
    structure: _Structure


class _OutputConfig(msgspec.Struct, rename="camel"):
    text_format: _TextFormat | None = None
    effort: str | None = None


class _Thinking(msgspec.Struct):
    type: str = ""
    budget_tokens: int | None = None


class _Effort(msgspec.Struct):
    effort: str | None = None
    max: str | None = msgspec.field(default=None, name="maxReasoningEffort")  # Nova's name for it


class _Nova(msgspec.Struct, rename="camel"):
    top_k: int | None = None


_MESSAGES = msgspec.json.Decoder(list[_Message])
_SYSTEM = msgspec.json.Decoder(list[Block] | None)
_TOOLS = msgspec.json.Decoder(_ToolConfig | None)
_OUTPUT = msgspec.json.Decoder(_OutputConfig | None)
_STRINGS = msgspec.json.Decoder(list[str] | None)
_THINKING = msgspec.json.Decoder(_Thinking | None)
_EFFORT = msgspec.json.Decoder(_Effort | None)
_NOVA = msgspec.json.Decoder(_Nova | None)


def read_peek(fields: Fields) -> Peek:
    """What routing and admission need. Raises InvalidRequest. AWS tells names apart that differ in case only."""
    model = text(fields, "model")
    if not model or len(model) > LONGEST_MODEL or not model.isprintable():
        raise InvalidRequest(f"'model' must name a model in at most {LONGEST_MODEL} characters.", param="model")
    messages = fields.get("messages")
    if messages is None or not _NOT_EMPTY_ARRAY.match(messages):
        raise InvalidRequest("'messages' must be an array with at least one message.", param="messages")
    cap = whole(config_of(fields), "maxTokens", 1, LARGEST_CAP)
    return Peek(model=model, stream=bool(flag(fields, "stream")), output_cap=cap)


def config_of(fields: Fields) -> Fields:
    """The fields of `inferenceConfig`; none when it is absent."""
    return _inner(fields, "inferenceConfig")


def read_request(fields: Fields) -> Request:
    """The whole request. Raises InvalidRequest."""
    peek = read_peek(fields)
    unread = {name for name in fields if name not in _READ}
    config, more = config_of(fields), _inner(fields, "additionalModelRequestFields")
    unread |= {f"additionalModelRequestFields.{name}" for name in more if name not in _MORE}
    output = decode(fields, "outputConfig", _OUTPUT) or _OutputConfig()
    tools = decode(fields, "toolConfig", _TOOLS)
    system = _parts(decode(fields, "system", _SYSTEM) or [], unread)
    top_k = whole(more, "top_k", 0, 2**31)
    return Request(
        model=peek.model,
        messages=(*([Message("system", system)] if system else []), *_messages(fields, unread)),
        tools=tuple(_tools(tools.tools, unread)) if tools else (),
        tool_choice=_tool_choice(tools.tool_choice) if tools else None,
        max_output=peek.output_cap,
        temperature=number(config, "temperature", 0, 2),
        top_p=number(config, "topP", 0, 1),
        top_k=top_k if top_k is not None else (decode(more, "inferenceConfig", _NOVA) or _Nova()).top_k,
        stop=tuple(decode(config, "stopSequences", _STRINGS) or ()),
        stream=peek.stream,
        output_format=_output_format(output.text_format),
        reasoning=_reasoning(more, output.effort, unread),
        unread=tuple(sorted(unread)),
    )


def _inner(fields: Fields, name: str) -> Fields:
    raw = fields.get(name)
    return {} if raw is None or bytes(raw) == b"null" else read_object(raw, name)


def _messages(fields: Fields, unread: Lost) -> Iterator[Message]:
    """Tool results stand alone in the neutral form, each in a message of role "tool"."""
    for message in decode(fields, "messages", _MESSAGES) or ():
        others: list[Part] = []
        for part in read_blocks(message.content, unread):
            if isinstance(part, ToolResult):
                yield Message("tool", (part,))
            else:
                others.append(part)
        if others:
            yield Message(message.role, tuple(others))


def _parts(blocks: list[Block], unread: Lost) -> tuple[Part, ...]:
    return tuple(read_blocks(blocks, unread))


def _tools(tools: list[_Tool], unread: Lost) -> Iterator[Tool]:
    for place, tool in enumerate(tools):
        if tool.tool_spec is not None:
            spec = tool.tool_spec
            following = tools[place + 1].cache_point if place + 1 < len(tools) else None
            mark = None if following is None else CacheMark(following.ttl or "")
            yield Tool(spec.name, spec.input_schema.json, spec.description or "", spec.strict, mark)
        elif tool.system_tool is not None:
            unread.add(f"toolConfig.tools.{tool.system_tool.name}")
        elif tool.cache_point is None:
            unread.add("toolConfig.tools")


def _tool_choice(choice: _Choice | None) -> ToolChoice | None:
    match choice:
        case _Choice(tool=_Named(name)):
            return ToolChoice("tool", name)
        case _Choice(any={}):
            return ToolChoice("required")
        case _Choice(auto={}):
            return ToolChoice("auto")
    return None


def _output_format(wanted: _TextFormat | None) -> OutputFormat | None:
    if wanted is None:
        return None
    told = wanted.structure.json_schema
    try:
        schema = msgspec.json.decode(told.schema, type=dict[str, msgspec.Raw])
    except ValueError as error:
        raise InvalidRequest(f"The schema in 'outputConfig' is wrong: {error}.", param="outputConfig") from error
    return OutputFormat("json_schema", told.name, msgspec.Raw(msgspec.json.encode(schema)))


def _reasoning(more: Fields, effort: str | None, unread: Lost) -> Reasoning | None:
    """Claude's `thinking`, and the effort as the families of models have it."""
    config = decode(more, "output_config", _EFFORT) or decode(more, "reasoningConfig", _EFFORT) or _Effort()
    effort = effort or config.effort or config.max or next(filter(None, (text(more, name) for name in _EFFORTS)), None)
    thinking = decode(more, "thinking", _THINKING)
    if thinking is None:
        return Reasoning(effort=effort) if effort else None
    if thinking.type not in ("enabled", "adaptive", "disabled"):
        unread.add(f"thinking.{thinking.type}")
    return Reasoning(enabled=thinking.type != "disabled", effort=effort or "", budget=thinking.budget_tokens)
