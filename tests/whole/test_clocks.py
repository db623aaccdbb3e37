"""Days and months end where UTC says, whatever clocks do: every row is in one window, and every limit is used once."""

import contextlib
import shutil
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.whole.faultd import FaultServer
from tests.whole.moved_clock import COMMAND, Clock
from tests.whole.program import Answer, Program

HOUR, DAY = 3600.0, 86_400.0
A_CENT = '[prices."stub/echo"]\ninput = 0\noutput = 10000\n'
"""For each token; the requests here ask for one."""
EDGES = ("2026-06-16", "2026-07-01", "2027-01-01", "2027-03-01", "2028-02-29", "2028-03-01", "2028-10-29")
"""First moments of days: of a month, of a year, around 29 February, and where summer time ends in Europe."""
ROWS = "select user_id, at from usage"
WINDOWS = "select scope, number, requests from usage_windows where kind = 'd' and scope like 'user:%%'"


def at(text: str) -> float:
    """The first moment of a UTC day, or any other."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def started(folder: Path, now: float, **others: Any) -> tuple[Program, Clock]:
    """A program by a clock that stands; not started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock(folder / "clock", now)
    return Program(
        folder, command=COMMAND, **{"toml": A_CENT, "TZ": "Pacific/Chatham", **clock.environment, **others}
    ), clock


def chat(program: Program, key: str) -> Answer:
    return program.chat(key, max_tokens=1)


def until_refused(program: Program, key: str, most: int = 20) -> tuple[int, Any]:
    """How many requests were admitted, and what the first refusal says."""
    for admitted in range(most):
        answer = program.ask(
            "POST",
            "/v1/llm/complete",
            {"messages": [{"role": "user", "content": "Hi"}], "model": "stub/echo", "max_tokens": 1},
            token=key,
        )
        if answer.status != 200:
            assert answer.status == 429, answer.body
            return admitted, answer.json
    return most, None


def rows_by_day(program: Program, user_id: str) -> dict[str, int]:
    """The ledger's rows of a user, by the UTC day of their time."""
    program.usage(user_id)  # which writes what is not written yet
    with contextlib.closing(sqlite3.connect(program.folder / "data" / "gateway.db")) as database:
        return by_day(row for row in database.execute(ROWS).fetchall() if row[0] == user_id)


def by_day(rows: Any) -> dict[str, int]:
    return dict(Counter(datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d") for _, at_ms in rows))


def windows_by_day(program: Program, user_id: str) -> dict[str, int]:
    """The same as the windows count them that limits are held against."""
    with contextlib.closing(sqlite3.connect(program.folder / "data" / "gateway.db")) as database:
        found = database.execute(WINDOWS.replace("%%", "%")).fetchall()
    named = {number: datetime.fromtimestamp(number * DAY, UTC).strftime("%Y-%m-%d") for _, number, _ in found}
    return {named[number]: count for scope, number, count in found if scope == f"user:{user_id}"}


def test_limits_begin_anew_at_the_first_moment_of_a_day_and_of_a_month(folder: Path) -> None:
    """Chatham's own midnight, which is never that of UTC, changes nothing."""
    program, clock = started(folder, at(EDGES[0]) - 0.001)
    with program:
        (daily, by_the_day), (monthly, by_the_month) = (
            program.user(daily_requests=2),
            program.user(monthly_spend_cap_usd="0.02"),
        )
        for edge in EDGES:
            clock.stand(at(edge) - 0.001)
            admitted, refusal = until_refused(program, by_the_day)
            begun_before = EDGES[EDGES.index(edge) - 1] == "2028-02-29"  # and is used up
            assert (admitted, refusal["resets_at"]) == (0 if begun_before else 2, f"{edge}T00:00:00Z"), edge
            assert until_refused(program, by_the_day)[0] == 0
            if edge[8:] == "01":
                admitted, refusal = until_refused(program, by_the_month)
                assert (admitted, refusal["resets_at"]) == (2, f"{edge}T00:00:00Z"), edge
            clock.stand(at(edge))
            admitted, refusal = until_refused(program, by_the_day)
            assert (admitted, refusal["resets_at"][:10] > edge) == (2, True), edge
            quota = program.ask("GET", "/v1/llm/quota", token=by_the_month).json["monthly_spend"]
            if edge[8:] == "01":
                assert float(quota["remaining_usd"]) == 0.02
            assert quota["resets_at"][8:] == "01T00:00:00Z"
        assert set(rows_by_day(program, daily).values()) == {2}
        assert rows_by_day(program, daily) == windows_by_day(program, daily)
        assert len(rows_by_day(program, daily)) == 2 * len(EDGES) - 1
        assert rows_by_day(program, monthly) == dict.fromkeys(rows_by_day(program, monthly), 2)


def test_a_clock_that_steps_gives_nothing_twice_and_takes_nothing_away(folder: Path) -> None:
    now = at("2026-12-31") + 23.5 * HOUR
    program, clock = started(folder, now)
    with program:
        user_id, key = program.user(daily_requests=3)
        _, rated = program.user(requests_per_minute=2)
        spender_id, spender = program.user(monthly_spend_cap_usd="0.02")
        assert [until_refused(program, each)[0] for each in (key, rated, spender)] == [3, 2, 2]
        clock.stand(now - HOUR)
        assert [until_refused(program, each)[0] for each in (key, rated, spender)] == [0, 0, 0]
        clock.stand(now + HOUR)  # in the next year
        assert [until_refused(program, each)[0] for each in (key, rated, spender)] == [3, 0, 2]
        half_id, half = program.user(daily_requests=3)
        assert chat(program, half).status == 200
        clock.stand(now)
        refused = until_refused(program, key)[1]
        assert refused["resets_at"] == "2027-01-02T00:00:00Z"
        assert (
            program.ask("GET", "/v1/llm/quota", token=key).json["daily_requests"]["resets_at"] == refused["resets_at"]
        )
        assert [until_refused(program, each)[0] for each in (key, rated, spender)] == [0, 0, 0]
        late_id, late = program.user(daily_requests=3)  # whose first day is the one that has begun
        assert [until_refused(program, each)[0] for each in (late, half)] == [3, 2]
        clock.stand(now + DAY + HOUR)
        assert [until_refused(program, each)[0] for each in (key, rated, late, spender)] == [3, 0, 3, 0]
        program.stop()
        program.start()  # what the ledger says is what the memory said
        assert [until_refused(program, each)[0] for each in (key, late, spender)] == [0, 0, 0]
        assert rows_by_day(program, user_id) == {"2026-12-31": 3, "2027-01-01": 3, "2027-01-02": 3}
        assert rows_by_day(program, late_id) == {"2027-01-01": 3, "2027-01-02": 3}
        assert rows_by_day(program, half_id) == {"2027-01-01": 3}
        assert rows_by_day(program, spender_id) == {"2026-12-31": 2, "2027-01-01": 2}
        for each in (user_id, half_id, late_id, spender_id):
            assert rows_by_day(program, each) == windows_by_day(program, each)


@pytest.mark.parametrize("kills", [False, True], ids=["ends", "killed"])
def test_a_request_over_midnight_belongs_to_the_day_in_which_it_was_admitted(folder: Path, *, kills: bool) -> None:
    midnight = at("2027-01-01")
    with FaultServer() as faults:
        program, clock = started(folder, midnight - 0.001, toml=faults.toml(), UNPRICED="allow")
        with program, ThreadPoolExecutor(1) as threads:
            user_id, key = program.user(daily_requests=2)
            model = "faults/mute" if kills else "faults/drip-20-20"
            begun = threads.submit(program.chat, key, model, "over midnight")
            faults.wait_for_arrival("over midnight")
            clock.stand(midnight)
            assert until_refused(program, key)[0] == 2
            if kills:
                program.kill()
                assert begun.exception() is not None
                program.start()
            else:
                assert begun.result().status == 200
            assert until_refused(program, key)[0] == 0
            assert rows_by_day(program, user_id) == {"2026-12-31": 1, "2027-01-01": 2}
            assert rows_by_day(program, user_id) == windows_by_day(program, user_id)


def test_two_processes_whose_clocks_differ_use_every_window_once(folder: Path, postgres_url: str) -> None:
    midnight, limit = at("2027-01-01"), 40
    one, behind = started(folder / "one", midnight - 15, DATABASE_URL=postgres_url)
    with one:
        other, ahead = started(folder / "two", midnight + 15, DATABASE_URL=postgres_url)
        (folder / "two" / "data").mkdir()
        shutil.copy(folder / "one" / "data" / "sealing.key", folder / "two" / "data")
        with other, ThreadPoolExecutor(8) as threads:
            user_id, key = one.user(daily_requests=limit)
            spender_id, spender = one.user(monthly_spend_cap_usd=f"{limit / 100:.2f}")

            def admitted(*programs: Program) -> list[int]:
                """Of more than the limit, by all callers at once."""
                asked = [(program, each) for program in programs for each in (key, spender) for _ in range(limit)]
                return [answer.status for answer in threads.map(lambda one: chat(*one), asked)]

            for program in (one, other):  # each alone in its window
                assert Counter(admitted(program)) == {200: 2 * limit}
                assert until_refused(program, key)[0] == 0
            behind.run(midnight - 1)
            ahead.run(midnight + 29)
            statuses = Counter(admitted(one, other))
            assert set(statuses) == {429}, statuses  # both windows are used up, whoever asks
            behind.stand(at("2027-02-01") - 15)
            ahead.stand(at("2027-02-01") + 15)
            first = Counter(admitted(one, other))
            behind.stand(at("2027-02-01") + 1)
            second = Counter(admitted(one, other))
            assert (first[200] + second[200], {*first, *second}) == (3 * limit, {200, 429}), (first, second)
            for each in (user_id, spender_id):
                one.usage(each)
                other.usage(each)
    with psycopg.connect(postgres_url) as database:
        rows = database.execute(ROWS).fetchall()
        windows = database.execute(WINDOWS).fetchall()
    for each in (user_id, spender_id):
        days = ["2026-12-31", "2027-01-01", "2027-01-31", "2027-02-01"]
        if each == spender_id:
            days.remove("2027-01-31")  # the month was used up on its first day
        assert by_day(row for row in rows if row[0] == each) == dict.fromkeys(days, limit)
        counted = {number: count for scope, number, count in windows if scope == f"user:{each}"}
        assert sorted(counted.values()) == [limit] * len(days)
