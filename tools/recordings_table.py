"""Writes docs/recordings.md: how many recordings of real providers pass, which do not and why, and how usage compares.

    python -m tools.recordings_table

Needs ../shared/recordings, and takes two minutes. A test holds the page to what is measured.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.wire.recordings import FOLDER, index
from tests.wire.replay import Count, counts

PAGE = Path(__file__).parents[1] / "docs" / "recordings.md"
HEAD = """\
# Recordings

What real providers answered, as public test suites recorded it, replayed through our dialects. Written by
`python -m tools.recordings_table`; `tests/wire/test_recordings_all.py` holds every line of it to what is measured.

A recording passes when its stream gives the same events whole, byte by byte and cut at random; when relayed within its
dialect every byte arrives, and the usage seen on the way is the usage read; when its usage is what an independent meter
(`genai_prices.extract_usage`) reads; and when what is read, written and read again is the same.
"""
METER = """\
## Where usage differs from the independent meter

The meter reads what the provider wrote. In these cases what the provider bills is something else, as was measured, and
we follow the bill. Each is corrected by a rule of its own in `tests/wire/replay.py`; without a rule there is no
difference. Where a provider told no usage, or the meter does not know the API (Ollama's), there is nothing to compare
but what the fields are called.
"""
Found = Mapping[tuple[str, str], Count]


def page(found: Found) -> str:
    """The whole page."""
    return "\n".join([HEAD, _kinds(found), _table(found), _failing(found), METER, _explained(found)])


def _sum(found: Found, column: str) -> int:
    return sum(getattr(count, column) for count in found.values())


def _kinds(found: Found) -> str:
    every = index()
    errors = sum(int(row["status"]) >= 400 for row in every)  # noqa: PLR2004 - the first status of errors
    answers = _sum(found, "recordings")
    passing, others = _sum(found, "passing"), len(every) - errors - answers
    return (
        f"Of {len(every)} recordings {answers} are answers in the eight dialects below, and {passing} of them pass: "
        f"{passing / answers:.1%}.\n{errors} are refusals, which the tests of each dialect sort into the tree of "
        f"errors; {others} are embeddings,\nlists of models, other APIs, or no answers.\n"
    )


def _table(found: Found) -> str:
    lines = ["| dialect | provider | recordings | pass | usage compared | with a reason |", "|---|---|--:|--:|--:|--:|"]
    for (dialect, provider), count in found.items():
        numbers = (count.recordings, count.passing, count.metered, sum(count.explained.values()))
        lines.append(f"| {dialect} | {provider} | {' | '.join(map(str, numbers))} |")
    sums = [_sum(found, column) for column in ("recordings", "passing", "metered")]
    sums.append(sum(sum(count.explained.values()) for count in found.values()))
    return "\n".join([*lines, f"| **all** | | {' | '.join(map(str, sums))} |", ""])


def _failing(found: Found) -> str:
    lines = ["## What does not pass", "", "All of these are cut, relayed and metered like the others.", ""]
    for (dialect, provider), count in found.items():
        for line in count.failing:
            recording, _, reason = line.partition(": ")
            lines.append(f"- {dialect}, {provider}: {reason}.\n  `{recording}`")
    return "\n".join([*lines, ""])


def _explained(found: Found) -> str:
    sums: Counter[str] = Counter()
    where: dict[str, list[str]] = {}
    for (_, provider), count in found.items():
        for reason, number in count.explained.items():
            sums[reason] += number
            where.setdefault(reason, []).append(f"{provider} {number}")
    lines = [f"| {reason} | {number} | {', '.join(where[reason])} |" for reason, number in sums.most_common()]
    return "\n".join(["| reason | recordings | where |", "|---|--:|---|", *lines, ""])


if __name__ == "__main__":
    if not FOLDER.is_dir():
        sys.exit(f"There are no recordings: {FOLDER} does not exist.")
    PAGE.write_text(page(counts()), encoding="utf-8")
