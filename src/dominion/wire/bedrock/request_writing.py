"""Requests for providers of Bedrock's Converse API. Never drops anything without naming it.

What the API leaves to the models (reasoning, top_k, cache points) goes by the family that the model's name tells;
reference/providers.md 1.7 and the recordings show how each family writes it.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from dominion.domain.contracts import Written
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import Message, OutputFormat, Reasoning, Request, Tool, ToolCall, ToolChoice, ToolResult
from dominion.wire.anthropic.request_writing import write_request as write_messages_request
from dominion.wire.bedrock.parts import Lost, cache_point, write_part

_FAMILIES = ("claude", "nova-2", "nova", "gpt-oss", "qwen", "inference-profile/")
"""Marks in models' names; the last one does not tell the model behind it."""
_CACHE_PROMPTS = ("claude", "nova-2", "nova", "inference-profile/")
_CACHE_TOOLS = ("claude", "inference-profile/")
_CLAUDES = ("temperature", "top_p", "top_k", "stop", "reasoning", "reasoning.budget", "reasoning.effort")
_CLAUDES_CAP = 32_000
"""Without a cap a Claude may write as much as it can, which is at least this; budgets of reasoning stay below it."""
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_STOP_PATHS = ["/stop_sequence", "/delta/stop_sequence"]
"""Where Claude tells the sequence that stopped it, whole and in streams; paths that lead nowhere are ignored."""


class _Claude(msgspec.Struct):
    """What of a request to the Messages API concerns the model and not the conversation."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    thinking: msgspec.Raw = msgspec.Raw(b"")
    output_config: dict[str, msgspec.Raw] = {}


_CLAUDE = msgspec.json.Decoder(_Claude)


def write_request(request: Request, *, model: str, output_cap: int | None) -> Written:
    """The request, and the names of what has no place in this dialect. Raises InvalidRequest when nothing is left."""
    lost = set(request.unread)
    family = next((mark for mark in _FAMILIES if mark in model), "")
    cap = output_cap if output_cap is not None else request.max_output
    config: dict[str, Any] = {"maxTokens": cap}
    more: dict[str, Any] = {}
    if family == "claude":
        _ask_claude(request, model, cap, config, more, lost)
    else:
        _ask_others(request, family, config, more, lost)
    system, messages = _write_messages(request.messages, lost, caches=family in _CACHE_PROMPTS)
    config = {name: value for name, value in config.items() if value is not None}
    body = {
        "messages": messages,
        "system": system,
        "inferenceConfig": config,
        "toolConfig": _write_tools(request, lost, caches=family in _CACHE_TOOLS),
        "outputConfig": _write_format(request.output_format, lost),
        "additionalModelRequestFields": more,
        "additionalModelResponseFieldPaths": _STOP_PATHS if family == "claude" and request.stop else None,
    }
    for name in ("seed", "presence_penalty", "frequency_penalty", "user"):
        if getattr(request, name) not in (None, ""):
            lost.add(name)
    return Written(msgspec.json.encode({name: value for name, value in body.items() if value}), tuple(sorted(lost)))


def _ask_claude(
    request: Request, model: str, cap: int | None, config: dict[str, Any], more: dict[str, Any], lost: Lost
) -> None:
    """As the Messages API takes it from the same model; what Converse has no field for goes to the model itself."""
    written = write_messages_request(request, model=model, output_cap=_CLAUDES_CAP if cap is None else cap)
    asked = _CLAUDE.decode(written.body)
    lost.update(name for name in written.lost if name in _CLAUDES)
    config |= {"temperature": asked.temperature, "topP": asked.top_p, "stopSequences": asked.stop_sequences}
    if asked.top_k is not None:
        more["top_k"] = asked.top_k
    if asked.thinking:
        more["thinking"] = asked.thinking
    if "effort" in asked.output_config:
        more["output_config"] = {"effort": asked.output_config["effort"]}


def _ask_others(request: Request, family: str, config: dict[str, Any], more: dict[str, Any], lost: Lost) -> None:
    """`temperature` ends at 1 for all models here."""
    if request.temperature is not None:
        config["temperature"] = min(request.temperature, 1)
        lost.update(["temperature"] if request.temperature > 1 else [])
    config |= {"topP": request.top_p, "stopSequences": request.stop or None}
    if request.top_k is not None and family.startswith("nova"):
        more["inferenceConfig"] = {"topK": request.top_k}
    elif request.top_k is not None:
        lost.add("top_k")
    more |= _write_reasoning(request.reasoning, family, lost)


def _write_reasoning(wanted: Reasoning | None, family: str, lost: Lost) -> dict[str, Any]:
    """An effort, as each family calls it; a budget becomes a medium one."""
    if wanted is None:
        return {}
    effort = _EFFORTS.get(wanted.effort, "medium")
    if wanted.enabled and wanted.budget is not None:
        lost.add("reasoning.budget")
    match family, wanted.enabled:
        case "gpt-oss", True:
            return {"reasoning_effort": effort}
        case "qwen", True:
            return {"reasoning_config": effort}
        case "nova-2", True:
            if effort == "high":  # with which the model takes no output cap, and that must stay
                effort = "medium"
                lost.add("reasoning.effort")
            return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
        case ("gpt-oss", False) | (_, True):  # the first cannot but reason
            lost.add("reasoning")
    return {}


def _write_messages(
    messages: Sequence[Message], lost: Lost, *, caches: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The system prompt and the turns, which alternate: those of one role are joined, tool results first.

    System messages inside the conversation move to the system prompt; alone, they become the one turn there must be.
    """
    system: list[list[dict[str, Any]]] = []
    turns: list[tuple[str, list[list[dict[str, Any]]]]] = []
    for message in messages:
        if message.name:
            lost.add("messages.name")
        groups = [write_part(part, message.role, lost, caches=caches) for part in message.parts]
        groups = [group for group in groups if group]
        role = "assistant" if message.role == "assistant" else "user"
        if message.role == "system":
            system += groups
            lost.update(["messages.system_position"] if turns and groups else [])
        elif turns and turns[-1][0] == role:
            turns[-1][1].extend(groups)
        elif groups:
            turns.append((role, groups))
    if not turns and system:
        turns, system = [("user", system)], []
        lost.add("messages.system_position")
    if not turns:
        raise InvalidRequest("No message holds anything that this provider takes.", param="messages")
    for _, groups in turns:
        groups.sort(key=lambda group: "toolResult" not in group[0])
    chain = itertools.chain.from_iterable
    return list(chain(system)), [{"role": role, "content": list(chain(groups))} for role, groups in turns]


def _write_tools(request: Request, lost: Lost, *, caches: bool) -> dict[str, Any] | None:
    """There is no choice "none": the tools stay away instead, unless the conversation holds calls, which need them."""
    choice = request.tool_choice
    if not request.tools:
        return None
    if choice is not None and choice.mode == "none":
        lost.add("tool_choice")
        if not any(isinstance(part, ToolCall | ToolResult) for turn in request.messages for part in turn.parts):
            return None
    tools: list[dict[str, Any]] = []
    for tool in request.tools:
        tools += [_write_tool(tool), *cache_point(tool.cache, lost, known=caches)]
    return {"tools": tools} | _write_tool_choice(choice, lost)


def _write_tool(tool: Tool) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True  # only where it says something: not every model takes the field
    return {"toolSpec": spec}


def _write_tool_choice(choice: ToolChoice | None, lost: Lost) -> dict[str, Any]:
    """The choice "auto" is the default, and some models take no choice at all, so it is not written."""
    if choice is None:
        return {}
    if choice.parallel is False:
        lost.add("parallel_tool_calls")
    if choice.mode == "required":
        return {"toolChoice": {"any": {}}}
    return {"toolChoice": {"tool": {"name": choice.name}}} if choice.mode == "tool" else {}


def _write_format(wanted: OutputFormat | None, lost: Lost) -> dict[str, Any] | None:
    if wanted is None:
        return None
    if wanted.kind == "json_object":
        lost.add("response_format")
        return None
    schema = {"schema": bytes(wanted.schema).decode()} | ({"name": wanted.name} if wanted.name else {})
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
