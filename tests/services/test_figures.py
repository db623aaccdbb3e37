"""The figures of several workers add up, and what a dead worker counted is not forgotten."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.errors import StorageUnavailable
from dominion.services.figures.counters import Counters
from dominion.services.figures.workers import Figures, Together, added


class Wall:
    """A board in memory, for the worker `number` of those whose figures it holds."""

    def __init__(self, published: dict[int, bytes], number: int) -> None:
        self.published = published
        self.number = number
        self.full = False

    def publish(self, figures: bytes) -> None:
        if self.full:
            raise StorageUnavailable("The disk is full.")
        self.published[self.number] = figures

    def predecessor(self) -> bytes | None:
        return self.published.get(self.number)

    def others(self) -> list[bytes]:
        return [figures for number, figures in self.published.items() if number != self.number]


def known(state: str = "closed", **others: Any) -> dict[str, Any]:
    """What a router knows of a provider."""
    return {
        "state": state,
        "tried_again_in_seconds": 0.0,
        "times_opened": 0,
        "answered": 1,
        "answered_ms": 100,
        "failed": 0,
        "failures": {},
        "last_failure": None,
        "usual_ms": {},
    } | others


class Process:
    """A worker with its counters and what its router says."""

    def __init__(self, published: dict[int, bytes], number: int) -> None:
        self.counters = Counters()
        self.gauges: dict[str, float] = {"requests_running": 0}
        self.providers: dict[str, dict[str, Any]] = {}
        self.wall = Wall(published, number)
        self.together = Together(self.counters, lambda: self.gauges, lambda: self.providers, self.wall)


async def test_any_worker_knows_the_sums_of_all() -> None:
    published: dict[int, bytes] = {}
    one, two = Process(published, 1), Process(published, 2)
    for process, count in ((one, 3), (two, 4)):
        process.counters.requests["openai_chat", "stub", "ok"] = count
        process.counters.latency[2] = count
        process.gauges["requests_running"] = count
        await process.together.publish()
    two.counters.refused["unauthenticated"] += 1
    for process in (one, two):
        await process.together.publish()
        figures = process.together.all()
        assert figures.counters().requests == {("openai_chat", "stub", "ok"): 7}
        assert figures.counters().latency[:4] == [0, 0, 7, 0]
        assert figures.gauges == {"requests_running": 7}
    assert one.together.all().counters().refused == {"unauthenticated": 1}


async def test_a_successor_goes_on_from_what_was_counted_and_not_from_what_was_so() -> None:
    published: dict[int, bytes] = {}
    first = Process(published, 1)
    first.counters.cost_nano["stub"] = 5
    first.gauges["requests_running"] = 9
    first.providers["stub"] = known("open", answered=3, tried_again_in_seconds=8.0, usual_ms={"echo (whole)": 7})
    await first.together.publish()
    successor = Process(published, 1)
    successor.counters.cost_nano["stub"] = 2
    figures = successor.together.all()
    assert figures.counters().cost_nano == {"stub": 7}
    assert figures.gauges == {"requests_running": 0}
    assert figures.providers["stub"] == known(answered=3)


def test_of_what_routers_know_the_worst_state_the_newest_failure_and_the_longest_time_are_shown() -> None:
    old, new = ({"code": "provider_error", "status": 500, "at": at} for at in (10, 20))
    one = known("open", tried_again_in_seconds=4.0, failures={"a": 1}, last_failure=old, usual_ms={"m": 5, "n": 1})
    two = known("half-open", failures={"a": 2, "b": 1}, last_failure=new, usual_ms={"m": 3})
    for first, second in ((one, two), (two, one)):
        together = added(Figures({}, {}, {"p": first}), Figures({}, {}, {"p": second, "q": known()})).providers
        assert together["q"] == known()
        assert together["p"] == known(
            "open",
            tried_again_in_seconds=4.0,
            answered=2,
            answered_ms=200,
            failures={"a": 3, "b": 1},
            last_failure=new,
            usual_ms={"m": 5, "n": 1},
        )


counts = st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), st.integers(0, 1 << 60))
figures = st.builds(
    lambda requests, latency: Figures({"requests": requests, "latency": latency}, {}, {}),
    counts,
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
)


@given(figures, figures, figures)
def test_it_does_not_matter_in_which_order_workers_are_added(one: Figures, two: Figures, three: Figures) -> None:
    assert added(one, two) == added(two, one)
    assert added(added(one, two), three) == added(one, added(two, three))


async def test_a_full_disk_leaves_a_worker_with_its_own_figures(caplog: pytest.LogCaptureFixture) -> None:
    process = Process({}, 1)
    process.wall.full = True
    await process.together.publish()
    assert "not published" in caplog.text
    assert process.together.all().gauges == {"requests_running": 0}
