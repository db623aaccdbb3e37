"""Asks providers of the registry and of the file whether they answer to their keys, and which models they have."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from dominion.domain.errors import DominionError, NotFound, ProviderError, ProviderRateLimited, StorageUnavailable
from dominion.domain.providers import ProviderRow, Slot
from dominion.domain.registry import Registration, SealedCredential
from dominion.providers.catalog import STUB
from dominion.rules.windows import iso
from dominion.services.offer.explaining import Explanations
from dominion.services.offer.routing import Route
from dominion.services.registry.advice import NOWHERE, Advice
from dominion.services.registry.loading import Loading
from dominion.services.registry.validation import Told, Validation, told_of

LOG = logging.getLogger("dominion.registry")
LOOK_SECONDS = 1.0


class Asking(NamedTuple):
    """Who is asked: `registration` and `credential` None for one of the file. `slot` None: it cannot be asked, as
    `told` says."""

    slot: Slot | None
    told: Told | None
    registration: Registration | None = None
    credential: SealedCredential | None = None


class Checks:
    """Validates providers and remembers the outcome; one that was over its rate limit is asked again by `watch`."""

    def __init__(self, loading: Loading, validation: Validation, advice: Advice, explanations: Explanations) -> None:
        self._explanations = explanations
        self._loading = loading
        self._validation = validation
        self._advice = advice
        self._again: dict[str, float] = {}

    async def validate(self, provider_id: str) -> dict[str, Any]:
        """Whether a provider answers to its key, and else the sentence and the action. Raises NotFound."""
        asking = await self._asking(provider_id)
        began, told = self._loading.clock.monotonic(), asking.told
        if asking.slot is not None:
            told = await self._ask(asking.slot)
            await self._keep(provider_id, asking, told)
        self._again.pop(provider_id, None)
        if told is not None and told.code == ProviderRateLimited.code and told.retry_after is not None:
            self._again[provider_id] = self._loading.clock.monotonic() + told.retry_after
        return {
            "id": provider_id,
            "valid": told is None,
            "error": None if told is None else told.code,
            "message": "The provider answers to its key." if told is None else told.message,
            "action": None if told is None else told.action,
            "retry_after": None if told is None else told.retry_after,
            "validated_at": iso(self._loading.now()),
            "took_ms": int((self._loading.clock.monotonic() - began) * 1000),
        }

    async def models(self, provider_id: str) -> dict[str, Any]:
        """The models that a provider lists, with what is known of them; those that are known where it lists none.

        Raises NotFound.
        """
        slot, told, registration, _ = await self._asking(provider_id)
        names: list[str] = []
        if slot is not None and slot.row.id not in (STUB, *self._loading.lineup.authorities):
            try:
                names = await self._validation.listed(slot)
            except ProviderError as error:
                told = self._told(error, slot)
        if slot is None:
            row = self._loading.known.get(provider_id) or ProviderRow(id=provider_id, name=provider_id, base_url="")
            named = registration or Registration(id=provider_id)
            slot = Slot(row, NOWHERE, named.models, named.default_model or row.default_model)
        listed = bool(names)
        shown = await self._advice.known(slot, names or self._advice.names(slot))
        shown.sort(key=lambda model: not model["default"])
        return {
            "id": provider_id,
            "source": "provider" if listed else "catalogue",
            "note": None if listed or told is None else told.message,
            "models": shown,
        }

    async def watch(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """For ever: ask those again that asked to be left alone for a while."""
        while True:
            await sleep(LOOK_SECONDS)
            now = self._loading.clock.monotonic()
            for provider_id in [name for name, at in self._again.items() if at <= now]:
                try:
                    await self.validate(provider_id)
                except (NotFound, StorageUnavailable) as error:
                    self._again.pop(provider_id, None)
                    LOG.info("%s is not validated again: %s", provider_id, error.message)

    async def _asking(self, provider_id: str) -> Asking:
        """Raises NotFound for a provider that nobody has heard of."""
        for slot in self._loading.lineup.of_file:
            if slot.row.id == provider_id:
                return Asking(slot, None)
        for registration in await self._loading.store.registrations():
            if registration.id == provider_id:
                state = await self._loading.state(registration)
                told = None
                if state.slot is None:
                    told = Told(
                        "provider_not_configured", state.problem or f"{state.row.name} has no key yet.", "Set its key."
                    )
                return Asking(state.slot, told, registration, state.credential)
        if provider_id in self._loading.known:
            name = self._loading.known[provider_id].name
            return Asking(None, Told("provider_not_configured", f"{name} is not configured here.", "Add it."))
        raise await self._loading.unknown(provider_id)

    async def _ask(self, slot: Slot) -> Told | None:
        if slot.row.id == STUB:
            return None
        try:
            await self._validation.check(slot, self._loading.lineup.authorities.get(slot.row.id))
        except ProviderError as error:
            LOG.info("%s was validated and failed: %s", slot.row.id, error.code)
            return self._told(error, slot)
        except DominionError as error:
            return Told(error.code, error.message, error.action)
        return None

    def _told(self, error: ProviderError, slot: Slot) -> Told:
        """In the words that callers get, too."""
        route = Route(
            slot=slot,
            dialect=self._loading.dialects[slot.row.wire],
            sends=slot.default_model,
            row=self._advice.default(slot),
            price=None,
            target=slot.target,
            stream_target=slot.target,
        )
        self._explanations.explain(error, route)
        return told_of(error, slot)

    async def _keep(self, provider_id: str, asking: Asking, told: Told | None) -> None:
        """Keep the outcome, unless the provider or its key was changed meanwhile."""
        now, problem = self._loading.now(), "" if told is None else told.message
        if asking.registration is None:
            self._loading.seen[provider_id] = (now, problem)
            return
        async with self._loading.lock:
            present = await self._loading.store.registrations()
            same = await self._loading.credential(provider_id) == asking.credential
            if same and asking.registration in present:
                await self._loading.store.put(replace(asking.registration, validated_at=now, problem=problem))
                await self._loading.load()
