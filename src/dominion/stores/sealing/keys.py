"""The sealing keys and the file that keeps them, which only its owner may read. Never logged, never sent.

The text that holds them, here and in every other place (`key_places`): version 1 as 64 hex digits, each further one as
"2:" and its digits, with a space or a line end between them.
"""

import fcntl
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from dominion.domain.errors import ConfigProblem, Conflict

LENGTH = 32
ROOT = 1
LARGEST = 64 * 1024


class KeyRing(msgspec.Struct, frozen=True):
    """Every version of the sealing key; 32 bytes each, version 1 is always there."""

    versions: Mapping[int, bytes]

    @property
    def current(self) -> int:
        """The version that seals."""
        return max(self.versions)

    @property
    def root(self) -> bytes:
        """What digests are derived from: version 1, so that callers' keys outlive a rotation."""
        return self.versions[ROOT]

    def with_next(self, key: bytes) -> "KeyRing":
        """One version more, which seals from now on."""
        return KeyRing({**self.versions, self.current + 1: key})

    def retired(self) -> "KeyRing":
        """Without the versions that neither seal nor are the root: for when everything is sealed anew."""
        return KeyRing({version: self.versions[version] for version in {ROOT, self.current}})

    def text(self) -> str:
        """As a place keeps it."""
        return "\n".join(
            key.hex() if version == ROOT else f"{version}:{key.hex()}" for version, key in sorted(self.versions.items())
        )

    def __repr__(self) -> str:
        return f"KeyRing(versions={sorted(self.versions)})"


class KeyPlace(Protocol):
    """Where the text of the sealing keys is kept. Blocks. Every call raises ConfigProblem when the place is of no use.

    `name` says to the operator which one it is.
    """

    name: str

    def read(self) -> str | None:
        """The text; None when nothing is kept there."""

    def replace(self, before: str | None, text: str) -> bool:
        """Keep `text` if the place still holds `before`; whether it did."""


def key_ring(place: KeyPlace, earlier: KeyPlace | None = None, random: Callable[[int], bytes] | None = None) -> KeyRing:
    """The sealing keys of a place. An empty one takes over what the `earlier` place holds, else a key is minted.

    Raises ConfigProblem when what is there is damaged or open to others.
    """
    text = place.read()
    if text is None:
        first = earlier.read() if earlier is not None else None
        ring = KeyRing({ROOT: (random or secrets.token_bytes)(LENGTH)}) if first is None else read_ring(first, place)
        place.replace(None, ring.text())  # or another process was faster
        text = place.read()
    return read_ring(text or "", place)


def change_keys(place: KeyPlace, change: Callable[[KeyRing], KeyRing]) -> KeyRing:
    """Keep what `change` makes of the keys. Raises ConfigProblem as `key_ring`, Conflict when somebody was faster."""
    text = place.read()
    changed = change(read_ring(text or "", place))
    if not place.replace(text, changed.text()):
        raise Conflict(f"Another process changed the sealing keys in {place.name} at the same time.")
    return changed


def rotate(place: KeyPlace, random: Callable[[int], bytes] = secrets.token_bytes) -> KeyRing:
    """Add a version, which seals from now on; the others still open. Raises as `change_keys`."""
    return change_keys(place, lambda ring: ring.with_next(random(LENGTH)))


def retire(place: KeyPlace) -> KeyRing:
    """Forget the versions that nothing is sealed with any more; the caller has made sure. Raises as `change_keys`."""
    return change_keys(place, KeyRing.retired)


def read_ring(text: str, place: KeyPlace) -> KeyRing:
    """The keys that a text holds. Raises ConfigProblem, which repeats nothing of it."""
    versions = {}
    try:
        for entry in text.split():
            version, _, digits = entry.rpartition(":")
            key = bytes.fromhex(digits)
            if len(key) != LENGTH or int(version or ROOT) in versions:
                raise ValueError
            versions[int(version or ROOT)] = key
        if ROOT not in versions or min(versions) < ROOT:
            raise ValueError
    except ValueError:
        raise ConfigProblem(
            f"{place.name} does not hold a sealing key.",
            action="Restore it from a backup; without it callers' keys must be made anew.",
        ) from None
    return KeyRing(versions)


def sealing_key(path: Path) -> bytes:
    """The root of the keys in a file, minted at the first call. Raises as `key_ring`."""
    return key_ring(KeyFile(path)).root


class KeyFile:
    """A file of mode 0600."""

    def __init__(self, path: Path) -> None:
        """At `path`; its folder exists."""
        self._path = path
        self.name = str(path)

    def read(self) -> str | None:
        """Raises ConfigProblem when it is open to others."""
        try:
            with self._path.open("rb") as file:
                mode, data = os.fstat(file.fileno()).st_mode & 0o777, file.read(LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigProblem(f"{self.name} cannot be read: {error.strerror}.") from error
        if mode & 0o077:
            raise ConfigProblem(
                f"{self.name} holds the sealing key and is open to others (mode {mode:o}).",
                action=f"Run: chmod 600 {self.name}",
            )
        return data.decode("ascii", "replace")

    def replace(self, before: str | None, text: str) -> bool:
        """In one step: a reader, or the next start after a power cut, finds the old or the new text."""
        folder = self._path.parent
        with _alone(folder) as descriptor:
            if self.read() != before:
                return False
            draft, name = tempfile.mkstemp(prefix=".sealing.", dir=folder)  # mode 0600
            try:
                with os.fdopen(draft, "w", encoding="ascii") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(draft)
                Path(name).replace(self._path)
            finally:
                Path(name).unlink(missing_ok=True)
            os.fsync(descriptor)
        return True


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Keep other processes out of the folder's keys; the system frees the lock when a process dies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
