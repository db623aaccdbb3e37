"""Users and keys, in every implementation."""

import asyncio

import pytest
from msgspec.structs import replace

from dominion.domain.errors import Conflict, NotFound
from dominion.domain.people import Limits
from tests.stores.implementations import Stores
from tests.stores.samples import KEY, USER, key, user


async def test_a_user_comes_back_as_it_went_in(stores: Stores) -> None:
    nobody = user(2, email=None, limits=Limits(), status="suspended")
    await stores.people.add_user(USER)
    await stores.people.add_user(nobody)
    assert await stores.people.user("usr_1") == USER
    assert await stores.people.user("usr_2") == nobody
    assert await stores.people.user("usr_3") is None


async def test_a_second_user_of_the_same_id_is_refused_and_changes_nothing(stores: Stores) -> None:
    await stores.people.add_user(USER)
    with pytest.raises(Conflict, match="'usr_1' exists"):
        await stores.people.add_user(user(1, name="Mallory"))
    assert await stores.people.users() == [USER]


async def test_of_many_who_add_the_same_user_at_once_one_succeeds(stores: Stores) -> None:
    tries = (stores.people.add_user(user(1, name=f"name {number}")) for number in range(20))
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [Conflict] * 19
    (only,) = await stores.people.users()
    assert only.name == f"name {outcomes.index(None)}"


async def test_users_are_listed_page_by_page_in_the_byte_order_of_their_ids(stores: Stores) -> None:
    ids = ["B", "_", "a", "aa", "é", "中"]
    for user_id in reversed(ids):
        await stores.people.add_user(replace(USER, id=user_id))
    pages, after = [], ""
    while page := await stores.people.users(after=after, limit=4):
        pages.append([one.id for one in page])
        after = page[-1].id
    assert pages == [ids[:4], ids[4:]]


async def test_status_and_limits_change_alone(stores: Stores) -> None:
    await stores.people.add_user(USER)
    await stores.people.add_user(user(2))
    limits = Limits(None, 7, None, 0, 9)
    suspended = await stores.people.set_status("usr_1", "suspended")
    assert suspended == user(1, status="suspended")
    changed = await stores.people.set_limits("usr_1", limits)
    assert changed == user(1, status="suspended", limits=limits) == await stores.people.user("usr_1")
    assert await stores.people.user("usr_2") == user(2)


async def test_changing_a_user_that_is_not_there_says_so(stores: Stores) -> None:
    assert await stores.people.set_status("usr_1", "suspended") is None
    assert await stores.people.set_limits("usr_1", Limits()) is None
    assert await stores.people.users() == []


async def test_a_key_comes_back_with_its_user_as_the_user_is_now(stores: Stores) -> None:
    await stores.people.add_user(USER)
    await stores.people.add_key(KEY)
    await stores.people.add_key(key(2, name=None, digest=b""))
    await stores.people.set_status("usr_1", "suspended")
    assert await stores.people.key("k1") == (KEY, user(1, status="suspended"))
    assert await stores.people.key("k2") == (key(2, name=None, digest=b""), user(1, status="suspended"))
    assert await stores.people.key("k3") is None


async def test_a_key_of_nobody_is_refused(stores: Stores) -> None:
    with pytest.raises(NotFound, match="no user with the id 'usr_1'"):
        await stores.people.add_key(KEY)
    assert await stores.people.key("k1") is None


async def test_a_second_key_of_the_same_id_is_refused_and_changes_nothing(stores: Stores) -> None:
    await stores.people.add_user(USER)
    await stores.people.add_key(KEY)
    with pytest.raises(Conflict, match="'k1' exists"):
        await stores.people.add_key(key(1, name="another"))
    assert await stores.people.keys("usr_1") == [KEY]


async def test_keys_of_a_user_are_listed_newest_first(stores: Stores) -> None:
    await stores.people.add_user(USER)
    await stores.people.add_user(user(2))
    own = [key(number, created_at=created_at) for number, created_at in ((1, 20), (2, 30), (3, 20), (4, 10))]
    for one in [*own, key(5, user_id="usr_2")]:
        await stores.people.add_key(one)
    assert [one.id for one in await stores.people.keys("usr_1")] == ["k2", "k3", "k1", "k4"]
    assert await stores.people.keys("usr_3") == []


async def test_a_key_is_revoked_once_and_keeps_the_first_time(stores: Stores) -> None:
    await stores.people.add_user(USER)
    await stores.people.add_key(KEY)
    await stores.people.add_key(key(2))
    assert await stores.people.revoke_key("k1", 100) == key(1, revoked_at=100)
    assert await stores.people.revoke_key("k1", 200) == key(1, revoked_at=100)
    assert await stores.people.key("k1") == (key(1, revoked_at=100), USER)
    assert await stores.people.key("k2") == (key(2), USER)
    assert await stores.people.revoke_key("k3", 100) is None


async def test_a_key_expires_at_the_earliest_time_that_was_said(stores: Stores) -> None:
    await stores.people.add_user(USER)
    await stores.people.add_key(KEY)
    await stores.people.add_key(key(2, expires_at=500))
    assert await stores.people.expire_key("k1", 200) == key(1, expires_at=200)
    assert await stores.people.expire_key("k1", 300) == key(1, expires_at=200)
    assert await stores.people.expire_key("k1", 100) == key(1, expires_at=100)
    assert await stores.people.key("k1") == (key(1, expires_at=100), USER)
    assert await stores.people.key("k2") == (key(2, expires_at=500), USER)
    assert await stores.people.expire_key("k3", 100) is None
