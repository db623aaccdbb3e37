"""Requests for providers of the Anthropic Messages API. Never drops anything without naming it."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from dominion.domain.contracts import Written
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import Message, OutputFormat, Reasoning, Request, Thinking, Tool, ToolChoice
from dominion.wire.anthropic.parts import SMALLEST_BUDGET, mark, plain, write_part

DEFAULT_OUTPUT_CAP = 4096
"""The API insists on a cap; this one is sent when neither the caller nor the gateway has set one."""

_NEWEST = (99, 0)
_BEFORE_EFFORT = (4, 0)
_VERSION = re.compile(r"claude-(?:[a-z]+-)*v?(\d{1,2})(?:[-.:](\d{1,2}))?(?!\d)")
_SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.9, "max": 0.9}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}

Lost = set[str]


def write_request(request: Request, *, model: str, output_cap: int | None) -> Written:
    """The request, and the names of what has no place in this dialect. Raises InvalidRequest when nothing is left."""
    lost = set(request.unread)
    asked = output_cap if output_cap is not None else request.max_output
    cap = DEFAULT_OUTPUT_CAP if asked is None else asked
    system, messages = _write_messages(request.messages, lost)
    body: dict[str, Any] = {"model": model, "max_tokens": cap, "messages": messages}
    if system:
        body["system"] = plain(system)
    if request.tools:
        body["tools"] = [_write_tool(tool) for tool in request.tools]
        body["tool_choice"] = _write_tool_choice(request.tool_choice)
    version = _version(model)
    thinking, effort = _write_reasoning(request, version, cap, lost)
    body |= {
        "thinking": thinking,
        "output_config": _write_output_config(request.output_format, effort, lost),
        "stop_sequences": _write_stop(request.stop, lost),
        "metadata": {"user_id": request.user} if request.user else None,
        "stream": request.stream or None,
        **_write_sampling(request, version, lost, thinks=thinking is not None and thinking["type"] != "disabled"),
    }
    for name in ("seed", "presence_penalty", "frequency_penalty"):
        if getattr(request, name) is not None:
            lost.add(name)
    written = {name: value for name, value in body.items() if value is not None}
    return Written(msgspec.json.encode(written), tuple(sorted(lost)))


def _write_messages(messages: Sequence[Message], lost: Lost) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The system prompt and the turns. Turns of one role are joined, and tool results come first in theirs.

    System messages inside the conversation move to the system prompt; alone, they become the one turn there must be.
    """
    system: list[dict[str, Any]] = []
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        if message.name:
            lost.add("messages.name")
        written = [write_part(part, message.role, lost) for part in message.parts]
        blocks = [block for block in written if block is not None]
        if message.role == "system":
            system += blocks
            if turns and blocks:
                lost.add("messages.system_position")
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    if not turns and system:
        turns, system = [("user", system)], []
        lost.add("messages.system_position")
    if not turns:
        raise InvalidRequest("No message holds anything that this provider takes.", param="messages")
    for _, blocks in turns:
        blocks.sort(key=lambda block: block["type"] != "tool_result")
    return system, [{"role": role, "content": plain(blocks)} for role, blocks in turns]


def _write_tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name, "input_schema": tool.schema}
    if tool.description:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    if tool.cache is not None:
        written["cache_control"] = mark(tool.cache)
    return written


def _write_tool_choice(choice: ToolChoice | None) -> dict[str, Any] | None:
    if choice is None:
        return None
    written: dict[str, Any] = {"type": "any" if choice.mode == "required" else choice.mode}
    if choice.mode == "tool":
        written["name"] = choice.name
    if choice.parallel is not None and choice.mode != "none":
        written["disable_parallel_tool_use"] = not choice.parallel
    return written


def _write_output_config(wanted: OutputFormat | None, effort: str | None, lost: Lost) -> dict[str, Any] | None:
    config: dict[str, Any] = {"effort": effort} if effort else {}
    if wanted is not None and wanted.kind == "json_schema":
        config["format"] = {"type": "json_schema", "schema": wanted.schema}
    elif wanted is not None:
        lost.add("response_format")
    return config or None


def _write_stop(stop: tuple[str, ...], lost: Lost) -> list[str] | None:
    """The API refuses stop sequences of nothing but white space."""
    written = [sequence for sequence in stop if sequence.strip()]
    if len(written) < len(stop):
        lost.add("stop")
    return written or None


def _write_sampling(request: Request, version: tuple[int, int], lost: Lost, *, thinks: bool) -> dict[str, Any]:
    """Temperature ends at 1 here, does not go with thinking, nor with top_p; models since 4.7 take none of these."""
    wanted = {name: getattr(request, name) for name in ("temperature", "top_p", "top_k")}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if thinks or version >= (4, 7):
        lost.update(wanted)
        return {}
    if wanted.get("temperature", 0) > 1:
        wanted["temperature"] = 1
        lost.add("temperature")
    if "temperature" in wanted and "top_p" in wanted:
        del wanted["top_p"]
        lost.add("top_p")
    return wanted


def _write_reasoning(
    request: Request, version: tuple[int, int], cap: int, lost: Lost
) -> tuple[dict[str, Any] | None, str | None]:
    """`thinking` and the effort, by the generation of the model.

    Before 3.7: none. Before 4.6 (and for the models of others): a budget; an effort becomes a share of the output cap.
    Since then: adaptive, with an effort; a budget becomes one (4.6 still takes budgets). Efforts: xhigh since 4.7.
    """
    wanted = request.reasoning
    if wanted is None:
        return None, None
    if not wanted.enabled:
        return ({"type": "disabled"} if version >= (5, 0) else None), None
    manual = version < (4, 6) or (version < (4, 7) and wanted.budget is not None)
    blocked = version < (3, 7) or _forces_tool(request) or (manual and _lacks_thinking(request))
    if blocked:
        lost.add("reasoning")
    if manual:
        return (None if blocked else _write_budget(wanted, cap, lost)), None
    if wanted.budget is not None:
        lost.add("reasoning.budget")
    effort = _EFFORTS.get(wanted.effort) or _effort_of(wanted.budget)
    if wanted.effort and effort is None:
        lost.add("reasoning.effort")
    if effort == "xhigh" and version < (4, 7):
        effort = "high"
    # Since 4.7 the text of the reasoning stays away unless asked for.
    display = {"display": "summarized"} if version >= (4, 7) else {}
    return (None if blocked else {"type": "adaptive", **display}), effort


def _write_budget(wanted: Reasoning, cap: int, lost: Lost) -> dict[str, Any] | None:
    """A budget leaves room for the answer under the cap; where the smallest one does not fit, there is no thinking."""
    share = int(cap * _SHARES.get(wanted.effort, 0.5))
    budget = max(SMALLEST_BUDGET, min(wanted.budget, int(cap * 0.9)) if wanted.budget is not None else share)
    if budget >= cap:
        lost.add("reasoning")
        return None
    return {"type": "enabled", "budget_tokens": budget}


def _effort_of(budget: int | None) -> str | None:
    if budget is None:
        return None
    return "low" if budget < 4 * SMALLEST_BUDGET else "medium" if budget < 16 * SMALLEST_BUDGET else "high"


def _forces_tool(request: Request) -> bool:
    """A forced tool and thinking exclude each other."""
    choice = request.tool_choice
    return bool(request.tools) and choice is not None and choice.mode in ("required", "tool")


def _lacks_thinking(request: Request) -> bool:
    """With a budget, the API wants the thinking before the running turn's tool calls back; some callers drop it."""
    if request.messages[-1].role != "tool":
        return False
    parts = next((message.parts for message in reversed(request.messages) if message.role == "assistant"), ())
    return not any(isinstance(part, Thinking) and (part.signature or part.redacted) for part in parts)


def _version(model: str) -> tuple[int, int]:
    """The generation of a Claude model by its name; unknown Claude names are new ones, other names are as 4.0."""
    found = _VERSION.search(model)
    if found is None:
        return _NEWEST if "claude" in model else _BEFORE_EFFORT
    return int(found[1]), int(found[2] or 0)
