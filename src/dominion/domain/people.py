"""Users, their keys and their limits."""

from typing import Literal

import msgspec

UserStatus = Literal["active", "suspended"]


class Limits(msgspec.Struct, frozen=True, omit_defaults=False):
    """The limits of one user; None lifts a limit. Spend is in nano-dollars."""

    daily_requests: int | None = None
    daily_tokens: int | None = None
    monthly_spend_nano: int | None = None
    concurrent_requests: int | None = None
    requests_per_minute: int | None = None


class User(msgspec.Struct, frozen=True):
    """Somebody who may call. `created_at` is epoch seconds."""

    id: str
    name: str
    email: str | None
    status: UserStatus
    limits: Limits
    created_at: int


class ApiKey(msgspec.Struct, frozen=True):
    """One key of a user. Never holds the secret: `hash` is its argon2id hash, `digest` a keyed digest of it.

    `last4` are the last four characters of the plain key, for people to recognise it. Times are epoch seconds; from
    `expires_at` on it is refused, None: it never expires.
    """

    id: str
    user_id: str
    name: str | None
    hash: str
    digest: bytes
    last4: str
    created_at: int
    revoked_at: int | None = None
    expires_at: int | None = None


class Principal(msgspec.Struct, frozen=True):
    """Who is calling: the answer of `services.identity`. `expires_at` is that of the key, in epoch seconds."""

    user: User
    key_id: str
    expires_at: int | None = None
