"""Every dialect stands behind the one contract, and none is a file that nobody reads."""

import inspect
from pathlib import Path

import pytest

import dominion.wire
from dominion.app.dialects import Dialects
from dominion.domain.contracts import Dialect

FOLDER = Path(inspect.getfile(dominion.wire)).parent
FUNCTIONS = [name for name, function in vars(Dialect).items() if inspect.isfunction(function) and name[0] != "_"]


@pytest.mark.promise("003-003")
@pytest.mark.parametrize("dialect", Dialects().values(), ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_dialect_has_every_function_of_the_contract_with_its_parameters(dialect: Dialect, name: str) -> None:
    wanted = list(inspect.signature(getattr(Dialect, name)).parameters.values())[1:]
    found = inspect.signature(getattr(dialect, name)).parameters
    assert [parameter.kind for parameter in wanted] == [found[each.name].kind for each in wanted if each.name in found]


@pytest.mark.promise("003-003")
def test_dialects_are_found_by_their_names_and_speak_one_of_them() -> None:
    dialects = Dialects()
    assert all(dialect.name == name for name, dialect in dialects.items())
    assert {dialect.speaks for dialect in dialects.values()} <= dialects.keys()


@pytest.mark.promise("003-236")
def test_no_file_of_a_dialect_has_500_lines() -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in FOLDER.rglob("*.py")}
    assert len(lengths) > 40
    assert max(lengths.values()) < 500
