"""Attempts that failed, in every implementation."""

from tests.stores.implementations import Stores
from tests.stores.samples import AT, attempt, row


async def test_attempts_come_back_whole_in_their_order_and_once(stores: Stores) -> None:
    made = [attempt(1, 2), attempt(1, 1, status=0, certainty=0), attempt(10, 1)]
    await stores.attempts.add(made[:2])
    await stores.attempts.add(made)
    await stores.attempts.add([attempt(1, 2, code="another")])  # what is there stays as it is
    assert await stores.attempts.of_request("req_1") == [made[1], made[0]]
    assert await stores.attempts.of_request("req_2") == []


async def test_the_newest_come_first_from_a_time_on(stores: Stores) -> None:
    made = [attempt(number, 1, at=AT + number) for number in range(5)] + [attempt(4, 2, at=AT + 4)]
    await stores.attempts.add(made)
    assert await stores.attempts.since(AT + 2, 10) == [made[5], made[4], made[3], made[2]]
    assert await stores.attempts.since(AT + 2, 2) == [made[5], made[4]]
    assert await stores.attempts.since(AT + 9, 10) == []


async def test_the_rows_of_their_requests_are_those_of_the_ledger(stores: Stores) -> None:
    await stores.ledger.add([row(1), row(2), row(3)])
    found = await stores.attempts.rows(["req_1", "req_3", "req_9"])
    assert sorted(found, key=lambda one: one.id) == [row(1), row(3)]
    assert await stores.attempts.rows([]) == []
