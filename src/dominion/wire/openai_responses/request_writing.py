"""Requests for providers of OpenAI Responses. Never drops anything without naming it, and asks them to keep nothing."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from dominion.domain.contracts import Written
from dominion.domain.messages import (
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dominion.wire.openai_responses.items import write_image, write_reasoning

_WITHOUT_REASONING = re.compile(r"(?:^|[/.])(?:chat)?gpt-[34]")
"""Models that refuse to be asked for sealed reasoning."""
_LOW_BUDGET, _MEDIUM_BUDGET = 4_096, 16_384

Lost = dict[str, None]


def write_request(request: Request, *, model: str, output_cap: int | None) -> Written:
    """The request, and the names of what has no place in this dialect (or had none in the neutral form)."""
    lost = dict.fromkeys(request.unread)
    body: dict[str, Any] = {
        "model": model,
        "input": [item for message in request.messages for item in _write_message(message, lost)],
        "max_output_tokens": request.max_output if output_cap is None else output_cap,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "user": request.user or None,
        "text": _write_format(request.output_format),
        "reasoning": _write_reasoning(request.reasoning, lost),
        "stream": request.stream or None,
        "store": False,
    }
    if request.tools:
        body["tools"] = [_write_tool(tool, lost) for tool in request.tools]
        body |= _write_tool_choice(request.tool_choice)
    if not _WITHOUT_REASONING.search(model):
        body["include"] = ["reasoning.encrypted_content"]
    for name in ("top_k", "seed", "presence_penalty", "frequency_penalty"):
        if getattr(request, name) is not None:
            lost[name] = None
    if request.stop:
        lost["stop"] = None
    return Written(msgspec.json.encode({name: value for name, value in body.items() if value is not None}), tuple(lost))


def _write_message(message: Message, lost: Lost) -> Iterator[dict[str, Any]]:
    """The items of a turn: results of tools first, as the API wants them right after the calls."""
    if message.name:
        lost["messages.name"] = None
    if any(getattr(part, "cache", None) for part in message.parts):
        lost["cache_control"] = None
    yield from (_write_result(part, lost) for part in message.parts if isinstance(part, ToolResult))
    others = [part for part in message.parts if not isinstance(part, ToolResult)]
    if message.role == "assistant":
        for number, part in enumerate(others):
            yield from _write_spoken(part, f"call_{number}", lost)
    elif others or not message.parts:
        role = "user" if message.role == "tool" else message.role
        yield {"type": "message", "role": role, "content": _write_content(others, lost)}


def _write_spoken(part: Part, place: str, lost: Lost) -> Iterator[dict[str, Any]]:
    """A part of what the model has said. Thoughts that another API sealed or showed cannot be given to this one."""
    match part:
        case Text(text):
            yield {"type": "message", "role": "assistant", "content": text}
        case Refusal(text):
            refusal = {"type": "refusal", "refusal": text}
            yield {"type": "message", "role": "assistant", "content": [refusal]}
        case ToolCall(call_id, name, arguments, _, signature):
            if signature:
                lost["messages.tool_calls.signature"] = None
            call = {"type": "function_call", "call_id": call_id, "name": name}
            yield call | {"arguments": arguments or "{}"}
        case Thinking() if ":" in (part.signature or part.redacted):
            yield write_reasoning(part, place)
        case Thinking():
            lost["messages.thinking"] = None
        case _:
            lost["messages.image"] = None


def _write_result(result: ToolResult, lost: Lost) -> dict[str, Any]:
    if result.is_error:
        lost["tool_result.is_error"] = None
    output = _write_content(result.parts, lost)
    return {"type": "function_call_output", "call_id": result.call_id, "output": output}


def _write_content(parts: Sequence[Part], lost: Lost) -> str | list[dict[str, Any]]:
    """One text is written as a string, which every server takes; anything else as a list."""
    if any(getattr(part, "cache", None) for part in parts):
        lost["cache_control"] = None
    written: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            written.append({"type": "input_text", "text": part.text})
        elif isinstance(part, Image):
            written.append(write_image(part))
        else:
            lost[f"messages.content.{part.__struct_config__.tag}"] = None
    if not written:
        return ""
    return written[0]["text"] if len(written) == 1 and "text" in written[0] else written


def _write_tool(tool: Tool, lost: Lost) -> dict[str, Any]:
    """Other APIs take schemas as they are unless asked to be strict; this one is strict unless told not to be."""
    if tool.cache:
        lost["cache_control"] = None
    described = {"description": tool.description} if tool.description else {}
    return {
        "type": "function",
        "name": tool.name,
        **described,
        "parameters": tool.schema,
        "strict": tool.strict or False,
    }


def _write_tool_choice(choice: ToolChoice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    wanted = {"type": "function", "name": choice.name} if choice.mode == "tool" else choice.mode
    return {"tool_choice": wanted, "parallel_tool_calls": choice.parallel}


def _write_format(wanted: OutputFormat | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    if wanted.kind == "json_object":
        return {"format": {"type": "json_object"}}
    strict = {} if wanted.strict is None else {"strict": wanted.strict}
    return {"format": {"type": "json_schema", "name": wanted.name or "answer", "schema": wanted.schema, **strict}}


def _write_reasoning(wanted: Reasoning | None, lost: Lost) -> dict[str, Any] | None:
    """The effort; a budget of tokens becomes the nearest word. Thinking cannot be switched off but by a word."""
    if wanted is None:
        return None
    effort = wanted.effort
    if not effort and not wanted.enabled:
        lost["reasoning"] = None
    if not effort and wanted.enabled and wanted.budget is not None:
        effort = "low" if wanted.budget < _LOW_BUDGET else "medium" if wanted.budget < _MEDIUM_BUDGET else "high"
    written = {"effort": effort, "summary": wanted.summary}
    return {name: word for name, word in written.items() if word} or None
