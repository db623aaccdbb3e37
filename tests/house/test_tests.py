"""The tests are where one looks for them: a folder for each folder of the program, and the whole program beside."""

import pytest

from tests.house.source import ROOT, functions, python_files

BY_THE_WHOLE = {"app": "whole", "transports": "whole", "domain": "rules"}
"""Folders that have no behaviour of their own, or that one needs a running program for."""


@pytest.mark.promise("003-216")
def test_every_folder_of_the_program_has_tests() -> None:
    folders = [path.name for path in (ROOT / "src" / "dominion").iterdir() if (path / "__init__.py").exists()]
    assert len(folders) >= 12
    for folder in folders:
        tests = [
            one
            for path in python_files(f"tests/{BY_THE_WHOLE.get(folder, folder)}")
            for one in functions(path)
            if one.name.startswith("test_")
        ]
        assert len(tests) >= 10, folder
