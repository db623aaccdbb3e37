"""After a failed attempt: may it be repeated, when, and does it speak against the provider? Pure, no clock, no sleep.

An attempt is repeated at the same provider only when it cost nothing: the provider refused it with a status, or the
request never left. One exception, and one only for a request: where the provider closed the connection before the
first byte of an answer, and was not asked again since, it is asked once more, as the pool does with kept connections.
It may have read the request, but most likely did not, and no answer was given. What timed out or broke inside an answer
may have been billed and goes to the next provider.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from dominion.domain import errors as e

LONGEST_HINT = 86_400.0
"""Seconds."""

_HTTP_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
_FIRST_BACKOFF = 0.25
_LONGEST_BACKOFF = 8.0
_DOUBLINGS = 5
_REPEATABLE = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT})
_INNOCENT = (e.ProviderRefused, e.ModelNotAvailable)


def told_wait(headers: Mapping[bytes, bytes], now: float) -> float | None:
    """Seconds that the provider's headers ask to wait, from 0 to LONGEST_HINT; None: nothing that can be read.

    `retry-after-ms` goes before `retry-after`, as in OpenAI's SDK; that one holds seconds or an HTTP date. `now` epoch
    seconds.
    """
    for name, unit in ((b"retry-after-ms", 1000), (b"retry-after", 1)):
        told = headers.get(name, b"").decode("latin-1")
        try:
            seconds = float(told) / unit
        except ValueError:
            seconds = _until(told) - now
        if abs(seconds) != float("inf") and seconds == seconds:  # noqa: PLR0124 - not a number is not equal to itself
            return min(max(seconds, 0.0), LONGEST_HINT)
    return None


def may_repeat(error: e.ProviderError, headers: Mapping[bytes, bytes] | None, repeats: int) -> bool:
    """Whether the same provider may be asked again, `repeats` times having been so.

    `headers` are those of the failed answer, None when no answer began. `x-should-retry` is the provider's last word.
    """
    if error.status is not None and headers is not None:
        told = headers.get(b"x-should-retry", b"").lower()
        if told in {b"true", b"false"} and not isinstance(error, e.ProviderRefused):
            return told == b"true"
    if isinstance(error, e.NetworkFailure):
        return not error.sent or (error.unanswered and repeats == 0)
    if isinstance(error, e.ProviderTimeout):
        return not error.sent or error.status is not None
    return isinstance(error, e.ProviderRateLimited | e.ProviderUnavailable) or error.status in _REPEATABLE


def backoff(repeats: int, chance: float) -> float:
    """Seconds before the next repeat: exponential with full jitter; `chance` from 0 to 1."""
    return chance * min(_FIRST_BACKOFF * 2.0 ** min(repeats, _DOUBLINGS), _LONGEST_BACKOFF)


def speaks_against(error: e.ProviderError) -> bool:
    """Whether the failure is the provider's: a fault of the request, or a model it does not have, proves it alive."""
    return not isinstance(error, _INNOCENT)


def _until(date: str) -> float:
    """Epoch seconds of an HTTP date (RFC 9110, 5.6.7); not a number for anything else."""
    for form in _HTTP_DATES:
        try:
            return datetime.strptime(date, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return float("nan")
