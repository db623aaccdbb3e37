"""Registered providers and the audit log: what the operator changed while the gateway ran.

Providers of the configuration file stand beside these; they are shown with `source` "file" and cannot be changed.
"""

from typing import Any, Literal

import msgspec

Source = Literal["file", "registry"]


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """One provider that was registered through the API or the command. Never holds a credential.

    `id` is a row of the catalogue, or a new one; what is empty is the catalogue row's. `wire` names a dialect,
    `scheme` a way to present the credential. `position` orders the registered ones; they are asked after those of the
    file. Times are epoch seconds; `validated_at` None: never, `problem` "": the last validation succeeded.
    """

    id: str
    name: str = ""
    wire: str = ""
    scheme: str = ""
    base_url: str = ""
    chat_path: str = ""
    models: tuple[str, ...] = ()
    default_model: str = ""
    enabled: bool = True
    position: int = 0
    created_at: int = 0
    updated_at: int = 0
    validated_at: int | None = None
    problem: str = ""


class SealedCredential(msgspec.Struct, frozen=True):
    """A provider's or a customer's credential as it is stored.

    `owner` is "provider:<id>" or "user:<id>:<provider>" (whose key at which provider); it is bound to the ciphertext,
    as `name` ("api_key") and `origin` ("https://host:port", the only place it may be sent to) are. `key_version` says
    which sealing key opens it. `last4` is for people to recognise it.
    """

    owner: str
    name: str
    origin: str
    sealed: bytes
    key_version: int
    last4: str
    created_at: int


USER_OWNER = "user"


def owner_of_user(user_id: str, provider_id: str) -> str:
    """The `owner` of a user's own key at a provider."""
    return f"{USER_OWNER}:{user_id}:{provider_id}"


def owner_of_provider(provider_id: str) -> str:
    """The `owner` of a provider's own credentials."""
    return f"provider:{provider_id}"


class AuditEntry(msgspec.Struct, frozen=True):
    """One change by somebody. `before` and `after` are JSON values with secrets masked to their last four characters.

    `number` counts from 1 without a gap, `at` is epoch milliseconds, `actor` "admin", "cli", "system" or "user:<id>",
    `subject` for example "provider:openai". `hash` covers every other field and the hash of the entry before (b""
    before the first).
    """

    number: int
    at: int
    actor: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str
    hash: bytes
