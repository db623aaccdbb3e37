"""What a caller can ask for, one field a case, in neutral words. Plain values, no outcomes: those are measured."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from dominion.domain.messages import (
    CacheMark,
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

Facts = tuple[str, ...]


class Asked(NamedTuple):
    """A request that says one thing; `facts` are that thing as a request says it, nothing when it does not.

    `spoken` are fields as callers of a door write them, where that door's dialect writes none to its providers.
    `words` are a dialect's own for the thing, where it reads them as nothing; no word at all: its silence says it.
    """

    name: str
    request: Request
    facts: Callable[[Request], Facts]
    spoken: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    words: Mapping[str, str] = MappingProxyType({})


PNG = "iVBORw0KGgo="
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}')
HI = Message("user", (Text("Hi"),))
GO_ON = Message("user", (Text("Go on."),))
TOOL = Tool("f", SCHEMA, "Tells it.")
CALLS = (ToolCall("call_1", "f", '{"x":1}'), ToolCall("call_2", "f", '{"x":2}'))
RESULTS = tuple(Message("tool", (ToolResult(call.id, (Text(f"told {call.id}"),)),)) for call in CALLS)
MARK = CacheMark("1h")


def parts_of(request: Request) -> list[tuple[str, Part]]:
    """Every part with the role that says it; what is inside a tool result says "tool"."""
    found: list[tuple[str, Part]] = []
    for message in request.messages:
        for part in message.parts:
            found.append((message.role, part))
            if isinstance(part, ToolResult):
                found += [("tool", inner) for inner in part.parts]
    return found


def said(request: Request) -> Facts:
    """Roles and texts."""
    return tuple(f"{role}: {part.text}" for role, part in parts_of(request) if isinstance(part, Text))


def system(request: Request) -> Facts:
    """The texts of the system's messages, and how many messages of others stand before each."""
    others = 0
    found = []
    for message in request.messages:
        if message.role == "system":
            found += [f"{part.text} (after {others})" for part in message.parts if isinstance(part, Text)]
        else:
            others += 1
    return tuple(found)


def images(request: Request) -> Facts:
    """Images by who shows them."""
    return tuple(f"{role}: {part.url or part.data}" for role, part in parts_of(request) if isinstance(part, Image))


def details(request: Request) -> Facts:
    """How closely to look."""
    return tuple(part.detail for _, part in parts_of(request) if isinstance(part, Image) and part.detail)


def thoughts(request: Request) -> Facts:
    """Reasoning with its seals, and the seals of calls."""
    return tuple(
        filter(
            None,
            (
                " ".join(filter(None, (part.text, part.signature, part.redacted)))
                if isinstance(part, Thinking)
                else part.signature
                for _, part in parts_of(request)
                if isinstance(part, Thinking | ToolCall)
            ),
        )
    )


def calls(request: Request) -> Facts:
    """Calls."""
    return tuple(
        f"{part.id} {part.name} {msgspec.json.decode(part.arguments)}"
        for _, part in parts_of(request)
        if isinstance(part, ToolCall)
    )


def results(request: Request) -> Facts:
    """Results by call."""
    return tuple(
        f"{part.call_id}: {inner.text}"
        for _, part in parts_of(request)
        if isinstance(part, ToolResult)
        for inner in part.parts
        if isinstance(inner, Text)
    )


def failures(request: Request) -> Facts:
    """Results that are errors."""
    return tuple(part.call_id for _, part in parts_of(request) if isinstance(part, ToolResult) and part.is_error)


def marks(request: Request) -> Facts:
    """Cache marks by what carries them."""
    carried = [(type(part).__name__, getattr(part, "cache", None)) for _, part in parts_of(request)]
    carried += [("Tool", tool.cache) for tool in request.tools]
    return tuple(f"{kind} {mark.ttl}" for kind, mark in carried if mark is not None)


def tools(request: Request) -> Facts:
    """Tools as declared."""
    return tuple(f"{tool.name} {tool.description} {msgspec.json.decode(tool.schema)}" for tool in request.tools)


def strictness(request: Request) -> Facts:
    """Tools whose arguments must keep to the schema."""
    return tuple(f"strict {tool.name}" for tool in request.tools if tool.strict)


def choice(request: Request) -> Facts:
    """Which tool must be called."""
    chosen = request.tool_choice
    return () if chosen is None else (f"{chosen.mode} {chosen.name}".strip(),)


def one_at_a_time(request: Request) -> Facts:
    """Whether calls may come in parallel."""
    chosen = request.tool_choice
    return () if chosen is None or chosen.parallel is None else (f"parallel {chosen.parallel}",)


def form(request: Request) -> Facts:
    """The form of the answer."""
    wanted = request.output_format
    if wanted is None:
        return ()
    return (wanted.kind, *([str(msgspec.json.decode(wanted.schema))] if wanted.kind == "json_schema" else []))


def reasoning(request: Request) -> Facts:
    """How hard to think."""
    wanted = request.reasoning
    if wanted is None:
        return ()
    if not wanted.enabled:
        return ("off",)
    words = {"effort": wanted.effort, "budget": wanted.budget}
    return tuple(f"{name} {value}" for name, value in words.items() if value)


def summary(request: Request) -> Facts:
    """Whether reasoning is to be shown."""
    return (request.reasoning.summary,) if request.reasoning is not None and request.reasoning.summary else ()


def names(request: Request) -> Facts:
    """Names of speakers."""
    return tuple(message.name for message in request.messages if message.name)


def value_of(field: str) -> Callable[[Request], Facts]:
    """One field of a request."""

    def facts(request: Request) -> Facts:
        value = getattr(request, field)
        return () if value in (None, (), "", False) else (str(value),)

    return facts


def _asked(name: str, facts: Callable[[Request], Facts], *turns: Message, **fields: Any) -> Asked:
    return Asked(name, Request(model="m", messages=turns or (HI,), **{"max_output": 8192} | fields), facts)


def _shown(image: Image) -> Message:
    return Message("user", (Text("Look:"), image))


def _thought(*parts: Part) -> tuple[Message, ...]:
    return (HI, Message("assistant", (*parts, Text("Yes?"))), GO_ON)


_TEXT = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
_MARKED_TEXT = {"messages": [{"role": "user", "content": [_TEXT]}]}
_MARKED_TOOL = {
    "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
}
_SPOKEN_MARKS = dict.fromkeys(("native", "openai_chat"), _MARKED_TEXT)
_SPOKEN_TOOL_MARKS = dict.fromkeys(("native", "openai_chat"), _MARKED_TOOL)
_TURNS = [
    {"role": "user", "content": "Hi"},
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Go on."},
]
_OWN_FIELDS: dict[str, dict[str, Any]] = {
    "openai_chat": {"logit_bias": {"1": 2}},
    "openai_responses": {"truncation": "auto"},
    "anthropic_messages": {"service_tier": "auto"},
    "gemini": {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
}
_OFF: dict[str, dict[str, Any]] = {
    "anthropic_messages": {"thinking": {"type": "disabled"}},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
}
_SILENCE = ""
_LOOP = (HI, Message("assistant", CALLS), *RESULTS)
_PICTURE = Image(media_type="image/png", data=PNG)
_FAILED = Message("tool", (ToolResult("call_1", (Text("broken"),), is_error=True),))
_SEEN = Message("tool", (ToolResult("call_1", (Text("seen:"), _PICTURE)),))
_SEALED_CALL = ToolCall("call_1", "f", '{"x":1}', signature="c2Vh")
_TOOLS: dict[str, Any] = {"tools": (TOOL,)}

ASKED = (
    _asked("texts in turns", said, HI, Message("assistant", (Text("Yes?"),)), GO_ON),
    _asked("system prompt", system, Message("system", (Text("Be brief."),)), HI),
    _asked("system message in the middle", system, HI, Message("system", (Text("Be brief."),)), GO_ON)._replace(
        spoken={"anthropic_messages": {"messages": _TURNS}}
    ),
    _asked("name of a speaker", names, Message("user", (Text("Hi"),), "ann")),
    _asked("image, inline", images, _shown(_PICTURE)),
    _asked("image, by address", images, _shown(Image(url="https://x.test/a.png"))),
    _asked("detail of an image", details, _shown(Image(media_type="image/png", data=PNG, detail="high"))),
    _asked("tools", tools, **_TOOLS),
    _asked("strict tools", strictness, tools=(msgspec.structs.replace(TOOL, strict=True),))._replace(
        words={"gemini": "VALIDATED"}
    ),
    _asked("a tool forced", choice, **_TOOLS, tool_choice=ToolChoice("tool", "f")),
    _asked("some tool forced", choice, **_TOOLS, tool_choice=ToolChoice("required")),
    _asked("no tool", choice, **_TOOLS, tool_choice=ToolChoice("none")),
    _asked("one call at a time", one_at_a_time, **_TOOLS, tool_choice=ToolChoice(parallel=False)),
    _asked("parallel calls", calls, *_LOOP, **_TOOLS),
    _asked("tool results", results, *_LOOP, **_TOOLS),
    _asked("tool result that is an error", failures, HI, Message("assistant", CALLS[:1]), _FAILED, **_TOOLS),
    _asked("image in a tool result", images, HI, Message("assistant", CALLS[:1]), _SEEN, **_TOOLS),
    _asked("any JSON object", form, output_format=OutputFormat("json_object")),
    _asked("JSON by a schema", form, output_format=OutputFormat("json_schema", "answer", SCHEMA)),
    _asked("reasoning, effort", reasoning, reasoning=Reasoning(effort="low")),
    _asked("reasoning, budget", reasoning, reasoning=Reasoning(budget=2048)),
    _asked("reasoning, off", reasoning, reasoning=Reasoning(enabled=False, effort="none"))._replace(
        spoken=_OFF, words={"anthropic_messages": _SILENCE, "bedrock_converse": _SILENCE}
    ),
    _asked("reasoning, to be shown", summary, reasoning=Reasoning(effort="low", summary="auto"))._replace(
        words=dict.fromkeys(("openai_chat", "anthropic_messages", "bedrock_converse", "ollama_chat"), _SILENCE)
    ),
    _asked("open thoughts", thoughts, *_thought(Thinking("hm"))),
    _asked("signed thoughts", thoughts, *_thought(Thinking("hm", "c2ln"))),
    _asked("sealed thoughts", thoughts, *_thought(Thinking(redacted="c2Vh"))),
    _asked("thoughts sealed by Responses", thoughts, *_thought(Thinking("hm", "rs_1:c2Vh"))),
    _asked("seal of a call", thoughts, HI, Message("assistant", (_SEALED_CALL,)), RESULTS[0], **_TOOLS),
    _asked("cache mark on a text", marks, Message("user", (Text("Hi", MARK),)))._replace(spoken=_SPOKEN_MARKS),
    _asked("cache mark on a tool", marks, tools=(msgspec.structs.replace(TOOL, cache=MARK),))._replace(
        spoken=_SPOKEN_TOOL_MARKS
    ),
    _asked("output cap", value_of("max_output")),
    _asked("temperature", value_of("temperature"), temperature=0.5),
    _asked("temperature above 1", value_of("temperature"), temperature=1.5),
    _asked("top_p", value_of("top_p"), top_p=0.5),
    _asked("top_k", value_of("top_k"), top_k=5),
    _asked("stop sequences", value_of("stop"), stop=("END",)),
    _asked("seed", value_of("seed"), seed=7),
    _asked("presence penalty", value_of("presence_penalty"), presence_penalty=0.5),
    _asked("frequency penalty", value_of("frequency_penalty"), frequency_penalty=0.5),
    _asked("user", value_of("user"), user="ann"),
    _asked("a field that only this API has", value_of("unread"))._replace(spoken=_OWN_FIELDS),
)
