"""What `dominion login` keeps: one key and the address it belongs to. Never sent to another address."""

import os
import secrets
from pathlib import Path
from typing import Self

import msgspec

from dominion.domain.errors import ConfigProblem

FILE_NAME = "credentials.json"


class StoredLogin(msgspec.Struct, frozen=True):
    """One key for one gateway."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"StoredLogin(url={self.url!r}, token=***)"

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What was kept in this folder, or None. Raises ConfigProblem for a file that is damaged or open to others."""
        file = folder / FILE_NAME
        try:
            mode, data = file.stat().st_mode & 0o777, file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigProblem(f"{file} cannot be read: {error.strerror}.") from error
        if os.name == "posix" and mode & 0o077:
            raise ConfigProblem(f"{file} is open to others (mode {mode:o}).", action=f"Run: chmod 600 {file}")
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigProblem(f"{file} is damaged.", action="Run `dominion login` again.") from error

    def save(self, folder: Path) -> Path:
        """Keep this, in one step and for the owner's eyes only. Raises ConfigProblem when the folder refuses."""
        file, draft = folder / FILE_NAME, folder / f".{FILE_NAME}.{secrets.token_hex(4)}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                    out.write(msgspec.json.encode(self))
                    out.flush()
                    os.fsync(out.fileno())
                draft.replace(file)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigProblem(f"{file} cannot be written: {error.strerror}.") from error
        return file

    @staticmethod
    def forget(folder: Path) -> bool:
        """Delete what was kept; False when there was nothing. Raises ConfigProblem when the folder refuses."""
        file = folder / FILE_NAME
        try:
            file.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConfigProblem(f"{file} cannot be deleted: {error.strerror}.") from error
        return True
