"""One token in one file that only its owner may read; written in one step, locked across processes. Never logged."""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from dominion.domain.errors import ConfigProblem, StorageUnavailable

LARGEST = 64 * 1024
STEP = 0.05
PATIENCE = 30.0


class TokenFile:
    """The file at `path`. `patience` is how many seconds `locked` waits for another process."""

    def __init__(
        self, path: Path, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, patience: float = PATIENCE
    ) -> None:
        self.path = path
        self._sleep = sleep
        self._patience = patience

    async def read(self) -> bytes | None:
        """What it holds, None when there is no file. Raises ConfigProblem when it is open to others or too large."""
        return await asyncio.to_thread(self._read)

    async def write(self, data: bytes) -> None:
        """Replace it; a reader finds the old or the new content. Raises ConfigProblem when the folder refuses."""
        await asyncio.to_thread(self._write, data)

    async def forget(self) -> bool:
        """Delete it; False when there was none. Raises ConfigProblem when the folder refuses."""
        return await asyncio.to_thread(self._forget)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Keep other processes and tasks out that take this lock too; the system frees it when a process dies.

        Raises StorageUnavailable when another one keeps it too long, ConfigProblem when the folder refuses.
        """
        descriptor = self._open_lock()
        try:
            waited = 0.0
            while not _taken(descriptor):
                if waited >= self._patience:
                    raise StorageUnavailable(f"Another process has kept {self.path} locked for {waited:.0f} s.")
                await self._sleep(STEP)
                waited += STEP
            yield
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int:
        """The lock is a file of its own, which stays: the token's file is another one after each write."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._problem("locked", error) from error

    def _read(self) -> bytes | None:
        try:
            with self.path.open("rb") as file:
                mode, data = os.fstat(file.fileno()).st_mode & 0o777, file.read(LARGEST + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._problem("read", error) from error
        if mode & 0o077:
            raise ConfigProblem(
                f"{self.path} holds a token and is open to others (mode {mode:o}).",
                action=f"Run: chmod 600 {self.path}",
            )
        if len(data) > LARGEST:
            raise ConfigProblem(f"{self.path} is too large for a token.", action="Name the right file.")
        return data

    def _write(self, data: bytes) -> None:
        folder = self.path.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=folder)  # mode 0600
            try:
                with os.fdopen(descriptor, "wb") as out:
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                Path(draft).replace(self.path)
            finally:
                Path(draft).unlink(missing_ok=True)
        except OSError as error:
            raise self._problem("written", error) from error

    def _forget(self) -> bool:
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._problem("deleted", error) from error
        return True

    def _problem(self, done: str, error: OSError) -> ConfigProblem:
        return ConfigProblem(f"{self.path} cannot be {done}: {error.strerror}.")


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
