"""From what the registry stores to who can be asked: opens keys, makes slots, and follows what other processes change.

Knows nothing of operators; never writes to the store.
"""

import asyncio
import difflib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from dominion.domain.contracts import Clock, Dialect
from dominion.domain.errors import ConfigProblem, InvalidRequest, NotFound
from dominion.domain.providers import Origin, ProviderRow, Slot
from dominion.domain.registry import Registration, SealedCredential, owner_of_provider
from dominion.domain.stores import RegistryStore
from dominion.services.offer.lineup import Lineup

LOG = logging.getLogger("dominion.registry")
API_KEY = "api_key"
_LONGEST_SHOWN = 80


class Sealer(Protocol):
    """Keeps credentials so that the database alone does not tell them."""

    def seal(self, owner: str, name: str, origin: str, plain: str, at: int) -> SealedCredential:
        """The row to keep; `at` epoch seconds."""

    def open(self, credential: SealedCredential) -> str:
        """The plain text. Raises ConfigProblem."""


class Maker(Protocol):
    """Makes what can be asked of what is registered.

    Both raise ValueError, the end of a sentence about the provider, and InvalidRequest for an address that must not be
    dialled.
    """

    def row(self, registration: Registration) -> ProviderRow:
        """The catalogue's row with what the registration changes."""

    def keyed(self, row: ProviderRow) -> bool:
        """Whether it needs a key."""

    def slot(self, registration: Registration, key: str) -> Slot:
        """Ready to be asked; `key` "" for none."""


class State(NamedTuple):
    """A registration as it can be used. `slot` None: it cannot, because of `problem` or because it has no key."""

    row: ProviderRow
    slot: Slot | None
    credential: SealedCredential | None
    problem: str


class Loading:
    """Keeps the lineup at what the store says. `known` is the catalogue's row of each provider id. `dialects` by name;
    one that a package brings is loaded when it is asked for, or raises ConfigProblem. `learn` fetches the prices of
    these providers. Whoever changes the store holds `lock` and calls `load` at the end.

    `seen` is what validation found of providers of the file, which are not stored.
    """

    def __init__(
        self,
        store: RegistryStore,
        sealer: Sealer,
        maker: Maker,
        lineup: Lineup,
        known: Mapping[str, ProviderRow],
        dialects: Mapping[str, Dialect],
        learn: Callable[[Iterable[ProviderRow]], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self.store = store
        self.sealer = sealer
        self.maker = maker
        self.lineup = lineup
        self.known = known
        self.clock = clock
        self.lock = asyncio.Lock()
        self.seen: dict[str, tuple[int, str]] = {}
        self.dialects = dialects
        self._learn = learn
        self._version = -1

    def now(self) -> int:
        """Epoch seconds."""
        return int(self.clock.now())

    async def load(self) -> None:
        """Put the enabled ones into the lineup. Raises StorageUnavailable; then the lineup stays as it is."""
        version = await self.store.version()
        states = [await self.state(each) for each in await self.store.registrations() if each.enabled]
        for state in states:
            if state.problem:
                LOG.warning("%s cannot be asked: %s", state.row.id, state.problem)
        slots = [state.slot for state in states if state.slot is not None]
        await self._learn([slot.row for slot in slots])
        self.lineup.register(slots)
        self._version = version

    async def hear(self, _subject: str) -> None:
        """Another process has changed something: load. Raises StorageUnavailable; then everybody who could be asked
        stays so."""
        if await self.store.version() != self._version:
            async with self.lock:
                await self.load()

    async def credential(self, provider_id: str) -> SealedCredential | None:
        """A provider's sealed key."""
        found = await self.store.credentials(owner_of_provider(provider_id))
        return next((each for each in found if each.name == API_KEY), None)

    async def unknown(self, provider_id: str) -> NotFound:
        """For an id that nobody has heard of: what may have been meant."""
        names = {*self.known, *(slot.row.id for slot in self.lineup.of_file)}
        names |= {registration.id for registration in await self.store.registrations()}
        near = difflib.get_close_matches(provider_id[:_LONGEST_SHOWN], sorted(names), n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        return NotFound(
            f"There is no provider {provider_id[:_LONGEST_SHOWN]!r}.{meant}",
            action="List them: `dominion providers list --all`, or GET /admin/providers?all=true",
        )

    async def state(self, registration: Registration) -> State:
        """Whether and how a provider can be asked, enabled or not. Raises StorageUnavailable."""
        credential = await self.credential(registration.id)
        blank = ProviderRow(id=registration.id, name=registration.name or registration.id, base_url="")
        row = self.known.get(registration.id, blank)
        if any(slot.row.id == registration.id for slot in self.lineup.of_file):
            return State(row, None, credential, "The configuration has this provider, too, and goes first.")
        try:
            row = self.maker.row(registration)
            self.dialects[row.wire]  # the package that brought it may be gone
            if credential is None:
                slot = None if self.maker.keyed(row) else self.maker.slot(registration, "")
                return State(row, slot, None, "")
            slot = self.maker.slot(registration, self.sealer.open(credential))
        except ValueError as error:
            return State(row, None, credential, f"It cannot be used: {error}.")
        except (InvalidRequest, ConfigProblem) as error:
            return State(row, None, credential, error.message)
        if credential.origin != origin_text(slot.target.origin):
            return State(row, None, credential, f"Its key belongs to {credential.origin}: enter it again.")
        return State(row, slot, credential, "")


def origin_text(origin: Origin) -> str:
    """As credentials are bound to it: https://api.openai.com:443."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{origin.scheme}://{host}:{origin.port}"
