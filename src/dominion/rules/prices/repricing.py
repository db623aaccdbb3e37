"""What a row of the ledger should have cost at other prices: the row that corrects it. Never edits a row.

A correction carries the id of its row, "~" and its number: made twice from the same facts it is the same row, so a run
that broke off is simply run again.
"""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from dominion.domain.records import Certainty, Outcome, UsageRow
from dominion.domain.usage import Price, Usage
from dominion.rules.prices.pricing import charge

MARK = "~"
CHARGED = frozenset({Outcome.OK, Outcome.CANCELLED, Outcome.CUT})
"""Outcomes whose rows hold counts that were charged. LOST rows are estimates over every provider that might have been
asked, and what is FOUND takes them back."""


def grouped(rows: Iterable[UsageRow]) -> dict[str, list[UsageRow]]:
    """Each row with its corrections after it, by the id of the row."""
    groups: dict[str, list[UsageRow]] = {}
    for row in rows:
        groups.setdefault(row.id.partition(MARK)[0], []).append(row)
    return {name: sorted(group, key=_number) for name, group in groups.items()}


def correction(group: Sequence[UsageRow], price: Price, largest: int) -> UsageRow | None:
    """The row that makes the first row of `group`, with the corrections after it, cost what it costs at `price`; None:
    it does. `largest` nano-dollars is the most that a row may cost."""
    row = group[0]
    usage = Usage(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
        cache_write_1h_tokens=row.cache_write_1h_tokens,
    )
    delta = min(charge(usage, price), largest) - sum(each.cost_nano for each in group)
    if not delta:
        return None
    return replace(
        row,
        id=f"{row.id}{MARK}{len(group)}",
        outcome=int(Outcome.CORRECTION),
        certainty=int(Certainty.MEASURED),
        input_tokens=0,
        output_tokens=0,
        cache_read_tokens=0,
        cache_write_tokens=0,
        cache_write_1h_tokens=0,
        reasoning_tokens=0,
        cost_nano=delta,
        latency_ms=0,
        first_ms=0,
        finish="",
        over_hold=False,
        error="",
    )


def _number(row: UsageRow) -> int:
    return int(row.id.partition(MARK)[2] or 0)
