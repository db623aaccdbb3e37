"""The bench's parts at work: the mock counts and paces, the client counts events, the kernel's accounts add up."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from bench.accounting import CpuMark, cpu_between, cpu_mark, memory, open_files
from bench.mock import ANSWER_BYTES, Connection, Provider, answer_body, stream_chunks
from bench.nginx import config
from bench.processes import LOAD, SERVER, Children, MissingToolError, free_port, tool, wait_until
from bench.provider import Mock, start_mock
from bench.request import completion_body, request_bytes
from bench.rounds import Job, Load, run_rounds
from bench.row import VoidError
from bench.setting import QUICK, Setting
from bench.sse_client import Crowd, Stream, Tally
from bench.target import Target, ask
from bench.wrk import result, script


def _burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.fixture
def children() -> Iterator[Children]:
    with Children() as started:
        yield started


@pytest.fixture
def mock(children: Children, tmp_path: Path) -> Mock:
    return start_mock(children, tmp_path)


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[tuple[Provider, int]]:
    loop = asyncio.get_running_loop()
    shared = Provider(loop, random.Random(1))
    server = await loop.create_server(lambda: Connection(shared), "127.0.0.1", 0)
    async with server:
        yield shared, server.sockets[0].getsockname()[1]


def _is_gone(pid: int) -> bool:
    """Ended, whether or not init has reaped it."""
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "zombie" in status.read_text()


def _request(port: int, events: int, pace_ms: int) -> bytes:
    return request_bytes(port, "key", completion_body(events=events, pace_ms=pace_ms))


def test_the_answer_has_exactly_the_promised_length() -> None:
    assert len(answer_body()) == ANSWER_BYTES


@pytest.mark.parametrize("events", [1, 2, 3, 528])
def test_a_stream_has_as_many_frames_as_asked_for(events: int) -> None:
    assert len(stream_chunks(events, usage=False)) == events
    assert b"".join(stream_chunks(events, usage=False)).count(b"data: {") == events
    assert b"".join(stream_chunks(events, usage=True)).count(b'"usage"') == 1
    assert stream_chunks(events, usage=False)[-1].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("pace_ms", [0, 1])
async def test_streams_arrive_whole_and_are_counted(provider: tuple[Provider, int], pace_ms: int) -> None:
    shared, port = provider
    tally = await Crowd(port, _request(port, 9, pace_ms)).run(5, 0)
    assert (tally.ok, tally.complete, tally.events, tally.failed) == (5, 5, 45, [])
    assert (shared.counts.requests, shared.counts.streaming) == (5, 0)


async def test_hanging_up_in_the_middle_ends_the_streams_at_the_mock(provider: tuple[Provider, int]) -> None:
    shared, port = provider
    crowd = Crowd(port, _request(port, 1000, 50))
    await crowd.open(3, 0)
    async with asyncio.timeout(5):
        while shared.counts.streaming < 3:  # noqa: ASYNC110 -- the mock has no event to wait for
            await asyncio.sleep(0)
        crowd.abort(3)
        while shared.counts.streaming:  # noqa: ASYNC110 -- the same
            await asyncio.sleep(0)
    assert (crowd.tally.aborted, crowd.tally.running) == (3, 0)


async def test_a_stream_without_its_end_mark_is_a_failure(provider: tuple[Provider, int]) -> None:
    _, port = provider
    tally = await Crowd(port, request_bytes(port, "key", completion_body())).run(1, 0)
    assert (tally.complete, tally.failed) == (0, ["ended without its last frame"])
    tally = await Crowd(port, _request(port, 9, 0), b"data: [END]\n\n").run(1, 0)
    assert (tally.complete, tally.failed) == (0, ["ended without its last frame"])


async def test_requests_in_pieces_and_one_after_another_are_each_answered(provider: tuple[Provider, int]) -> None:
    shared, port = provider
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in request_bytes(port, "key", completion_body()) * 2:
        writer.write(bytes([byte]))
        await writer.drain()
    for _ in range(2):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert await reader.readexactly(ANSWER_BYTES) == answer_body()
    assert shared.counts.requests == 2
    writer.close()
    await writer.wait_closed()


async def test_the_mock_closes_kept_alive_connections_when_told_to(provider: tuple[Provider, int]) -> None:
    shared, port = provider
    shared.close_within_ms = 1
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes(port, "key", completion_body()))
    async with asyncio.timeout(5):
        assert (await reader.read()).endswith(answer_body())
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("size", [1, 2, 7, 13, 10_000])
def test_events_are_counted_the_same_however_the_bytes_are_cut(size: int) -> None:
    body = b"data: {}\n\n" * 5 + b"data: [DONE]\n\n"
    tally = Tally()
    stream = Stream(b"", tally, lambda _: None)
    for at in range(0, len(body), size):
        stream.on_body(body[at : at + size])
    assert tally.events == 6


def test_answers_that_the_upstream_was_not_asked_for_void_the_block(mock: Mock, tmp_path: Path) -> None:
    target = Target("direct", 0, mock.port, mock.port, "key")
    setting = Setting(tmp_path, QUICK, mock, target, target)

    def ask_once_and_claim(answers: int) -> None:
        with setting.watched("direct") as answered:
            assert ask(mock.port, "key").body == answer_body()
            answered(answers)

    ask_once_and_claim(1)
    with pytest.raises(VoidError, match="2 answers, but the upstream was asked 1 times"):
        ask_once_and_claim(2)
    with pytest.raises(VoidError, match="0 answers, but the upstream was asked 1 times"):
        ask_once_and_claim(0)


def test_what_the_bench_starts_ends_with_it(tmp_path: Path) -> None:
    cores = os.sched_getaffinity(0)
    sleeper = "import time; time.sleep(600)"
    started: list[subprocess.Popen[bytes]] = []

    def interrupted() -> None:
        with Children() as children:
            started.append(children.start([sys.executable, "-c", sleeper], role=SERVER, log=tmp_path / "log"))
            assert os.sched_getaffinity(started[0].pid) == {min(cores)}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert started[0].returncode is not None
    assert os.sched_getaffinity(0) == cores


def test_the_grandchildren_of_the_bench_end_with_it_too(tmp_path: Path) -> None:
    parent = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); sys.stdin.read()"
    with Children() as children:
        child = children.start([sys.executable, "-c", parent], role=LOAD, log=tmp_path / "log")
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert not _is_gone(grandchild)
    wait_until(lambda: _is_gone(grandchild), 5, "the grandchild ends")


def test_cpu_of_threads_that_have_ended_is_counted() -> None:
    before = cpu_mark(os.getpid())
    thread = threading.Thread(target=_burn, args=(0.02,))
    thread.start()
    thread.join()
    assert cpu_between(before, cpu_mark(os.getpid())).cpu_ns >= 20_000_000


def test_a_process_that_ends_while_it_is_measured_is_an_error() -> None:
    with pytest.raises(ProcessLookupError):
        cpu_between(CpuMark({1: (5, 5), 2: (5, 5)}), CpuMark({1: (9, 9)}))


def test_a_process_that_begins_while_it_is_measured_counts_from_zero() -> None:
    spent = cpu_between(CpuMark({1: (5, 1)}), CpuMark({1: (9, 2), 2: (30, 3)}))
    assert (spent.cpu_ns, spent.wait_ns) == (34, 4)


def test_memory_and_files_are_those_of_this_process(tmp_path: Path) -> None:
    used = memory(os.getpid())
    assert 0 < used.pss <= used.rss
    before = open_files(os.getpid())
    with (tmp_path / "one").open("w"):
        assert open_files(os.getpid()) == before + 1


def test_work_that_is_put_off_is_charged_to_the_block_it_follows_from() -> None:
    calls: list[str] = []

    def ours() -> Load:
        calls.append("ours")
        return Load(units=1, seconds=1.0)

    def other() -> Load:
        calls.append("other")
        _burn(0.05)  # stands for the process of `ours`, which is still busy while another one is measured
        return Load(units=1, seconds=1.0)

    samples = run_rounds([Job("ours", os.getpid(), ours), Job("other", 0, other)], 2)
    assert calls == ["ours", "other", "other", "ours", "ours", "other"]
    assert [sample.cpu_ns > 50_000_000 for sample in samples["ours"]] == [False, True]
    assert [sample.cpu_ns for sample in samples["other"]] == [0, 0]


def test_wrk_is_read_by_the_line_that_our_script_prints() -> None:
    line = 'BENCH {"requests": 9, "microseconds": 5, "statuses": 1, "broken": 0, "p50_us": 1.5, "p99_us": 2}'
    found = result(f"Running 1s test\n{line}\n")
    assert (found.requests, found.statuses, found.p50_us) == (9, 1, 1.5)
    with pytest.raises(ValueError, match="unable"):
        result("unable to connect")


def test_the_script_of_wrk_sends_each_key_in_turn() -> None:
    text = script(b'{"a":1}', ["one", "two"])
    assert 'local keys = {"one", "two"}' in text
    assert '[==[{"a":1}]==]' in text


def test_a_missing_program_is_named_with_how_to_install_it() -> None:
    with pytest.raises(MissingToolError, match="apt-get install no-such-program"):
        tool("no-such-program")


@pytest.mark.skipif(
    not shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin"), reason="nginx is not installed"
)
def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    text = config(home=tmp_path, upstream=free_port(), port=free_port(), stream_port=free_port(), files=1024)
    path.write_text(text)
    errors = ["-e", str(tmp_path / "error.log")]
    done = subprocess.run([tool("nginx"), *errors, "-t", "-c", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
