"""Providers and audit entries as the operator sees them: plain values, never with more of a key than its end."""

from collections.abc import Mapping
from typing import Any

from dominion.domain.providers import ProviderRow, Slot
from dominion.domain.registry import AuditEntry, Registration, SealedCredential
from dominion.providers.catalog import STUB
from dominion.rules.windows import iso
from dominion.services.registry.validation import key_start

Seen = tuple[int, str]
"""When a provider was last validated, in epoch seconds, and the problem that was found, if any."""


def show_slot(slot: Slot, known: Mapping[str, ProviderRow], seen: Seen | None) -> dict[str, Any]:
    """A provider of the configuration file."""
    at, problem = seen or (None, "")
    return _shown(slot.row, known) | {
        "source": "file",
        "enabled": True,
        "configured": True,
        "default_model": slot.default_model or None,
        "models": list(slot.models),
        "validated_at": _time(at),
        "problem": problem or None,
    }


def show_known(row: ProviderRow, known: Mapping[str, ProviderRow]) -> dict[str, Any]:
    """A provider of the catalogue that nobody has configured."""
    return _shown(row, known)


def show_registered(
    registration: Registration,
    row: ProviderRow,
    known: Mapping[str, ProviderRow],
    credential: SealedCredential | None,
    *,
    configured: bool,
    problem: str,
) -> dict[str, Any]:
    """A registered provider. `problem` keeps it from being asked, and stands before what validation found."""
    return _shown(row, known) | {
        "source": "registry",
        "enabled": registration.enabled,
        "configured": configured,
        "models": list(registration.models),
        "key": None if credential is None else masked(credential),
        "position": registration.position,
        "created_at": iso(registration.created_at),
        "updated_at": iso(registration.updated_at),
        "validated_at": _time(registration.validated_at),
        "problem": problem or registration.problem or None,
    }


def masked(credential: SealedCredential) -> str:
    """What people recognise a key by: `sk-...vX2Q`."""
    host = credential.origin.partition("://")[2].rpartition(":")[0]
    return f"{key_start(host)}...{credential.last4}"


def settled(registration: Registration) -> dict[str, Any]:
    """What the audit log keeps of a registration: all that an operator may set."""
    return {
        "name": registration.name,
        "wire": registration.wire,
        "scheme": registration.scheme,
        "base_url": registration.base_url,
        "chat_path": registration.chat_path,
        "models": list(registration.models),
        "default_model": registration.default_model,
        "enabled": registration.enabled,
        "position": registration.position,
    }


def settled_key(credential: SealedCredential | None) -> dict[str, Any] | None:
    """What the audit log keeps of a credential."""
    return None if credential is None else {credential.name: masked(credential), "origin": credential.origin}


def show_entry(entry: AuditEntry) -> dict[str, Any]:
    """One line of the audit log."""
    return {
        "number": entry.number,
        "at": iso(entry.at // 1000),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "before": entry.before,
        "after": entry.after,
        "request_id": entry.request_id,
        "hash": entry.hash.hex(),
    }


def _shown(row: ProviderRow, known: Mapping[str, ProviderRow]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "kind": _kind(row, known),
        "source": None,
        "enabled": False,
        "configured": False,
        "default_model": row.default_model or None,
        "models": [],
        "wire": row.wire,
        "scheme": row.credentials,
        "base_url": row.base_url or None,
        "key": None,
        "position": None,
        "created_at": None,
        "updated_at": None,
        "validated_at": None,
        "problem": None,
    }


def _kind(row: ProviderRow, known: Mapping[str, ProviderRow]) -> str:
    """`native`: its own API is spoken; `compatible`: that of OpenAI; `custom`: the catalogue does not know it."""
    if row.id == STUB:
        return STUB
    if row.id not in known:
        return "custom"
    return "native" if row.own_table else "compatible"


def _time(at: int | None) -> str | None:
    return None if at is None else iso(at)
