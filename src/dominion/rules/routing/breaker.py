"""The circuit breaker of one provider: counts, and decides when it rests. Times are monotonic seconds and arguments.

Closed, it counts. It opens when enough attempts of a window failed; then the provider is asked only after all others
have failed. After a pause one attempt at a time tries it out (half-open): an answer closes it, a failure makes the
pause longer. It never refuses anything by itself: where there is no other provider the order does not matter.
"""

import msgspec

FREE_REPEATS = 100
"""Repeats in one window that are never too many."""
REPEATS_SHARE = 0.2
"""Of the attempts of a window, how many may be repeats beyond that (Envoy's retry budget)."""


class BreakerRules(msgspec.Struct, frozen=True, kw_only=True):
    """It opens when `share` of at least `minimum` attempts within `window` seconds failed, and rests `pause` seconds,
    twice as long after each failed try, at most `longest_pause`."""

    share: float = 0.5
    minimum: int = 10
    window: float = 10.0
    pause: float = 2.0
    longest_pause: float = 30.0


class Breaker:
    """`answered` counts attempts since the start, `opened` how often it opened.

    `open_until` is 0.0 while it is closed. `trying`: the one attempt of the half-open state is under way.
    """

    def __init__(self, rules: BreakerRules) -> None:
        self.answered = 0
        self.opened = 0
        self.open_until = 0.0
        self.trying = False
        self._rules = rules
        self._pause = rules.pause
        self._since = 0.0  # the window begins with its first failure, so that answers cost one addition
        self._answered_before = 0
        self._window_failed = 0
        self._repeats = 0

    def usable(self, now: float) -> bool:
        """Whether it is this provider's turn as if nothing were wrong: closed, or due to be tried out."""
        return not self.open_until or (now >= self.open_until and not self.trying)

    def begin(self, now: float) -> bool:
        """An attempt begins although it is not closed. Whether it is the one that tries the provider out."""
        if now < self.open_until or self.trying:
            return False
        self.trying = True
        return True

    def alive(self, now: float) -> None:
        """The provider has answered, if only to refuse."""
        if self.open_until and (self.trying or now >= self.open_until):
            self.open_until = 0.0
            self._pause = self._rules.pause
            self._begin_window(now)
        self.trying = False

    def failure(self, now: float, hint: float | None, *, after_answer: bool = False) -> None:
        """An attempt failed; `hint` seconds are how long the provider asks to be left alone. `after_answer`: it had
        been counted as answered, and broke later."""
        self._roll(now)
        if after_answer and self.answered > self._answered_before:
            self._answered_before += 1
        self._window_failed += 1
        if self.open_until:
            if self.trying or now >= self.open_until:
                self._pause = min(2 * self._pause, self._rules.longest_pause)
                self._open(now, hint)
        else:
            total = self._window_failed + self.answered - self._answered_before
            if total >= self._rules.minimum and self._window_failed >= self._rules.share * total:
                self._open(now, hint)

    def release(self, *, trying: bool) -> None:
        """An attempt ended without a verdict, for its caller has gone; `trying`: what `begin` said of it."""
        if trying:
            self.trying = False

    def grant_repeat(self, now: float) -> bool:
        """Whether one more repeat may be made: a provider that is down must not get several times its load."""
        self._roll(now)
        total = self._window_failed + self.answered - self._answered_before
        if self._repeats >= FREE_REPEATS + REPEATS_SHARE * total:
            return False
        self._repeats += 1
        return True

    def _open(self, now: float, hint: float | None) -> None:
        self.opened += 1
        self.trying = False
        self.open_until = now + max(self._pause, min(hint or 0.0, self._rules.longest_pause))

    def _roll(self, now: float) -> None:
        if now - self._since >= self._rules.window:
            self._begin_window(now)

    def _begin_window(self, now: float) -> None:
        self._since = now
        self._answered_before = self.answered
        self._window_failed = self._repeats = 0
