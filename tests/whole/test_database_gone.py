"""PostgreSQL goes away under load and comes back: nothing is lost or doubled, requests flow as long as the journal has
room, and then whatever costs money is refused with a sentence.
"""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.servers.programs import Postgres
from tests.whole.program import Answer, Program

CALLERS = 8
BODY = json.dumps({"model": "stub/echo", "messages": [{"role": "user", "content": "Hello!"}]})
LONG = 60.0


class Load:
    """Callers with a connection each. `answered` holds the ids of all complete answers."""

    def __init__(self, program: Program, key: str) -> None:
        self._program = program
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        self.answered: list[str] = []
        self.refused: list[Answer] = []
        self.slowest = 0.0

    def run(self, most: int) -> None:
        """Every caller asks until something was refused, at most so many times."""
        with ThreadPoolExecutor(CALLERS) as threads:
            list(threads.map(self._call, [most // CALLERS] * CALLERS))

    def _call(self, most: int) -> None:
        connection = self._program.connect()
        for _ in range(most):
            began = time.monotonic()
            connection.request("POST", "/v1/chat/completions", BODY, self._headers)
            answer = connection.getresponse()
            body = answer.read()
            self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status == 200:
                self.answered.append(str(answer.getheader("x-request-id")))
            else:
                self.refused.append(Answer(answer.status, dict(answer.getheaders()), body))
                break
        connection.close()


@pytest.fixture
def url(own_postgres: Postgres) -> str:
    return own_postgres.url("postgres")


def ledger(url: str) -> Counter[str]:
    """The ids in the ledger."""
    with psycopg.connect(url) as connection:
        return Counter(name for (name,) in connection.execute("SELECT id FROM usage"))


def until(happens: object) -> None:
    """Wait for it."""
    assert callable(happens)
    deadline = time.monotonic() + LONG
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def program(folder: Path, url: str) -> Iterator[Program]:
    with Program(folder, DATABASE_URL=url, JOURNAL_LIMIT_MB="1") as running:
        yield running


def test_a_database_that_is_killed_again_and_again_under_load_loses_and_doubles_nothing(
    program: Program, own_postgres: Postgres, url: str
) -> None:
    _, key = program.user()
    load = Load(program, key)
    load.run(80)
    for _ in range(3):
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(load.run, 400)
            own_postgres.kill()
            running.result()
            load.run(80)
            own_postgres.start()
            load.run(80)
    assert not load.refused, load.refused[0].body
    until(lambda: len(ledger(url)) == len(load.answered))
    assert ledger(url) == Counter(load.answered)


def test_requests_flow_until_the_journal_is_full_and_then_are_refused_until_the_database_is_back(
    program: Program, own_postgres: Postgres, url: str
) -> None:
    _, key = program.user()
    _, never_seen = program.user()
    load = Load(program, key)
    load.run(8)
    own_postgres.kill()
    asked = time.monotonic()
    assert program.chat(never_seen).status == 503
    assert time.monotonic() - asked < 10
    assert program.ask("GET", "/health").status == 200
    assert program.ask("GET", "/health/ready").status == 503
    load.run(50_000)
    assert len(load.answered) > 1000
    assert {one.status for one in load.refused} == {503}
    assert load.refused[0].json["error"]["message"] == "The journal is full: it waits for the database."
    assert load.refused[0].headers["retry-after"] == "1"
    assert program.chat(key).status == 503

    own_postgres.start()
    until(lambda: program.chat(key).status == 200)
    until(lambda: set(load.answered) <= set(ledger(url)))
    assert max(ledger(url).values()) == 1


def test_a_database_that_hangs_delays_no_request_of_a_caller_who_is_known(
    program: Program, own_postgres: Postgres, url: str
) -> None:
    _, key = program.user()
    load = Load(program, key)
    load.run(8)
    own_postgres.signal(signal.SIGSTOP)
    load.run(800)
    assert not load.refused
    assert load.slowest < 2.0, load.slowest
    own_postgres.signal(signal.SIGCONT)
    until(lambda: len(ledger(url)) == len(load.answered))
    assert ledger(url) == Counter(load.answered)


def test_with_the_durability_database_each_answer_is_in_the_ledger_when_it_arrives(
    folder: Path, own_postgres: Postgres, url: str
) -> None:
    with Program(folder, DATABASE_URL=url, DURABILITY="database") as program:
        _, key = program.user()
        for stream in (False, True):
            answer = program.chat(key, stream=stream)
            assert answer.status == 200
            assert answer.headers["x-request-id"] in ledger(url)
        own_postgres.kill()
        refused = program.chat(key)
        assert (refused.status, "gives no answer that is not recorded" in refused.json["error"]["message"]) == (
            503,
            True,
        )
        cut = program.chat(key, stream=True)
        assert cut.status == 503
        own_postgres.start()
        until(lambda: program.chat(key).status == 200)
