"""What ages is renewed once for all who wait; what is still good stays in use when that fails. Never shows a token."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from dominion.domain.contracts import Clock
from dominion.domain.errors import (
    ConfigProblem,
    DominionError,
    InvalidCredentials,
    NetworkFailure,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    StorageUnavailable,
)

LOG = logging.getLogger("dominion.sign_in")
PAUSE = 10.0
"""Seconds without a new attempt after one that was refused, or after one that succeeded: a provider that refuses every
token must not make every request renew one."""
SHORT_PAUSE = 1.0
"""The same after an attempt that failed on its way."""
LONGEST_PAUSE = 60.0

T = TypeVar("T")


class Lease(msgspec.Struct, Generic[T], frozen=True):
    """Something good until `dies_at`, to be renewed from `renew_at` on; both in epoch seconds."""

    value: T
    renew_at: float
    dies_at: float


class Renewal(Generic[T]):
    """The present value, renewed by `renew`, which is given the lease to be replaced (None: the first).

    Between `renew_at` and `dies_at` nobody waits: the old value is handed out while the new one is on its way.
    """

    def __init__(self, name: str, renew: Callable[[Lease[T] | None], Awaitable[Lease[T]]], clock: Clock) -> None:
        """`name` is the provider's, for sentences."""
        self._name = name
        self._renew = renew
        self._clock = clock
        self._lease: Lease[T] | None = None
        self._task: asyncio.Task[Lease[T] | ProviderError] | None = None
        self._failure: ProviderError | None = None
        self._refused = False
        self._renewed_at = float("-inf")
        self._quiet_until = float("-inf")

    async def current(self) -> T:
        """The value. Raises the ProviderError of a failed renewal when there is no value that is still good."""
        lease, now = self._lease, self._clock.now()
        if lease is not None and not self._refused:
            if now >= lease.renew_at:
                self._begin()
            if now < lease.dies_at:
                return lease.value
        task = self._begin()
        # Shielded: the renewal belongs to all who wait, not to the one who leaves first.
        outcome = self._failure if task is None else await asyncio.shield(task)
        if isinstance(outcome, Lease):
            return outcome.value
        assert outcome is not None  # noqa: S101 - without a task there was a failure
        raise outcome.with_traceback(None)  # one error, raised by many

    def refused(self) -> None:
        """The provider refused the value: renew before the next use.

        Ignored shortly after a renewal: requests that were under way with the old value are refused late.
        """
        if self._lease is not None and self._clock.monotonic() - self._renewed_at >= PAUSE:
            self._refused = True

    def _begin(self) -> asyncio.Task[Lease[T] | ProviderError] | None:
        """The renewal under way, a new one, or None while it is too early for another attempt."""
        if self._task is None:
            if self._failure is not None and self._clock.monotonic() < self._quiet_until:
                return None
            self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    async def _run(self) -> Lease[T] | ProviderError:
        """Failures are returned, not raised: perhaps nobody waits."""
        try:
            lease = await self._renew(self._lease)
        except DominionError as error:
            return self._failed(error)
        finally:
            self._task = None
        soon = self._clock.now() + PAUSE  # what was given this moment is good, whatever the two clocks say
        lease = Lease(lease.value, max(lease.renew_at, soon), max(lease.dies_at, soon))
        self._lease, self._failure, self._refused = lease, None, False
        self._renewed_at = self._clock.monotonic()
        return lease

    def _failed(self, error: DominionError) -> ProviderError:
        failure = _as_provider_error(self._name, error)
        pause = SHORT_PAUSE if failure.retryable else PAUSE
        self._quiet_until = self._clock.monotonic() + min(max(pause, failure.retry_after or 0), LONGEST_PAUSE)
        self._failure = failure
        LOG.warning("%s: the sign-in could not be renewed: %s", self._name, failure.message)
        return failure


def _as_provider_error(name: str, error: DominionError) -> ProviderError:
    """What `Authority.headers` may raise. Nothing of the request itself has been sent."""
    if isinstance(error, NetworkFailure | ProviderTimeout):
        error.sent = False
    if isinstance(error, ProviderError):
        error.provider = name
        return error
    if isinstance(error, StorageUnavailable):
        return ProviderUnavailable(f"{name}: {error.message}", provider=name, action=error.action)
    action = error.action if isinstance(error, ConfigProblem) else None
    return InvalidCredentials(f"{name}: {error.message}", provider=name, action=action)
