"""Small values, in every implementation."""

from tests.stores.implementations import Stores


async def test_a_setting_is_what_was_put_last(stores: Stores) -> None:
    assert await stores.settings.get("admin_token") is None
    await stores.settings.put("admin_token", b"\x00first\xff")
    await stores.settings.put("other", b"")
    assert await stores.settings.get("admin_token") == b"\x00first\xff"
    await stores.settings.put("admin_token", b"second")
    assert await stores.settings.get("admin_token") == b"second"
    assert await stores.settings.get("other") == b""
