"""Neutral requests written as requests of OpenAI chat completions. Never drops anything without naming it."""

from collections.abc import Sequence
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
from dominion.wire.openai_chat.shapes import write_call, write_details, write_image
from dominion.wire.openai_chat.spelling import OPENAI, Spelling

_LOW_BUDGET, _MEDIUM_BUDGET = 4_096, 16_384


def write_request(request: Request, *, model: str, cap: int | None, spelling: Spelling = OPENAI) -> Written:
    """The request, and the names of what has no place in this dialect (or had none in the neutral form)."""
    lost = dict.fromkeys(request.unread)
    body: dict[str, Any] = {
        "model": model,
        "messages": _write_messages(request.messages, lost, details=spelling.details),
    }
    if spelling.signed not in model:
        _drop_signatures(body["messages"], lost)
    cap = request.max_output if cap is None else cap
    body[spelling.cap_field(model)] = cap
    if request.tools:
        body["tools"] = [_write_tool(tool, lost) for tool in request.tools]
        _write_tool_choice(request.tool_choice, body, spelling)
    body |= {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": list(request.stop) or None,
        spelling.seed: request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "user": request.user or None,
        "response_format": _write_format(request.output_format),
        "reasoning_effort": _write_effort(request.reasoning, lost),
    }
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.top_k is not None:
        lost["top_k"] = None
    return Written(msgspec.json.encode({name: value for name, value in body.items() if value is not None}), tuple(lost))


def _write_messages(messages: tuple[Message, ...], lost: dict[str, None], *, details: bool) -> list[dict[str, Any]]:
    """Tool results become messages of their own, before the rest of their turn. Results hold text only, so their
    images follow in a message of the user, after the last of the results (nothing may come between those).
    """
    written: list[dict[str, Any]] = []
    images: list[Part] = []
    for message in messages:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        others = [part for part in message.parts if not isinstance(part, ToolResult)]
        for result in results:
            written.append(_write_result(result, lost))
            pictures = [part for part in result.parts if isinstance(part, Image)]
            if pictures:
                images += [Text(f"Images in the result of {result.call_id}:"), *pictures]
        if others or not results:
            if images:
                written.append({"role": "user", "content": _write_content(images, lost)})
                images = []
            written.append(_write_message(message, others, lost, details=details))
    if images:
        written.append({"role": "user", "content": _write_content(images, lost)})
    return written


def _write_result(result: ToolResult, lost: dict[str, None]) -> dict[str, Any]:
    if result.is_error:
        lost["tool_result.is_error"] = None
    if result.cache:
        lost["cache_control"] = None
    texts = [part for part in result.parts if isinstance(part, Text)]
    return {"role": "tool", "tool_call_id": result.call_id, "content": _write_content(texts, lost)}


def _write_message(message: Message, parts: Sequence[Part], lost: dict[str, None], *, details: bool) -> dict[str, Any]:
    role = "user" if message.role == "tool" else message.role
    name = {"name": message.name} if message.name else {}
    if role != "assistant":
        return {"role": role, **name, "content": _write_content(parts, lost)}
    calls = [part for part in parts if isinstance(part, ToolCall)]
    texts = [part for part in parts if isinstance(part, Text)]
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    content = _write_content(texts, lost) if texts or not (calls or refusal) else None
    written: dict[str, Any] = {"role": role, **name, "content": content}
    if any(isinstance(part, Image) for part in parts):
        lost["messages.image"] = None
    if refusal:
        written["refusal"] = refusal
    _write_thinking([part for part in parts if isinstance(part, Thinking)], written, lost, details=details)
    if calls:
        written["tool_calls"] = [write_call(call) for call in calls]
    if any(call.cache for call in calls):
        lost["cache_control"] = None
    return written


def _write_thinking(thoughts: list[Thinking], written: dict[str, Any], lost: dict[str, None], *, details: bool) -> None:
    """Reasoning without a signature came from a provider of this dialect, and most of those want it back as it was
    (DeepSeek, Z.AI, Kimi in tool loops). Signed or sealed reasoning belongs to another API, unless there are `details`.
    """
    sealed = any(part.signature or part.redacted for part in thoughts)
    if sealed and details:
        written["reasoning_details"] = write_details(thoughts)
        return
    if sealed:
        lost["messages.thinking"] = None
    open_text = "".join(part.text for part in thoughts if not part.signature and not part.redacted)
    if open_text:
        written["reasoning_content"] = open_text


def _drop_signatures(messages: list[dict[str, Any]], lost: dict[str, None]) -> None:
    for message in messages:
        for call in message.get("tool_calls", ()):
            if call.pop("extra_content", None):
                lost["messages.tool_calls.signature"] = None


def _write_content(parts: Sequence[Part], lost: dict[str, None]) -> str | list[dict[str, Any]]:
    """One text is written as a string, which every server takes; anything else as a list."""
    if any(getattr(part, "cache", None) for part in parts):
        lost["cache_control"] = None
    written: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            written.append({"type": "text", "text": part.text})
        elif isinstance(part, Image):
            written.append(write_image(part))
        else:
            lost[f"messages.content.{part.__struct_config__.tag}"] = None
    if not written:
        return ""
    return written[0]["text"] if len(written) == 1 and "text" in written[0] else written


def _write_tool(tool: Tool, lost: dict[str, None]) -> dict[str, Any]:
    if tool.cache:
        lost["cache_control"] = None
    function: dict[str, Any] = {"name": tool.name, "description": tool.description or None}
    function |= {"parameters": tool.schema, "strict": tool.strict}
    return {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def _write_tool_choice(choice: ToolChoice | None, body: dict[str, Any], spelling: Spelling) -> None:
    if choice is None:
        return
    if choice.mode == "tool":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    else:
        body["tool_choice"] = spelling.required if choice.mode == "required" else choice.mode
    body["parallel_tool_calls"] = choice.parallel


def _write_format(wanted: OutputFormat | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    strict = {} if wanted.strict is None else {"strict": wanted.strict}
    schema = {"name": wanted.name or "answer", "schema": wanted.schema, **strict}
    return {"type": "json_schema", "json_schema": schema}


def _write_effort(reasoning: Reasoning | None, lost: dict[str, None]) -> str | None:
    """The effort; a budget of tokens becomes the nearest word. Thinking cannot be switched off but by a word."""
    if reasoning is None or reasoning.effort:
        return reasoning.effort if reasoning else None
    if not reasoning.enabled:
        lost["reasoning"] = None
        return None
    if reasoning.budget is None:
        return None
    return "low" if reasoning.budget < _LOW_BUDGET else "medium" if reasoning.budget < _MEDIUM_BUDGET else "high"
