"""Requests of the Gemini API, read as a door. Never refuses what only a translation would lose.

Model and stream travel in the address; the door puts them among the fields, and they never go into a body.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from dominion.domain.contracts import Fields, Peek
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import (
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dominion.wire.anthropic.parts import ABSENT
from dominion.wire.fields import LARGEST_CAP, decode, flag, number, read_object, splice, text, whole
from dominion.wire.gemini.parts import Content, Response, call_ids, join, read_part
from dominion.wire.gemini.request_writing import UNSIGNED
from dominion.wire.gemini.schema import json_schema
from dominion.wire.gemini.spelling import CHOICES, CONFIG, OUTPUT_CAP, camel, config_of, guarded, tidy
from dominion.wire.seals import unsealed, without_marked

IN_ADDRESS = frozenset({"model", "stream"})

_LONGEST_MODEL = 256
_MOST_CHOICES = 8
_SEED = 10**18 - 1
_READ = IN_ADDRESS | {"contents", "systemInstruction", "tools", "toolConfig", CONFIG}
_READ_CONFIG = frozenset(
    {OUTPUT_CAP, "temperature", "topP", "topK", "stopSequences", "seed", "presencePenalty", "frequencyPenalty"}
    | {"responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig"}
)
_NOTHING = frozenset({b"null", b"false", b"[]", b"{}"})
_NOTHING_IN = {CHOICES: (b"1",), "responseModalities": (b'["TEXT"]',)}
_SOMETHING_SAID = re.compile(rb"\s*(?:\[\s*[^\s\]]|\{)")
_ANY_OBJECT = msgspec.Raw(b'{"type":"object","properties":{}}')


class _Declaration(msgspec.Struct, rename="camel"):
    name: str = ""
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    parameters_json_schema: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    response_json_schema: msgspec.Raw = ABSENT
    behavior: msgspec.Raw = ABSENT


class _Calling(msgspec.Struct, rename="camel"):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class _Thinking(msgspec.Struct, rename="camel"):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


_CONTENTS = msgspec.json.Decoder(list[Content])
_CONTENT = msgspec.json.Decoder(Content | None)
_TOOLS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | None)
_DECLARATIONS = msgspec.json.Decoder(list[_Declaration] | None)
_CALLING = msgspec.json.Decoder(_Calling | None)
_THINKING = msgspec.json.Decoder(_Thinking | None)
_STRINGS = msgspec.json.Decoder(list[str] | None)
_ROLES: Mapping[str | None, Role] = {None: "user", "user": "user", "function": "user", "model": "assistant"}
_MODES: Mapping[str, Literal["auto", "none", "required"]] = {"AUTO": "auto", "NONE": "none", "ANY": "required"}


def read_peek(fields: Fields) -> Peek:
    """What routing and admission need. Raises InvalidRequest."""
    names = guarded(fields)
    model = text(fields, "model")
    if not model or len(model) > _LONGEST_MODEL or not model.isprintable():
        raise InvalidRequest(f"The model must be named in at most {_LONGEST_MODEL} characters.", param="model")
    contents = fields.get(names.get("contents", ""))
    if contents is None or not _SOMETHING_SAID.match(contents):
        raise InvalidRequest("'contents' must be an array with at least one content.", param="contents")
    config, spelled = config_of(fields, names.get(CONFIG, CONFIG))
    return Peek(
        model=model,
        stream=bool(flag(fields, "stream")),
        output_cap=whole(config, spelled.get(OUTPUT_CAP, OUTPUT_CAP), 1, LARGEST_CAP),
        choices=whole(config, spelled.get(CHOICES, CHOICES), 1, _MOST_CHOICES) or 1,
    )


def patch(fields: Fields, output_cap: int | None) -> bytes:
    """The body for a provider: without what belongs into the address or was sealed by others, and with an output cap if
    one is given."""
    kept = {name: raw for name, raw in fields.items() if name not in IN_ADDRESS}
    contents = without_marked(bytes(fields.get("contents", ABSENT)), _signed_anew)
    if contents is not None:
        kept["contents"] = msgspec.Raw(contents)
    if output_cap is None:
        return splice(kept, {})
    written = guarded(fields).get(CONFIG, CONFIG)
    config, spelled = config_of(fields, written)
    return splice(kept, {written: splice(config, {spelled.get(OUTPUT_CAP, OUTPUT_CAP): b"%d" % output_cap})})


def _signed_anew(part: dict[str, Any]) -> dict[str, Any] | None:
    """A part that another API sealed: a call must have a signature here, and a thought is nothing without its own."""
    kept = unsealed(part)
    if "functionCall" in part or "function_call" in part:
        return {**kept, "thoughtSignature": UNSIGNED}
    return None if part.get("thought") or kept in ({}, {"text": ""}) else kept


def read_request(fields: Fields) -> Request:
    """The whole request. Raises InvalidRequest."""
    peek = read_peek(fields)
    fields = tidy(fields)
    config = _object(fields, CONFIG)
    unread = {name for name, raw in fields.items() if name not in _READ and _says_something(raw)}
    unread |= {f"{CONFIG}.{name}" for name, raw in _config_extras(config)}
    messages = (*_system(fields, unread), *_messages(fields, unread))
    if not messages:
        raise InvalidRequest("No content holds anything that other providers take.", param="contents")
    tools = tuple(_tools(fields, unread))
    return Request(
        model=peek.model,
        messages=messages,
        tools=tools,
        tool_choice=_tool_choice(fields, tools, unread),
        max_output=peek.output_cap,
        temperature=number(config, "temperature", 0, 2),
        top_p=number(config, "topP", 0, 1),
        top_k=whole(config, "topK", 0, 2**31),
        stop=tuple(decode(config, "stopSequences", _STRINGS) or ()),
        stream=peek.stream,
        output_format=_output_format(config, unread),
        reasoning=_reasoning(config, unread),
        seed=whole(config, "seed", -_SEED, _SEED),
        presence_penalty=number(config, "presencePenalty", -2, 2),
        frequency_penalty=number(config, "frequencyPenalty", -2, 2),
        unread=tuple(sorted(unread)),
    )


def _object(fields: Fields, name: str) -> Fields:
    raw = fields.get(name)
    return {} if raw is None or bytes(raw) == b"null" else read_object(raw, name)


def _says_something(raw: msgspec.Raw) -> bool:
    return bytes(raw) not in _NOTHING


def _config_extras(config: Fields) -> Iterator[tuple[str, msgspec.Raw]]:
    for name, raw in config.items():
        if name not in _READ_CONFIG and _says_something(raw) and bytes(raw) not in _NOTHING_IN.get(name, ()):
            yield name, raw


def _system(fields: Fields, unread: set[str]) -> Iterator[Message]:
    content = decode(fields, "systemInstruction", _CONTENT)
    parts = [found for part in (content and content.parts) or () for found in read_part(part, call_ids(), unread)]
    if parts:
        yield Message("system", tuple(parts))


def _messages(fields: Fields, unread: set[str]) -> Iterator[Message]:
    """The turns. Results of tools stand alone in neutral messages; a model's turns in a row are one, because callers
    keep what streams brought them in pieces.
    """
    turns: list[tuple[Role, list[Part]]] = []
    ids = call_ids()
    waiting: list[ToolCall] = []
    contents = decode(fields, "contents", _CONTENTS) or []
    for place, content in enumerate(contents):
        if content.role not in _ROLES:
            where = f"contents[{place}].role"
            raise InvalidRequest(f"'{where}' must be user or model.", param=where)
        role = _ROLES[content.role]
        turn = turns[-1][1] if role == "assistant" and turns and turns[-1][0] == role else None
        for part in content.parts or ():
            if part.function_response is not None:
                turns.append(("tool", [_tool_result(part.function_response, waiting, ids, unread)]))
                turn = None
                continue
            for found in read_part(part, ids, unread):
                if turn is None:
                    turn = []
                    turns.append((role, turn))
                join(turn, found)
                if isinstance(found, ToolCall):
                    waiting.append(found)
    return (Message(role, tuple(parts)) for role, parts in turns)


def _tool_result(response: Response, waiting: list[ToolCall], ids: Iterator[str], unread: set[str]) -> ToolResult:
    """A result, for the call with its id, or where there are no ids, for the first of its name that waits for one."""
    by_id = (call for call in waiting if call.id == response.id)
    by_name = (call for call in waiting if call.name == response.name)
    call = next(by_id, None) or next(by_name, None)
    if call is not None:
        waiting.remove(call)
    told, is_error = _told(response.response)
    parts: list[Text | Image] = [Text(told)] if told else []
    for part in response.parts or ():
        parts += [found for found in read_part(part, ids, unread) if isinstance(found, Text | Image)]
    return ToolResult(call.id if call else response.id or next(ids), tuple(parts), is_error)


def _told(response: msgspec.Raw) -> tuple[str, bool]:
    """The text of a result, and whether it is an error: Google gives the names `output` and `error` these meanings."""
    told = {} if response == ABSENT else read_object(response, "functionResponse.response")
    for name in ("output", "error"):
        if told.keys() == {name} and bytes(told[name]).startswith(b'"'):
            return text(told, name) or "", name == "error"
    return bytes(response).decode() if told else "", False


def _tools(fields: Fields, unread: set[str]) -> Iterator[Tool]:
    for kinds in decode(fields, "tools", _TOOLS) or ():
        unread.update(f"tools.{kind}" for kind in kinds if kind != "functionDeclarations")
        for found in decode(kinds, "functionDeclarations", _DECLARATIONS) or ():
            if not found.name:
                raise InvalidRequest("A function declaration has no name.", param="tools.functionDeclarations.name")
            extras = {
                name for name in ("response", "response_json_schema", "behavior") if getattr(found, name) != ABSENT
            }
            unread.update(f"tools.functionDeclarations.{camel(name)}" for name in extras)
            yield Tool(found.name, _parameters(found), found.description or "")


def _parameters(found: _Declaration) -> msgspec.Raw:
    if found.parameters_json_schema != ABSENT:
        if bytes(found.parameters_json_schema).startswith(b"{"):
            return found.parameters_json_schema
        raise InvalidRequest(f"The parameters of '{found.name}' must be a JSON Schema.", param="tools")
    return _ANY_OBJECT if found.parameters == ABSENT else json_schema(found.parameters, "tools.parameters")


def _tool_choice(fields: Fields, tools: tuple[Tool, ...], unread: set[str]) -> ToolChoice | None:
    """VALIDATED is AUTO with a promise that has no other name; a choice among some of the functions has none either."""
    config = _object(fields, "toolConfig")
    unread.update(f"toolConfig.{name}" for name in config if name != "functionCallingConfig")
    calling = decode(config, "functionCallingConfig", _CALLING)
    if calling is None or not tools:
        return None
    allowed = calling.allowed_function_names or []
    mode = (calling.mode or "AUTO").upper()
    if mode == "ANY" and len(allowed) == 1:
        return ToolChoice("tool", allowed[0])
    if allowed and {tool.name for tool in tools} != set(allowed):
        unread.add("toolConfig.functionCallingConfig.allowedFunctionNames")
    if mode not in _MODES:
        unread.add(f"toolConfig.functionCallingConfig.mode.{mode}")
    return ToolChoice(_MODES.get(mode, "auto"))


def _output_format(config: Fields, unread: set[str]) -> OutputFormat | None:
    schema = config.get("responseJsonSchema")
    if schema is None and "responseSchema" in config:
        schema = json_schema(config["responseSchema"], f"{CONFIG}.responseSchema")
    if schema is not None:
        return OutputFormat("json_schema", schema=schema)
    media_type = text(config, "responseMimeType")
    if media_type not in (None, "text/plain", "application/json"):
        unread.add(f"{CONFIG}.responseMimeType")
    return OutputFormat("json_object") if media_type == "application/json" else None


def _reasoning(config: Fields, unread: set[str]) -> Reasoning | None:
    """A budget of 0 is none, of -1 the model's choice. To hide thoughts that were thought has no place elsewhere."""
    thinking = decode(config, "thinkingConfig", _THINKING)
    if thinking is None:
        return None
    budget, effort = thinking.thinking_budget, (thinking.thinking_level or "").lower()
    if budget == 0:
        return Reasoning(enabled=False)
    if thinking.include_thoughts is False:
        unread.add(f"{CONFIG}.thinkingConfig.includeThoughts")
    if budget is None and not effort and not thinking.include_thoughts:
        return None
    summary = "auto" if thinking.include_thoughts else ""
    return Reasoning(effort=effort, budget=budget if budget is not None and budget > 0 else None, summary=summary)
