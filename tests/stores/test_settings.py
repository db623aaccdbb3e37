"""Small values, in every implementation."""

import asyncio

from tests.stores.implementations import Stores


async def test_a_setting_is_what_was_put_last(stores: Stores) -> None:
    assert await stores.settings.get("admin_token") is None
    await stores.settings.put("admin_token", b"\x00first\xff")
    await stores.settings.put("other", b"")
    assert await stores.settings.get("admin_token") == b"\x00first\xff"
    await stores.settings.put("admin_token", b"second")
    assert await stores.settings.get("admin_token") == b"second"
    assert await stores.settings.get("other") == b""


async def test_of_several_that_claim_a_setting_at_once_one_gets_it(stores: Stores) -> None:
    claims = [stores.settings.claim("first", b"%d" % number) for number in range(8)]
    won = [number for number, got in enumerate(await asyncio.gather(*claims)) if got]
    assert len(won) == 1
    assert await stores.settings.get("first") == b"%d" % won[0]
    assert not await stores.settings.claim("first", b"late")
