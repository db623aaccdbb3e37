"""What one process changes the others hear, on both databases, whatever happens to the connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, insert, select, text

from dominion.domain.errors import NotFound, StorageUnavailable
from dominion.domain.people import Limits
from dominion.domain.prices import PriceRow
from dominion.domain.registry import Registration, SealedCredential, owner_of_provider
from dominion.domain.stores import EVERYTHING
from dominion.domain.usage import Price
from dominion.stores.schema.changes import changes
from dominion.stores.sql import changes as changes_module
from dominion.stores.sql.changes import SqlChanges, tell
from dominion.stores.sql.database import Database
from dominion.stores.sql.people import SqlPeople
from dominion.stores.sql.prices import SqlPrices
from dominion.stores.sql.registry import SqlRegistry
from tests.servers.programs import Postgres
from tests.stores.samples import KEY, USER

LONG = 30.0


class Process:
    """A gateway's ends of the wire."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.people = SqlPeople(database)
        self.changes = SqlChanges(database)
        self.heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        for topic in ("key", "user", "registry"):
            self.hear(topic)

    def hear(self, topic: str) -> None:
        async def heard(subject: str) -> None:
            self.heard.put_nowait((topic, subject))

        self.changes.listen(topic, heard)

    async def next(self) -> tuple[str, str]:
        return await asyncio.wait_for(self.heard.get(), LONG)


@asynccontextmanager
async def process(target: Path | str) -> AsyncIterator[Process]:
    database = Database.open(target)
    started = Process(database)
    try:
        await started.changes.start()
        yield started
    finally:
        await started.changes.close()
        await database.close()


async def test_what_one_process_publishes_every_other_hears_once_and_in_order(target: Path | str) -> None:
    async with process(target) as one, process(target) as two, process(target) as three:
        await one.changes.publish("registry", "openai")
        await one.changes.publish("nobody listens", "to this")
        await two.changes.publish("user", "usr_1")
        assert [await three.next(), await three.next()] == [("registry", "openai"), ("user", "usr_1")]
        assert await two.next() == ("registry", "openai")
        assert await one.next() == ("user", "usr_1")
        assert one.heard.empty()
        assert two.heard.empty()
        assert three.heard.empty()


async def test_a_process_hears_nothing_of_the_time_before_its_start(target: Path | str) -> None:
    async with process(target) as one:
        await one.changes.publish("user", "usr_1")
        async with process(target) as two:
            await one.changes.publish("user", "usr_2")
            assert await two.next() == ("user", "usr_2")


async def test_changes_of_people_are_told_with_them_or_not_at_all(target: Path | str) -> None:
    async with process(target) as one, process(target) as two:
        await one.people.add_user(USER)
        await one.people.add_key(KEY)
        await one.people.set_status(USER.id, "suspended")
        assert await two.next() == ("user", USER.id)
        await one.people.set_limits(USER.id, Limits())
        assert await two.next() == ("user", USER.id)
        await one.people.revoke_key(KEY.id, 1)
        assert await two.next() == ("key", KEY.id)
        await one.people.revoke_key("no such key", 1)
        await one.people.set_status("nobody", "active")
        with pytest.raises(NotFound):
            await one.database.write(told_in_vain)
        await one.changes.publish("registry", "last")
        assert await two.next() == ("registry", "last")


async def test_changes_of_providers_and_prices_are_told_with_them(target: Path | str) -> None:
    async with process(target) as one, process(target) as two:
        for topic in ("credential", "price"):
            two.hear(topic)
        registry, owner = SqlRegistry(one.database), owner_of_provider("groq")
        await registry.put(Registration(id="groq"))
        assert await two.next() == ("registry", "groq")
        key = SealedCredential(owner, "api_key", "https://api.groq.example:443", b"sealed", 1, "wxyz", 0)
        await registry.put_credential(key)
        assert await two.next() == ("credential", owner)
        assert await registry.swap_credential(key, replace(key, last4="abcd"))
        assert await two.next() == ("credential", owner)
        assert not await registry.swap_credential(key, key)
        assert not await registry.remove("nobody")
        await SqlPrices(one.database).add(PriceRow(provider="groq", model="llama", valid_from=0, price=Price(1, 2)))
        assert await two.next() == ("price", "groq/llama")
        assert await registry.remove("groq")
        assert await two.next() == ("registry", "groq")
        assert two.heard.empty()


def told_in_vain(connection: Connection) -> None:
    tell(connection, "one", "user", "usr_1")
    raise NotFound("and so nothing has changed")


async def test_a_change_that_commits_late_is_heard_although_others_began_after_it(postgres_url: str) -> None:
    async with process(postgres_url) as one, process(postgres_url) as two:
        told, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(connection: Connection) -> None:
            tell(connection, "slow", "user", "first")
            loop.call_soon_threadsafe(told.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(LONG)

        writing = asyncio.create_task(one.database.write(slow))
        await told.wait()
        publishing = asyncio.create_task(two.changes.publish("user", "second"))
        assert not two.heard.qsize()
        go_on.set()
        await asyncio.gather(writing, publishing)
        assert [await one.next(), await one.next()] == [("user", "first"), ("user", "second")]


async def test_a_listener_that_cannot_take_a_change_in_now_is_told_again(
    target: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "POLL_SECONDS", 0.05)
    async with process(target) as one, process(target) as two:
        fails = iter([StorageUnavailable("gone"), StorageUnavailable("still gone")])
        taken = asyncio.Event()

        async def heard(_subject: str) -> None:
            for error in fails:
                raise error
            taken.set()

        two.changes.listen("prices", heard)
        await one.changes.publish("prices", "openai")
        await asyncio.wait_for(taken.wait(), LONG)


async def test_a_defect_of_a_listener_is_logged_and_the_rest_is_heard(
    target: Path | str, caplog: pytest.LogCaptureFixture
) -> None:
    async with process(target) as one, process(target) as two:

        async def heard(subject: str) -> None:
            raise KeyError(subject)

        two.changes.listen("prices", heard)
        await one.changes.publish("prices", "openai")
        await one.changes.publish("user", "usr_1")
        assert await two.next() == ("user", "usr_1")
    assert "the change of prices openai was not taken in" in caplog.text


async def test_old_rows_are_deleted_and_who_missed_them_believes_that_everything_changed(
    target: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "KEPT", 3)
    async with process(target) as one, process(target) as two:

        def many(connection: Connection) -> None:
            for number in range(5):
                tell(connection, one.database.teller, "user", f"usr_{number}")

        await one.database.write(many)
        left = await one.database.read(lambda connection: connection.execute(select(changes.c.subject)).scalars().all())
        assert left == ["usr_2", "usr_3", "usr_4"]
        assert {await two.next() for _ in range(3)} == {(topic, EVERYTHING) for topic in ("key", "user", "registry")}


async def test_postgres_calls_long_before_the_next_poll(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "POLL_SECONDS", 600)
    async with process(postgres_url) as one, process(postgres_url) as two:
        for number in range(3):  # the first may be read when its connection begins, the others only when called
            await one.changes.publish("user", f"usr_{number}")
            assert await two.next() == ("user", f"usr_{number}")


async def test_a_poll_hears_what_no_notification_told(postgres_url: str) -> None:
    async with process(postgres_url) as one, process(postgres_url) as two:
        silent = insert(changes).values(teller="another", topic="user", subject="usr_1")
        await one.database.write(lambda connection: connection.execute(silent))
        assert await two.next() == ("user", "usr_1")


async def test_changes_are_heard_again_after_the_server_was_killed_and_after_sessions_were(
    own_postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = own_postgres.url("postgres")
    async with process(url) as one, process(url) as two:
        await one.changes.publish("user", "before")
        assert await two.next() == ("user", "before")
        await asyncio.to_thread(own_postgres.kill)
        with pytest.raises(StorageUnavailable):
            await one.changes.publish("user", "in vain")
        await asyncio.to_thread(own_postgres.start)
        await one.changes.publish("user", "after the restart")
        assert await two.next() == ("user", "after the restart")
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
        )
        await one.database.write(lambda connection: connection.execute(text(others)))
        await one.changes.publish("user", "after the sessions")
        assert await two.next() == ("user", "after the sessions")
    assert len([line for line in caplog.messages if "are not heard" in line]) <= 2
