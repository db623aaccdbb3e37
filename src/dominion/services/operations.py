"""Everything that can be asked of the gateway besides completions, as one table: doors and documents are loops over it."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import msgspec

from dominion.domain.errors import InvalidRequest
from dominion.domain.people import Principal
from dominion.services.accounts import Accounts, LimitChanges
from dominion.services.health import Health
from dominion.services.models import ModelList

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


class Asked(msgspec.Struct, frozen=True):
    """What a door knows of a question. `path` and `query` hold its parameters; `body` is JSON, or empty."""

    path: dict[str, str]
    query: dict[str, str]
    body: bytes
    principal: Principal | None

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
    """The table."""

    async def quota(asked: Asked) -> Any:
        assert asked.principal is not None  # noqa: S101 - role "caller"
        return await accounts.quota(asked.principal.user)

    async def new_user(asked: Asked) -> Any:
        form = asked.read(NewUser)
        return await accounts.create_user(form.name, form.email)

    async def new_key(asked: Asked) -> Any:
        form = asked.read(NewKey)
        return await accounts.create_key(form.user_id, form.name)

    return (
        Operation("health", "GET", "/health", "open", "Is the process alive?", lambda _: health.alive()),
        Operation("ready", "GET", "/health/ready", "open", "Can it answer?", lambda _: health.ready()),
        Operation("models", "GET", "/v1/llm/models", "caller", "The models and their prices", lambda _: models.native()),
        Operation("quota", "GET", "/v1/llm/quota", "caller", "What is used and what is left", quota),
        Operation("create_user", "POST", "/admin/users", "admin", "Create a user", new_user, NewUser, creates=True),
        Operation(
            "users",
            "GET",
            "/admin/users",
            "admin",
            "List users; query: after, limit",
            lambda asked: accounts.users(asked.query.get("after", ""), asked.number("limit", 100, 1000)),
        ),
        Operation(
            "user", "GET", "/admin/users/{id}", "admin", "One user", lambda asked: accounts.user(asked.path["id"])
        ),
        Operation(
            "suspend_user",
            "POST",
            "/admin/users/{id}/suspend",
            "admin",
            "Suspend a user",
            lambda asked: accounts.set_status(asked.path["id"], "suspended"),
        ),
        Operation(
            "activate_user",
            "POST",
            "/admin/users/{id}/activate",
            "admin",
            "Activate a user",
            lambda asked: accounts.set_status(asked.path["id"], "active"),
        ),
        Operation(
            "create_key",
            "POST",
            "/admin/keys",
            "admin",
            "Create a key; its plain text is shown once",
            new_key,
            NewKey,
            creates=True,
        ),
        Operation(
            "keys",
            "GET",
            "/admin/keys",
            "admin",
            "The keys of a user; query: user_id",
            lambda asked: accounts.keys(asked.query.get("user_id", "")),
        ),
        Operation(
            "revoke_key",
            "DELETE",
            "/admin/keys/{id}",
            "admin",
            "Revoke a key",
            lambda asked: accounts.revoke_key(asked.path["id"]),
        ),
        Operation(
            "set_limits",
            "POST",
            "/admin/limits",
            "admin",
            "Change the limits of a user; null lifts one",
            lambda asked: accounts.set_limits(asked.read(LimitChanges)),
            LimitChanges,
        ),
        Operation(
            "usage",
            "GET",
            "/admin/usage",
            "admin",
            "Usage by day, provider and model; query: user_id, from, to (YYYY-MM-DD)",
            lambda asked: accounts.usage(asked.query.get("user_id"), asked.query.get("from"), asked.query.get("to")),
        ),
    )
