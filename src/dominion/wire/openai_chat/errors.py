"""Errors of OpenAI chat completions, from providers and to callers. Never lets a credential through.

Compatible providers agree on nothing here (reference/providers.md 1.13), so a provider's error is sorted by its status
and by the words in it, wherever they stand.
"""

import re
from collections.abc import Container, Mapping
from typing import Any, NamedTuple

import msgspec

from dominion.domain import errors as e

_LONGEST_MESSAGE = 500
_LONGEST_SEARCHED = 20_000

_SECRET = re.compile(
    r"\b(?:sk|rk|dom|gsk|xai|csk|pplx|hf|nvapi|fw|tgp|gh[pousr])[-_][\w*.-]{6,}|\b(?:AIza|AKIA|ya29\.|eyJ)[\w*.-]{10,}"
    r"|(?P<label>(?<![A-Za-z])(?:key|token|secret|password|bearer|authorization)\W{1,4}(?:(?:provided|is|was)\W{1,3})?)"
    r"(?P<labelled>[\w+/=*.-]{8,})"
    r"|(?P<long>[A-Za-z0-9+/]{32,})",
    re.IGNORECASE,
)
_AGAIN_IN = re.compile(
    r"(?:again|retry)\D{1,20}?(?=\d)(?:(\d{1,4})h)?(?:(\d{1,4})m(?!s))?(?:(\d{1,6}(?:\.\d{1,6})?)(ms|s|\s+second))?",
    re.IGNORECASE,
)
_RETRY_INFO = re.compile(rb'"retryDelay": ?"(\d{1,6}(?:\.\d{1,9})?)s"')

_OVERFLOW = (
    r"context[_ ]length|context[_ ]window|exceed_context_size|exceeds? the (?:available )?context"
    r"|prompt (?:is )?too long|input token count|input tokens exceeded|too_many_(?:prompt_)?tokens"
    r"|too many (?:input|prompt) tokens|reduce the length of the (?:messages|prompt|input)"
)
_NO_MODEL = (
    r"model_decommissioned|(?:unknown|invalid|no such) model\b|not a valid model"
    r"|\bmodel\W{1,4}\S{1,100} (?:does not exist|(?:is )?not (?:found|supported)|has been (?:decom|deprec))"
)
_RULES: tuple[tuple[Container[int], re.Pattern[str] | None, type[e.ProviderError]], ...] = tuple(
    (statuses, re.compile(words, re.IGNORECASE) if words else None, kind)
    for statuses, words, kind in (
        (range(600), r"\bmodel_not_found\b", e.ModelNotAvailable),  # OpenAI: also 403, for a project without access
        (
            {403, 429},
            r"insufficient[_ ](?:quota|balance|credit|funds)|billing_|(?:out of|available) credits",
            e.ProviderQuota,
        ),
        ({401, 403}, "", e.InvalidCredentials),
        (
            {400},
            r"(?:incorrect|invalid|missing|no)[ _]api[ _]?key|api[ _]key[ _](?:not |in)valid",
            e.InvalidCredentials,
        ),
        ({402}, "", e.ProviderQuota),
        ({429}, r"per (?:second|minute|hour|day)\b|quota_exceeded|too_many_tokens_error", e.ProviderRateLimited),
        ({400, 413, 422, 429, 500}, _OVERFLOW, e.ContextOverflow),
        ({429}, "", e.ProviderRateLimited),
        ({413}, "rate_limit_exceeded", e.ProviderRateLimited),  # Groq: more tokens than a minute allows
        ({404}, "model|deployment|endpoint", e.ModelNotAvailable),
        ({400, 422}, _NO_MODEL, e.ModelNotAvailable),
        ({400, 413, 415, 422}, "", e.ProviderRefused),
        ({408, 504, 524}, "", e.ProviderTimeout),
        ({498, *range(500, 600)}, "", e.ProviderUnavailable),  # 498 at Groq: no capacity
    )
)
"""Statuses and words that must both fit, and the class; the first that fits holds."""

_MESSAGES: Mapping[type[e.ProviderError], str] = {
    e.InvalidCredentials: "Your {provider} API key is invalid. Please check and try again.",
    e.ProviderQuota: "You've hit your {provider} usage cap. Upgrade your plan or use another provider.",
    e.ProviderRateLimited: "{provider} rate limit hit.",
    e.ModelNotAvailable: "This model is unavailable at {provider} right now.",
    e.ContextOverflow: "The conversation is longer than the model's context window.",
    e.ProviderRefused: "{provider} refused the request.",
    e.ProviderTimeout: "{provider} did not answer in time.",
    e.ProviderUnavailable: "{provider} is unavailable right now.",
    e.UnexpectedResponse: "{provider} answered something unexpected (status {status}).",
}

_TYPES: Mapping[type[e.DominionError], tuple[str, str | None]] = {
    e.Unauthenticated: ("authentication_error", "invalid_api_key"),
    e.Forbidden: ("permission_error", None),
    e.QuotaExceeded: ("insufficient_quota", "insufficient_quota"),
    e.LimitExceeded: ("rate_limit_error", "rate_limit_exceeded"),
    e.CallerError: ("invalid_request_error", None),
    e.OwnKeyRefused: ("authentication_error", None),
    e.ProviderRateLimited: ("rate_limit_error", "rate_limit_exceeded"),
    e.ModelNotAvailable: ("invalid_request_error", "model_not_found"),
    e.ProviderRefused: ("invalid_request_error", None),
    e.DominionError: ("server_error", None),
}
"""Error classes to OpenAI's type and code (None: our own), most special first."""


class Told(NamedTuple):
    """What a provider's error says, wherever it stands in its body: all texts, and a status if the body names one."""

    message: str = ""
    kind: str = ""
    code: str = ""
    status: int | None = None
    enveloped: bool = False


def mask(text: str) -> str:
    """The text without anything that looks like a credential."""
    return _SECRET.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    """Words are no secrets: what has no sure prefix must hold a digit or a mask to be one, and if long, letters too."""
    labelled, long = found["labelled"], found["long"]
    if labelled:
        return found["label"] + ("[masked]" if re.search(r"[\d*]", labelled) else mask(labelled))
    return found[0] if long and (long.isalpha() or long.isdecimal()) else "[masked]"


def tell(value: object) -> Told:
    """The error in a decoded body, in every shape that compatible providers use."""
    if isinstance(value, list) and value:  # Gemini's compatible API
        value = value[0]
    if not isinstance(value, dict):
        return Told(_text(value))
    error = value.get("error")
    if not isinstance(error, dict):  # xAI {"code", "error": "text"}, Mistral {"detail"} or {"message"}, HF {"error"}
        error = {**value, "message": error or value.get("message") or value.get("detail")}
    code = error.get("code")
    message = _text(error.get("message"))
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and metadata.get("raw"):  # OpenRouter: what the provider behind it said
        message = f"{message}: {_text(metadata['raw'])}"
    status = code if isinstance(code, int) and not isinstance(code, bool) else None
    return Told(message, _text(error.get("type")), _text(code), status, isinstance(value.get("error"), dict))


def read_error(provider: str, status: int, body: bytes) -> e.ProviderError:
    """A provider's error answer, sorted into the tree. Never raises.

    A refusal that holds nothing secret also keeps the provider's own body, for callers of this dialect.
    """
    try:
        told = tell(msgspec.json.decode(body))
    except (ValueError, RecursionError):
        plain = body[:_LONGEST_MESSAGE].decode(errors="replace").strip()
        told = Told("" if plain.startswith("<") else plain)
    if status == 200 and told.status:  # noqa: PLR2004 - OpenRouter sends errors in answers that began well
        status = told.status
    words = f"{told.code} {told.kind} {told.message}"[:_LONGEST_SEARCHED]
    kind = _sort(status, words)
    retry_after = _retry_after(words, body[:_LONGEST_SEARCHED])
    error = kind(_sentence(kind, provider, status, told), provider=provider, status=status, retry_after=retry_after)
    if isinstance(error, e.ProviderRefused | e.ModelNotAvailable) and told.enveloped and len(body) < _LONGEST_SEARCHED:
        whole = body.decode(errors="replace")
        error.verbatim = body if mask(whole) == whole else b""
    elif isinstance(error, e.UnexpectedResponse):
        error.body = mask(body[:_LONGEST_MESSAGE].decode(errors="replace"))
    return error


def write_error(error: e.DominionError, request_id: str) -> bytes:
    """{"error": {"message", "type", "param", "code", "action", "request_id"}}, with the details of its class."""
    kind, code = next(found for known, found in _TYPES.items() if isinstance(error, known))
    body: dict[str, Any] = {"message": error.message, "type": kind, "param": error.param, "code": code or error.code}
    body |= {"action": error.action, "request_id": request_id} | error.details
    return msgspec.json.encode({"error": body})


def _sort(status: int, words: str) -> type[e.ProviderError]:
    fitting = (
        kind for statuses, pattern, kind in _RULES if status in statuses and (not pattern or pattern.search(words))
    )
    return next(fitting, e.UnexpectedResponse)


def _sentence(kind: type[e.ProviderError], provider: str, status: int, told: Told) -> str:
    """Our sentence, and the provider's words. Those of a refused credential may quote it, so they stay out."""
    ours = _MESSAGES[kind].format(provider=provider, status=status)
    theirs = (
        ""
        if status in {401, 403} or kind is e.InvalidCredentials
        else mask(" ".join(told.message.split()))[:_LONGEST_MESSAGE]
    )
    return f"{ours} It says: {theirs}" if theirs else ours


def _retry_after(words: str, body: bytes) -> float | None:
    """Seconds, from Google's RetryInfo, or texts such as "try again in 7m12.5s" (OpenAI, Groq), "retry after 6 seconds"
    (Azure)."""
    if told := _RETRY_INFO.search(body):
        return float(told[1])
    found = _AGAIN_IN.search(words)
    if not found or not any(found.groups()):
        return None
    hours, minutes, amount, unit = found.groups()
    seconds = float(amount or 0) / (1000 if unit == "ms" else 1)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds


def _text(value: object, levels: int = 3) -> str:
    """A text from whatever stands where a text should: Mistral and FastAPI servers send lists of objects with `msg`."""
    if isinstance(value, str):
        return value
    if value is None or not levels:
        return ""
    if isinstance(value, dict):
        return _text(value.get("msg") or value.get("message") or value.get("detail"), levels - 1)
    if isinstance(value, list):
        return "; ".join(filter(None, (_text(each, levels - 1) for each in value[:10])))
    return str(value)
