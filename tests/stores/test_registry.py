"""Registered providers and sealed credentials, in every implementation."""

import asyncio

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, inspect, text

from dominion.domain.registry import Registration, SealedCredential
from dominion.stores.sql.database import Database
from dominion.stores.sql.registry import SqlRegistry
from tests.stores.implementations import Stores

REGISTRATION = Registration(
    id="acme",
    name="Größe & Co",
    wire="openai_chat",
    scheme="bearer",
    base_url="https://api.acme.example/v1",
    chat_path="/v1/chat/completions",
    models=("acme-1", 'a "quoted" one'),
    default_model="acme-1",
    enabled=False,
    position=7,
    created_at=1_790_000_000,
    updated_at=1_790_000_001,
    validated_at=1_790_000_002,
    problem="It said 401.",
)
CREDENTIAL = SealedCredential(
    "provider:acme", "api_key", "https://api.acme.example:443", b"\x01sealed\x00\xff", 3, "wxyz", 1_790_000_003
)


async def test_a_registration_is_what_was_put_last(stores: Stores) -> None:
    registry = stores.registry
    assert await registry.registrations() == []
    await registry.put(Registration(id="bare"))
    await registry.put(REGISTRATION)
    assert await registry.registrations() == [Registration(id="bare"), REGISTRATION]
    again = replace(REGISTRATION, enabled=True, models=(), validated_at=None, problem="")
    await registry.put(again)
    assert await registry.registrations() == [Registration(id="bare"), again]


async def test_registrations_come_in_the_order_of_their_positions_then_ids(stores: Stores) -> None:
    for position, name in [(2, "a"), (1, "zeta"), (1, "Zeta"), (0, "m")]:
        await stores.registry.put(Registration(id=name, position=position))
    assert [one.id for one in await stores.registry.registrations()] == ["m", "Zeta", "zeta", "a"]


async def test_a_credential_is_one_of_its_owner_and_name(stores: Stores) -> None:
    registry = stores.registry
    others = [replace(CREDENTIAL, owner="user:usr_1:acme"), replace(CREDENTIAL, name="region", sealed=b"")]
    for one in (CREDENTIAL, *others):
        await registry.put_credential(replace(one, last4="old"))
        await registry.put_credential(one)
    assert await registry.credentials() == [CREDENTIAL, others[1], others[0]]
    assert await registry.credentials("provider:acme") == [CREDENTIAL, others[1]]
    assert await registry.credentials("provider:acm") == []
    assert [await registry.remove_credential("provider:acme", "api_key") for _ in range(2)] == [True, False]
    assert await registry.credentials() == [others[1], others[0]]


async def test_a_credential_is_swapped_only_while_it_is_what_it_was(stores: Stores) -> None:
    registry = stores.registry
    other = replace(CREDENTIAL, owner="provider:other")
    for one in (CREDENTIAL, other):
        await registry.put_credential(one)
    version = await registry.version()
    anew = replace(CREDENTIAL, sealed=b"anew", key_version=4)
    for change in ({"sealed": b""}, {"key_version": 2}, {"origin": "https://x:443"}, {"name": "x"}, {"last4": ""}):
        assert not await registry.swap_credential(replace(CREDENTIAL, **change), anew)
    assert (await registry.version(), await registry.credentials()) == (version, [CREDENTIAL, other])
    assert await registry.swap_credential(CREDENTIAL, anew)
    assert not await registry.swap_credential(CREDENTIAL, anew)
    assert (await registry.version(), await registry.credentials()) == (version + 1, [anew, other])


async def test_a_provider_goes_with_its_credentials_and_nobody_elses(stores: Stores) -> None:
    registry = stores.registry
    kept = [replace(CREDENTIAL, owner=owner) for owner in ("provider:acme2", "user:usr_1:acme")]
    await registry.put(REGISTRATION)
    for one in (CREDENTIAL, replace(CREDENTIAL, name="region"), *kept):
        await registry.put_credential(one)
    assert await registry.remove("acme") is True
    assert await registry.remove("acme") is False
    assert await registry.registrations() == []
    assert await registry.credentials() == kept


async def test_every_change_takes_the_next_version_and_nothing_else_does(stores: Stores) -> None:
    registry = stores.registry
    versions = [await registry.version()]
    changes = [
        registry.put(REGISTRATION),
        registry.put(REGISTRATION),
        registry.put_credential(CREDENTIAL),
        registry.remove_credential("provider:acme", "api_key"),
        registry.remove("acme"),
    ]
    for change in changes:
        await change
        versions.append(await registry.version())
    assert versions == [0, 1, 2, 3, 4, 5]
    await registry.remove("acme")
    await registry.remove_credential("provider:acme", "api_key")
    await registry.credentials()
    assert await registry.version() == 5


async def test_a_change_in_one_process_is_seen_in_the_other(two_processes: list[Database]) -> None:
    one, other = map(SqlRegistry, two_processes)
    await asyncio.gather(
        *(
            registry.put(Registration(id=f"{n}-{name}"))
            for name, registry in (("a", one), ("b", other))
            for n in range(20)
        )
    )
    assert await one.version() == await other.version() == 40
    assert len(await other.registrations()) == 40
    await one.put_credential(CREDENTIAL)
    assert await other.credentials() == [CREDENTIAL]
    assert await other.version() == 41


@pytest.mark.promise("003-041", "003-042", "003-043", "003-044", "003-045", "003-046", "003-047", "003-048", "003-049")
async def test_the_tables_have_the_names_that_the_specification_gives_them(database: Database) -> None:
    await SqlRegistry(database).put(REGISTRATION)

    def work(connection: Connection) -> None:
        row = connection.execute(text("SELECT * FROM providers")).mappings().one()
        assert {
            "id": "acme",
            "display_name": "Größe & Co",
            "enabled": False,
            "endpoint": "https://api.acme.example/v1",
            "last_validated_at": 1_790_000_002,
            "created_at": 1_790_000_000,
            "updated_at": 1_790_000_001,
        }.items() <= dict(row).items()
        assert inspect(connection).get_pk_constraint("providers")["constrained_columns"] == ["id"]
        # The keys stand sealed in a table of their own, so that no listing of providers can hold one.
        columns = {column["name"] for column in inspect(connection).get_columns("provider_credentials")}
        assert {"owner", "name", "origin", "sealed", "key_version"} <= columns

    await database.read(work)
