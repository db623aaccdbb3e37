"""Callers' own keys at providers and the rotation of their keys here, as rows of the table of operations."""

from typing import Any

import msgspec

from dominion.domain.errors import InvalidRequest
from dominion.services.accounts.rotating import Rotating
from dominion.services.operations.table import Asked, Operation
from dominion.services.registry.own_keys import OwnKeys

OPERATOR = "admin"


class OwnProviderKey(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /v1/llm/credentials/{provider}`."""

    api_key: str


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /admin/keys/{id}/rotate`: how long the old key still works."""

    overlap_seconds: int = 86_400


def of_rotating(rotating: Rotating) -> tuple[Operation, ...]:
    """The rotation of keys."""

    async def rotate(asked: Asked) -> Any:
        overlap = asked.read(Rotation).overlap_seconds
        return await rotating.rotate(asked.path["id"], overlap, asked.request_id)

    path, anew = "/admin/keys/{id}/rotate", "A new key; the old one works until the overlap ends"
    return (Operation("rotate_key", "POST", path, "admin", anew, rotate, Rotation, creates=True),)


def of_credentials(keys: OwnKeys) -> tuple[Operation, ...]:
    """Own keys: they go in, and never come out."""

    async def listed(asked: Asked) -> Any:
        return await keys.listed(_whose(asked)[0])

    async def put(asked: Asked) -> Any:
        key = asked.read(OwnProviderKey).api_key.strip()
        if not key:
            raise InvalidRequest("The key is empty.", param="api_key")
        user_id, actor = _whose(asked)
        return await keys.put(user_id, asked.path["provider"], key, actor, asked.request_id)

    async def remove(asked: Asked) -> Any:
        user_id, actor = _whose(asked)
        return await keys.remove(user_id, asked.path["provider"], actor, asked.request_id)

    mine, theirs = "/v1/llm/credentials", "/admin/users/{id}/credentials"
    one, form = "/{provider}", OwnProviderKey
    keep, forget = "Keep a key at a provider, sealed", "Forget a key at a provider"
    return (
        Operation("own_credentials", "GET", mine, "caller", "Your own keys at providers", listed),
        Operation("put_own_credential", "PUT", mine + one, "caller", f"{keep}, of your own", put, form),
        Operation("remove_own_credential", "DELETE", mine + one, "caller", f"{forget}, of your own", remove),
        Operation("user_credentials", "GET", theirs, "admin", "A user's own keys at providers", listed),
        Operation("put_user_credential", "PUT", theirs + one, "admin", f"{keep}, of a user", put, form),
        Operation("remove_user_credential", "DELETE", theirs + one, "admin", f"{forget}, of a user", remove),
    )


def _whose(asked: Asked) -> tuple[str, str]:
    """The user, and who asks."""
    if asked.principal is None:
        return asked.path["id"], OPERATOR
    return asked.principal.user.id, f"user:{asked.principal.user.id}"
