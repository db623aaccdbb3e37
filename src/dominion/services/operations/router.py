"""What operators ask about the router: its state, and every attempt that it made."""

from datetime import UTC, datetime
from typing import Any, Protocol

from dominion.domain.contracts import Clock
from dominion.domain.errors import InvalidRequest
from dominion.services.completions.attempt_records import AttemptLog
from dominion.services.operations.table import Asked, Operation

_HOUR = 3600.0


class Known(Protocol):
    """One router, or all of them together."""

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """What is known of each provider, by its id."""


def of_router(router: Known, log: AttemptLog, clock: Clock) -> tuple[Operation, ...]:
    """The rows of the table."""

    async def state(_: Asked) -> Any:
        return {"providers": router.snapshot()}

    async def attempts(asked: Asked) -> Any:
        if request_id := asked.query.get("request_id"):
            return await log.of_request(request_id)
        since = asked.query.get("since")
        return await log.since(_epoch(since) if since else clock.now() - _HOUR, asked.number("limit", 100, 1_000))

    known = "Breaker, attempts and latency of each provider that was asked since the start, by all workers together"
    made = "Attempts that failed, and how their requests ended; query: request_id, or since (ISO 8601) and limit"
    return (
        Operation("router", "GET", "/admin/router", "admin", known, state),
        Operation("attempts", "GET", "/admin/attempts", "admin", made, attempts),
    )


def _epoch(text: str) -> float:
    """ISO 8601 as epoch seconds; without an offset it is UTC. Raises InvalidRequest."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest("since is a time like 2026-01-05T12:00:00Z.", param="since") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
