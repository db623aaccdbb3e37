"""Requests of OpenAI chat completions, read into neutral ones. Never passes over a field without naming it."""

from typing import Annotated, Literal

import msgspec

from dominion.domain.contracts import Fields
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import (
    CacheMark,
    Image,
    Message,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dominion.wire.fields import LARGEST_CAP, decode, flag, number, text, whole
from dominion.wire.openai_chat import shapes
from dominion.wire.openai_chat.spelling import OUTPUT_CAPS

_READ = frozenset(
    {
        *(
            "model",
            "messages",
            "stream",
            "stream_options",
            "max_tokens",
            "max_completion_tokens",
            "temperature",
            "top_p",
        ),
        *(
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "functions",
            "function_call",
            "response_format",
            "stop",
            "seed",
        ),
        *("presence_penalty", "frequency_penalty", "reasoning_effort", "user"),
    }
)
_SAYS_NOTHING = {"n": (b"1",), "logit_bias": (b"{}",), "modalities": (b'["text"]',)}


class _Turn(shapes.Message):
    role: str = ""
    name: str | None = None
    tool_call_id: str | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"")
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None
    cache_control: shapes.CacheControl | None = None


class _Named(msgspec.Struct):
    name: str


class _Choice(msgspec.Struct):
    type: str = "function"
    function: _Named | None = None


class _Schema(msgspec.Struct):
    name: str = ""
    description: str | None = None
    schema: msgspec.Raw = msgspec.Raw(b"{}")
    strict: bool | None = None


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


_TURNS = msgspec.json.Decoder(Annotated[list[_Turn], msgspec.Meta(min_length=1)])
_TOOLS = msgspec.json.Decoder(list[_Tool] | None)
_FUNCTIONS = msgspec.json.Decoder(list[_Function] | None)
_CHOICE = msgspec.json.Decoder(str | _Choice | None)
_OLD_CHOICE = msgspec.json.Decoder(str | _Named | None)
_FORMAT = msgspec.json.Decoder(_Format | None)
_STOP = msgspec.json.Decoder(str | list[str] | None)
_SEED = 10**18 - 1


def read_request(fields: Fields) -> Request:
    """The whole request. Raises InvalidRequest."""
    unread = {name for name, raw in fields.items() if name not in _READ and _says_something(name, bytes(raw))}
    stop = decode(fields, "stop", _STOP)
    return Request(
        model=text(fields, "model") or "",
        messages=_read_messages(fields, unread),
        tools=_read_tools(fields, unread),
        tool_choice=_read_tool_choice(fields, unread),
        max_output=output_cap(fields),
        temperature=number(fields, "temperature", 0, 2),
        top_p=number(fields, "top_p", 0, 1),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        stream=flag(fields, "stream") or False,
        output_format=_read_format(fields, unread),
        reasoning=_read_reasoning(fields),
        seed=whole(fields, "seed", -_SEED, _SEED),
        presence_penalty=number(fields, "presence_penalty", -2, 2),
        frequency_penalty=number(fields, "frequency_penalty", -2, 2),
        user=text(fields, "user") or "",
        unread=tuple(sorted(unread)),
    )


def output_cap(fields: Fields) -> int | None:
    """The output cap that the caller asks for; of two, the larger, since it is the provider that chooses."""
    new, old = (whole(fields, name, 1, LARGEST_CAP) for name in OUTPUT_CAPS)
    return new if old is None else old if new is None else max(new, old)


def _says_something(name: str, raw: bytes) -> bool:
    return raw not in (b"null", b"false", b"[]", *_SAYS_NOTHING.get(name, ()))


def _read_messages(fields: Fields, unread: set[str]) -> tuple[Message, ...]:
    turns = decode(fields, "messages", _TURNS)
    if turns is None:
        raise InvalidRequest("'messages' is missing.", param="messages")
    last_calls: dict[str, str] = {}
    return tuple(_read_turn(turn, f"messages[{place}]", last_calls, unread) for place, turn in enumerate(turns))


def _read_turn(turn: _Turn, place: str, last_calls: dict[str, str], unread: set[str]) -> Message:
    """One message. `last_calls` remembers the calls of the old function style, which have names but no ids."""
    match turn.role:
        case "system" | "developer":
            return Message("system", tuple(shapes.read_content(turn.content, unread)), turn.name or "")
        case "user":
            return Message("user", tuple(shapes.read_content(turn.content, unread)), turn.name or "")
        case "assistant":
            parts = shapes.read_parts(turn, unread)
            if turn.function_call is not None and turn.function_call.name:
                call = ToolCall(f"call_{place}", turn.function_call.name, turn.function_call.text)
                last_calls[call.name] = call.id
                parts.append(call)
            return Message("assistant", tuple(parts), turn.name or "")
        case "tool" | "function":
            call_id = turn.tool_call_id if turn.role == "tool" else last_calls.get(turn.name or "")
            if not call_id:
                missing = "tool_call_id" if turn.role == "tool" else "name"
                raise InvalidRequest(f"'{place}.{missing}' must name an earlier call.", param=f"{place}.{missing}")
            return Message("tool", (_read_result(turn, call_id, unread),))
        case _:
            raise InvalidRequest(f"'{place}.role' is not a role: {turn.role!r}.", param=f"{place}.role")


def _read_result(turn: _Turn, call_id: str, unread: set[str]) -> ToolResult:
    parts = tuple(part for part in shapes.read_content(turn.content, unread) if isinstance(part, Text | Image))
    return ToolResult(call_id, parts, cache=next((part.cache for part in reversed(parts) if part.cache), None))


def _read_tools(fields: Fields, unread: set[str]) -> tuple[Tool, ...]:
    found = [_tool(function, None) for function in decode(fields, "functions", _FUNCTIONS) or ()]
    for tool in decode(fields, "tools", _TOOLS) or ():
        if tool.function is None:
            unread.add(f"tools.{tool.type}")
        else:
            found.append(_tool(tool.function, tool.cache_control))
    return tuple(found)


def _tool(function: _Function, cache: shapes.CacheControl | None) -> Tool:
    schema = bytes(function.parameters)
    if schema and not schema.startswith(b"{"):
        if schema != b"null":
            raise InvalidRequest(f"The parameters of the tool '{function.name}' must be an object.", param="tools")
        schema = b""
    return Tool(
        function.name,
        msgspec.Raw(schema or b'{"type":"object","properties":{}}'),
        function.description or "",
        function.strict,
        CacheMark(cache.ttl or "") if cache else None,
    )


def _read_tool_choice(fields: Fields, unread: set[str]) -> ToolChoice | None:
    parallel = flag(fields, "parallel_tool_calls")
    choice: str | _Choice | _Named | None = decode(fields, "tool_choice", _CHOICE)
    name = "tool_choice"
    if choice is None:
        choice, name = decode(fields, "function_call", _OLD_CHOICE), "function_call"
    match choice:
        case None:
            return None if parallel is None else ToolChoice(parallel=parallel)
        case "auto" | "none" | "required":
            return ToolChoice(choice, parallel=parallel)
        case "any":
            return ToolChoice("required", parallel=parallel)
        case _Named(name=wanted) | _Choice(function=_Named(name=wanted)):
            return ToolChoice("tool", wanted, parallel)
        case _Choice():
            unread.add(f"tool_choice.{choice.type}")
            return None if parallel is None else ToolChoice(parallel=parallel)
        case _:
            raise InvalidRequest(f"'{name}' must be auto, none, required, or name a function.", param=name)


def _read_format(fields: Fields, unread: set[str]) -> OutputFormat | None:
    wanted = decode(fields, "response_format", _FORMAT)
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputFormat("json_object")
    schema = wanted.json_schema
    if schema is None:
        raise InvalidRequest("'response_format.json_schema' is missing.", param="response_format")
    if schema.description:
        unread.add("response_format.json_schema.description")
    return OutputFormat("json_schema", schema.name, schema.schema, schema.strict)


def _read_reasoning(fields: Fields) -> Reasoning | None:
    effort = text(fields, "reasoning_effort")
    return None if not effort else Reasoning(enabled=effort != "none", effort=effort)
