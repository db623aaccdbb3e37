"""Registry and audit log without a disk, for tests of the floors above; see `accounts` for `before`."""

from collections.abc import Callable
from typing import Any

from dominion.domain.registry import AuditEntry, Registration, SealedCredential, owner_of_provider
from dominion.rules.audit_chain import BEGINNING, Anchor, chained
from dominion.stores.memory.accounts import nothing


class MemoryRegistry:
    """`RegistryStore` in dictionaries."""

    def __init__(self, before: Callable[[], None] = nothing) -> None:
        """Empty."""
        self._before = before
        self._version = 0
        self._registrations: dict[str, Registration] = {}
        self._credentials: dict[tuple[str, str], SealedCredential] = {}

    async def version(self) -> int:
        """How many changes there were."""
        self._before()
        return self._version

    async def registrations(self) -> list[Registration]:
        """All of them, in the order of `position`, then id."""
        self._before()
        return sorted(self._registrations.values(), key=lambda one: (one.position, one.id))

    async def put(self, registration: Registration) -> None:
        """Add it, or replace the one with its id."""
        self._before()
        self._registrations[registration.id] = registration
        self._version += 1

    async def remove(self, provider_id: str) -> bool:
        """Remove it with its credentials. Whether it was there."""
        self._before()
        if self._registrations.pop(provider_id, None) is None:
            return False
        owner = owner_of_provider(provider_id)
        self._credentials = {key: one for key, one in self._credentials.items() if one.owner != owner}
        self._version += 1
        return True

    async def credentials(self, owner: str | None = None) -> list[SealedCredential]:
        """Those of an owner, or all, in the order of owner and name."""
        self._before()
        return [one for _, one in sorted(self._credentials.items()) if owner in (None, one.owner)]

    async def put_credential(self, credential: SealedCredential) -> None:
        """Add it, or replace the one with its owner and name."""
        self._before()
        self._credentials[credential.owner, credential.name] = credential
        self._version += 1

    async def swap_credential(self, before: SealedCredential, after: SealedCredential) -> bool:
        """Replace `before` if it is still there as it is. Whether it was."""
        self._before()
        if self._credentials.get((before.owner, before.name)) != before:
            return False
        await self.put_credential(after)
        return True

    async def remove_credential(self, owner: str, name: str) -> bool:
        """Whether it was there."""
        self._before()
        if self._credentials.pop((owner, name), None) is None:
            return False
        self._version += 1
        return True


class MemoryAudit:
    """`AuditStore` in a list."""

    def __init__(self, key: bytes, before: Callable[[], None] = nothing) -> None:
        """Empty; `key` is 32 bytes derived from the sealing key."""
        self._key = key
        self._before = before
        self._entries: list[AuditEntry] = []

    async def append(
        self,
        at: int,
        actor: str,
        action: str,
        subject: str,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
        request_id: str,
    ) -> AuditEntry:
        """The entry as it was written."""
        self._before()
        head = Anchor(len(self._entries), self._entries[-1].hash if self._entries else BEGINNING)
        entry = chained(self._key, head, at, actor, action, subject, before, after, request_id)
        self._entries.append(entry)
        return entry

    async def entries(self, *, after: int = 0, limit: int = 100, subject: str | None = None) -> list[AuditEntry]:
        """Entries with a number above `after`, oldest first."""
        self._before()
        found = [entry for entry in self._entries[after:] if subject in (None, entry.subject)]
        return found[:limit]

    async def newest(self) -> AuditEntry | None:
        """The last entry."""
        self._before()
        return self._entries[-1] if self._entries else None
