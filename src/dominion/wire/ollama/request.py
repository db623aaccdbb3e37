"""Requests of Ollama's chat API, read into neutral ones and written. Never passes over a field without naming it."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from dominion.domain.contracts import Fields, Peek, Written
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import (
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from dominion.wire.fields import decode, flag, number, read_object, refuse_lookalikes, splice, text, whole
from dominion.wire.ollama.shapes import Lost, read_call, read_image, write_message
from dominion.wire.ollama.shapes import Message as Turn

_LONGEST_MODEL = 256
_LARGEST = 2**53
_GUARDED = frozenset({"model", "messages", "stream", "options"})
_KNOWN = _GUARDED | {"tools", "format", "think"}
_CAP = "num_predict"
_SAMPLING = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")
_OPTIONS = frozenset({_CAP, "stop", *_SAMPLING})
_SAYS_NOTHING = frozenset({b"null", b"false", b"[]", b"{}", b'""'})
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"")


class _Tool(msgspec.Struct):
    function: _Function


_TURNS = msgspec.json.Decoder(Annotated[list[Turn], msgspec.Meta(min_length=1)])
_TOOLS = msgspec.json.Decoder(list[_Tool] | None)
_STOP = msgspec.json.Decoder(str | list[str] | None)
_THINK = msgspec.json.Decoder(bool | str | None)
_INT = msgspec.json.Decoder(int | None)


def read_peek(fields: Fields) -> Peek:
    """What routing and admission need. Raises InvalidRequest. A stream is what the API gives unless told otherwise."""
    refuse_lookalikes(fields, _KNOWN, _GUARDED)
    model = text(fields, "model")
    if not model or len(model) > _LONGEST_MODEL or not model.isprintable():
        raise InvalidRequest(f"'model' must name a model in at most {_LONGEST_MODEL} characters.", param="model")
    if decode(fields, "messages", _TURNS) is None:
        raise InvalidRequest("'messages' is missing.", param="messages")
    cap = decode(options_of(fields), _CAP, _INT)
    return Peek(
        model=model,
        stream=flag(fields, "stream") is not False,
        output_cap=cap if cap is not None and cap > 0 else None,  # negative ones mean: no end
    )


def options_of(fields: Fields) -> Fields:
    """The fields of `options`; none when it is absent."""
    raw = fields.get("options")
    options = {} if raw is None or bytes(raw) == b"null" else read_object(raw, "options")
    refuse_lookalikes(options, _OPTIONS, frozenset({_CAP}))
    return options


def patch(fields: Fields, *, model: str, output_cap: int | None) -> bytes:
    """Model and output cap replaced."""
    changes = {"model": msgspec.json.encode(model)}
    if output_cap is not None:
        changes["options"] = splice(options_of(fields), {_CAP: b"%d" % output_cap})
    return splice(fields, changes)


def read_request(fields: Fields) -> Request:
    """The whole request. Raises InvalidRequest."""
    peek = read_peek(fields)
    options = options_of(fields)
    unread = {name for name, raw in fields.items() if name not in _KNOWN and bytes(raw) not in _SAYS_NOTHING}
    unread |= {f"options.{name}" for name in options if name not in _OPTIONS}
    stop = decode(options, "stop", _STOP) or ()
    return Request(
        model=peek.model,
        messages=_read_turns(decode(fields, "messages", _TURNS) or []),
        tools=tuple(_read_tool(tool.function) for tool in decode(fields, "tools", _TOOLS) or ()),
        max_output=peek.output_cap,
        temperature=number(options, "temperature", 0, _LARGEST),
        top_p=number(options, "top_p", 0, 1),
        top_k=whole(options, "top_k", 0, 2**31),
        seed=whole(options, "seed", -_LARGEST, _LARGEST),
        presence_penalty=number(options, "presence_penalty", -2, 2),
        frequency_penalty=number(options, "frequency_penalty", -2, 2),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        stream=peek.stream,
        output_format=_read_format(fields),
        reasoning=_read_think(decode(fields, "think", _THINK)),
        unread=tuple(sorted(unread)),
    )


def write_request(request: Request, *, model: str, output_cap: int | None) -> Written:
    """The request, and the names of what has no place in this dialect (or had none in the neutral form)."""
    lost = set(request.unread)
    options = {_CAP: request.max_output if output_cap is None else output_cap, "stop": request.stop or None}
    options |= {name: getattr(request, name) for name in _SAMPLING}
    body = {
        "model": model,
        "messages": _write_messages(request.messages, lost),
        "stream": request.stream,
        "options": {name: value for name, value in options.items() if value is not None} or None,
        "tools": _write_tools(request, lost),
        "format": _write_format(request.output_format),
        "think": _write_think(request.reasoning, lost),
    }
    if request.user:
        lost.add("user")
    written = {name: value for name, value in body.items() if value is not None}
    return Written(msgspec.json.encode(written), tuple(sorted(lost)))


def _read_turns(turns: Sequence[Turn]) -> tuple[Message, ...]:
    """Results name their call by id, by tool, or (at old servers) by nothing but their order."""
    messages: list[Message] = []
    open_calls: list[ToolCall] = []
    for place, turn in enumerate(turns):
        parts: list[Part] = [Thinking(turn.thinking)] if turn.thinking else []
        parts += [Text(turn.content)] if turn.content else []
        parts += [read_image(data) for data in turn.images or ()]
        calls = [read_call(call, str(place), index) for index, call in enumerate(turn.tool_calls or ())]
        match turn.role:
            case "assistant":
                open_calls += calls
                messages.append(Message("assistant", (*parts, *calls)))
            case "tool":
                answered = _answered(turn, open_calls, f"messages[{place}]")
                results = tuple(part for part in parts if isinstance(part, Text | Image))
                messages.append(Message("tool", (ToolResult(answered, results),)))
            case "user" | "system":
                messages.append(Message(turn.role, tuple(parts)))
            case _:
                raise InvalidRequest(f"'messages[{place}].role' is not a role: {turn.role!r}.", param="messages")
    return tuple(messages)


def _answered(turn: Turn, open_calls: list[ToolCall], where: str) -> str:
    if turn.tool_call_id:
        open_calls[:] = [call for call in open_calls if call.id != turn.tool_call_id]
        return turn.tool_call_id
    call = next((call for call in open_calls if turn.tool_name in (None, "", call.name)), None)
    if call is None:
        raise InvalidRequest(f"'{where}' answers no earlier call.", param=where)
    open_calls.remove(call)
    return call.id


def _read_tool(function: _Function) -> Tool:
    schema = bytes(function.parameters) or b'{"type":"object","properties":{}}'
    return Tool(function.name, msgspec.Raw(schema), function.description or "")


def _read_format(fields: Fields) -> OutputFormat | None:
    raw = bytes(fields.get("format", b"null"))
    if raw in (b"null", b'""'):
        return None
    if raw == b'"json"':
        return OutputFormat("json_object")
    read_object(raw, "format")
    return OutputFormat("json_schema", schema=msgspec.Raw(raw))


def _read_think(think: bool | str | None) -> Reasoning | None:  # noqa: FBT001 - the API has both types in one field
    if think is None:
        return None
    return Reasoning(effort=think) if isinstance(think, str) else Reasoning(enabled=think)


def _write_messages(messages: Sequence[Message], lost: Lost) -> list[dict[str, Any]]:
    """Each tool result is a message of its own, named by its tool, and by its call for servers that know ids."""
    written: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.name:
            lost.add("messages.name")
        names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
        for result in message.parts:
            if isinstance(result, ToolResult):
                lost.update(["tool_result.is_error"] if result.is_error else [])
                lost.update(["cache_control"] if result.cache else [])
                named = {"tool_name": names.get(result.call_id, ""), "tool_call_id": result.call_id}
                written.append(write_message("tool", result.parts, lost) | named)
        others = [part for part in message.parts if not isinstance(part, ToolResult)]
        if others:
            written.append(write_message("user" if message.role == "tool" else message.role, others, lost))
    if not written:
        raise InvalidRequest("No message holds anything that this provider takes.", param="messages")
    return written


def _write_tools(request: Request, lost: Lost) -> list[dict[str, Any]] | None:
    """There is no choice here: for "none" the tools stay away, and nothing can force one."""
    choice = request.tool_choice
    if choice is not None and choice.mode != "auto":
        lost.add("tool_choice")
    if choice is not None and choice.parallel is False:
        lost.add("parallel_tool_calls")
    if not request.tools or (choice is not None and choice.mode == "none"):
        return None
    if any(tool.cache for tool in request.tools):
        lost.add("cache_control")
    if any(tool.strict for tool in request.tools):
        lost.add("tools.strict")
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
        }
        for tool in request.tools
    ]


def _write_format(wanted: OutputFormat | None) -> str | msgspec.Raw | None:
    if wanted is None:
        return None
    return "json" if wanted.kind == "json_object" else wanted.schema


def _write_think(wanted: Reasoning | None, lost: Lost) -> bool | str | None:
    """True or false, which every model that thinks takes, or a word, which the others read as true."""
    if wanted is None:
        return None
    if wanted.budget is not None:
        lost.add("reasoning.budget")
    return _EFFORTS.get(wanted.effort, True) if wanted.enabled else False
