"""Requests for providers of the Gemini API. Never drops anything without naming it."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dominion.domain.contracts import Written
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import Image, Message, OutputFormat, Reasoning, Request, Text, Tool, ToolCall, ToolResult
from dominion.wire.gemini.parts import write_image, write_parts

UNSIGNED = base64.b64encode(b"skip_thought_signature_validator").decode()
"""Google's documented word for calls that another model made: without a signature, Gemini 3 refuses the first call of a
turn (ai.google.dev/gemini-api/docs/thought-signatures; seen in ../shared/recordings)."""

_OLDEST_THINKING, _LEVELS_SINCE, _NEWEST = (2, 5), (3, 0), (99, 0)
_VERSION = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?!\d)")
_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 24_576, "max": 24_576}
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
"""Efforts as Google's own OpenAI-compatible API maps them (ai.google.dev/gemini-api/docs/openai#thinking)."""
_LARGEST_BUDGET, _LARGEST_PRO_BUDGET, _LEAST_PRO_BUDGET = 24_576, 32_768, 128
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}
_MOST_STOPS = 5
_LARGEST_SEED = 2**31 - 1

Lost = set[str]


def write_request(request: Request, *, model: str, output_cap: int | None) -> Written:
    """The body, and the names of what has no place in this dialect. Raises InvalidRequest when nothing is left."""
    lost = set(request.unread)
    version = _version(model)
    system, contents = _write_contents(request.messages, version, lost)
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_write_tool(tool, lost) for tool in request.tools]}]
        body["toolConfig"] = _write_tool_config(request, version, lost)
    config = {
        "maxOutputTokens": request.max_output if output_cap is None else output_cap,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "stopSequences": list(request.stop[:_MOST_STOPS]) or None,
        "seed": _write_seed(request.seed, lost),
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
        "thinkingConfig": _write_thinking(request.reasoning, model, version, lost),
        **_write_format(request.output_format),
    }
    if len(request.stop) > _MOST_STOPS:
        lost.add("stop")
    if request.user:
        lost.add("user")
    body["generationConfig"] = {name: value for name, value in config.items() if value is not None} or None
    written = {name: value for name, value in body.items() if value is not None}
    return Written(msgspec.json.encode(written), tuple(sorted(lost)))


def _write_contents(
    messages: Sequence[Message], version: tuple[int, int], lost: Lost
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The system instruction's parts, and the turns. System messages inside the conversation move to the front; alone,
    they become the one turn there must be.
    """
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        _note_losses(message, lost)
        names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
        parts = _write_message(message, names, version, lost)
        if message.role == "system":
            system += parts
            if turns and parts:
                lost.add("messages.system_position")
        elif turns and _continues(turns[-1], message):
            turns[-1]["parts"] += parts
            turns[-1]["parts"].sort(key=lambda part: message.role != "assistant" and "functionResponse" not in part)
        elif parts:
            turns.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
    if not turns and system:
        turns, system = [{"role": "user", "parts": system}], []
        lost.add("messages.system_position")
    if not turns:
        raise InvalidRequest("No message holds anything that this provider takes.", param="messages")
    if version >= _LEVELS_SINCE:
        _sign_first_calls(turns)
    return system, turns


def _continues(turn: Mapping[str, Any], message: Message) -> bool:
    """Whether a message belongs into the running turn: the model's do, all results of a turn's calls must stand in one,
    and what the user says with them stands there too.
    """
    if message.role == "assistant":
        return bool(turn["role"] == "model")
    results = ["functionResponse" in part for part in turn["parts"]]
    return any(results) if message.role == "tool" else all(results)


def _sign_first_calls(turns: Sequence[Mapping[str, Any]]) -> None:
    for turn in turns:
        calls = [part for part in turn["parts"] if "functionCall" in part]
        for first in calls[:1]:
            first.setdefault("thoughtSignature", UNSIGNED)


def _note_losses(message: Message, lost: Lost) -> None:
    if message.name:
        lost.add("messages.name")
    if any(getattr(part, "cache", None) for part in message.parts):
        lost.add("cache_control")


def _write_message(
    message: Message, names: Mapping[str, str], version: tuple[int, int], lost: Lost
) -> list[dict[str, Any]]:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    others = [part for part in message.parts if not isinstance(part, ToolResult)]
    written = [_write_result(result, names, version, lost) for result in results]
    behind = [] if version >= _LEVELS_SINCE else [_write_images(result, lost) for result in results]
    return [*written, *(part for parts in behind for part in parts), *write_parts(others, lost)]


def _write_result(result: ToolResult, names: Mapping[str, str], version: tuple[int, int], lost: Lost) -> dict[str, Any]:
    """A result; Google wants the function's name again. Images stand inside it since Gemini 3, else behind it."""
    told = "\n".join(part.text for part in result.parts if isinstance(part, Text))
    response = {
        "id": result.call_id,
        "name": names.get(result.call_id, result.call_id),
        "response": {"error": told} if result.is_error else _object(told) or ({"output": told} if told else {}),
    }
    images = _write_images(result, lost) if version >= _LEVELS_SINCE else []
    return {"functionResponse": response | ({"parts": images} if images else {})}


def _write_images(result: ToolResult, lost: Lost) -> list[dict[str, Any]]:
    return [write_image(part, lost) for part in result.parts if isinstance(part, Image)]


def _object(told: str) -> msgspec.Raw | None:
    """What is a JSON object goes as it is."""
    try:
        msgspec.json.decode(told, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return None
    return msgspec.Raw(told.encode())


def _write_tool(tool: Tool, lost: Lost) -> dict[str, Any]:
    if tool.cache is not None:
        lost.add("cache_control")
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parametersJsonSchema": tool.schema}


def _write_tool_config(request: Request, version: tuple[int, int], lost: Lost) -> dict[str, Any] | None:
    """The choice. Arguments keep to the schema in the modes ANY and VALIDATED, for all functions or none."""
    choice = request.tool_choice
    mode = _MODES[choice.mode] if choice is not None else "AUTO"
    strict = [tool.strict for tool in request.tools]
    if mode == "AUTO" and all(strict) and version >= _OLDEST_THINKING:
        mode = "VALIDATED"
    elif any(strict) and mode == "AUTO":
        lost.add("tools.strict")
    if choice is not None and choice.parallel is False:
        lost.add("parallel_tool_calls")
    if choice is None and mode == "AUTO":
        return None
    named = {"allowedFunctionNames": [choice.name]} if choice is not None and choice.mode == "tool" else {}
    return {"functionCallingConfig": {"mode": mode, **named}}


def _write_format(wanted: OutputFormat | None) -> dict[str, Any]:
    if wanted is None:
        return {}
    schema = {"responseJsonSchema": wanted.schema} if wanted.kind == "json_schema" else {}
    return {"responseMimeType": "application/json", **schema}


def _write_seed(seed: int | None, lost: Lost) -> int | None:
    if seed is not None and abs(seed) > _LARGEST_SEED:
        lost.add("seed")
        return None
    return seed


def _write_thinking(
    wanted: Reasoning | None, model: str, version: tuple[int, int], lost: Lost
) -> dict[str, Any] | None:
    """`thinkingConfig`, by the generation of the model: none before 2.5, a budget there, a level since 3 (which takes
    budgets too). Pro models cannot be kept from it.
    """
    if wanted is None:
        return None
    if version < _OLDEST_THINKING:
        if wanted.enabled:
            lost.add("reasoning")
        return None
    pro = "-pro" in model
    if not wanted.enabled:
        return _write_no_thinking(version, lost, pro=pro)
    config: dict[str, Any] = {"includeThoughts": True}
    if wanted.budget is not None:
        largest = _LARGEST_PRO_BUDGET if pro else _LARGEST_BUDGET
        if wanted.budget > largest:
            lost.add("reasoning.budget")
        return config | {"thinkingBudget": min(wanted.budget, largest)}
    if wanted.effort and wanted.effort not in _LEVELS:
        lost.add("reasoning.effort")
    elif wanted.effort and version < _LEVELS_SINCE:
        config["thinkingBudget"] = _BUDGETS[wanted.effort]
    elif wanted.effort:
        config["thinkingLevel"] = _level(wanted.effort, version, pro=pro)
    return config


def _write_no_thinking(version: tuple[int, int], lost: Lost, *, pro: bool) -> dict[str, Any]:
    if pro:
        lost.add("reasoning")
    if version >= _LEVELS_SINCE:
        return {"thinkingLevel": "LOW" if pro else "MINIMAL"}
    return {"thinkingBudget": _LEAST_PRO_BUDGET if pro else 0}


def _level(effort: str, version: tuple[int, int], *, pro: bool) -> str:
    """Pro models have no MINIMAL, and 3.0 Pro no MEDIUM."""
    if pro and effort == "minimal":
        return "LOW"
    return "HIGH" if pro and effort == "medium" and version == _LEVELS_SINCE else _LEVELS[effort]


def _version(model: str) -> tuple[int, int]:
    """The generation by the model's name; Gemini names without a number are the latest, other names think not."""
    found = _VERSION.search(model)
    if found is None:
        return _NEWEST if "gemini" in model else (0, 0)
    return int(found[1]), int(found[2] or 0)
