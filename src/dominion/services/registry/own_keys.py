"""Keys of callers' own at providers: which of them a request is asked with, and nobody else's.

A key is shown at the origin that it was kept for, or not at all. A passed key is never kept. Unless the operator allows
it, neither stands in for the operator's key nor that for it: who brings a key means to pay the provider with it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from dominion.domain.contracts import Call, Clock
from dominion.domain.errors import ConfigProblem, Conflict, InvalidRequest, NotFound
from dominion.domain.own_keys import KeyKind, OwnKey, PassedKeys
from dominion.domain.providers import Slot
from dominion.domain.registry import USER_OWNER, SealedCredential, owner_of_user
from dominion.domain.stores import EVERYTHING, AuditStore, PeopleStore, RegistryStore
from dominion.domain.usage import Price
from dominion.rules.windows import iso
from dominion.services.offer.lineup import Lineup
from dominion.services.offer.routing import Route, Ways
from dominion.services.registry.loading import API_KEY, Sealer, origin_text
from dominion.services.registry.views import masked, settled_key

LOG = logging.getLogger("dominion.own_keys")
FREE = Price(input=0, output=0)
REMEMBERED = 2_000
"""Opened keys in memory; the oldest is forgotten first."""
LONGEST_KEY = 8_000

Place = tuple[str, str]
"""User id and provider id."""
WithKey = Callable[[Slot, str], Slot]
"""A slot that shows another key at the same origin. Raises ValueError, the end of a sentence about the provider."""


class OwnKeys:
    """The keys that users keep here, and what requests do with them. `holders` are the sealed ones, by user and
    provider: whoever is not among them costs one look into it. `together`: the operator's keys may stand in.

    Where a user keeps none, one that the operator has put into a file counts (`mount`).
    """

    def __init__(
        self,
        store: RegistryStore,
        sealer: Sealer,
        people: PeopleStore,
        audit: AuditStore,
        lineup: Lineup,
        with_key: WithKey,
        clock: Clock,
        *,
        together: bool,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._people = people
        self._audit = audit
        self._lineup = lineup
        self._with_key = with_key
        self._clock = clock
        self._together = together
        self._lock = asyncio.Lock()
        self._opened: dict[tuple[str, str, str], tuple[Slot, SealedCredential, Slot, str]] = {}
        self._files: Mapping[Place, str] = {}
        self._mounted: dict[Place, SealedCredential] = {}
        self.holders: dict[str, dict[str, SealedCredential]] = {}

    # --- at a request

    async def ways(self, call: Call, ways: Ways) -> Ways:
        """What may answer a call whose user keeps keys here or has passed one. Raises InvalidRequest, Conflict."""
        user_id = call.principal.user.id
        if call.passed is not None:
            passed = _addressed(call.passed, ways.routes)
            held = frozenset(passed)
        else:
            passed, held = None, frozenset(self.holders.get(user_id, ()))
        own, fallback, larger = [
            [mine for route in some if (mine := await self._owned(route, user_id, passed)) is not None]
            for some in (ways.routes, ways.fallback, ways.larger)
        ]
        offered = ways.offered, ways.offered_larger
        if self._together:
            fallback += [*(ways.routes if own else []), *ways.fallback]
            return Ways.of(own or ways.routes, fallback, [*larger, *ways.larger], *offered)
        if own:
            return Ways.of(own, fallback, larger, *offered)
        routes, fallback, larger = [
            [route for route in some if route.slot.row.id not in held]
            for some in (ways.routes, ways.fallback, ways.larger)
        ]
        if not routes:
            raise _not_usable(ways.routes[0].slot.row.name)
        return Ways.of(routes, fallback, larger, *offered)

    async def _owned(self, route: Route, user_id: str, passed: Mapping[str, str] | None) -> Route | None:
        """The route with the caller's key, None: there is none for its provider."""
        if passed is None:
            opened = await self._kept(route.slot, user_id)
            return opened and _shown(route, *opened, "own")
        plain = passed.get(route.slot.row.id)
        return None if plain is None else _shown(route, self._keyed(route.slot, plain), plain, "passed")

    async def _kept(self, slot: Slot, user_id: str) -> tuple[Slot, str] | None:
        """The slot with the user's key, and the key; None: the user keeps none for it, or for another address."""
        provider = slot.row.id
        credential = self.holders.get(user_id, {}).get(provider)
        if credential is None or credential.origin != origin_text(slot.target.origin):
            return None
        place = user_id, provider, slot.row.wire
        known = self._opened.get(place)
        if known is not None and known[0] is slot and known[1] is credential:
            return known[2:]
        try:
            mounted = credential is self._mounted.get((user_id, provider))
            plain = self._files[user_id, provider] if mounted else self._sealer.open(credential)
        except ConfigProblem:  # sealed anew under another sealing key meanwhile?
            await self.hear(credential.owner)
            anew = self.holders.get(user_id, {}).get(provider)
            if anew is None or anew == credential:
                raise
            return await self._kept(slot, user_id)
        opened = self._keyed(slot, plain)
        while len(self._opened) >= REMEMBERED:
            del self._opened[next(iter(self._opened))]
        self._opened[place] = slot, credential, opened, plain
        return opened, plain

    def _keyed(self, slot: Slot, key: str) -> Slot:
        if len(key) > LONGEST_KEY:
            raise InvalidRequest(f"A provider's key has at most {LONGEST_KEY} characters.", param="api_key")
        try:
            return self._with_key(slot, key)
        except ValueError as error:
            raise InvalidRequest(f"{slot.row.name} cannot be asked with this key: {error}.", param="api_key") from error

    # --- what is kept

    async def load(self) -> None:
        """Read all of them. Raises StorageUnavailable."""
        holders: dict[str, dict[str, SealedCredential]] = {}
        for (user_id, provider), mounted in self._mounted.items():
            holders.setdefault(user_id, {})[provider] = mounted
        for credential in await self._store.credentials():
            user_id, provider = _holder(credential.owner)
            if user_id:
                holders.setdefault(user_id, {})[provider] = credential
        self.holders.clear()
        self.holders.update(holders)
        self._opened.clear()

    async def hear(self, owner: str) -> None:
        """The credential of this owner has changed, perhaps in another process. Raises StorageUnavailable."""
        if owner == EVERYTHING:
            await self.load()
            return
        user_id, provider = _holder(owner)
        if user_id:
            found = await self._store.credentials(owner)
            self._know(user_id, provider, next((each for each in found if each.name == API_KEY), None))

    def _know(self, user_id: str, provider: str, credential: SealedCredential | None) -> None:
        """From now on this is the user's key at a provider. What was opened is forgotten."""
        for place in [place for place in self._opened if place[:2] == (user_id, provider)]:
            del self._opened[place]
        held = self.holders.setdefault(user_id, {})
        credential = credential or self._mounted.get((user_id, provider))
        if credential is not None:
            held[provider] = credential
        else:
            held.pop(provider, None)
            if not held:
                del self.holders[user_id]

    # --- what lies in files

    def mount(self, keys: Mapping[Place, str]) -> None:
        """These are the keys in the operator's files from now on, "": one that cannot be used. Each is for the address
        that its provider has when it is first read."""
        before = self._mounted
        self._mounted = {place: self._of_file(place, key) for place, key in keys.items()}
        self._files = keys
        for place in before.keys() | self._mounted.keys():
            was, now = before.get(place), self._mounted.get(place)
            if was is not now and self._held(place) in (None, was):
                LOG.info("a file holds the key of %s at %s: %s", *place, now is not None)
                self._know(*place, now)

    def _of_file(self, place: Place, key: str) -> SealedCredential:
        """Stands for a key in a file; without an origin it is shown to nobody. The same one while nothing changes."""
        before = self._mounted.get(place)
        slot = next((slot for slot in self._lineup.slots if slot.row.id == place[1]), None) if key else None
        if before is not None and self._files[place] == key and (before.origin or slot is None):
            return before
        origin = "" if slot is None else origin_text(slot.target.origin)
        return SealedCredential(owner_of_user(*place), API_KEY, origin, b"", 0, "", int(self._clock.now()))

    def _held(self, place: Place) -> SealedCredential | None:
        return self.holders.get(place[0], {}).get(place[1])

    def _stored(self, place: Place) -> SealedCredential | None:
        """What the user keeps, in no file."""
        held = self._held(place)
        return None if held is self._mounted.get(place) else held

    # --- for callers and operators

    async def listed(self, user_id: str) -> dict[str, Any]:
        """The keys of a user, of each the end. Raises NotFound."""
        await self._check_user(user_id)
        held = self.holders.get(user_id, {})
        return {"credentials": [self._told((user_id, provider)) for provider in sorted(held)]}

    async def put(self, user_id: str, provider: str, key: str, actor: str, request_id: str) -> dict[str, Any]:
        """Keep a key, sealed, for the provider's present address. Raises InvalidRequest, NotFound."""
        await self._check_user(user_id)
        slot = self._slot(provider)
        self._keyed(slot, key)
        async with self._lock:
            now = int(self._clock.now())
            sealed = self._sealer.seal(
                owner_of_user(user_id, provider), API_KEY, origin_text(slot.target.origin), key, now
            )
            before = self._stored((user_id, provider))
            action = "credentials_added" if before is None else "credentials_updated"
            await self._note(action, sealed.owner, before, sealed, actor, request_id)
            await self._store.put_credential(sealed)
            self._know(user_id, provider, sealed)
        return self._told((user_id, provider))

    async def remove(self, user_id: str, provider: str, actor: str, request_id: str) -> dict[str, Any]:
        """Forget a key; no request that begins from now on is asked with it. Raises NotFound."""
        await self._check_user(user_id)
        async with self._lock:
            before = self._stored((user_id, provider))
            if before is None and self._held((user_id, provider)) is not None:
                raise Conflict("The key lies in a file of the gateway's operator.", action="Ask them to remove it.")
            if before is None:
                raise NotFound(f"There is no key for {provider[:80]!r} here.")
            await self._note("credentials_removed", before.owner, before, None, actor, request_id)
            await self._store.remove_credential(before.owner, before.name)
            self._know(user_id, provider, None)
        return {"provider": provider, "removed": True}

    def _told(self, place: Place) -> dict[str, Any]:
        credential = self.holders[place[0]][place[1]]
        return {
            "provider": place[1],
            "key": masked(credential),
            "origin": credential.origin or None,
            "created_at": iso(credential.created_at),
            "in_file": credential is self._mounted.get(place),
        }

    async def _check_user(self, user_id: str) -> None:
        if await self._people.user(user_id) is None:
            raise NotFound(f"There is no user {user_id[:80]!r}.")

    def _slot(self, provider: str) -> Slot:
        for slot in self._lineup.slots:
            if slot.row.id == provider:
                return slot
        raise NotFound(f"No provider {provider[:80]!r} can be asked here.", action="List models: GET /v1/models")

    async def _note(
        self,
        action: str,
        owner: str,
        before: SealedCredential | None,
        after: SealedCredential | None,
        actor: str,
        request_id: str,
    ) -> None:
        at = int(self._clock.now() * 1000)
        await self._audit.append(at, actor, action, owner, settled_key(before), settled_key(after), request_id)
        LOG.info("%s of %s by %s", action, owner, actor)


def _holder(owner: str) -> tuple[str, str]:
    """User and provider of an owner; ("", ""): it is none of a user's."""
    kind, _, rest = owner.partition(":")
    user_id, _, provider = rest.partition(":")
    return (user_id, provider) if kind == USER_OWNER else ("", "")


def _addressed(passed: PassedKeys, routes: Sequence[Route]) -> dict[str, str]:
    """Passed keys by provider, as far as those serve the model. Raises InvalidRequest when none does, and when it is
    not sure whose an unnamed key is: it would be shown to a stranger."""
    serving = list(dict.fromkeys(route.slot.row.id for route in routes))
    found = {provider: key for provider, key in passed.named.items() if provider in serving}
    if passed.unnamed and len(serving) > 1:
        raise InvalidRequest(
            f"Several providers serve this model ({', '.join(serving)}), and the key does not say whose it is.",
            action="Send the header x-dominion-provider-key: PROVIDER KEY, or name the provider with the model.",
            param="apiKey",
        )
    if passed.unnamed:
        found.setdefault(serving[0], passed.unnamed)
    if not found:
        raise InvalidRequest(
            f"None of the keys is for a provider that serves this model ({', '.join(serving)}).",  # a name may be a key
            param="x-dominion-provider-key",
        )
    return found


def _shown(route: Route, slot: Slot, plain: str, kind: KeyKind) -> Route:
    """The route as a caller's key pays it: nothing is charged, and only the targets have changed."""
    target = slot.target.for_model(route.sends)
    changes: dict[str, Any] = {"price": FREE, "authority": None, "own": OwnKey(kind, route.price, plain)}
    natives = {}
    for wire, also in slot.also:
        if wire in route.natives:
            at = also.for_model(route.sends)
            natives[wire] = replace(route.natives[wire], target=at, stream_target=at, **changes)
    streams = slot.stream_target
    return replace(
        route,
        target=target,
        stream_target=target if streams is None else streams.for_model(route.sends),
        natives=natives,
        **changes,
    )


def _not_usable(name: str) -> Conflict:
    return Conflict(
        f"Your key of {name} was kept for another address than the one that it has now.",
        action="Enter the key again (PUT /v1/llm/credentials/PROVIDER), or remove it.",
    )
