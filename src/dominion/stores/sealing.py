"""The sealing key: 32 random bytes in a file that only its owner may read. Minted once; never logged, never sent."""

import os
import secrets
from pathlib import Path

from dominion.domain.errors import ConfigProblem

LENGTH = 32


def sealing_key(path: Path) -> bytes:
    """The key, minted at the first call. Raises ConfigProblem when the file is damaged or open to others."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(LENGTH).hex().encode())
        file.flush()
        os.fsync(file.fileno())
    return _read(path)


def _read(path: Path) -> bytes:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigProblem(
            f"{path} holds the sealing key and is open to others (mode {mode:o}).", action=f"Run: chmod 600 {path}"
        )
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != LENGTH:
        raise ConfigProblem(
            f"{path} does not hold a sealing key.",
            action="Restore it from a backup; without it callers' keys must be made anew.",
        )
    return key
