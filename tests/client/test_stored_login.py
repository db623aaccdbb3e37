"""What login keeps: private, whole or not at all, and gone after logout."""

from pathlib import Path

import pytest

from dominion.client.stored_login import StoredLogin
from dominion.domain.errors import ConfigProblem

LOGIN = StoredLogin("https://gateway.example", "dom_1_secret")


@pytest.mark.promise("001-056")
def test_a_login_is_kept_in_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    file = LOGIN.save(tmp_path / "config" / "dominion")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert StoredLogin.load(file.parent) == LOGIN


def test_a_second_login_replaces_the_first_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    LOGIN.save(tmp_path)
    second = StoredLogin("https://other.example", "dom_2_secret")
    second.save(tmp_path)
    assert StoredLogin.load(tmp_path) == second
    assert [file.name for file in tmp_path.iterdir()] == ["credentials.json"]


def test_a_login_that_cannot_be_written_leaves_the_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").mkdir()
    with pytest.raises(ConfigProblem, match="cannot be written"):
        LOGIN.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["credentials.json"]


def test_logging_out_deletes_it_and_says_whether_there_was_one(tmp_path: Path) -> None:
    LOGIN.save(tmp_path)
    assert StoredLogin.forget(tmp_path)
    assert not StoredLogin.forget(tmp_path)
    assert StoredLogin.load(tmp_path) is None


def test_a_file_open_to_others_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    file = LOGIN.save(tmp_path)
    file.chmod(0o644)
    with pytest.raises(ConfigProblem, match="open to others") as caught:
        StoredLogin.load(tmp_path)
    assert caught.value.action == f"Run: chmod 600 {file}"


@pytest.mark.parametrize("data", [b"", b"{", b'{"url": 1}', b"\xff"])
def test_a_damaged_file_is_told_without_its_content(tmp_path: Path, data: bytes) -> None:
    file = LOGIN.save(tmp_path)
    file.write_bytes(data)
    with pytest.raises(ConfigProblem, match="damaged"):
        StoredLogin.load(tmp_path)
