"""Requests of OpenAI Responses, read as a door. Never passes over a field without naming it, and never keeps state.

What the provider would look up in its own store cannot be translated, so it is refused there; a relay carries it.
"""

import re
from collections.abc import Iterator
from typing import Literal

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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dominion.wire.fields import LARGEST_CAP, decode, flag, number, refuse_lookalikes, text, whole
from dominion.wire.openai_responses.items import (
    ITEM,
    KIND,
    KNOWN,
    OURS,
    Content,
    Item,
    made_up_id,
    read_content,
    read_parts,
)

LONGEST_MODEL = 256
GUARDED = frozenset({"model", "input", "stream", "max_output_tokens", "background"})

_CALLED = frozenset({"function", "custom"})
"""Tools that the caller runs."""
_STATE = ("previous_response_id", "conversation", "prompt")
_READ = GUARDED | {
    *("instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "include", "stream_options"),
    *("temperature", "top_p", "user", *_STATE),
}
_TOOL_EXTRAS = ("allowed_callers", "defer_loading", "output_schema")
_OUR_SEALS = b'"%b' % OURS.encode()
_SEALED = "reasoning.encrypted_content"
_NOTHING = (b"null", b"false", b"[]", b"{}")
_SAYS_NOTHING = {"truncation": (b'"disabled"',), "service_tier": (b'"auto"',), "top_logprobs": (b"0",)}
_ABSENT = msgspec.Raw(b"null")
_NO_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{}}')
_NOT_EMPTY = re.compile(rb'\s*(?:\[\s*[^\s\]]|"[^"])')


class _Tool(msgspec.Struct):
    type: str = "function"
    name: str = ""
    description: str | None = None
    parameters: msgspec.Raw = _ABSENT
    strict: bool | None = None
    allowed_callers: msgspec.Raw = _ABSENT
    defer_loading: msgspec.Raw = _ABSENT
    output_schema: msgspec.Raw = _ABSENT


class _Kind(msgspec.Struct):
    type: str = "function"


class _Choice(msgspec.Struct):
    type: str = ""
    name: str = ""
    mode: Literal["auto", "required"] = "auto"


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    name: str = ""
    schema: msgspec.Raw = _ABSENT
    strict: bool | None = None
    description: str | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: str | None = None


class _Named(msgspec.Struct):
    type: str = ""
    id: str | None = None


_RAW_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_NAMED = msgspec.json.Decoder(_Named)
_INPUT = msgspec.json.Decoder(str | list[msgspec.Raw] | None)
_TOOLS = msgspec.json.Decoder(list[msgspec.Raw] | None)
_KINDS = msgspec.json.Decoder(list[_Kind] | None)
_TOOL_KIND = msgspec.json.Decoder(_Kind)
_TOOL = msgspec.json.Decoder(_Tool)
_CHOICE = msgspec.json.Decoder(Literal["auto", "none", "required"] | _Choice | None)
_TEXT = msgspec.json.Decoder(_Text | None)
_REASONING = msgspec.json.Decoder(_Reasoning | None)
_STRINGS = msgspec.json.Decoder(list[str] | None)


def read_peek(fields: Fields) -> Peek:
    """What routing and admission need. Raises InvalidRequest, also for answers in the background: they are fetched
    later, and nobody here would see what they cost.
    """
    refuse_lookalikes(fields, _READ, GUARDED)
    model = text(fields, "model")
    if not model or len(model) > LONGEST_MODEL or not model.isprintable():
        raise InvalidRequest(f"'model' must name a model in at most {LONGEST_MODEL} characters.", param="model")
    if flag(fields, "background"):
        raise InvalidRequest("Answers in the background are not served here.", param="background")
    asked = fields.get("input", _ABSENT)
    if not _NOT_EMPTY.match(asked) and (asked != _ABSENT or not any(name in fields for name in _STATE)):
        raise InvalidRequest("'input' must be a text, or an array with at least one item.", param="input")
    number(fields, "temperature", 0, 2)
    number(fields, "top_p", 0, 1)
    cap = whole(fields, "max_output_tokens", 1, LARGEST_CAP)
    return Peek(model=model, stream=flag(fields, "stream") or False, output_cap=cap, kept=_is_kept(fields))


def _is_kept(fields: Fields) -> bool:
    """Whether the prompt holds what the provider keeps, or its own tools find, and is longer than the request."""
    if any(name in fields and bytes(fields[name]) != b"null" for name in _STATE):
        return True
    tools = decode(fields, "tools", _KINDS) or () if "tools" in fields else ()
    return any(tool.type not in _CALLED for tool in tools)


def inside(fields: Fields) -> tuple[tuple[int, int], bool]:
    """The number of images in `input` and how many bytes of it they take; and whether there is what the provider keeps,
    or a file, whose pages hold more tokens than bytes. Images that the provider keeps count, too."""
    count, size, kept = 0, 0, False
    asked = decode(fields, "input", _INPUT)
    for raw in asked if isinstance(asked, list) else ():
        kind = decode({"input": raw}, "input", KIND)
        if kind is not None and kind.type in KNOWN:
            item = decode({"input": raw}, "input", ITEM) or Item()
            pieces = [*_pieces(item.content), *_pieces(item.output)]
            urls = [piece.image_url or "" for piece in pieces if piece.type == "input_image"]
            count += len(urls)
            size += sum(len(url) for url in urls if url.startswith("data:"))
            kept = kept or any(piece.type == "input_file" for piece in pieces)
        else:  # a screenshot, say
            count += b"image" in bytes(raw)
            kept = kept or (kind is not None and kind.type == "item_reference")
    return (count, size), kept


def _pieces(content: str | list[Content] | None) -> list[Content]:
    return content if isinstance(content, list) else []


def own_seals(fields: Fields) -> bytes | None:
    """What `input` must become without the seals that this gateway wrote for other APIs, which this one refuses: an
    earlier turn came from another provider. None: it may stay, as almost always.
    """
    raw = bytes(fields.get("input", _ABSENT))
    if _OUR_SEALS not in raw or raw.startswith(b'"'):
        return None
    items = decode(fields, "input", _RAW_ITEMS) or []
    return msgspec.json.encode([item for item in items if not _is_sealed_elsewhere(item)])


def _is_sealed_elsewhere(item: msgspec.Raw) -> bool:
    named = decode({"input": item}, "input", _NAMED) or _Named()
    return named.type == "reasoning" and (named.id or "").startswith(OURS)


def read_request(fields: Fields) -> Request:
    """The whole request. Raises InvalidRequest."""
    peek = read_peek(fields)
    _refuse_state(fields)
    unread = {name for name, raw in fields.items() if name not in _READ and _says_something(name, bytes(raw))}
    unread |= {f"include.{name}" for name in decode(fields, "include", _STRINGS) or () if name != _SEALED}
    instructions = text(fields, "instructions")
    first = [Message("system", (Text(instructions),))] if instructions else []
    messages = _read_input(fields, unread)
    if not first and not messages:
        raise InvalidRequest("No item of 'input' holds anything that other providers take.", param="input")
    return Request(
        model=peek.model,
        messages=(*first, *messages),
        tools=tuple(_read_tools(fields, unread)),
        tool_choice=_read_tool_choice(fields, unread),
        max_output=peek.output_cap,
        temperature=number(fields, "temperature", 0, 2),
        top_p=number(fields, "top_p", 0, 1),
        stream=peek.stream,
        output_format=_read_format(fields, unread),
        reasoning=_read_reasoning(fields, unread),
        user=text(fields, "user") or "",
        unread=tuple(sorted(unread)),
    )


def _says_something(name: str, raw: bytes) -> bool:
    return raw not in (*_NOTHING, *_SAYS_NOTHING.get(name, ()))


def _refuse_state(fields: Fields) -> None:
    for name in _STATE:
        if name in fields and bytes(fields[name]) != b"null":
            raise InvalidRequest(
                f"'{name}' refers to what one provider keeps, and this request goes to another.",
                action="Send the whole conversation in 'input', or choose a provider of the Responses API.",
                param=name,
            )


def _read_input(fields: Fields, unread: set[str]) -> list[Message]:
    """The items as turns: what the model wrote in a row is one turn, each tool result stands alone."""
    asked = decode(fields, "input", _INPUT)
    if isinstance(asked, str):
        return [Message("user", (Text(asked),))]
    turns: list[Message] = []
    speech = _Speech(unread)
    for item in _items(asked or (), unread):
        if item.type in ("function_call", "reasoning") or item.role == "assistant":
            speech.add(item)
        else:
            turns += [*speech.end(), *_read_turn(item, unread)]
    return turns + speech.end()


def _items(raws: list[msgspec.Raw] | tuple[()], unread: set[str]) -> Iterator[Item]:
    for number_, raw in enumerate(raws):
        where = f"input[{number_}]"
        kind = decode({where: raw}, where, KIND)
        if kind is not None and kind.type == "item_reference":
            raise InvalidRequest(
                f"'{where}' refers to what one provider keeps, and this request goes to another.",
                action="Send the item itself.",
                param=where,
            )
        if kind is None or kind.type not in KNOWN:
            unread.add(f"input.{kind.type if kind else 'null'}")
            continue
        item = decode({where: raw}, where, ITEM) or Item()
        _require(item, where)
        if item.namespace:
            unread.add("input.function_call.namespace")
        if item.phase:
            unread.add("input.phase")
        yield item


def _require(item: Item, where: str) -> None:
    if item.type == "message" and item.role not in ("user", "assistant", "system", "developer"):
        raise InvalidRequest(f"'{where}.role' is not a role: {item.role!r}.", param=f"{where}.role")
    if item.type.startswith("function_call") and not item.call_id:
        raise InvalidRequest(f"'{where}.call_id' is missing.", param=f"{where}.call_id")
    if item.type == "function_call" and not item.name:
        raise InvalidRequest(f"'{where}.name' is missing.", param=f"{where}.name")


class _Speech:
    """What the model says in a row. A seal that this gateway has written is given back as it was."""

    def __init__(self, unread: set[str]) -> None:
        self._parts: list[Part] = []
        self._unread = unread
        self._seal_of_call = ""

    def add(self, item: Item) -> None:
        """Add an item of the model's."""
        item_id, sealed = item.id or "", item.encrypted_content or ""
        for part in read_parts(item, self._unread):
            if isinstance(part, Thinking) and item_id.startswith(made_up_id("c", "")):
                self._seal_of_call = sealed
            elif isinstance(part, Thinking) and item_id.startswith(made_up_id("r", "")):
                self._parts.append(Thinking(redacted=sealed))
            elif isinstance(part, Thinking) and item_id.startswith(made_up_id("t", "")):
                self._parts.append(Thinking(part.text, sealed))
            elif isinstance(part, ToolCall):
                self._parts.append(msgspec.structs.replace(part, signature=self._seal_of_call))
                self._seal_of_call = ""
            else:
                self._parts.append(part)

    def end(self) -> list[Message]:
        """The turn, if anything was said; the next item begins another one."""
        said, self._parts = tuple(self._parts), []
        return [Message("assistant", said)] if said else []


def _read_turn(item: Item, unread: set[str]) -> list[Message]:
    if item.type == "function_call_output":
        known = read_content(item.output, unread)
        parts = tuple(part for part in known if isinstance(part, Text | Image))
        return [Message("tool", (ToolResult(item.call_id or "", parts),))]
    said = tuple(read_content(item.content, unread))
    return [Message("user" if item.role == "user" else "system", said)] if said else []


def _read_tools(fields: Fields, unread: set[str]) -> Iterator[Tool]:
    for number_, raw in enumerate(decode(fields, "tools", _TOOLS) or ()):
        where = f"tools[{number_}]"
        kind = decode({where: raw}, where, _TOOL_KIND) or _Kind()
        if kind.type != "function":
            unread.add(f"tools.{kind.type}")
            continue
        tool = decode({where: raw}, where, _TOOL) or _Tool()
        schema = bytes(tool.parameters)
        if not tool.name or not schema.startswith((b"{", b"null")):
            wrong = "parameters" if tool.name else "name"
            raise InvalidRequest(f"'{where}.{wrong}' is missing or wrong.", param=f"{where}.{wrong}")
        unread.update(f"tools.{name}" for name in _TOOL_EXTRAS if _says_something(name, bytes(getattr(tool, name))))
        yield Tool(tool.name, _NO_SCHEMA if schema == b"null" else tool.parameters, tool.description or "", tool.strict)


def _read_tool_choice(fields: Fields, unread: set[str]) -> ToolChoice | None:
    parallel = flag(fields, "parallel_tool_calls")
    match decode(fields, "tool_choice", _CHOICE):
        case None:
            return None if parallel is None else ToolChoice(parallel=parallel)
        case "auto" | "none" | "required" as mode:
            return ToolChoice(mode, parallel=parallel)
        case _Choice(type="function", name=name) if name:
            return ToolChoice("tool", name, parallel)
        case _Choice(type="allowed_tools", mode=mode):
            unread.add("tool_choice.allowed_tools")
            return ToolChoice(mode, parallel=parallel)
        case _Choice(type=kind):
            unread.add(f"tool_choice.{kind}")
    return None if parallel is None else ToolChoice(parallel=parallel)


def _read_format(fields: Fields, unread: set[str]) -> OutputFormat | None:
    wanted = decode(fields, "text", _TEXT) or _Text()
    if wanted.verbosity:
        unread.add("text.verbosity")
    form = wanted.format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return OutputFormat("json_object")
    if not bytes(form.schema).startswith(b"{"):
        raise InvalidRequest("'text.format.schema' must be a JSON Schema.", param="text.format.schema")
    if form.description:
        unread.add("text.format.description")
    return OutputFormat("json_schema", form.name, form.schema, form.strict)


def _read_reasoning(fields: Fields, unread: set[str]) -> Reasoning | None:
    """Other APIs show what reasoning they have, unasked: only the wish for more or less of it is lost there."""
    told = decode(fields, "reasoning", _REASONING) or _Reasoning()
    unread.update(f"reasoning.{name}" for name in ("context", "mode") if getattr(told, name))
    summary = told.summary or told.generate_summary or ""
    if summary not in ("", "auto"):
        unread.add("reasoning.summary")
    if not told.effort and not summary:
        return None
    return Reasoning(enabled=told.effort != "none", effort=told.effort or "", summary=summary)
