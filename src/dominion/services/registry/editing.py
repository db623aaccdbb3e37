"""The registry of providers as the operator changes it while the gateway runs.

Every change holds from the next request on. Its entry in the audit log is written first, so that no change can be
without one. A key goes in and never comes out.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import msgspec
from msgspec.structs import replace

from dominion.domain.errors import ConfigProblem, Conflict, InvalidRequest, NetworkFailure, NotFound
from dominion.domain.providers import Origin, Slot
from dominion.domain.registry import Registration, SealedCredential, owner_of_provider
from dominion.domain.stores import AuditStore
from dominion.providers.catalog import AUTO
from dominion.services.registry.loading import API_KEY, Loading, origin_text
from dominion.services.registry.views import settled, settled_key, show_entry, show_known, show_registered, show_slot

LOG = logging.getLogger("dominion.registry")
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_LONGEST_TEXT = 1_000
_LONGEST_KEY = 8_000
_MOST_MODELS = 500
_LAST_POSITION = 1_000_000
_HARMLESS = frozenset({"enabled", "position", "name"})
"""What can be changed of a provider that cannot be asked, such as one whose dialect is gone."""
_ADMIN = "admin"


class NewProvider(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /admin/providers`: what is empty is the catalogue's, or usual for the dialect `wire`."""

    id: str
    name: str = ""
    wire: str = ""
    scheme: str = ""
    base_url: str = ""
    chat_path: str = ""
    models: tuple[str, ...] = ()
    default_model: str = ""
    enabled: bool = True
    api_key: str = ""


class ProviderChanges(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `PATCH /admin/providers/{id}`: what is absent stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    wire: str | msgspec.UnsetType = msgspec.UNSET
    scheme: str | msgspec.UnsetType = msgspec.UNSET
    base_url: str | msgspec.UnsetType = msgspec.UNSET
    chat_path: str | msgspec.UnsetType = msgspec.UNSET
    models: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    default_model: str | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    position: int | msgspec.UnsetType = msgspec.UNSET


class Registry:
    """Lists and changes providers. Every answer is plain values.

    `wires` are the dialects that providers may speak. `look_up` finds the addresses of an origin: it raises
    NetworkFailure where none may be dialled, OSError where there is none.
    """

    def __init__(
        self,
        loading: Loading,
        audit: AuditStore,
        wires: Collection[str],
        look_up: Callable[[Origin], Awaitable[object]],
    ) -> None:
        self._loading = loading
        self._audit = audit
        self._wires = wires
        self._look_up = look_up

    # --- what there is

    async def listed(self, *, every: bool = False, enabled: bool = False) -> dict[str, Any]:
        """Providers in the order in which they are asked; `every`: then those that nobody has configured.

        `enabled`: only those that are.
        """
        *rows, stub = self._of_file()
        rows += [await self._show(each) for each in await self._loading.store.registrations()]
        rows.append(stub)
        if every:
            taken = {row["id"] for row in rows}
            known = self._loading.known
            rows += [show_known(row, known) for row in known.values() if row.id not in taken]
        return {"providers": [row for row in rows if row["enabled"] or not enabled]}

    async def shown(self, provider_id: str) -> dict[str, Any]:
        """One provider, configured or not. Raises NotFound."""
        for row in (await self.listed(every=True))["providers"]:
            if row["id"] == provider_id:
                return dict(row)
        raise await self._loading.unknown(provider_id)

    async def audit(self, after: int, limit: int, subject: str | None) -> dict[str, Any]:
        """A page of the audit log, oldest first; `next` is the `after` of the next page."""
        entries = await self._audit.entries(after=after, limit=limit, subject=subject)
        return {
            "entries": [show_entry(entry) for entry in entries],
            "next": entries[-1].number if len(entries) == limit else None,
        }

    def _of_file(self) -> list[dict[str, Any]]:
        """Those of the file, the stub last."""
        first = {slot.row.id: slot for slot in reversed(self._loading.lineup.of_file)}
        order = dict.fromkeys(slot.row.id for slot in self._loading.lineup.of_file)
        return [show_slot(first[name], self._loading.known, self._loading.seen.get(name)) for name in order]

    async def _show(self, registration: Registration) -> dict[str, Any]:
        state = await self._loading.state(registration)
        return show_registered(
            registration,
            state.row,
            self._loading.known,
            state.credential,
            configured=state.slot is not None,
            problem=state.problem,
        )

    # --- changes

    async def add(self, new: NewProvider, request_id: str) -> dict[str, Any]:
        """Register a provider. Raises InvalidRequest, Conflict."""
        self._refuse_of_file(new.id)
        if not _ID.fullmatch(new.id) or new.id == AUTO:
            raise InvalidRequest(
                "An id has 1 to 63 characters: small letters, digits, and _ . - inside; it is not auto.", param="id"
            )
        async with self._loading.lock:
            others = await self._loading.store.registrations()
            if any(each.id == new.id for each in others):
                raise Conflict(f"{new.id} is registered already.", action=f"Change it: PATCH /admin/providers/{new.id}")
            now = self._loading.now()
            fields = {name: value for name, value in msgspec.structs.asdict(new).items() if name != "api_key"}
            position = max((each.position for each in others), default=0) + 1
            registration = Registration(**fields, position=position, created_at=now, updated_at=now)
            slot = await self._checked(registration, new.api_key.strip())
            await self._note("provider_added", new.id, None, settled(registration), request_id)
            await self._loading.store.put(registration)
            if new.api_key.strip():
                await self._put_key(registration, slot, new.api_key.strip(), None, request_id)
            await self._loading.load()
        return await self.shown(new.id)

    async def change(self, provider_id: str, changes: ProviderChanges, request_id: str) -> dict[str, Any]:
        """Change what is given. A key stays with the address that it was entered for: another one forgets it.

        Raises InvalidRequest, NotFound, Conflict.
        """
        fields = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not msgspec.UNSET}
        async with self._loading.lock:
            before = await self._registered(provider_id)
            after = replace(before, **fields)
            if after != before:
                _check_texts(after)
                slot = None if fields.keys() <= _HARMLESS else await self._checked(after, "")
                await self._note_changes(before, after, request_id)
                await self._loading.store.put(replace(after, updated_at=self._loading.now()))
                credential = await self._loading.credential(provider_id)
                if slot and credential and credential.origin != origin_text(slot.target.origin):
                    await self._drop_key(provider_id, credential, request_id)
                await self._loading.load()
        return await self.shown(provider_id)

    async def set_key(self, provider_id: str, key: str, request_id: str) -> dict[str, Any]:
        """Keep a provider's key, sealed, for its present address only. Raises InvalidRequest, NotFound, Conflict."""
        if not key.strip():
            raise InvalidRequest("The key is empty.", param="api_key")
        async with self._loading.lock:
            registration = await self._registered(provider_id)
            slot = await self._checked(registration, key.strip())
            credential = await self._loading.credential(provider_id)
            await self._put_key(registration, slot, key.strip(), credential, request_id)
            await self._loading.load()
        return await self.shown(provider_id)

    async def remove_key(self, provider_id: str, request_id: str) -> dict[str, Any]:
        """Forget a provider's key. Raises NotFound, Conflict."""
        async with self._loading.lock:
            await self._registered(provider_id)
            credential = await self._loading.credential(provider_id)
            if credential is None:
                raise NotFound(f"{provider_id} has no key.")
            await self._drop_key(provider_id, credential, request_id)
            await self._loading.load()
        return await self.shown(provider_id)

    async def remove(self, provider_id: str, request_id: str) -> dict[str, Any]:
        """Remove a provider with its key. Raises NotFound, Conflict."""
        async with self._loading.lock:
            registration = await self._stored(provider_id)
            credential = await self._loading.credential(provider_id)
            if credential is not None:
                await self._drop_key(provider_id, credential, request_id)
            await self._note("provider_removed", provider_id, settled(registration), None, request_id)
            await self._loading.store.remove(provider_id)
            await self._loading.load()
        return {"id": provider_id, "removed": True}

    # --- what they share

    def _refuse_of_file(self, provider_id: str) -> None:
        if any(slot.row.id == provider_id for slot in self._loading.lineup.of_file):
            raise Conflict(
                f"{provider_id} is configured by the file or the environment and cannot be changed here.",
                action="Change it there and start again; or remove it there, start again and register it.",
            )

    async def _registered(self, provider_id: str) -> Registration:
        """Raises Conflict for one of the file, NotFound for one that is not registered."""
        self._refuse_of_file(provider_id)
        return await self._stored(provider_id)

    async def _stored(self, provider_id: str) -> Registration:
        """The same for one that the file may have, too."""
        for registration in await self._loading.store.registrations():
            if registration.id == provider_id:
                return registration
        if provider_id in self._loading.known:
            raise NotFound(f"{provider_id} is not registered.", action="Add it: POST /admin/providers")
        raise await self._loading.unknown(provider_id)

    async def _checked(self, registration: Registration, key: str) -> Slot:
        """A slot that proves that the provider can be asked. Without a key, one that is never used stands in.

        A name without an address may get one later. Raises InvalidRequest.
        """
        if registration.wire and registration.wire not in self._wires:
            raise InvalidRequest(
                f"There is no dialect {registration.wire[:80]!r}; there are {', '.join(self._wires)}.", param="wire"
            )
        if len(key) > _LONGEST_KEY:
            raise InvalidRequest(f"A key has at most {_LONGEST_KEY} characters.", param="api_key")
        _check_texts(registration)
        try:
            slot = self._loading.maker.slot(registration, key or "not-a-key")
            self._loading.dialects[slot.row.wire]
            await self._look_up(slot.target.origin)
        except ValueError as error:
            raise InvalidRequest(f"{registration.id} cannot be used: {error}.") from error
        except ConfigProblem as error:
            raise InvalidRequest(error.message, action=error.action, param="wire") from error
        except NetworkFailure as error:
            raise InvalidRequest(
                f"{registration.id} cannot be used: it is not at a public address.",
                action="Use a public address, or list this one under egress_allow.",
                param="base_url",
            ) from error
        except OSError as error:
            LOG.info("%s has no address now: %s", registration.id, error)
        return slot

    async def _put_key(
        self, registration: Registration, slot: Slot, key: str, before: SealedCredential | None, request_id: str
    ) -> None:
        origin = origin_text(slot.target.origin)
        sealed = self._loading.sealer.seal(
            owner_of_provider(registration.id), API_KEY, origin, key, self._loading.now()
        )
        action = "credentials_added" if before is None else "credentials_updated"
        await self._note(action, registration.id, settled_key(before), settled_key(sealed), request_id)
        await self._loading.store.put_credential(sealed)
        if registration.validated_at is not None or registration.problem:  # it was of another key
            await self._loading.store.put(replace(registration, validated_at=None, problem=""))

    async def _drop_key(self, provider_id: str, credential: SealedCredential, request_id: str) -> None:
        await self._note("credentials_removed", provider_id, settled_key(credential), None, request_id)
        await self._loading.store.remove_credential(credential.owner, credential.name)

    async def _note_changes(self, before: Registration, after: Registration, request_id: str) -> None:
        """One entry for each kind of change."""
        told = settled(before), settled(after)
        changed = {name for name in told[0] if told[0][name] != told[1][name]}
        switched = "provider_enabled" if after.enabled else "provider_disabled"
        kinds = {"enabled": switched, "default_model": "model_changed", "models": "model_changed"}
        for action in sorted({kinds.get(name, "provider_changed") for name in changed}):
            of_kind = [name for name in told[0] if name in changed and kinds.get(name, "provider_changed") == action]
            then, now = ({name: each[name] for name in of_kind} for each in told)
            await self._note(action, after.id, then, now, request_id)

    async def _note(
        self,
        action: str,
        provider_id: str,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
        request_id: str,
    ) -> None:
        at = int(self._loading.clock.now() * 1000)
        await self._audit.append(at, _ADMIN, action, owner_of_provider(provider_id), before, after, request_id)


def _check_texts(registration: Registration) -> None:
    """Raises InvalidRequest."""
    models = (*registration.models, registration.default_model)
    texts = (*models, registration.name, registration.base_url, registration.chat_path)
    if not all(len(text) <= _LONGEST_TEXT and text.isprintable() for text in texts):
        raise InvalidRequest(f"Texts have at most {_LONGEST_TEXT} characters, all of them printable.")
    if len(models) > _MOST_MODELS or not all(model.isascii() for model in models):
        raise InvalidRequest(f"At most {_MOST_MODELS} models; their names are ASCII.", param="models")
    if not 0 <= registration.position <= _LAST_POSITION:
        raise InvalidRequest(f"position is a number from 0 to {_LAST_POSITION}.", param="position")
