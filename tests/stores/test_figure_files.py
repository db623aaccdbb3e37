"""Workers read one another's figures from files."""

from pathlib import Path

import pytest

from dominion.domain.errors import StorageUnavailable
from dominion.stores.files.figures import FigureFiles, forget_figures


def worker(folder: Path, number: int) -> FigureFiles:
    """The files as this worker sees them."""
    (folder / str(number)).mkdir(exist_ok=True)
    return FigureFiles(folder, number)


def test_each_reads_what_the_others_published_last_and_its_predecessor_its_own(tmp_path: Path) -> None:
    one, two = worker(tmp_path, 1), worker(tmp_path, 2)
    assert (one.predecessor(), one.others()) == (None, [])
    one.publish(b"old")
    one.publish(b"one")
    two.publish(b"two")
    assert (one.others(), two.others()) == ([b"two"], [b"one"])
    assert worker(tmp_path, 1).predecessor() == b"one"


def test_a_gateway_that_starts_anew_forgets_them(tmp_path: Path) -> None:
    worker(tmp_path, 1).publish(b"one")
    forget_figures(tmp_path)
    assert worker(tmp_path, 2).others() == []
    forget_figures(tmp_path / "none")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be written"):
        FigureFiles(tmp_path, 7).publish(b"x")
