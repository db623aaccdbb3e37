"""Errors of the Gemini API, from providers and to callers."""

import json
from typing import Any

import pytest

from dominion.domain import errors as e
from dominion.wire.gemini.dialect import GEMINI as DIALECT

TYPE = "type.googleapis.com/google.rpc."


def status(code: int, message: str, word: str = "", *details: dict[str, Any]) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": word, "details": details}}).encode()


def reason(name: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}ErrorInfo", "reason": name}


def quota(name: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}QuotaFailure", "violations": [{"quotaId": name}]}


def retry(delay: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}RetryInfo", "retryDelay": delay}


TOO_LONG = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."
EXHAUSTED = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (400, status(400, "API key not valid.", "INVALID_ARGUMENT", reason("API_KEY_INVALID")), e.InvalidCredentials),
        (400, status(400, "Renew it.", "INVALID_ARGUMENT", reason("API_KEY_INVALID")), e.InvalidCredentials),
        (401, status(401, "No.", "UNAUTHENTICATED", reason("CREDENTIALS_MISSING")), e.InvalidCredentials),
        (403, status(403, "No.", "PERMISSION_DENIED"), e.InvalidCredentials),
        (403, status(403, "No.", "PERMISSION_DENIED", reason("BILLING_DISABLED")), e.ProviderQuota),
        (400, status(400, TOO_LONG, "INVALID_ARGUMENT"), e.ContextOverflow),
        (429, status(429, TOO_LONG, "RESOURCE_EXHAUSTED"), e.ContextOverflow),
        (400, status(400, "Please use a valid role: user, model.", "INVALID_ARGUMENT"), e.ProviderRefused),
        (404, status(404, "models/x is not found for API version v1beta", "NOT_FOUND"), e.ModelNotAvailable),
        (404, status(404, "Publisher Model `x` not found.", "NOT_FOUND"), e.ModelNotAvailable),
        (429, status(429, EXHAUSTED, "RESOURCE_EXHAUSTED", quota("RequestsPerMinute-Free")), e.ProviderRateLimited),
        (429, status(429, EXHAUSTED, "RESOURCE_EXHAUSTED", quota("RequestsPerDay-Free")), e.ProviderQuota),
        (500, status(500, "Internal.", "INTERNAL"), e.ProviderUnavailable),
        (503, status(503, "The model is overloaded.", "UNAVAILABLE"), e.ProviderUnavailable),
        (504, status(504, "Deadline.", "DEADLINE_EXCEEDED"), e.ProviderTimeout),
        (503, b"[" + status(503, "The model is overloaded.", "UNAVAILABLE") + b"]", e.ProviderUnavailable),
        (200, status(503, "The model is overloaded.", "UNAVAILABLE"), e.ProviderUnavailable),
        (502, b"<html>Bad gateway</html>", e.ProviderUnavailable),
        (400, b'{"error":{"message":"a","details":[1,{"violations":[2],"retryDelay":3}]}}', e.ProviderRefused),
        (400, b'{"error":"a"}', e.ProviderRefused),
        (400, b"[" * 5000, e.ProviderRefused),
    ],
)
def test_an_error_is_sorted(code: int, body: bytes, expected: type[e.ProviderError]) -> None:
    error = DIALECT.read_error("Gemini", code, body)
    assert type(error) is expected
    assert error.status == code


@pytest.mark.parametrize(("delay", "seconds"), [("34.4s", 34.4), ("0s", 0.0), ("soon", None), ("1e9s", None)])
def test_the_wait_is_read_from_retry_info(delay: str, seconds: float | None) -> None:
    error = DIALECT.read_error("Gemini", 429, status(429, EXHAUSTED, "RESOURCE_EXHAUSTED", retry(delay)))
    assert error.retry_after == seconds


def test_the_words_of_a_refused_key_stay_out() -> None:
    body = status(400, "API key AIzaSyA1234567890abcdef not valid.", "INVALID_ARGUMENT", reason("API_KEY_INVALID"))
    error = DIALECT.read_error("Gemini", 400, body)
    assert "AIza" not in error.message
    assert error.verbatim == b""


def test_a_refusal_keeps_the_provider_s_own_body() -> None:
    body = status(400, "Please use a valid role: user, model.", "INVALID_ARGUMENT")
    assert DIALECT.read_error("Gemini", 400, body).verbatim == body


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (e.InvalidRequest("Bad.", param="contents"), 400, "INVALID_ARGUMENT"),
        (e.Unauthenticated("No key."), 401, "UNAUTHENTICATED"),
        (e.Forbidden("No."), 403, "PERMISSION_DENIED"),
        (e.UnknownModel("None such."), 404, "NOT_FOUND"),
        (e.ProviderRateLimited("Slow."), 429, "RESOURCE_EXHAUSTED"),
        (e.ContextOverflow("Long."), 400, "INVALID_ARGUMENT"),
        (e.ProviderTimeout("Late."), 504, "DEADLINE_EXCEEDED"),
        (e.ShuttingDown("Bye."), 503, "UNAVAILABLE"),
        (e.Internal("Defect."), 500, "INTERNAL"),
    ],
)
def test_an_error_is_told_as_google_tells_its_own(error: e.DominionError, code: int, word: str) -> None:
    told = json.loads(DIALECT.write_error(error, "req_1"))["error"]
    assert (told["code"], told["status"], told["message"]) == (code, word, error.message)
    (info,) = told["details"]
    assert (info["@type"], info["reason"]) == (f"{TYPE}ErrorInfo", error.code.upper())
    assert (info["metadata"]["action"], info["metadata"]["request_id"]) == (error.action, "req_1")


def test_a_limit_tells_its_numbers_and_when_to_come_again() -> None:
    limit = e.QuotaExceeded("Full.", kind="daily_tokens", limit=9, used=8, resets_at="2026-01-01", retry_after=2.5)
    info, again = json.loads(DIALECT.write_error(limit, "r"))["error"]["details"]
    assert info["metadata"] | {"limit": "9", "used": "8", "resets_at": "2026-01-01"} == info["metadata"]
    assert again == {"@type": f"{TYPE}RetryInfo", "retryDelay": "2.500s"}
    assert DIALECT.read_error("Dominion", 429, DIALECT.write_error(limit, "r")).retry_after == 2.5
