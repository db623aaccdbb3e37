"""The three-way comparison after an experiment: what callers were answered, what the provider was asked, what the
ledger says. Each request carries a name of its own through all three: the prompt, and the label of its run.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from dominion.domain.records import Certainty, Outcome

ROWS = "SELECT run, id, outcome, certainty, output_tokens, model, cost_nano FROM usage"
SUMS = "SELECT sum(requests) FROM usage_windows WHERE kind = 'd' AND scope LIKE 'user:%'"
MONEY = "SELECT sum(spend_nano) FROM usage_windows WHERE kind = 'm' AND scope LIKE 'user:%'"
LEASED = "SELECT count(*) FROM leases"


def query(place: Path | str, statement: str) -> list[Any]:
    """All rows of a query, on SQLite (a path) or PostgreSQL (an address)."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as database:
            return database.execute(statement).fetchall()
    with psycopg.connect(place) as connection:
        return connection.execute(statement.encode()).fetchall()


class Comparison:
    """Of a gateway that has ended in good order, or has posted everything. Requests without a name count in sums only.

    `lost` answers and executions without their row, `doubled` rows of one request beyond its first, `phantom` rows of
    requests that no provider was asked (but those that say so: the gateway died between the two, `unsent`, or the
    caller left before the provider had read anything, `left`), `wrong` rows with other tokens than were sent, `unequal`
    sums that are not those of the rows, `leased` leases nobody gave back.
    """

    def __init__(self, place: Path | str, answered: Sequence[str], asked: Iterable[str]) -> None:
        everything = query(place, ROWS)
        rows = [row for row in everything if row[0]]
        by_name = {row[0]: row for row in rows}
        reached = Counter(asked)
        recorded = {row[0] for row in rows if row[2] == Outcome.OK and row[3] == Certainty.MEASURED}
        self.answered = len(answered)
        self.asked = reached.total()
        self.rows = len(rows)
        self.flagged = sum(row[2] == Outcome.LOST for row in rows)
        self.lost = sum(name not in recorded for name in answered) + sum(name not in by_name for name in reached)
        self.doubled = len(rows) - min(len(by_name), len({row[1] for row in rows}))
        away = [row[2] for row in rows if row[0] not in reached]
        self.unsent = away.count(Outcome.LOST)
        self.left = away.count(Outcome.CANCELLED)
        self.phantom = sum(outcome not in {Outcome.LOST, Outcome.FAILED, Outcome.CANCELLED} for outcome in away)
        told = [by_name[name] for name in answered if name in by_name]
        self.wrong = sum(row[4] != int(row[5].split("-")[1]) for row in told if row[2] == Outcome.OK)
        charged = [row for row in everything if row[2] != Outcome.FAILED]
        sums = query(place, SUMS)[0][0] or 0, query(place, MONEY)[0][0] or 0
        self.unequal = int(sums != (len(charged), sum(row[6] for row in charged)))
        self.leased = query(place, LEASED)[0][0]

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in vars(self).items())

    def check(self) -> None:
        """What must be, whatever was done to the gateway."""
        assert self.answered > 0, self
        assert (self.lost, self.doubled, self.phantom, self.wrong, self.unequal, self.leased) == (0,) * 6, self
