"""The servers of the tests themselves: quick to start, unprivileged, durable, and gone when their tests are."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.servers.programs import NOBODY, START_SECONDS, Postgres, Valkey

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", [Postgres, Valkey])
def test_a_server_starts_quickly_without_roots_rights_and_leaves_nothing(kind: type[Postgres | Valkey]) -> None:
    began = time.monotonic()
    with kind() as server:
        took = time.monotonic() - began
        processes = server.processes()
        owners = set()
        for pid in processes:
            with contextlib.suppress(FileNotFoundError):  # PostgreSQL begins with helpers that end at once
                owners.add(Path(f"/proc/{pid}").stat().st_uid)
    assert owners == {NOBODY if os.geteuid() == 0 else os.geteuid()}
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert not server.folder.exists()
    assert took < START_SECONDS, took  # about one second on an idle machine


def test_the_database_server_keeps_what_was_committed_through_a_kill(own_postgres: Postgres) -> None:
    url = own_postgres.url("postgres")
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    own_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    own_postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


@pytest.mark.parametrize("kind", ["Postgres", "Valkey"])
@pytest.mark.parametrize(
    "paused", [pytest.param(False, id="running"), pytest.param(True, id="paused", marks=pytest.mark.soak)]
)
def test_a_server_ends_with_the_tests_even_when_those_are_killed(kind: str, *, paused: bool) -> None:
    program = (
        f"import signal, sys, time; from tests.servers.programs import {kind}\n"
        f"server = {kind}(); server.start(); print(*server.processes(), flush=True)\n"
        f"{'server.signal(signal.SIGSTOP)' if paused else ''}\n"
        "print('paused', server.folder, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        processes = [int(pid) for pid in tests.stdout.readline().split()]
        folder = Path(tests.stdout.readline().split()[1])
        tests.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while folder.exists() or any(Path(f"/proc/{pid}").exists() for pid in processes):
        assert time.monotonic() < deadline, processes
        time.sleep(0.01)
