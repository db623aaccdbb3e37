"""Callers' own keys that the operator has put into files, as secrets are mounted; never writes, never tells a key.

FOLDER/USER.PROVIDER holds the key of a user at a provider, and nothing else: `usr_1f.openai`. Which files there are is
the operator's matter alone.
"""

import logging
import re
from pathlib import Path

from dominion.domain.errors import ConfigProblem

LOG = logging.getLogger("dominion.own_keys")
LARGEST = 8_192
"""Bytes of a file; a key is shorter."""
_NAME = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9][A-Za-z0-9._-]*)")
Stamp = tuple[int, int, int]
UNREADABLE: tuple[Stamp, str] = (0, 0, 0), ""


class KeyFolder:
    """The folder, and what was read of it before: a file is read again when it is another one."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigProblem when there is no such folder."""
        if not folder.is_dir():
            raise ConfigProblem(
                f"OWN_KEYS_DIR is {folder}, and there is no such folder.", action="Mount it, or leave it out."
            )
        self._folder = folder
        self._known: dict[str, tuple[Stamp, str]] = {}

    def read(self) -> dict[tuple[str, str], str]:
        """The keys by user and provider, "": there is a file that cannot be used. Blocks. Raises OSError."""
        known, self._known = self._known, {}
        found: dict[tuple[str, str], str] = {}
        for path in self._folder.iterdir():
            if name := _NAME.fullmatch(path.name):
                found[name[1], name[2]] = self._key(path, known.get(path.name))
        return found

    def _key(self, path: Path, known: tuple[Stamp, str] | None) -> str:
        try:
            status = path.stat()
            stamp = status.st_ino, status.st_mtime_ns, status.st_size
            if known is None or known[0] != stamp:
                known = stamp, _usable(path.read_bytes()) if status.st_size <= LARGEST else ""
                if not known[1]:
                    LOG.warning("%s holds no key of one line", path)
        except OSError as error:
            if known != UNREADABLE:  # said once, not every second
                LOG.warning("%s cannot be read: %s", path, error.strerror)
            known = UNREADABLE
        self._known[path.name] = known
        return known[1]


def _usable(content: bytes) -> str:
    """One line of text, else nothing."""
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""
