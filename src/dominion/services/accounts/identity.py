"""Who is calling: a key becomes a principal. A key that was seen before costs no await, no argon2 and no database."""

import asyncio

import msgspec

from dominion.credentials.keys import KeyHasher, split
from dominion.domain.contracts import Clock
from dominion.domain.errors import Forbidden, Unauthenticated
from dominion.domain.people import Principal
from dominion.domain.stores import PeopleStore

REMEMBERED = 50_000
"""Keys kept in memory, right ones and wrong ones; the oldest is forgotten first."""


class _Entry(msgspec.Struct, frozen=True):
    digest: bytes
    principal: Principal


class Identity:
    """Checks keys against the people store, and remembers those that were right.

    A key's first use compares its keyed digest and then verifies argon2id in a worker thread, one at a time per key;
    a wrong secret never gets as far as argon2. What was wrong, revoked or expired once stays so, as secrets are drawn
    at random, and is refused without asking again. `changes` counts revocations and changes of users: what was learnt
    before the last one must be learnt again.
    """

    def __init__(self, people: PeopleStore, hasher: KeyHasher, clock: Clock) -> None:
        self._people = people
        self._hasher = hasher
        self._clock = clock
        self._seen: dict[str, _Entry] = {}
        self._first_uses: dict[str, asyncio.Lock] = {}
        self._refused: dict[tuple[str, bytes], str] = {}  # to the sentence of the refusal
        self.changes = 0
        self.argon2_runs = 0

    def recognise(self, token: str) -> Principal | None:
        """The principal of a key that was right before; None: ask `identify`."""
        parts = split(token)
        entry = self._seen.get(parts[0]) if parts else None
        if parts and entry and self._hasher.same(parts[1], entry.digest):
            expires = entry.principal.expires_at
            return entry.principal if expires is None or self._clock.now() < expires else None
        return None

    async def identify(self, token: str) -> Principal:
        """The principal of a key. Raises Unauthenticated (wrong, revoked, expired) or Forbidden (suspended)."""
        principal = self.recognise(token)
        if principal is not None:
            return principal
        parts = split(token)
        if parts is None:
            raise Unauthenticated("This is not a key of this gateway: keys begin with dom_.")
        key_id, secret = parts
        fingerprint = key_id, self._hasher.digest(secret)
        if fingerprint in self._refused:
            raise Unauthenticated(self._refused[fingerprint])
        lock = self._first_uses.setdefault(key_id, asyncio.Lock())
        try:
            async with lock:
                return self.recognise(token) or await self._first_use(key_id, secret)
        except Unauthenticated as error:
            while len(self._refused) >= REMEMBERED:
                del self._refused[next(iter(self._refused))]
            self._refused[fingerprint] = error.message
            raise
        finally:
            if not lock.locked():
                self._first_uses.pop(key_id, None)

    async def _first_use(self, key_id: str, secret: str) -> Principal:
        changes = self.changes
        found = await self._people.key(key_id)
        if found is None or not self._hasher.same(secret, found[0].digest):
            raise Unauthenticated("The API key is wrong.")
        key, user = found
        if key.revoked_at is not None:
            raise Unauthenticated("The API key has been revoked.")
        if key.expires_at is not None and self._clock.now() >= key.expires_at:
            raise Unauthenticated("The API key has expired.")
        if user.status == "suspended":
            raise Forbidden("The user of this API key is suspended.")
        self.argon2_runs += 1
        if not await asyncio.to_thread(self._hasher.verify, key.hash, secret):
            raise Unauthenticated("The API key is wrong.")
        if changes != self.changes:  # something was revoked or suspended meanwhile: look again
            return await self._first_use(key_id, secret)
        principal = Principal(user=user, key_id=key_id, expires_at=key.expires_at)
        while len(self._seen) >= REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[key_id] = _Entry(key.digest, principal)
        return principal

    def forget_key(self, key_id: str) -> None:
        """The key was revoked, or will expire: it must be checked again."""
        self.changes += 1
        self._seen.pop(key_id, None)

    def forget_everybody(self) -> None:
        """Nobody knows what changed: every key must be checked again."""
        self.changes += 1
        self._seen.clear()

    def forget_user(self, user_id: str) -> None:
        """The user changed: each of their keys must be checked again."""
        self.changes += 1
        for key_id in [key_id for key_id, entry in self._seen.items() if entry.principal.user.id == user_id]:
            del self._seen[key_id]
