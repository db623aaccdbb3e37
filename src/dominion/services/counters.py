"""What the gateway has counted since its start: plain numbers, read by the metrics page when it is asked for."""

from collections import defaultdict

from dominion.domain.records import Certainty, Outcome, UsageRow

LATENCY_BUCKETS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000)
"""Milliseconds."""


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
        self.requests[row.door, provider, Outcome(row.outcome).name.lower()] += 1
        self.tokens[provider, "input"] += row.input_tokens
        self.tokens[provider, "output"] += row.output_tokens
        self.cost_nano[provider] += row.cost_nano
        if row.certainty:
            self.uncertain[Certainty(row.certainty).name.lower()] += 1
        self.latency_sum_ms += row.latency_ms
        for i, edge in enumerate(LATENCY_BUCKETS):
            if row.latency_ms <= edge:
                self.latency[i] += 1
                return
        self.latency[-1] += 1
