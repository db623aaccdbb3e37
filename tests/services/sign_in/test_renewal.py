"""services/sign_in/renewal.py: one renewal for all, the old value while it is good, no storms, no token in a log."""

import asyncio
import logging

import pytest

from dominion.domain.errors import (
    ConfigProblem,
    DominionError,
    InvalidCredentials,
    NetworkFailure,
    ProviderRateLimited,
    ProviderUnavailable,
    StorageUnavailable,
)
from dominion.services.sign_in.renewal import Lease, Renewal
from tests.services.clocks import HandClock

LIFE = 100.0
EARLY = 20.0


class Issuer:
    """Gives tokens named by number. Waits at `gate`, raises `failure` when there is one."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.renewal = Renewal("Provider", self.issue, clock)
        self.count = 0
        self.seen: list[str | None] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None

    async def ended(self) -> None:
        """Let the renewal in the background end."""
        assert self.renewal._task is not None
        await self.renewal._task

    async def issue(self, before: Lease[str] | None) -> Lease[str]:
        self.count += 1
        self.begun.set()
        self.seen.append(before.value if before else None)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        now = self.clock.now()
        return Lease(f"token-{self.count}", now + LIFE - EARLY, now + LIFE)


@pytest.fixture
def issuer() -> Issuer:
    """With a clock that the test moves."""
    return Issuer(HandClock())


async def test_fifty_waiters_share_one_renewal(issuer: Issuer) -> None:
    issuer.gate.clear()
    waiters = [asyncio.create_task(issuer.renewal.current()) for _ in range(50)]
    await issuer.begun.wait()
    issuer.gate.set()
    assert set(await asyncio.gather(*waiters)) == {"token-1"}
    assert await issuer.renewal.current() == "token-1"
    assert issuer.count == 1


async def test_a_waiter_that_leaves_takes_the_renewal_from_nobody(issuer: Issuer) -> None:
    issuer.gate.clear()
    leaving, staying = (asyncio.create_task(issuer.renewal.current()) for _ in range(2))
    await issuer.begun.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    issuer.gate.set()
    assert await staying == "token-1"
    assert issuer.count == 1


async def test_nobody_waits_while_the_old_value_is_still_good(issuer: Issuer) -> None:
    await issuer.renewal.current()
    issuer.clock.move(LIFE - EARLY)
    issuer.gate.clear()
    assert [await issuer.renewal.current() for _ in range(50)] == ["token-1"] * 50
    issuer.gate.set()
    await issuer.ended()
    assert await issuer.renewal.current() == "token-2"
    assert issuer.seen == [None, "token-1"]


async def test_the_old_value_serves_on_when_its_renewal_fails_until_it_dies(issuer: Issuer) -> None:
    await issuer.renewal.current()
    issuer.clock.move(LIFE - EARLY)
    issuer.failure = NetworkFailure("down")
    assert await issuer.renewal.current() == "token-1"
    await issuer.ended()
    assert await issuer.renewal.current() == "token-1"
    assert issuer.count == 2, "the next attempt waits a little"
    issuer.clock.move(EARLY)
    with pytest.raises(NetworkFailure) as caught:
        await issuer.renewal.current()
    assert caught.value.sent is False
    issuer.failure = None
    issuer.clock.move(1)
    assert await issuer.renewal.current() == "token-4"


async def test_fifty_waiters_share_one_failure_and_the_next_request_does_not_try_at_once(issuer: Issuer) -> None:
    issuer.failure = InvalidCredentials("dead")
    results = await asyncio.gather(*(issuer.renewal.current() for _ in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {InvalidCredentials}
    with pytest.raises(InvalidCredentials, match="dead"):
        await issuer.renewal.current()
    assert issuer.count == 1
    issuer.clock.move(10)
    issuer.failure = None
    assert await issuer.renewal.current() == "token-2"


async def test_a_rate_limit_is_waited_for(issuer: Issuer) -> None:
    issuer.failure = ProviderRateLimited("slowly", retry_after=45)
    for seconds in (0, 44):
        issuer.clock.move(seconds)
        with pytest.raises(ProviderRateLimited):
            await issuer.renewal.current()
    assert issuer.count == 1
    issuer.clock.move(1)
    issuer.failure = None
    assert await issuer.renewal.current() == "token-2"


async def test_a_refused_value_is_renewed_before_its_time_and_never_used_again(issuer: Issuer) -> None:
    await issuer.renewal.current()
    issuer.clock.move(11)
    issuer.renewal.refused()
    issuer.failure = NetworkFailure("down")
    with pytest.raises(NetworkFailure):
        await issuer.renewal.current()
    issuer.failure = None
    issuer.clock.move(1)
    assert await issuer.renewal.current() == "token-3"


async def test_late_refusals_of_the_old_value_do_not_renew_the_new_one(issuer: Issuer) -> None:
    await issuer.renewal.current()
    issuer.clock.move(11)
    for _ in range(50):
        issuer.renewal.refused()
        await issuer.renewal.current()
    assert issuer.count == 2
    issuer.clock.move(10)
    issuer.renewal.refused()
    assert await issuer.renewal.current() == "token-3"


async def test_a_refusal_before_there_is_a_value_changes_nothing(issuer: Issuer) -> None:
    issuer.renewal.refused()
    assert await issuer.renewal.current() == "token-1"


async def test_a_value_that_is_born_old_is_not_renewed_at_every_use(issuer: Issuer) -> None:
    async def issue(_: Lease[str] | None) -> Lease[str]:
        issuer.count += 1
        return Lease("short", 0.0, 0.0)

    renewal = Renewal("Provider", issue, issuer.clock)
    for _ in range(20):
        assert await renewal.current() == "short"
        await asyncio.sleep(0)  # a renewal in the background would run now
    assert issuer.count == 1
    issuer.clock.move(10)
    await renewal.current()
    assert issuer.count == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConfigProblem("open to others.", action="chmod"), InvalidCredentials),
        (StorageUnavailable("locked."), ProviderUnavailable),
    ],
)
async def test_what_fails_here_is_told_as_the_providers_failure(
    issuer: Issuer, error: DominionError, kind: type[DominionError]
) -> None:
    issuer.failure = error
    with pytest.raises(kind, match="Provider: ") as caught:
        await issuer.renewal.current()
    assert caught.value.action == error.action


async def test_a_defect_reaches_who_waits_and_the_next_one_tries_again(issuer: Issuer) -> None:
    issuer.failure = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await issuer.renewal.current()
    issuer.failure = None
    assert await issuer.renewal.current() == "token-2"


async def test_the_log_says_that_a_renewal_failed_and_holds_no_token(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "dominion")
    await issuer.renewal.current()
    issuer.clock.move(LIFE)
    issuer.failure = NetworkFailure("The provider cannot be reached.")
    with pytest.raises(NetworkFailure):
        await issuer.renewal.current()
    assert "Provider: the sign-in could not be renewed: The provider cannot be reached." in caplog.text
    assert "token-" not in caplog.text
