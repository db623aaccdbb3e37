"""Rotating the sealing key: all is sealed anew, nothing is lost, and no newer credential is written over."""

import pytest
from msgspec.structs import replace

from dominion.credentials.sealing import Sealer
from dominion.domain.errors import StorageUnavailable
from dominion.domain.registry import SealedCredential
from dominion.services.registry.resealing import Resealed, reseal
from dominion.stores.memory.registry import MemoryRegistry

KEYS = {1: b"1" * 32, 2: b"2" * 32}
OLD, NEW = Sealer({1: KEYS[1]}, 1), Sealer(KEYS, 2)


def sealed(number: int, sealer: Sealer = OLD) -> SealedCredential:
    return sealer.seal(f"provider:p{number:05}", "api_key", "https://a:443", f"plain {number}", number)


async def filled(count: int) -> MemoryRegistry:
    store = MemoryRegistry()
    for number in range(count):
        await store.put_credential(sealed(number))
    return store


async def opened(store: MemoryRegistry, sealer: Sealer) -> list[str]:
    return [sealer.open(one) for one in await store.credentials()]


async def test_ten_thousand_credentials_are_under_the_new_key_and_nothing_else_has_changed() -> None:
    store = await filled(10_000)
    plain = await opened(store, OLD)
    assert await reseal(store, NEW) == Resealed(10_000, 0, [])
    assert await opened(store, Sealer({2: KEYS[2]}, 2)) == plain
    assert {one.key_version for one in await store.credentials()} == {2}
    version = await store.version()
    assert await reseal(store, NEW) == Resealed(0, 0, [])
    assert await store.version() == version


async def test_what_stops_half_way_goes_on_where_it_stopped() -> None:
    store = await filled(10)
    calls = iter(range(1000))

    def fail_once() -> None:
        if next(calls) == 10:
            raise StorageUnavailable("gone")

    store._before = fail_once
    with pytest.raises(StorageUnavailable):
        await reseal(store, NEW)
    assert sorted({one.key_version for one in await store.credentials()}) == [1, 2]
    first = sum(one.key_version == 2 for one in await store.credentials())
    assert await reseal(store, NEW) == Resealed(10 - first, 0, [])
    assert await opened(store, NEW) == [f"plain {number}" for number in range(10)]


async def test_a_credential_that_is_entered_meanwhile_stays() -> None:
    store = await filled(3)

    class Interrupted:
        """The operator enters a key while the old one is being sealed anew."""

        current = 2

        def reseal(self, credential: SealedCredential) -> SealedCredential:
            anew = NEW.reseal(credential)
            if credential.owner == "provider:p00001":
                store._credentials[credential.owner, "api_key"] = replace(sealed(99, NEW), owner=credential.owner)
            return anew

    assert await reseal(store, Interrupted()) == Resealed(2, 0, [])
    kept = (await store.credentials("provider:p00001"))[0]
    assert kept.created_at == 99


async def test_what_does_not_open_is_told_and_left_and_the_rest_is_done() -> None:
    store = await filled(3)
    spoiled = replace(sealed(1), origin="https://evil:443")
    await store.put_credential(spoiled)
    found = await reseal(store, NEW)
    assert (found.done, found.left, len(found.problems)) == (2, 1, 1)
    assert "'provider:p00001' cannot be opened" in found.problems[0]
    assert await store.credentials("provider:p00001") == [spoiled]
