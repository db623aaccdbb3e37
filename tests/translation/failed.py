"""Errors as each provider's API writes them (reference/providers.md 1.13, recordings), and what they are to us."""

from types import MappingProxyType
from typing import Any, NamedTuple

from dominion.domain import errors as e


class Failure(NamedTuple):
    """One way to fail; `bodies` the status and body by dialect."""

    kind: type[e.ProviderError]
    bodies: MappingProxyType[str, tuple[int, Any]]


def _failure(kind: type[e.ProviderError], **bodies: tuple[int, Any]) -> Failure:
    return Failure(kind, MappingProxyType(bodies))


def _openai(code: str | None, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_9"}


def _google(code: int, status: str, message: str, **detail: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": [detail] if detail else []}}


_BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
_TOO_LONG = "This model's maximum context length is 9 tokens."

FAILED = (
    _failure(
        e.ProviderRateLimited,
        openai_chat=(429, _openai("rate_limit_exceeded", "Rate limit reached.")),
        openai_responses=(429, _openai("rate_limit_exceeded", "Rate limit reached.")),
        anthropic_messages=(429, _anthropic("rate_limit_error", "Too many.")),
        gemini=(429, _google(429, "RESOURCE_EXHAUSTED", "Too many.")),
        bedrock_converse=(429, {"message": "Too many requests, please wait before trying again."}),
        ollama_chat=(429, {"error": "too many requests"}),
    ),
    _failure(
        e.ContextOverflow,
        openai_chat=(400, _openai("context_length_exceeded", _TOO_LONG)),
        openai_responses=(400, _openai("context_length_exceeded", _TOO_LONG)),
        anthropic_messages=(400, _anthropic("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum")),
        gemini=(400, _google(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum.")),
        bedrock_converse=(400, {"message": "Input is too long for requested model."}),
        ollama_chat=(400, {"error": "the prompt is too long; exceeds the available context size"}),
    ),
    _failure(
        e.InvalidCredentials,
        openai_chat=(401, _openai("invalid_api_key", "Incorrect API key provided.")),
        openai_responses=(401, _openai("invalid_api_key", "Incorrect API key provided.")),
        anthropic_messages=(401, _anthropic("authentication_error", "invalid x-api-key")),
        gemini=(400, _google(400, "INVALID_ARGUMENT", "API key not valid.", **_BAD_KEY)),
        bedrock_converse=(403, {"message": "The security token included in the request is invalid."}),
        ollama_chat=(401, {"error": "unauthorized"}),
    ),
    _failure(
        e.ModelNotAvailable,
        openai_chat=(404, _openai("model_not_found", "The model `x` does not exist.")),
        openai_responses=(404, _openai("model_not_found", "The model `x` does not exist.")),
        anthropic_messages=(404, _anthropic("not_found_error", "model: x")),
        gemini=(404, _google(404, "NOT_FOUND", "models/x is not found for API version v1beta.")),
        bedrock_converse=(400, {"message": "The provided model identifier is invalid."}),
        ollama_chat=(404, {"error": "model 'x' not found"}),
    ),
    _failure(
        e.ProviderUnavailable,
        openai_chat=(503, _openai(None, "Overloaded.")),
        openai_responses=(503, _openai(None, "Overloaded.")),
        anthropic_messages=(529, _anthropic("overloaded_error", "Overloaded")),
        gemini=(503, _google(503, "UNAVAILABLE", "The model is overloaded.")),
        bedrock_converse=(503, {"message": "Bedrock is unable to process your request."}),
        ollama_chat=(503, {"error": "server busy, please try again"}),
    ),
    _failure(
        e.ProviderRefused,
        openai_chat=(400, _openai(None, "Bad value.")),
        openai_responses=(400, _openai(None, "Bad value.")),
        anthropic_messages=(400, _anthropic("invalid_request_error", "Bad value.")),
        gemini=(400, _google(400, "INVALID_ARGUMENT", "Bad value.")),
        bedrock_converse=(400, {"message": "Bad value."}),
        ollama_chat=(400, {"error": "bad value"}),
    ),
)
