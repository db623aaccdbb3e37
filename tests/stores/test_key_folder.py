"""Keys in mounted files."""

import logging
import os
from pathlib import Path

import pytest

from dominion.domain.errors import ConfigProblem
from dominion.stores.files.keys import LARGEST, KeyFolder


def test_each_file_is_a_key_of_a_user_at_a_provider_and_other_names_are_none(tmp_path: Path) -> None:
    (tmp_path / "usr_1.openai").write_text("sk-one\n")
    (tmp_path / "usr_1.my-own.provider").write_text("two")
    (tmp_path / "..data").mkdir()
    for name in ("README", ".usr_1.openai", "usr 1.openai", "usr_2."):
        (tmp_path / name).write_text("not a key")
    assert KeyFolder(tmp_path).read() == {("usr_1", "openai"): "sk-one", ("usr_1", "my-own.provider"): "two"}


def test_mounted_secrets_are_followed_to_another_version(tmp_path: Path) -> None:
    """As Kubernetes does: a link to a link to a folder, which is exchanged as a whole."""
    for version, key in (("..v1", "old-key-1"), ("..v2", "new-key-2")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "usr_1.openai").write_text(key)
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "usr_1.openai").symlink_to("..data/usr_1.openai")
    folder = KeyFolder(tmp_path)
    assert folder.read() == {("usr_1", "openai"): "old-key-1"}
    (tmp_path / "..next").symlink_to("..v2")
    (tmp_path / "..next").rename(tmp_path / "..data")
    assert folder.read() == {("usr_1", "openai"): "new-key-2"}
    (tmp_path / "usr_1.openai").unlink()
    assert folder.read() == {}


@pytest.mark.parametrize("content", [b"", b" \n", b"one\ntwo", b"\xff\xfe", b"k" * (LARGEST + 1)])
def test_what_holds_no_key_is_there_all_the_same_and_said_without_its_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "usr_1.openai").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        folder = KeyFolder(tmp_path)
        assert folder.read() == folder.read() == {("usr_1", "openai"): ""}
    assert [record.getMessage() for record in caplog.records] == [f"{tmp_path}/usr_1.openai holds no key of one line"]


def test_what_cannot_be_read_is_there_all_the_same_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "usr_1.openai").symlink_to("nowhere")
    folder = KeyFolder(tmp_path)
    assert folder.read() == folder.read() == {("usr_1", "openai"): ""}
    assert [os.strerror(2) in record.getMessage() for record in caplog.records] == [True]
    (tmp_path / "nowhere").write_text("there-now")
    assert folder.read() == {("usr_1", "openai"): "there-now"}


def test_a_folder_that_is_not_there_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblem, match="there is no such folder"):
        KeyFolder(tmp_path / "gone")
