"""Users and their keys in the database. The statements of both tables are the constants below."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, Update, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from dominion.domain.errors import Conflict, NotFound
from dominion.domain.people import ApiKey, Limits, User, UserStatus
from dominion.stores.schema.tables import api_keys, users
from dominion.stores.sql.changes import tell
from dominion.stores.sql.database import Database

ADD_USER = insert(users)
USER = select(users).where(users.c.id == bindparam("id"))
USERS = select(users).where(users.c.id > bindparam("after")).order_by(users.c.id).limit(bindparam("limit"))
CHANGE_USER = update(users).where(users.c.id == bindparam("user_id"))

ADD_KEY = insert(api_keys)
KEY = select(api_keys).where(api_keys.c.id == bindparam("id"))
KEY_AND_USER = select(api_keys, users).join_from(api_keys, users).where(api_keys.c.id == bindparam("id"))
KEYS = (
    select(api_keys)
    .where(api_keys.c.user_id == bindparam("user_id"))
    .order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
)
REVOKE_KEY = update(api_keys).where(api_keys.c.id == bindparam("key_id"), api_keys.c.revoked_at.is_(None))
EXPIRE_KEY = update(api_keys).where(
    api_keys.c.id == bindparam("key_id"),
    or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > bindparam("not_after")),
)


class SqlPeople:
    """`PeopleStore` over a database. What it changes it tells the other processes ("user", "key")."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database

    async def add_user(self, user: User) -> None:
        """Raises Conflict when the id exists."""
        values = {
            "id": user.id,
            "name": user.name,
            "email": user.email,
            "status": user.status,
            "created_at": user.created_at,
            **asdict(user.limits),
        }

        def work(connection: Connection) -> None:
            try:
                connection.execute(ADD_USER, values)
            except IntegrityError as error:
                raise Conflict(f"A user with the id {user.id!r} exists already.") from error

        await self._database.write(work)

    async def user(self, user_id: str) -> User | None:
        """One user."""
        return await self._database.read(lambda connection: _user_by_id(connection, user_id))

    async def users(self, *, after: str = "", limit: int = 100) -> list[User]:
        """Users in the order of their ids, from the one after `after`."""
        return await self._database.read(
            lambda connection: [_user(row) for row in connection.execute(USERS, {"after": after, "limit": limit})]
        )

    async def set_status(self, user_id: str, status: UserStatus) -> User | None:
        """The changed user, or None."""
        return await self._change_user(user_id, {"status": status})

    async def set_limits(self, user_id: str, limits: Limits) -> User | None:
        """The changed user, or None."""
        return await self._change_user(user_id, asdict(limits))

    async def add_key(self, key: ApiKey) -> None:
        """Raises NotFound when the user does not exist, Conflict when the id exists."""

        def work(connection: Connection) -> None:
            if connection.execute(USER, {"id": key.user_id}).first() is None:
                raise NotFound(f"There is no user with the id {key.user_id!r}.")
            try:
                connection.execute(ADD_KEY, asdict(key))
            except IntegrityError as error:
                raise Conflict(f"A key with the id {key.id!r} exists already.") from error

        await self._database.write(work)

    async def key(self, key_id: str) -> tuple[ApiKey, User] | None:
        """A key, revoked or not, with its user."""

        def work(connection: Connection) -> tuple[ApiKey, User] | None:
            row = connection.execute(KEY_AND_USER, {"id": key_id}).first()
            columns = len(api_keys.c)
            return (ApiKey(*row[:columns]), _user(row[columns:])) if row else None

        return await self._database.read(work)

    async def keys(self, user_id: str) -> list[ApiKey]:
        """All keys of a user, newest first."""
        return await self._database.read(
            lambda connection: [ApiKey(*row) for row in connection.execute(KEYS, {"user_id": user_id})]
        )

    async def revoke_key(self, key_id: str, at: int) -> ApiKey | None:
        """The key, revoked now or before; None when there is none."""
        return await self._change_key(REVOKE_KEY, key_id, {"revoked_at": at})

    async def expire_key(self, key_id: str, at: int) -> ApiKey | None:
        """The key, which expires at `at` or as before, if that is earlier; None when there is none."""
        return await self._change_key(EXPIRE_KEY, key_id, {"expires_at": at, "not_after": at})

    async def _change_key(self, change: Update, key_id: str, values: Mapping[str, int]) -> ApiKey | None:
        def work(connection: Connection) -> ApiKey | None:
            connection.execute(change, {"key_id": key_id, **values})
            row = connection.execute(KEY, {"id": key_id}).first()
            if row:
                tell(connection, self._database.teller, "key", key_id)
            return ApiKey(*row) if row else None

        return await self._database.write(work)

    async def _change_user(self, user_id: str, values: Mapping[str, object]) -> User | None:
        def work(connection: Connection) -> User | None:
            connection.execute(CHANGE_USER, {"user_id": user_id, **values})
            user = _user_by_id(connection, user_id)
            if user:
                tell(connection, self._database.teller, "user", user_id)
            return user

        return await self._database.write(work)


def _user_by_id(connection: Connection, user_id: str) -> User | None:
    row = connection.execute(USER, {"id": user_id}).first()
    return _user(row) if row else None


def _user(columns: Sequence[Any]) -> User:
    user_id, name, email, status, created_at, *limits = columns
    return User(user_id, name, email, status, Limits(*limits), created_at)
