"""Keys are minted unguessable, kept as argon2id and as a keyed digest, and never shown by accident."""

import argon2
import pytest

from dominion.credentials.keys import OWASP_MINIMUM, KeyHasher, derive, mint, split

CHEAPEST = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=8, hash_len=16, time_cost=1, memory_cost=8, parallelism=1
)


@pytest.mark.promise("000-015")
def test_a_minted_key_begins_with_dom_and_splits_into_its_id_and_secret() -> None:
    minted = mint()
    parts = split(minted.plain)
    assert parts is not None
    assert minted.plain == f"dom_{minted.id}_{parts[1]}"
    assert len(parts[1]) == 43
    assert mint().plain != minted.plain
    assert parts[1] not in repr(minted)


@pytest.mark.parametrize("token", ["", "sk-abc", "dom_", "dom_abc", "dom_abc_", "dom__x", "dom_" + "a" * 300 + "_b"])
def test_what_does_not_look_like_a_key_is_no_key(token: str) -> None:
    assert split(token) is None


@pytest.mark.promise("001-002", "001-061")
def test_the_record_at_rest_is_argon2id_and_only_the_right_secret_fits() -> None:
    hasher = KeyHasher(b"p" * 32)
    record = hasher.hash("secret")
    assert record.startswith(f"$argon2id$v=19$m={OWASP_MINIMUM.memory_cost},t=2,p=1$")
    assert "secret" not in record
    assert hasher.verify(record, "secret")
    assert not hasher.verify(record, "Secret")
    assert not hasher.verify("not a record", "secret")


def test_the_digest_needs_the_pepper() -> None:
    one, other = KeyHasher(b"p" * 32, CHEAPEST), KeyHasher(b"q" * 32, CHEAPEST)
    assert one.same("secret", one.digest("secret"))
    assert not one.same("secret2", one.digest("secret"))
    assert not other.same("secret", one.digest("secret"))


def test_derived_keys_differ_by_purpose() -> None:
    assert derive(b"k" * 32, "key-digest") != derive(b"k" * 32, "admin-token")
    assert len(derive(b"k" * 32, "key-digest")) == 32
