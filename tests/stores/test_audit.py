"""The audit log, in every implementation: numbers without a gap, and a chain that shows what was done to it."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from dominion.domain.registry import AuditEntry
from dominion.domain.stores import AuditStore
from dominion.rules.audit_chain import Anchor, Chain, Fault
from dominion.stores.sql.audit import SqlAudit
from dominion.stores.sql.database import Database
from tests.stores.implementations import AUDIT_KEY, Stores

AT = 1_790_000_000_123
BEFORE: dict[str, Any] = {"b": None, "a": [1, 2.5, {"z": "ö", "y": True}], "nano": 2**60}


async def add(audit: AuditStore, number: int = 1) -> AuditEntry:
    return await audit.append(AT, "admin", "provider_enabled", f"provider:p{number % 3}", BEFORE, None, f"req_{number}")


async def run(database: Database, statement: str) -> None:
    """What somebody with the database, and without the key, can do."""
    await database.write(lambda connection: connection.execute(text(statement)))


async def checked(audit: AuditStore, anchor: Anchor | None = None, page: int = 7) -> tuple[list[Fault], Anchor]:
    """What reading the whole log in pages finds, and its head."""
    chain, found, after = Chain(AUDIT_KEY, filter(None, [anchor])), list[Fault](), 0
    while entries := await audit.entries(after=after, limit=page):
        found += chain.take(entries)
        after = entries[-1].number
    return found + chain.end(), chain.head


async def test_an_entry_is_read_as_it_was_written(stores: Stores) -> None:
    after = {"key": "...wxyz", "ä": ["\x00", ""]}
    first = await stores.audit.append(AT, "admin", "credentials_added", "provider:acme", None, after, "req_1")
    second = await stores.audit.append(AT - 5, "cli", "provider_removed", "provider:acme", BEFORE, {}, "")
    assert first == AuditEntry(1, AT, "admin", "credentials_added", "provider:acme", None, after, "req_1", first.hash)
    assert (second.number, second.before, second.after) == (2, BEFORE, {})
    assert await stores.audit.entries() == [first, second]
    assert len(first.hash) == len(second.hash) == 32
    assert await checked(stores.audit) == ([], Anchor(2, second.hash))
    assert await stores.audit.newest() == second


async def test_what_the_caller_changes_later_does_not_change_the_entry(stores: Stores) -> None:
    value = {"models": ["a"]}
    await stores.audit.append(AT, "admin", "model_changed", "provider:acme", value, value, "req_1")
    value["models"].append("b")
    (entry,) = await stores.audit.entries()
    assert entry.before == entry.after == {"models": ["a"]}
    assert (await checked(stores.audit))[0] == []


async def test_entries_are_read_in_pages_and_by_subject(stores: Stores) -> None:
    for number in range(1, 11):
        await add(stores.audit, number)
    assert [one.number for one in await stores.audit.entries(after=3, limit=4)] == [4, 5, 6, 7]
    assert [one.number for one in await stores.audit.entries(subject="provider:p1")] == [1, 4, 7, 10]
    assert [one.number for one in await stores.audit.entries(subject="provider:p1", after=4, limit=1)] == [7]
    assert await stores.audit.entries(after=10) == []
    assert await stores.audit.entries(subject="provider:p") == []


async def test_many_writers_leave_no_gap_and_no_double(stores: Stores) -> None:
    written = await asyncio.gather(*(add(stores.audit, number) for number in range(60)))
    assert sorted(one.number for one in written) == list(range(1, 61))
    assert (await checked(stores.audit))[0] == []


async def test_an_entry_that_cannot_be_written_takes_no_number(stores: Stores) -> None:
    await add(stores.audit)
    with pytest.raises(UnicodeEncodeError):
        await stores.audit.append(AT, "admin", "provider_enabled", "\ud800", None, None, "")
    assert (await add(stores.audit)).number == 2
    assert (await checked(stores.audit))[0] == []


async def test_two_processes_write_one_chain(two_processes: list[Database]) -> None:
    one, other = (SqlAudit(database, AUDIT_KEY) for database in two_processes)
    written = await asyncio.gather(*(add(audit, number) for number in range(40) for audit in (one, other)))
    assert sorted(entry.number for entry in written) == list(range(1, 81))
    faults, head = await checked(other)
    assert (faults, head.number) == ([], 80)
    assert await one.entries(limit=80) == await other.entries(limit=80)


@pytest.mark.promise("003-184", "003-185", "003-186", "003-187", "003-188", "003-189")
async def test_a_row_says_what_was_done_to_which_provider_and_when(database: Database) -> None:
    await SqlAudit(database, AUDIT_KEY).append(
        AT, "admin", "credentials_added", "provider:openai", None, {"api_key": "...vX2Q"}, "req_1"
    )
    (row,) = await database.read(
        lambda connection: connection.execute(text("SELECT * FROM audit_log")).mappings().all()
    )
    assert {
        "number": 1,
        "subject": "provider:openai",
        "action": "credentials_added",
        "after": '{"api_key":"...vX2Q"}',
        "at": AT,
    }.items() <= dict(row).items()


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        (["UPDATE audit_log SET actor = 'nobody' WHERE number = 5"], [5]),
        (["UPDATE audit_log SET before = '{}' WHERE number = 5"], [5]),
        (["DELETE FROM audit_log WHERE number = 5"], [6]),
        (["DELETE FROM audit_log WHERE number < 5"], [5]),
        (["DELETE FROM audit_log WHERE number > 7"], []),  # a cut end needs an anchor: see the next test
        (["UPDATE audit_log SET number = 11 WHERE number = 5"], [6, 11]),
        (
            [
                "DELETE FROM audit_log WHERE number = 5",
                "UPDATE audit_log SET number = number - 1 WHERE number > 5",
            ],
            [5, 6, 7, 8, 9],
        ),
    ],
)
async def test_what_was_done_to_the_rows_is_found(database: Database, tampering: list[str], found: list[int]) -> None:
    audit = SqlAudit(database, AUDIT_KEY)
    for number in range(10):
        await add(audit, number)
    for statement in tampering:
        await run(database, statement)
    assert [fault.number for fault in (await checked(audit))[0]] == found


async def test_a_cut_end_is_found_with_an_anchor_also_after_new_entries(database: Database) -> None:
    audit = SqlAudit(database, AUDIT_KEY)
    for number in range(10):
        await add(audit, number)
    faults, anchor = await checked(audit)
    assert faults == []
    await run(database, "DELETE FROM audit_log WHERE number > 7")
    found, _ = await checked(audit, anchor)
    assert found == [Fault(8, "The log ends at entry 7; it had 10 when the anchor was taken.")]
    await add(audit)
    assert [fault.number for fault in (await checked(audit))[0]] == [11]
    await run(database, "DELETE FROM audit_log WHERE number > 7")
    await run(database, "UPDATE change_counters SET value = 7")
    for number in range(3):
        await add(audit, number + 100)
    assert (await checked(audit))[0] == []
    assert [fault.number for fault in (await checked(audit, anchor))[0]] == [10]
