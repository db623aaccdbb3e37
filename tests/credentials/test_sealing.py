"""Sealed credentials open where they were sealed, and nowhere else."""

import hashlib
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dominion.credentials.sealing import HEAD_BYTES, Sealer, last4
from dominion.domain.errors import ConfigProblem
from dominion.domain.registry import SealedCredential

KEYS = {1: b"1" * 32, 2: b"2" * 32}
OWNER, NAME, ORIGIN, AT = "provider:openai", "api_key", "https://api.openai.com:443", 1_790_000_000
PLAIN = "sk-proj-canary-abcdefghijklmnop-vX2Q"


def sealer(keys: dict[int, bytes] = KEYS, current: int = 2) -> Sealer:
    return Sealer(keys, current)


def sealed(plain: str = PLAIN) -> SealedCredential:
    return sealer().seal(OWNER, NAME, ORIGIN, plain, AT)


def refusal(one: Sealer, credential: SealedCredential) -> str:
    """The sentence with which it does not open, which must give nothing away and hide no other error."""
    with pytest.raises(ConfigProblem, match=r"cannot be opened") as caught:
        one.open(credential)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "canary" not in caught.value.message + caught.value.action
    return caught.value.message


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_what_was_sealed_opens(plain: str) -> None:
    assert sealer().open(sealed(plain)) == plain


def test_a_row_holds_nothing_of_its_text_but_the_last_four_characters() -> None:
    row = sealed()
    assert (row.owner, row.name, row.origin, row.key_version, row.created_at) == (OWNER, NAME, ORIGIN, 2, AT)
    assert row.last4 == "vX2Q"
    assert not any(PLAIN[start : start + 4].encode() in row.sealed for start in range(len(PLAIN) - 4))
    assert len(row.sealed) == HEAD_BYTES + len(PLAIN) + 16


@pytest.mark.parametrize(("plain", "shown"), [("", ""), ("short-key-1", ""), ("twelve-chars", "hars")])
def test_of_a_short_credential_nothing_is_shown(plain: str, shown: str) -> None:
    assert last4(plain) == sealed(plain).last4 == shown


def test_the_same_text_is_never_sealed_the_same_way() -> None:
    assert len({sealed().sealed[start:stop] for start, stop in ((0, None),) for _ in range(20)}) == 20
    rows = [sealed().sealed for _ in range(20)]
    for start, stop in ((1, 13), (13, 61), (61, 73), (73, None)):  # both nonces, the sealed data key, the sealed text
        assert len({row[start:stop] for row in rows}) == 20


def test_all_randomness_is_the_callers() -> None:
    numbers = count()

    def counted(size: int) -> bytes:
        return hashlib.sha256(b"%d" % next(numbers)).digest()[:size]

    first = Sealer(KEYS, 2, counted).seal(OWNER, NAME, ORIGIN, PLAIN, AT)
    numbers = count()
    assert Sealer(KEYS, 2, counted).seal(OWNER, NAME, ORIGIN, PLAIN, AT) == first
    assert next(numbers) == 3


MOVED: list[dict[str, Any]] = [
    {"owner": "provider:openai2"},
    {"owner": "user:usr_1:openai"},
    {"name": "api_key2"},
    {"origin": "https://evil.example:443"},
    {"origin": "http://api.openai.com:443"},
    {"origin": "https://api.openai.com:444"},
    {"key_version": 1},
    {"owner": OWNER + NAME, "name": ""},
    {"owner": OWNER[:-1], "name": OWNER[-1] + NAME},
    {"name": NAME + ORIGIN[0], "origin": ORIGIN[1:]},
]


@pytest.mark.parametrize("change", MOVED, ids=str)
def test_a_row_that_was_moved_or_pointed_elsewhere_does_not_open(change: dict[str, Any]) -> None:
    assert "the row was changed" in refusal(sealer(), replace(sealed(), **change))


def test_no_ciphertext_opens_in_the_place_of_another() -> None:
    rows = [
        sealer().seal(owner, name, origin, PLAIN, AT)
        for owner in ("provider:a", "provider:b", "user:usr_1:a", "user:usr_2:a")
        for name in ("api_key", "secret")
        for origin in ("https://a:443", "https://b:443")
    ]
    for one in rows:
        for other in rows:
            swapped = replace(one, sealed=other.sealed)
            if one is other:
                assert sealer().open(swapped) == PLAIN
            else:
                refusal(sealer(), swapped)


def test_no_bit_of_a_record_can_be_changed_and_no_byte_taken_away_or_added() -> None:
    row, one = sealed("canary"), sealer()
    for place in range(len(row.sealed) * 8):
        damaged = bytearray(row.sealed)
        damaged[place // 8] ^= 1 << place % 8
        refusal(one, replace(row, sealed=bytes(damaged)))
    for size in range(len(row.sealed)):
        refusal(one, replace(row, sealed=row.sealed[:size]))
    refusal(one, replace(row, sealed=row.sealed + b"\x00"))


def test_another_key_or_a_missing_version_says_so() -> None:
    row = sealed()
    assert "the sealing key is another one" in refusal(sealer({1: KEYS[1], 2: b"3" * 32}), row)
    assert "version 2 of the sealing key is not there" in refusal(sealer({1: KEYS[1]}, 1), row)
    assert (sealer({1: KEYS[1]}, 1).knows(2), sealer().knows(2)) == (False, True)


def test_a_credential_is_sealed_anew_under_the_current_version_only_when_it_is_not_yet() -> None:
    old = Sealer({1: KEYS[1]}, 1).seal(OWNER, NAME, ORIGIN, PLAIN, AT)
    both = sealer()
    assert both.open(old) == PLAIN
    anew = both.reseal(old)
    assert replace(anew, sealed=old.sealed, key_version=1) == old
    assert (anew.key_version, Sealer({2: KEYS[2]}, 2).open(anew)) == (2, PLAIN)
    assert both.reseal(anew) is anew
    with pytest.raises(ConfigProblem, match="cannot be opened"):
        both.reseal(replace(old, origin="https://evil.example:443"))


def test_a_sealer_shows_no_key() -> None:
    assert repr(sealer()) == "Sealer(versions=[1, 2], current=2)"
    assert not any(KEYS[1] in str(value).encode() for value in vars(sealer()).values())
