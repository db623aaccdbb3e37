"""services/sign_in/aws.py: requests signed with keys that change while the gateway runs."""

import asyncio

import pytest

from dominion.credentials.sigv4 import AwsKeys, Signer
from dominion.domain.errors import InvalidCredentials, NetworkFailure
from dominion.services.sign_in.aws import AwsAuthority
from tests.services.clocks import HandClock

HOST = "bedrock-runtime.us-east-1.amazonaws.com"
PATH = b"/model/anthropic.claude-3%3A0/converse"


class Finder:
    """Finds what the test puts there."""

    def __init__(self, lasts: float | None = None) -> None:
        self.keys = AwsKeys("AKIA1", "CANARY1")
        self.lasts = lasts
        self.failure: Exception | None = None
        self.count = 0

    async def find(self) -> tuple[AwsKeys, float | None]:
        self.count += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return self.keys, self.lasts


@pytest.fixture
def clock() -> HandClock:
    """Moved by the test."""
    return HandClock()


async def renewed(aws: AwsAuthority) -> None:
    """Let the renewal in the background end."""
    task = aws._renewal._task
    assert task is not None
    await task


async def test_each_request_is_signed_at_its_own_time_with_keys_looked_up_once(clock: HandClock) -> None:
    finder = Finder()
    aws = AwsAuthority(finder.find, "us-east-1", HOST, clock)
    first = await asyncio.gather(*(aws.headers(PATH, b"{}") for _ in range(50)))
    assert set(first) == {Signer(finder.keys, "us-east-1", HOST).sign(PATH, b"{}", clock.now())}
    clock.move(5)
    assert await aws.headers(PATH, b"{}") == Signer(finder.keys, "us-east-1", HOST).sign(PATH, b"{}", clock.now())
    assert await aws.headers(PATH, b"{ }") != await aws.headers(PATH, b"{}")
    assert finder.count == 1


async def test_keys_that_someone_changes_are_seen_within_a_minute_and_at_once_after_a_refusal(clock: HandClock) -> None:
    finder = Finder()
    aws = AwsAuthority(finder.find, "us-east-1", HOST, clock)
    await aws.headers(PATH, b"")
    finder.keys = AwsKeys("AKIA2", "CANARY2", "session")
    clock.move(60)
    assert b"AKIA1" in await aws.headers(PATH, b"")
    await renewed(aws)
    assert b"AKIA2" in await aws.headers(PATH, b"")
    finder.keys = AwsKeys("AKIA3", "CANARY3")
    clock.move(11)
    aws.refused()
    assert b"AKIA3" in await aws.headers(PATH, b"")


async def test_temporary_keys_serve_until_their_end_when_they_cannot_be_renewed(clock: HandClock) -> None:
    finder = Finder(lasts=600)
    aws = AwsAuthority(finder.find, "us-east-1", HOST, clock)
    await aws.headers(PATH, b"")
    finder.failure = NetworkFailure("down")
    clock.move(599)
    assert b"AKIA1" in await aws.headers(PATH, b"")
    await renewed(aws)
    clock.move(1)
    with pytest.raises(NetworkFailure):
        await aws.headers(PATH, b"")


async def test_fixed_keys_serve_on_while_the_files_are_damaged(clock: HandClock) -> None:
    finder = Finder()
    aws = AwsAuthority(finder.find, "us-east-1", HOST, clock)
    await aws.headers(PATH, b"")
    finder.failure = InvalidCredentials("line 3 of AWS's credentials file cannot be understood")
    clock.move(86_400)
    assert b"AKIA1" in await aws.headers(PATH, b"")


@pytest.mark.parametrize(
    ("keys", "region"), [(AwsKeys("AK IA", "CANARY"), "us-east-1"), (AwsKeys("AKIA", "CANARY"), "US East")]
)
async def test_keys_that_cannot_sign_are_told_without_being_repeated(
    clock: HandClock, keys: AwsKeys, region: str
) -> None:
    finder = Finder()
    finder.keys = keys
    with pytest.raises(InvalidCredentials) as caught:
        await AwsAuthority(finder.find, region, HOST, clock).headers(PATH, b"")
    assert "CANARY" not in caught.value.message
