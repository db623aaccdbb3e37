"""What is kept of attempts that failed, and what operators read of them. Never a charge, never a prompt."""

from collections.abc import Sequence
from typing import Any

from dominion.domain.contracts import Clock
from dominion.domain.errors import InvalidCredentials, ProviderError
from dominion.domain.records import AttemptRecord, Certainty, Outcome, UsageRow
from dominion.domain.stores import AttemptStore
from dominion.domain.usage import Usage, usd
from dominion.rules.prices.pricing import charge
from dominion.rules.windows import iso
from dominion.services.completions.metering import LARGEST_CHARGE, Meter
from dominion.services.limits.posting import Posting

_OK = 200


def failed_attempt(meter: Meter, error: ProviderError, at: float, latency_ms: int) -> AttemptRecord:
    """The record of the attempt that `meter` is in, before it forgets it. `at` epoch seconds."""
    usage, certainty = meter.seen.usage or Usage(), Certainty.MEASURED
    if meter.seen.usage is None and not _cost_nothing(error):
        usage, certainty = Usage(meter.likely_input), Certainty.UNKNOWN
    route = meter.route
    return AttemptRecord(
        request_id=meter.call.id,
        number=meter.failed + 1,
        at=int(at * 1000),
        provider=route.slot.row.id,
        model=route.sends,
        status=error.status or 0,
        code=error.code,
        latency_ms=latency_ms,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_nano=0 if route.price is None else min(charge(usage, route.price), LARGEST_CHARGE),
        certainty=int(certainty),
    )


def _cost_nothing(error: ProviderError) -> bool:
    """The provider refused it with a status, or the request never left."""
    refused = error.status is not None and error.status != _OK
    return refused or not error.sent or isinstance(error, InvalidCredentials)


class AttemptLog:
    """Attempts as operators read them, each request with what became of it."""

    def __init__(self, store: AttemptStore, posting: Posting, clock: Clock) -> None:
        self._store = store
        self._posting = posting
        self._clock = clock

    async def of_request(self, request_id: str) -> dict[str, Any]:
        """All attempts of one request."""
        await self._posting.flush()
        return await self._shown([request_id], await self._store.of_request(request_id))

    async def since(self, at: float, limit: int) -> dict[str, Any]:
        """The newest requests with a failed attempt at `at` (epoch seconds) or later; `limit` attempts at most."""
        await self._posting.flush()
        attempts = await self._store.since(int(at * 1000), limit)
        return await self._shown(list(dict.fromkeys(one.request_id for one in attempts)), attempts[::-1])

    async def _shown(self, ids: Sequence[str], attempts: Sequence[AttemptRecord]) -> dict[str, Any]:
        rows = {row.id: row for row in await self._store.rows(ids)}
        return {
            "requests": [
                {
                    "request_id": name,
                    "attempts": [_attempt(one) for one in attempts if one.request_id == name],
                    "ended": _row(rows[name]) if name in rows else None,
                }
                for name in ids
                if name in rows or attempts
            ]
        }


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "at": iso(attempt.at / 1000),
        "provider": attempt.provider,
        "model": attempt.model,
        "status": attempt.status or None,
        "code": attempt.code,
        "latency_ms": attempt.latency_ms,
        "input_tokens": attempt.input_tokens,
        "output_tokens": attempt.output_tokens,
        "cost_usd": usd(attempt.cost_nano),
        "certainty": Certainty(attempt.certainty).name.lower(),
    }


def _row(row: UsageRow) -> dict[str, Any]:
    return {
        "outcome": Outcome(row.outcome).name.lower(),
        "provider": row.provider,
        "model": row.model,
        "error": row.error or None,
        "latency_ms": row.latency_ms,
        "first_ms": row.first_ms,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cost_usd": usd(row.cost_nano),
        "own_key_list_usd": None if row.list_nano is None else usd(row.list_nano),
        "certainty": Certainty(row.certainty).name.lower(),
    }
