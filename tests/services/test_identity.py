"""A right key is checked once with argon2 and then by its digest; a wrong one never costs an argon2 run."""

import asyncio
import threading

import argon2
import pytest

from dominion.credentials.keys import KeyHasher, mint, split
from dominion.domain.errors import Forbidden, Unauthenticated
from dominion.domain.people import ApiKey, Limits, User
from dominion.services.accounts.identity import Identity
from dominion.stores.memory.accounts import MemoryPeople
from tests.services.clocks import HandClock

CHEAPEST = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=8, hash_len=16, time_cost=1, memory_cost=8, parallelism=1
)


class PausedHasher(KeyHasher):
    """Says when argon2 is running, and lets it end on a word."""

    def __init__(self, pepper: bytes, parameters: argon2.Parameters) -> None:
        super().__init__(pepper, parameters)
        self.loop = asyncio.get_running_loop()
        self.running = asyncio.Event()
        self.go = threading.Event()

    def verify(self, record: str, secret: str) -> bool:
        self.loop.call_soon_threadsafe(self.running.set)
        return self.go.wait(10) and super().verify(record, secret)


class House:
    """A people store with one user, and an identity over it."""

    def __init__(self, hasher: type[KeyHasher] = KeyHasher) -> None:
        self.clock = HandClock()
        self.people = MemoryPeople()
        self.hasher = hasher(b"p" * 32, CHEAPEST)
        self.identity = Identity(self.people, self.hasher, self.clock)

    async def key(self, user_id: str = "usr_1", expires_at: int | None = None) -> str:
        if await self.people.user(user_id) is None:
            await self.people.add_user(User(user_id, "A", None, "active", Limits(), 0))
        minted = mint()
        parts = split(minted.plain)
        assert parts is not None
        hashes = self.hasher.hash(parts[1]), self.hasher.digest(parts[1])
        record = ApiKey(minted.id, user_id, None, *hashes, minted.plain[-4:], 0, expires_at=expires_at)
        await self.people.add_key(record)
        return minted.plain


async def test_a_right_key_runs_argon2_once_however_many_come_at_once() -> None:
    house = House()
    key = await house.key()
    assert house.identity.recognise(key) is None
    found = await asyncio.gather(*[house.identity.identify(key) for _ in range(50)])
    assert {principal.user.id for principal in found} == {"usr_1"}
    assert house.identity.argon2_runs == 1
    assert house.identity.recognise(key) is not None


async def test_wrong_keys_of_every_kind_are_refused_without_argon2() -> None:
    house = House()
    key = await house.key()
    for wrong in ("", "sk-abc", "dom_unknown_secret", key[:-1] + ("A" if key[-1] != "A" else "B"), key + "x"):
        with pytest.raises(Unauthenticated):
            await house.identity.identify(wrong)
    assert house.identity.argon2_runs == 0


async def test_a_right_digest_with_a_wrong_argon2_record_is_refused() -> None:
    house = House()
    key = await house.key()
    parts = split(key)
    assert parts is not None
    house.people = MemoryPeople()
    house.identity = Identity(house.people, house.hasher, house.clock)
    await house.people.add_user(User("usr_1", "A", None, "active", Limits(), 0))
    record = house.hasher.hash("another secret")
    await house.people.add_key(ApiKey(parts[0], "usr_1", None, record, house.hasher.digest(parts[1]), "", 0))
    with pytest.raises(Unauthenticated):
        await house.identity.identify(key)


@pytest.mark.promise("001-050")
async def test_a_revoked_key_is_refused_from_the_next_request_on() -> None:
    house = House()
    key = await house.key()
    await house.identity.identify(key)
    key_id = key.split("_")[1]
    await house.people.revoke_key(key_id, 5)
    house.identity.forget_key(key_id)
    with pytest.raises(Unauthenticated, match="revoked"):
        await house.identity.identify(key)


@pytest.mark.promise("001-047", "001-048")
async def test_a_suspended_user_is_refused_with_each_key_until_activated() -> None:
    house = House()
    keys = [await house.key(), await house.key()]
    other = await house.key("usr_2")
    for key in [*keys, other]:
        await house.identity.identify(key)
    await house.people.set_status("usr_1", "suspended")
    house.identity.forget_user("usr_1")
    for key in keys:
        with pytest.raises(Forbidden):
            await house.identity.identify(key)
    assert house.identity.recognise(other) is not None
    await house.people.set_status("usr_1", "active")
    assert (await house.identity.identify(keys[0])).user.id == "usr_1"


async def test_a_key_revoked_while_it_is_verified_is_not_remembered() -> None:
    house = House(PausedHasher)
    assert isinstance(house.hasher, PausedHasher)
    key = await house.key()
    key_id = key.split("_")[1]
    running = asyncio.create_task(house.identity.identify(key))
    await house.hasher.running.wait()
    await house.people.revoke_key(key_id, 5)
    house.identity.forget_key(key_id)
    house.hasher.go.set()
    with pytest.raises(Unauthenticated):
        await running
    assert house.identity.recognise(key) is None


async def test_a_key_expires_in_its_second_whether_it_was_seen_before_or_not() -> None:
    house = House()
    ends = int(house.clock.now()) + 60
    seen, unseen, later = await house.key(expires_at=ends), await house.key(expires_at=ends), await house.key()
    assert (await house.identity.identify(seen)).expires_at == ends
    await house.identity.identify(later)
    house.clock.move(59)
    assert house.identity.recognise(seen) is not None
    house.clock.move(1)
    assert house.identity.recognise(seen) is None
    for key in (seen, unseen, seen):
        with pytest.raises(Unauthenticated, match="expired"):
            await house.identity.identify(key)
    assert house.identity.argon2_runs == 2
    assert house.identity.recognise(later) is not None


async def test_a_key_that_was_given_an_end_is_checked_again() -> None:
    house = House()
    key = await house.key()
    await house.identity.identify(key)
    key_id = key.split("_")[1]
    await house.people.expire_key(key_id, int(house.clock.now()) + 5)
    house.identity.forget_key(key_id)
    assert (await house.identity.identify(key)).expires_at is not None
    house.clock.move(5)
    with pytest.raises(Unauthenticated, match="expired"):
        await house.identity.identify(key)
