"""The first start: mints what is needed to use the gateway, and hands each secret out exactly once."""

from collections.abc import Callable

import msgspec

from dominion.credentials.keys import mint_token
from dominion.domain.stores import SettingsStore
from dominion.services.accounts.accounts import Accounts

ADMIN_DIGEST = "admin_token_digest"
STARTED = "first_user"


class FirstStart(msgspec.Struct, frozen=True):
    """What the first start made. Both secrets are in this value and nowhere else; `admin_token` "" when the operator
    brought one."""

    admin_token: str
    user_id: str
    api_key: str

    def __repr__(self) -> str:
        return f"FirstStart(user_id={self.user_id!r}, secrets=***)"


async def admin_digest(
    settings: SettingsStore, given: bytes | None, digest: Callable[[str], bytes]
) -> tuple[bytes, str]:
    """The digest of the admin token, and the token itself when it was minted just now.

    `given` is the digest of the operator's own token, which wins over a minted one.
    """
    if given is not None:
        return given, ""
    kept = await settings.get(ADMIN_DIGEST)
    if kept is not None:
        return kept, ""
    token = mint_token()
    made = digest(token)
    if await settings.claim(ADMIN_DIGEST, made):
        return made, token
    return await settings.get(ADMIN_DIGEST) or made, ""  # another process that started at the same time was first


async def first_start(settings: SettingsStore, accounts: Accounts, admin_token: str) -> FirstStart | None:
    """Create the first user and key; None when that has happened before."""
    if not await settings.claim(STARTED, b""):
        return FirstStart(admin_token, "", "") if admin_token else None
    user = await accounts.create_user("First user")
    key = await accounts.create_key(user["id"], "First key")
    await settings.put(STARTED, user["id"].encode())
    return FirstStart(admin_token, user["id"], key["api_key"])
