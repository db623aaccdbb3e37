"""stores/files/tokens.py: private, whole or not at all, and one process at a time."""

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dominion.domain.errors import ConfigProblem, StorageUnavailable
from dominion.stores.files.tokens import TokenFile

HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1] + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """In a folder that does not exist yet."""
    return tmp_path / "data" / "token.txt"


def names(folder: Path) -> list[str]:
    """What is in it."""
    return [each.name for each in folder.iterdir()]


def mode(path: Path) -> int:
    """Who may do what."""
    return path.stat().st_mode & 0o777


def open_to(path: Path, bits: int) -> None:
    """Let others read it."""
    path.chmod(bits)


@contextmanager
def held(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that has the lock."""
    path.parent.mkdir()
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


async def test_a_token_is_written_for_its_owner_only_read_and_forgotten(path: Path) -> None:
    file = TokenFile(path)
    assert await file.read() is None
    assert await file.forget() is False
    await file.write(b"first")
    await file.write(b"second")
    assert await file.read() == b"second"
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert names(path.parent) == ["token.txt"]
    assert await file.forget() is True
    assert await file.read() is None


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o666])
async def test_a_token_that_others_can_read_is_refused_and_not_repeated(path: Path, bits: int) -> None:
    file = TokenFile(path)
    await file.write(b"CANARY")
    open_to(path, bits)
    with pytest.raises(ConfigProblem, match="open to others") as caught:
        await file.read()
    assert "chmod 600" in caught.value.action
    assert "CANARY" not in str(caught.value)


async def test_a_file_that_is_no_token_file_is_refused(path: Path) -> None:
    file = TokenFile(path)
    await file.write(b"x" * 70_000)
    with pytest.raises(ConfigProblem, match="too large"):
        await file.read()
    with pytest.raises(ConfigProblem, match="cannot be read"):
        await TokenFile(path.parent).read()


async def test_a_failed_write_leaves_the_old_token_and_no_draft(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TokenFile(path)
    await file.write(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigProblem, match="No space left"):
        await file.write(b"new")
    assert await file.read() == b"old"
    assert names(path.parent) == ["token.txt"]


async def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = TokenFile(tmp_path / "file" / "token")
    with pytest.raises(ConfigProblem, match="cannot be written"):
        await file.write(b"x")
    with pytest.raises(ConfigProblem, match="cannot be locked"):
        async with file.locked():
            pass
    with pytest.raises(ConfigProblem, match="cannot be deleted"):
        await file.forget()


async def test_only_one_at_a_time_holds_the_lock(path: Path) -> None:
    inside: list[int] = []
    most = 0

    async def step(number: int) -> None:
        nonlocal most
        async with TokenFile(path, lambda _: asyncio.sleep(0), math.inf).locked():
            inside.append(number)
            most = max(most, len(inside))
            await asyncio.sleep(0)
            inside.remove(number)

    await asyncio.gather(*(step(number) for number in range(20)))
    assert most == 1


async def test_another_process_is_waited_for_and_given_up_on(path: Path) -> None:
    with held(path) as process:
        with pytest.raises(StorageUnavailable, match="has kept"):
            async with TokenFile(path, lambda _: asyncio.sleep(0), patience=1.0).locked():
                pass
        waits = 0

        async def end_the_other(_: float) -> None:
            nonlocal waits
            waits += 1
            process.kill()  # the system frees the lock of a process that dies
            process.wait()

        async with TokenFile(path, end_the_other).locked():
            assert waits == 1
