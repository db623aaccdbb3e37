"""Errors of the Anthropic Messages API, from providers and to callers. Never lets a credential through."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from dominion.domain import errors as e
from dominion.domain.messages import Failed
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat import errors as openai_chat_errors
from dominion.wire.openai_chat.errors import mask

_LEAST_ERROR = 400
_LONGEST_MESSAGE = 2000
_PAYMENT_REQUIRED = 402
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": _PAYMENT_REQUIRED,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_NO_MONEY = re.compile(rb"credit balance|spend_limit_reached|organization_on_hold|ramp_limit_exceeded", re.IGNORECASE)

_TYPES: Mapping[type[e.DominionError], str] = {
    e.TooLarge: "request_too_large",
    e.NotFound: "not_found_error",
    e.Conflict: "conflict_error",
    e.SwitchProposed: "conflict_error",
    e.Unauthenticated: "authentication_error",
    e.Forbidden: "permission_error",
    e.LimitExceeded: "rate_limit_error",
    e.CallerError: "invalid_request_error",
    e.OwnKeyRefused: "authentication_error",
    e.ProviderRateLimited: "rate_limit_error",
    e.ModelNotAvailable: "not_found_error",
    e.ProviderRefused: "invalid_request_error",
    e.ProviderTimeout: "timeout_error",
    e.ProviderUnavailable: "overloaded_error",
    e.StorageUnavailable: "overloaded_error",
    e.ShuttingDown: "overloaded_error",
    e.DominionError: "api_error",
}
"""Error classes to the API's types, most special first."""


class _Envelope(msgspec.Struct):
    error: Any = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def read_failure(body: bytes) -> Failed:
    """The provider's words in an error, whole or inside a stream, masked. Never raises: junk is told as it is."""
    try:
        told = decode_answer(_ENVELOPE, body).error
    except e.UnexpectedResponse:
        told = body[:_LONGEST_MESSAGE].decode(errors="replace")
    error = told if isinstance(told, dict) else {"message": told}
    message, kind = error.get("message"), error.get("type")
    words = mask(message[:_LONGEST_MESSAGE]) if isinstance(message, str) else ""
    return Failed(words, kind if isinstance(kind, str) else "")


def read_error(provider: str, status: int, body: bytes) -> e.ProviderError:
    """A provider's error answer, sorted into the tree. Never raises.

    Two things are Anthropic's own: an exhausted account is a 400 like any other, told by its words only; and an error
    inside a stream has the status of the stream, so its type must stand for the status.
    """
    sorted_by = status
    if status >= _LEAST_ERROR and _NO_MONEY.search(body):
        sorted_by = _PAYMENT_REQUIRED
    elif status < _LEAST_ERROR:
        sorted_by = _STATUSES.get(read_failure(body).kind, status)
    error = openai_chat_errors.read_error(provider, sorted_by, body)
    error.status = status
    return error


def error_fields(error: e.DominionError) -> dict[str, Any]:
    """The `error` object: the API's type and message, then what this gateway adds."""
    kind = next(name for known, name in _TYPES.items() if isinstance(error, known))
    if isinstance(error, e.QuotaExceeded) and error.kind == "monthly_spend_cap_usd":
        kind = "billing_error"  # answered with 402, which the vendor's SDKs do not retry
    fields: dict[str, Any] = {"type": kind, "message": error.message, "code": error.code, "action": error.action}
    return fields | error.details


def write_error(error: e.DominionError, request_id: str) -> bytes:
    """{"type": "error", "error": {"type", "message", "code", "action"}, "request_id"}, with its class's details."""
    return msgspec.json.encode({"type": "error", "error": error_fields(error), "request_id": request_id})
