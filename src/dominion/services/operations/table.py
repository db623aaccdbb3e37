"""All that can be asked of the gateway besides completions, as one table: doors and documents are loops over it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from dominion.domain.errors import InvalidRequest
from dominion.domain.people import Principal
from dominion.services.accounts.accounts import Accounts, LimitChanges
from dominion.services.offer.health import Health
from dominion.services.offer.listing import ModelList

Role = Literal["open", "caller", "admin", "local"]
"""Who may ask: anybody; a holder of a key; the operator; the operator or anybody on this machine."""
T = TypeVar("T")


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /admin/users`."""

    name: str
    email: str | None = None


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /admin/keys`."""

    user_id: str
    name: str | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Asked(msgspec.Struct, frozen=True):
    """What a door knows of a question. `path` and `query` hold its parameters; `body` is JSON, or empty."""

    path: dict[str, str]
    query: dict[str, str]
    body: bytes
    principal: Principal | None
    request_id: str = ""

    def read(self, form: type[T]) -> T:
        """The body as `form`. Raises InvalidRequest that names the field."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=form)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest(f"The body is wrong: {error}.") from error

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number of the query, from 1 to `most`."""
        text = self.query.get(name, str(default))
        if not text.isdecimal() or not 1 <= int(text[:9]) <= most:
            raise InvalidRequest(f"{name} is a whole number from 1 to {most}.", param=name)
        return int(text)


class Operation(msgspec.Struct, frozen=True):
    """One question: how it is addressed, who may ask, and the function that answers."""

    name: str
    method: str
    path: str
    role: Role
    summary: str
    run: Callable[[Asked], Awaitable[Any]]
    body: type | None = None
    creates: bool = False


def operations(accounts: Accounts, models: ModelList, health: Health) -> tuple[Operation, ...]:
    """The table, but for what other files add to it."""
    return (
        *_of_health(health),
        *_of_callers(accounts, models),
        *_of_users(accounts),
        *_of_keys(accounts),
    )


def _of_health(health: Health) -> tuple[Operation, ...]:
    return (
        Operation("health", "GET", "/health", "open", "Is the process alive?", lambda _: health.alive()),
        Operation("ready", "GET", "/health/ready", "open", "Can it answer?", lambda _: health.ready()),
    )


def _of_callers(accounts: Accounts, models: ModelList) -> tuple[Operation, ...]:
    async def quota(asked: Asked) -> Any:
        assert asked.principal is not None  # noqa: S101 - role "caller"
        return await accounts.quota(asked.principal.user)

    return (
        Operation(
            "models", "GET", "/v1/llm/models", "caller", "The models and their prices", lambda _: models.native()
        ),
        Operation("quota", "GET", "/v1/llm/quota", "caller", "What is used and what is left", quota),
    )


def _of_users(accounts: Accounts) -> tuple[Operation, ...]:
    async def create(asked: Asked) -> Any:
        form = asked.read(NewUser)
        return await accounts.create_user(form.name, form.email, asked.request_id)

    async def page(asked: Asked) -> Any:
        return await accounts.users(asked.query.get("after", ""), asked.number("limit", 100, 1000))

    async def one(asked: Asked) -> Any:
        return await accounts.user(asked.path["id"])

    async def suspend(asked: Asked) -> Any:
        return await accounts.set_status(asked.path["id"], "suspended", asked.request_id)

    async def activate(asked: Asked) -> Any:
        return await accounts.set_status(asked.path["id"], "active", asked.request_id)

    async def limits(asked: Asked) -> Any:
        return await accounts.set_limits(asked.read(LimitChanges), asked.request_id)

    async def usage(asked: Asked) -> Any:
        period = asked.query.get("from"), asked.query.get("to")
        page = asked.query.get("after", ""), asked.number("limit", 500, 1000)
        return await accounts.usage(asked.query.get("user_id"), *period, *page)

    sums = "Usage by day, provider and model; query: user_id, from, to (YYYY-MM-DD); of all users: after, limit"
    lifting = "Change the limits of a user; null lifts one"
    return (
        Operation("create_user", "POST", "/admin/users", "admin", "Create a user", create, NewUser, creates=True),
        Operation("users", "GET", "/admin/users", "admin", "List users; query: after, limit", page),
        Operation("user", "GET", "/admin/users/{id}", "admin", "One user", one),
        Operation("suspend_user", "POST", "/admin/users/{id}/suspend", "admin", "Suspend a user", suspend),
        Operation("activate_user", "POST", "/admin/users/{id}/activate", "admin", "Activate a user", activate),
        Operation("set_limits", "POST", "/admin/limits", "admin", lifting, limits, LimitChanges),
        Operation("usage", "GET", "/admin/usage", "admin", sums, usage),
    )


def _of_keys(accounts: Accounts) -> tuple[Operation, ...]:
    async def create(asked: Asked) -> Any:
        form = asked.read(NewKey)
        expires = None if form.expires_at is None else int(form.expires_at.timestamp())
        return await accounts.create_key(form.user_id, form.name, expires, asked.request_id)

    async def every(asked: Asked) -> Any:
        return await accounts.keys(asked.query.get("user_id", ""))

    async def revoke(asked: Asked) -> Any:
        return await accounts.revoke_key(asked.path["id"], asked.request_id)

    once = "Create a key; its plain text is shown once"
    return (
        Operation("create_key", "POST", "/admin/keys", "admin", once, create, NewKey, creates=True),
        Operation("keys", "GET", "/admin/keys", "admin", "The keys of a user; query: user_id", every),
        Operation("revoke_key", "DELETE", "/admin/keys/{id}", "admin", "Revoke a key", revoke),
    )
