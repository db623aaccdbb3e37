"""Errors of the Gemini API, from providers and to callers. Never lets a credential through.

Google's shape is google.rpc.Status: {"error": {"code", "message", "status", "details"}}; in streams that are arrays, it
is the one element of an array. `code` repeats the HTTP status and is part of the body.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from dominion.domain import errors as e
from dominion.domain.messages import Failed
from dominion.wire.openai_chat import errors as openai_chat_errors
from dominion.wire.openai_chat.errors import mask

_LONGEST_MESSAGE = 2000
_UNAUTHENTICATED, _PAYMENT_REQUIRED, _TOO_MANY = 401, 402, 429
_BAD_KEY = re.compile(r"API_KEY_|CREDENTIALS_MISSING|ACCESS_TOKEN_|ACCOUNT_STATE_INVALID")
_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_TYPE = "type.googleapis.com/google.rpc."

_CODES = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""Google's HTTP statuses of its error words (google/rpc/code.proto)."""

_STATUSES: Mapping[type[e.DominionError], str] = {
    e.NotFound: "NOT_FOUND",
    e.Conflict: "ALREADY_EXISTS",
    e.SwitchProposed: "ABORTED",
    e.Unauthenticated: "UNAUTHENTICATED",
    e.Forbidden: "PERMISSION_DENIED",
    e.LimitExceeded: "RESOURCE_EXHAUSTED",
    e.CallerError: "INVALID_ARGUMENT",
    e.ProviderRateLimited: "RESOURCE_EXHAUSTED",
    e.ModelNotAvailable: "NOT_FOUND",
    e.ProviderRefused: "INVALID_ARGUMENT",
    e.ProviderTimeout: "DEADLINE_EXCEEDED",
    e.ProviderUnavailable: "UNAVAILABLE",
    e.StorageUnavailable: "UNAVAILABLE",
    e.ShuttingDown: "UNAVAILABLE",
    e.DominionError: "INTERNAL",
}
"""Error classes to Google's words, most special first."""


def read_error(provider: str, status: int, body: bytes) -> e.ProviderError:
    """A provider's error answer, sorted into the tree. Never raises.

    Google's own: a wrong key is a 400 like any other, told by its reason only; a day's quota is a 429 like a minute's,
    told by its name, and the wait that comes with it is none to wait for.
    """
    told = _tell(body)
    details = [detail for detail in _list(told.get("details")) if isinstance(detail, dict)]
    sorted_by = _sorted_by(status, details)
    error = openai_chat_errors.read_error(provider, sorted_by, body)
    error.status = status
    delays = (_SECONDS.fullmatch(str(detail.get("retryDelay"))) for detail in details)
    delay = next((float(found[1]) for found in delays if found), None)
    error.retry_after = error.retry_after if delay is None else delay
    return error


def failure_of(body: bytes) -> Failed:
    """The provider's words in an error inside a stream or an answer, masked."""
    told = _tell(body)
    message, kind = told.get("message"), told.get("status")
    words = mask(message[:_LONGEST_MESSAGE]) if isinstance(message, str) else ""
    return Failed(words, kind if isinstance(kind, str) else "")


def write_error(error: e.DominionError, request_id: str) -> bytes:
    """google.rpc.Status, with ErrorInfo for our code, action, request id and its class's details, and RetryInfo."""
    metadata = {"action": error.action, "request_id": request_id}
    metadata |= {name: "" if value is None else str(value) for name, value in error.details.items()}
    if error.param:
        metadata["param"] = error.param
    info = {"@type": f"{_TYPE}ErrorInfo", "reason": error.code.upper(), "domain": "dominion", "metadata": metadata}
    details: list[dict[str, Any]] = [info]
    if error.retry_after is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{error.retry_after:.3f}s"})
    status = next(word for known, word in _STATUSES.items() if isinstance(error, known))
    return _envelope(status, error.message, details=details)


def write_failure(failed: Failed) -> bytes:
    """A provider's error inside a stream."""
    return _envelope(failed.kind if failed.kind in _CODES else "INTERNAL", mask(failed.message))


def _envelope(status: str, message: str, **more: Any) -> bytes:
    error = {"code": _CODES[status], "message": message, "status": status, **more}
    return msgspec.json.encode({"error": error})


def _sorted_by(status: int, details: list[dict[str, Any]]) -> int:
    """The status by which the error is sorted."""
    reasons = " ".join(str(detail.get("reason")) for detail in details)
    quotas = [each for detail in details for each in _list(detail.get("violations")) if isinstance(each, dict)]
    if _BAD_KEY.search(reasons):
        return _UNAUTHENTICATED
    if "BILLING_DISABLED" in reasons:
        return _PAYMENT_REQUIRED
    if status == _TOO_MANY and any("PerDay" in str(quota.get("quotaId")) for quota in quotas):
        return _PAYMENT_REQUIRED
    return status


def _tell(body: bytes) -> dict[str, Any]:
    """The `error` object, or nothing."""
    try:
        told = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    told = told[0] if isinstance(told, list) and told else told
    error = told.get("error") if isinstance(told, dict) else None
    return error if isinstance(error, dict) else {"message": error}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
