"""What may not be in the repository: index addresses, paths of one machine, secrets, large files."""

import re

import pytest

from tests.house.source import repository_files, shown

# Written so that this file does not match itself.
FORBIDDEN = {
    "index address": re.compile(rb"py[p]i\.org|python[h]osted|registry\.np[m]js|deb\.deb[i]an\.org|cra[t]es\.io"),
    "path of one machine": re.compile(rb"/tm[p]/[a-z]|/wor[k]/[a-z.]|/roo[t]/|/hom[e]/[a-z]+/"),
    "key of a provider": re.compile(
        rb"\bsk-(?:an[t]-[a-z0-9]+-|pro[j]-)?[A-Za-z0-9_]{32,}|\bgs[k]_[A-Za-z0-9]{40,}|AIz[a][A-Za-z0-9_-]{35}"
    ),
    "key of a cloud": re.compile(rb"\bAKI[A](?!IOSFODNN7EXAMPLE)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}"),
    "private key": re.compile(rb"-----BEGI[N] [A-Z ]*PRIVATE KEY-----"),
}
LARGEST = 1_000_000


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_of_the_repository_holds(kind: str) -> None:
    found = [
        f"{shown(path)}:{number} {line.strip()[:80].decode(errors='replace')}"
        for path in repository_files()
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if FORBIDDEN[kind].search(line)
    ]
    assert found == []


def test_no_file_of_the_repository_is_large() -> None:
    sizes = {shown(path): path.stat().st_size for path in repository_files()}
    assert {name: size for name, size in sizes.items() if size > LARGEST} == {}
