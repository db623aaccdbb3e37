"""A clock that tests move by hand."""


class HandClock:
    """Implements `domain.contracts.Clock`."""

    def __init__(self, now: float = 1_767_571_200.0) -> None:
        """2026-01-05T00:00:00Z."""
        self.at = now

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += seconds
