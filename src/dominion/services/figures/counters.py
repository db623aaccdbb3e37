"""What the gateway has counted since its start: plain numbers, read by the metrics page when it is asked for."""

from bisect import bisect_left
from collections import defaultdict

from dominion.domain.records import Certainty, Outcome, UsageRow

LATENCY_BUCKETS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000)
"""Milliseconds."""
OUTCOMES = tuple(outcome.name.lower() for outcome in sorted(Outcome))


class Counters:
    """Counts by small sets of labels; never by user, key or prompt. Model names stay out: callers choose them."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.cost_nano: defaultdict[str, int] = defaultdict(int)
        self.refused: defaultdict[str, int] = defaultdict(int)
        self.uncertain: defaultdict[str, int] = defaultdict(int)
        self.attempts_failed: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.latency: list[int] = [0] * (len(LATENCY_BUCKETS) + 1)
        self.latency_sum_ms = 0

    def row(self, row: UsageRow) -> None:
        """Count one settled request."""
        provider = row.provider
        self.requests[row.door, provider, OUTCOMES[row.outcome]] += 1
        self.tokens[provider, "input"] += row.input_tokens
        self.tokens[provider, "output"] += row.output_tokens
        self.cost_nano[provider] += row.cost_nano
        if row.certainty:
            self.uncertain[Certainty(row.certainty).name.lower()] += 1
        self.latency_sum_ms += row.latency_ms
        self.latency[bisect_left(LATENCY_BUCKETS, row.latency_ms)] += 1
