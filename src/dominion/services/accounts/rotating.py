"""A new key in place of an old one, which works on until the overlap ends, so that nobody's request is refused."""

import logging
from typing import Any

from dominion.domain.contracts import Clock
from dominion.domain.errors import Conflict, InvalidRequest, NotFound
from dominion.domain.stores import AuditStore, PeopleStore
from dominion.rules.windows import iso
from dominion.services.accounts.accounts import Accounts, show_key
from dominion.services.accounts.identity import Identity
from dominion.services.limits.budgets import Budgets

LOG = logging.getLogger("dominion.accounts")
LONGEST_OVERLAP = 30 * 86_400


class Rotating:
    """Rotates keys of users. The budget of a key goes on with its successor, whose use begins anew."""

    def __init__(
        self,
        people: PeopleStore,
        accounts: Accounts,
        budgets: Budgets,
        identity: Identity,
        audit: AuditStore,
        clock: Clock,
    ) -> None:
        self._people = people
        self._accounts = accounts
        self._budgets = budgets
        self._identity = identity
        self._audit = audit
        self._clock = clock

    async def rotate(self, key_id: str, overlap: int, request_id: str) -> dict[str, Any]:
        """The new key, with its plain text, and the old one, which ends after `overlap` seconds or as before, if that
        is earlier. A key that expires is followed by one that lives as long.

        Raises InvalidRequest, NotFound, Conflict.
        """
        if not 0 <= overlap <= LONGEST_OVERLAP:
            raise InvalidRequest(f"The overlap is from 0 to {LONGEST_OVERLAP} seconds.", param="overlap_seconds")
        found = await self._people.key(key_id)
        if found is None:
            raise NotFound(f"There is no key {key_id[:80]!r}.")
        key, now = found[0], self._clock.now()
        if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
            raise Conflict("This key does not work any more.", action="Create one: POST /admin/keys")
        expires = None if key.expires_at is None else int(now) + key.expires_at - key.created_at
        made = await self._accounts.create_key(key.user_id, key.name, expires, request_id)
        await self._budgets.follow(f"key:{key_id}", f"key:{made['id']}")  # before anybody can know the key
        ends = int(now) + overlap
        after = {"replaced_by": made["id"], "ends_at": iso(ends)}
        await self._audit.append(int(now * 1000), "admin", "key_rotated", f"key:{key_id}", None, after, request_id)
        old = await self._people.expire_key(key_id, ends)
        self._identity.forget_key(key_id)
        LOG.info("key %s is followed by %s", key_id, made["id"])
        return made | {"replaces": None if old is None else show_key(old)}
