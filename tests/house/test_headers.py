"""Every header of our own is in its page, and the page names no other."""

import re

from tests.house.source import ROOT, python_files

OURS = re.compile(r"\bx-(?:dominion-[a-z]+(?:-[a-z]+)*|request-id)\b")


def test_the_page_of_headers_names_every_header_that_the_program_knows_and_no_other() -> None:
    known = {name for path in python_files("src") for name in OURS.findall(path.read_text(encoding="utf-8"))}
    page = (ROOT / "docs" / "headers.md").read_text(encoding="utf-8")
    assert set(OURS.findall(page)) == known
    assert "x-dominion-max-cost" in known
