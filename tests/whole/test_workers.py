"""Several workers on one socket: they come, die and go, and no caller notices who was not asked by them."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from dominion.domain.records import Outcome
from dominion.services.figures.workers import Figures
from dominion.stores.files.figures import FigureFiles
from tests.servers.programs import children
from tests.whole.callers import END, Callers, Connection
from tests.whole.program import START_SECONDS, Program, own_port
from tests.whole.test_drain import ended, rest, streams_of


def started(program: Program) -> list[int]:
    """The processes of all workers that ever served, in the order of their starts."""
    return [int(found[1]) for line in program.lines if (found := re.search(r"is ready, process (\d+)", line))]


def rows(program: Program) -> list[tuple[str, int]]:
    """(id, outcome) of every row in the ledger."""
    with contextlib.closing(sqlite3.connect(program.folder / "data" / "gateway.db")) as database:
        return database.execute("select id, outcome from usage").fetchall()


def published(figures: bytes) -> int:
    """The requests that a worker says it has answered."""
    return sum(msgspec.msgpack.decode(figures, type=Figures).counts["requests"].values())


async def came_whole(connection: Connection) -> bool:
    """Whether a running stream comes to its end."""
    try:
        return END in await connection._reader.readuntil(b"\r\n0\r\n\r\n")
    except (OSError, EOFError):
        return False
    finally:
        connection.close()


def test_two_workers_start_once_and_end_together(folder: Path) -> None:
    program = Program(folder, "--workers", "2", ADMIN_TOKEN="")
    with program:
        program.wait_for_line("curl ")
        first = "".join(program.lines)
        (token,) = re.findall(r"export ADMIN_TOKEN=(\S+)", first)
        (key,) = re.findall(r"export DOMINION_API_TOKEN=(dom_\S+)", first)
        program.admin_token = token
        for _ in range(20):
            assert program.chat(key).status == 200
        assert len(program.admin("GET", "/admin/users")["users"]) == 1
        workers = started(program)
        assert len(set(workers)) == 2
        os.kill(program.pid, signal.SIGINT)
        assert ended(program) == 0
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert len(rows(program)) == 20


async def test_a_signal_drains_every_worker(folder: Path) -> None:
    with Program(folder, WORKERS="2") as program:
        connections = await streams_of(program, program.user()[1], 20, "stub/drip-50x10")
        os.kill(program.pid, signal.SIGTERM)
        bodies = await asyncio.gather(*[rest(connection) for connection in connections])
        assert [END in body for body in bodies] == [True] * 20
        assert await asyncio.to_thread(ended, program) == 0
    assert [outcome for _, outcome in rows(program)] == [Outcome.OK] * 20


async def renewed_under_load(folder: Path, times: int, each: int) -> Callers:
    """Renew both workers so many times while callers ask."""
    with Program(folder, WORKERS="2") as program:
        async with Callers(program.url, program.user()[1], each) as callers:
            for count in range(1, times + 1):
                os.kill(program.pid, signal.SIGHUP)
                await asyncio.to_thread(program.wait_for_line, "all workers are new", count)
        assert len(set(started(program))) == 2 + 2 * times
    assert len(rows(program)) == callers.answered.total()
    return callers


async def test_workers_are_renewed_under_load_without_a_failed_request(folder: Path) -> None:
    callers = await renewed_under_load(folder, times=3, each=3)
    assert callers.failed == []
    assert min(callers.answered.values()) > 10, callers.answered


@pytest.mark.soak
async def test_twenty_renewals_under_load_fail_no_request(folder: Path) -> None:
    callers = await renewed_under_load(folder, times=20, each=6)
    print(callers.answered)  # noqa: T201 - what was measured
    assert callers.failed == []


async def test_the_control_that_closes_the_socket_and_opens_it_again_fails_requests(folder: Path) -> None:
    program = Program(folder, PORT=own_port())
    program.start()
    async with Callers(program.url, program.user()[1], 3) as callers:
        await asyncio.to_thread(program.stop)
        await asyncio.to_thread(program.start)
    program.stop()
    assert callers.failed


async def test_a_killed_worker_is_replaced_and_nobody_elses_request_fails(folder: Path) -> None:
    with Program(folder, WORKERS="2") as program:
        key = program.user()[1]
        connections = await streams_of(program, key, 12, "stub/drip-150x10")
        victim = started(program)[0]
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        await asyncio.to_thread(program.wait_for_line, "is ready", 3)
        assert time.monotonic() - began < program.start_seconds  # in which three processes started one after another
        whole = await asyncio.gather(*[came_whole(each) for each in connections])
        for _ in range(5):
            assert (await asyncio.to_thread(program.chat, key)).status == 200
    outcomes = [outcome for _, outcome in rows(program)]
    assert outcomes.count(Outcome.LOST) == whole.count(False)  # the successor has replayed the journal
    assert outcomes.count(Outcome.OK) == whole.count(True) + 5


def waiting(program: Program) -> int:
    """The process that has no seat yet."""
    deadline = time.monotonic() + 30
    while not (found := set(children(program.pid)) - set(started(program))):
        assert time.monotonic() < deadline
    return found.pop()


def test_a_dead_worker_is_replaced_by_one_that_has_waited_and_reads_the_settings_of_now(folder: Path) -> None:
    with Program(folder, WORKERS="2", toml="[limits]\nmax_output = 5\n") as program:
        key, spare = program.user()[1], waiting(program)
        (folder / "dominion.toml").write_text(
            '[prices."stub/new"]\ninput = 1\noutput = 1\n[aliases]\nnew = ["stub/echo"]\n'
        )
        os.kill(started(program)[0], signal.SIGKILL)
        program.wait_for_line("is ready", 3)
        assert started(program)[2] == spare
        os.kill(started(program)[1], signal.SIGKILL)
        program.wait_for_line("is ready", 4)
        spare = waiting(program)
        assert [program.chat(key, "new").status for _ in range(4)] == [200] * 4
        os.kill(program.pid, signal.SIGHUP)
        program.wait_for_line("all workers are new")
        assert spare not in {*started(program), waiting(program)}  # which might be of an older program
        spare = waiting(program)
        os.kill(spare, signal.SIGKILL)
        os.kill(started(program)[-1], signal.SIGKILL)
        program.wait_for_line("is ready", 7)
        assert started(program)[-1] != spare
        assert program.chat(key, "new").status == 200


def test_a_new_configuration_that_is_wrong_leaves_the_old_workers_serving(folder: Path) -> None:
    with Program(folder, WORKERS="2", toml="[limits]\ndaily_requests = 5\n") as program:
        key = program.user()[1]
        (folder / "dominion.toml").write_text("[limits]\ndaily_request = 5\n")
        os.kill(program.pid, signal.SIGHUP)
        program.wait_for_line("did not start")
        assert any("did you mean limits.daily_requests?" in line for line in program.lines)
        assert program.chat(key).status == 200
        assert len(started(program)) == 2


async def test_workers_end_in_good_order_when_their_supervisor_dies(folder: Path) -> None:
    program = Program(folder, WORKERS="2")
    program.start()
    connections = await streams_of(program, program.user()[1], 6, "stub/drip-50x10")
    os.kill(program.pid, signal.SIGKILL)
    bodies = await asyncio.gather(*[rest(connection) for connection in connections])
    assert [END in body for body in bodies] == [True] * 6
    await asyncio.to_thread(ended, program)  # when the last worker has closed its standard output, too
    assert [outcome for _, outcome in rows(program)] == [Outcome.OK] * 6


async def test_what_workers_left_is_taken_over_by_a_gateway_that_runs_alone(folder: Path) -> None:
    program = Program(folder, WORKERS="2")
    program.start()
    connections = await streams_of(program, program.user()[1], 8, "stub/drip-1000x20")
    os.kill(program.pid, signal.SIGSTOP)  # or it would start others
    for pid in started(program):
        os.kill(pid, signal.SIGKILL)
    program.kill()
    for connection in connections:
        connection.close()
    with Program(folder) as alone:
        alone.wait_for_line("8 rows of an earlier run were recovered")
    assert [outcome for _, outcome in rows(program)] == [Outcome.LOST] * 8


async def test_a_listening_socket_can_be_handed_over(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd = os.dup(listening.fileno())
        os.set_inheritable(fd, True)
        try:
            with Program(folder, "--listen-fd", str(fd), pass_fds=(fd,)) as program:
                assert program.url.endswith(f":{listening.getsockname()[1]}")
                connection = await Connection.open(program.url, "")
                assert connection.usable
                connection.close()
        finally:
            os.close(fd)


def test_any_worker_tells_what_all_have_counted_also_those_that_died_or_went(folder: Path) -> None:
    with Program(folder, WORKERS="2") as program:
        key = program.user()[1]
        board = FigureFiles(folder / "data" / "workers", 0)

        def answered(count: int) -> None:
            """Return when every worker knows of so many answers."""
            line = f'dominion_requests_total{{door="openai_chat",outcome="ok",provider="stub"}} {count:.1f}'
            deadline = time.monotonic() + START_SECONDS
            seen = 0
            while seen < 10:
                assert time.monotonic() < deadline, program.ask("GET", "/metrics").body.decode()
                seen = seen + 1 if line in program.ask("GET", "/metrics").body.decode() else 0

        for _ in range(20):
            assert program.chat(key).status == 200
        answered(20)
        deadline = time.monotonic() + START_SECONDS
        while (told := program.admin("GET", "/admin/router")["providers"]["stub"]["answered"]) != 20:
            assert time.monotonic() < deadline, told
        while (told := sum(map(published, board.others()))) != 20:  # what it has not published, a worker takes along
            assert time.monotonic() < deadline, told
        os.kill(started(program)[0], signal.SIGKILL)
        program.wait_for_line("is ready", 3)
        answered(20)
        os.kill(program.pid, signal.SIGHUP)
        program.wait_for_line("all workers are new")
        last = program.chat(key)
        assert last.status == 200, last.body
        answered(21)


async def waiting_in_the_queue(program: Program, key: str, workers: list[int]) -> list[object]:
    """Stop these processes, let callers connect and ask, kill the processes; what the callers are answered."""
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    connections = [await Connection.open(program.url, key) for _ in range(10)]
    for connection in connections:
        connection.send("stub/echo")
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    answers = await asyncio.gather(*[each.answer() for each in connections], return_exceptions=True)
    for connection in connections:
        connection.close()
    return [*answers]


async def test_connections_that_wait_when_every_worker_dies_are_answered_by_the_next_ones(folder: Path) -> None:
    with Program(folder, WORKERS="2") as program:
        key = program.user()[1]
        answers = await waiting_in_the_queue(program, key, started(program))
        assert [type(answer) for answer in answers] == [bytes] * 10


async def test_the_control_with_a_socket_of_its_own_resets_those_that_wait(folder: Path) -> None:
    program = Program(folder)
    program.start()
    answers = await waiting_in_the_queue(program, program.user()[1], [program.pid])
    await asyncio.to_thread(program.kill)
    assert [isinstance(answer, (OSError, EOFError)) for answer in answers] == [True] * 10


@pytest.mark.soak
async def test_fifty_killed_workers_fail_only_what_they_were_answering(folder: Path) -> None:
    slowest, cut = 0.0, 0
    with Program(folder, WORKERS="2") as program:
        key = program.user()[1]
        for count in range(50):
            connections = await streams_of(program, key, 8, "stub/drip-100x10")
            os.kill(started(program)[count], signal.SIGKILL)  # always the older one
            began = time.monotonic()
            await asyncio.to_thread(program.wait_for_line, "is ready", 3 + count)
            slowest = max(slowest, time.monotonic() - began)
            cut += (await asyncio.gather(*[came_whole(each) for each in connections])).count(False)
    outcomes = [outcome for _, outcome in rows(program)]
    print(f"replaced within {slowest:.2f} s, {cut} of 400 streams cut")  # noqa: T201 - what was measured
    assert (outcomes.count(Outcome.LOST), outcomes.count(Outcome.OK)) == (cut, 400 - cut)


MISTAKES = {
    "a local model for several": (("--workers", "2", "--local-model"), "The local model runs with one worker only."),
    "no descriptor": (("--listen-fd", "77"), "There is no socket at descriptor 77"),
    "no workers": (("--workers", "0"), "0 is not between 1 and 64"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_start_that_cannot_be_says_why(folder: Path, case: str) -> None:
    options, says = MISTAKES[case]
    program = Program(folder, *options)
    with pytest.raises(AssertionError, match=re.escape(says)), program:
        pass
    assert ended(program) == 1


def test_a_worker_that_cannot_start_ends_the_start_of_all(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "gateway.db").write_bytes(b"no database at all, and longer than its head" * 50)
    program = Program(folder, WORKERS="3")
    with pytest.raises(AssertionError, match="is damaged or is not a SQLite database"), program:
        pass
    assert ended(program) == 1
    assert started(program) == []
