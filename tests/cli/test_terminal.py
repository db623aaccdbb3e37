"""What people see on a terminal: drawn tables, and text of others that cannot take the terminal over."""

import io
from contextlib import redirect_stdout

from dominion.cli.tables import print_table
from dominion.cli.terminal import for_stdout

HOSTILE = "a\x1b[2Jb\x9b1mc\rd\ne\tf"


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        """So it says."""
        return True


def test_a_table_on_a_terminal_has_columns_and_no_markup_of_others() -> None:
    with redirect_stdout(Terminal()) as shown:
        print_table(("ID", "NAME"), [("usr_1", "[red]Ada[/red]\x1b[2J"), ("usr_22", None)])
    lines = shown.getvalue().splitlines()
    assert "".join(lines[0].split("\x1b[1m")).replace("\x1b[0m", "").split() == ["ID", "NAME"]
    assert [line.split() for line in lines[1:]] == [["usr_1", "[red]Ada[/red]\ufffd[2J"], ["usr_22", "-"]]
    assert lines[1].index("[red]") == lines[2].index("-")


def test_an_answer_on_a_terminal_keeps_its_lines_and_loses_its_control_characters() -> None:
    with redirect_stdout(Terminal()):
        assert for_stdout(HOSTILE) == "a\ufffd[2Jb\ufffd1mc\ufffdd\ne\tf"


def test_an_answer_in_a_pipe_is_untouched() -> None:
    assert for_stdout(HOSTILE) == HOSTILE
