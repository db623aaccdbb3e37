"""Secrets that tests plant, and the search for them in whatever a program has written, said or sent. Changes nothing.

A secret counts as found by its first twelve characters: as they are, URL-encoded, in hex digits, or in Base64 wherever
they stand in what was encoded. Whatever holds the whole secret in one of these forms holds those, too.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

ENOUGH = 12
"""Characters of a secret that nobody may see."""


def canary(name: str) -> str:
    """A secret for this place, always the same: 40 characters that stand nowhere else."""
    return hashlib.sha256(f"canary {name}".encode()).hexdigest()[:40]


def needles(secret: str | bytes) -> tuple[bytes, ...]:
    """The forms in which a secret is looked for."""
    start = (secret.encode() if isinstance(secret, str) else secret)[:ENOUGH]
    forms = {start, quote(start, safe="").encode(), start.hex().encode(), start.hex().upper().encode()}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + start)[(0, 2, 3)[before] : (before + len(start)) * 8 // 6]
        forms |= {encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))}
    return tuple(sorted(forms))


def found(secrets: Mapping[str, str | bytes], places: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """(name of the secret, name of the place) of all that are seen."""
    looked_for = {name: needles(secret) for name, secret in secrets.items()}
    return {
        (name, place)
        for place, content in places.items()
        for name, forms in looked_for.items()
        if any(form in content for form in forms)
    }


def files(folder: Path, besides: Iterable[str] = ()) -> dict[str, bytes]:
    """All files below a folder by their paths there, but for those with one of these names."""
    left_out = frozenset(besides)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().rstrip(b"\0")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name not in left_out
    }
