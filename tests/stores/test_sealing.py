"""The sealing keys: minted once, kept private, rotated without forgetting one that is still in use."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dominion.credentials.keys import KeyHasher, derive
from dominion.credentials.sealing import Sealer
from dominion.domain.errors import ConfigProblem, Conflict
from dominion.stores.sealing.keys import KeyFile, KeyRing, change_keys, key_ring, retire, rotate, sealing_key

FIRST, SECOND = "11" * 32, "22" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sealing.key"


def keep(path: Path, text: str, mode: int = 0o600) -> KeyFile:
    path.write_text(text)
    path.chmod(mode)
    return KeyFile(path)


def sealer(ring: KeyRing) -> Sealer:
    return Sealer(ring.versions, ring.current)


def test_a_key_is_minted_once_and_only_its_owner_can_read_it(path: Path) -> None:
    ring = key_ring(KeyFile(path))
    assert (list(ring.versions), ring.current, len(ring.root)) == ([1], 1, 32)
    assert key_ring(KeyFile(path)) == ring
    assert sealing_key(path) == ring.root
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_processes_that_start_at_once_agree_on_one_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        rings = list(threads.map(lambda _: key_ring(KeyFile(path)), range(32)))
    assert all(ring == rings[0] for ring in rings)


def test_a_file_of_an_earlier_version_is_version_one(path: Path) -> None:
    ring = key_ring(keep(path, FIRST))
    assert ring == KeyRing({1: bytes.fromhex(FIRST)})
    assert ring.text() == path.read_text()


def test_after_a_rotation_the_new_version_seals_and_the_old_ones_open(path: Path) -> None:
    before = key_ring(keep(path, FIRST + "\n"))
    old = sealer(before).seal("provider:a", "api_key", "https://a:443", "canary", 1)
    ring = rotate(KeyFile(path))
    assert (ring.current, key_ring(KeyFile(path))) == (2, ring)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sealer(ring).open(old) == "canary"
    assert not sealer(before).knows(sealer(ring).reseal(old).key_version)
    assert sealer(rotate(KeyFile(path))).open(sealer(ring).reseal(old)) == "canary"


def test_what_is_derived_for_callers_keys_outlives_every_rotation(path: Path) -> None:
    before = key_ring(KeyFile(path))
    digest = KeyHasher(derive(before.root, "key-digest")).digest("secret")
    for _ in range(3):
        rotate(KeyFile(path))
    ring = retire(KeyFile(path))
    assert KeyHasher(derive(ring.root, "key-digest")).same("secret", digest)


def test_retiring_keeps_the_root_and_the_version_that_seals(path: Path) -> None:
    for _ in range(3):
        last = rotate(KeyFile(path)) if path.exists() else key_ring(KeyFile(path))
    ring = retire(KeyFile(path))
    assert sorted(ring.versions) == [1, 3]
    assert ring == key_ring(KeyFile(path)) == KeyRing({1: last.root, 3: last.versions[3]})
    assert rotate(KeyFile(path)).current == 4


def test_of_two_rotations_at_once_one_is_told_and_none_is_lost(path: Path) -> None:
    place = KeyFile(path)
    key_ring(place)

    def change(ring: KeyRing) -> KeyRing:
        rotate(KeyFile(path))
        return ring.with_next(b"x" * 32)

    with pytest.raises(Conflict, match="at the same time"):
        change_keys(place, change)
    assert sorted(key_ring(place).versions) == [1, 2]
    assert b"x" * 32 not in key_ring(place).versions.values()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    place = keep(path, FIRST, mode)
    for act in (key_ring, rotate, retire):
        with pytest.raises(ConfigProblem, match="open to others") as caught:
            act(place)
        assert "chmod 600" in caught.value.action


SECOND_ENTRY = f"2:{SECOND}"
DAMAGED = {
    "nothing": "",
    "a line end": "\n",
    "too short": FIRST[:-2],
    "too long": FIRST + "00",
    "no digits": "zz" * 32,
    "no ASCII": "ß" * 64,
    "a second key without a number": f"{FIRST} {SECOND}",
    "no first key": SECOND_ENTRY,
    "a number twice": f"{FIRST} {SECOND_ENTRY} {SECOND_ENTRY}",
    "a number below one": f"{FIRST} 0:{SECOND}",
    "a word for a number": f"{FIRST} two:{SECOND}",
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_and_never_written_over(path: Path, text: str) -> None:
    place = keep(path, text)
    for act in (key_ring, rotate, retire):
        with pytest.raises(ConfigProblem, match="does not hold a sealing key") as caught:
            act(place)
        assert FIRST[:8] not in str(caught.value)
        assert caught.value.__suppress_context__
    assert path.read_text() == text


def test_a_crash_while_writing_leaves_the_old_keys(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_ring(KeyFile(path))

    def power_cut(_descriptor: int) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="power cut"):
        rotate(KeyFile(path))
    assert key_ring(KeyFile(path)) == before
    assert list(path.parent.iterdir()) == [path]


def test_keys_are_not_shown() -> None:
    assert repr(KeyRing({1: b"canary" * 5, 2: b"canary" * 5})) == "KeyRing(versions=[1, 2])"
