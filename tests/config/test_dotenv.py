"""config/dotenv.py: the lines that people write, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.config.dotenv import _value, read_dotenv


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("  A = two words  ", "two words"),
        ("A=a#b", "a#b"),
        ("A=a # comment", "a"),
        ("A=# comment", ""),
        ("A=", ""),
        ("A='$HOME # \\n'", "$HOME # \\n"),
        ('A="line\\nnext \\"quoted\\" #x" # comment', 'line\nnext "quoted" #x'),
        ("A=it's", "it's"),
        ("A=b=c", "b=c"),
    ],
)
def test_a_line_gives_its_value(tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"# first\n\n{line}\n")
    found: list[str] = []
    assert read_dotenv(path, found) == {"A": value}
    assert not found


@pytest.mark.parametrize("line", ["A", "1A=2", "A B=2", '="x"', 'A="open', "A='open", 'A="a"b'])
def test_what_is_no_line_is_named_by_its_number_without_its_value(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"B=1\n{line}\nB=2\n")
    found: list[str] = []
    assert read_dotenv(path, found) == {"B": "2"}
    assert found == [f"{path}: line 2 is not KEY=VALUE"]


def test_no_file_is_no_problem_but_an_unreadable_one_is(tmp_path: Path) -> None:
    found: list[str] = []
    assert read_dotenv(tmp_path / ".env", found) == {}
    assert not found
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    assert read_dotenv(tmp_path / ".env", found) == {}
    assert len(found) == 1


@given(st.text(st.characters(exclude_characters="\\\"'\n\r", exclude_categories=("Cs", "Cc")), max_size=40))
def test_any_text_survives_either_kind_of_quotes(text: str) -> None:
    assert _value(f"'{text}' # c") == _value(f'"{text}"') == text
