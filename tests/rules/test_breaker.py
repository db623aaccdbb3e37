"""When a provider rests, and how it comes back. The clock is a number."""

from hypothesis import given
from hypothesis import strategies as st

from dominion.rules.routing.breaker import FREE_REPEATS, Breaker, BreakerRules

RULES = BreakerRules(share=0.5, minimum=4, window=10.0, pause=2.0, longest_pause=30.0)


def failed(breaker: Breaker, times: int, now: float, hint: float | None = None) -> Breaker:
    for _ in range(times):
        breaker.failure(now, hint)
    return breaker


def test_it_opens_at_the_share_of_enough_attempts() -> None:
    breaker = failed(Breaker(RULES), 3, now=100.0)
    assert breaker.usable(100.0)
    breaker.failure(100.0, None)
    assert not breaker.usable(101.9)
    assert breaker.usable(102.0)


def test_answers_of_the_window_keep_it_closed() -> None:
    breaker = failed(Breaker(RULES), 1, now=100.0)
    breaker.answered += 4
    failed(breaker, 2, now=101.0)
    assert breaker.usable(101.0)
    failed(breaker, 1, now=102.0)
    assert not breaker.usable(102.0)


def test_answers_and_failures_before_the_window_do_not_count() -> None:
    breaker = Breaker(RULES)
    breaker.answered += 1_000
    failed(breaker, 3, now=100.0)
    failed(breaker, 3, now=110.0)
    assert breaker.usable(110.0)
    failed(breaker, 1, now=119.9)
    assert not breaker.usable(119.9)


def test_one_attempt_at_a_time_tries_it_out() -> None:
    breaker = failed(Breaker(RULES), 4, now=100.0)
    assert not breaker.begin(101.0)
    assert breaker.begin(102.0)
    assert not breaker.usable(102.0)
    assert not breaker.begin(102.0)
    breaker.release(trying=False)
    assert not breaker.usable(102.0)
    breaker.release(trying=True)
    assert breaker.usable(102.0)


def test_an_answer_closes_it_and_forgets_the_past() -> None:
    breaker = failed(Breaker(RULES), 4, now=100.0)
    breaker.begin(102.0)
    breaker.alive(103.0)
    failed(breaker, 3, now=103.0)
    assert breaker.usable(103.0)


def test_an_answer_to_an_earlier_attempt_does_not_close_it() -> None:
    breaker = failed(Breaker(RULES), 4, now=100.0)
    breaker.alive(101.0)
    assert not breaker.usable(101.0)


def test_each_failed_try_doubles_the_rest_up_to_a_limit() -> None:
    breaker, now = failed(Breaker(RULES), 4, now=100.0), 100.0
    for pause in (2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        assert breaker.open_until == now + pause
        now += pause
        breaker.begin(now)
        breaker.failure(now, None)


def test_a_hint_makes_the_rest_longer_within_the_limit() -> None:
    assert failed(Breaker(RULES), 4, now=100.0, hint=7.0).open_until == 107.0
    assert failed(Breaker(RULES), 4, now=100.0, hint=900.0).open_until == 130.0


def test_repeats_are_bounded_in_each_window() -> None:
    breaker = Breaker(RULES)
    assert [breaker.grant_repeat(100.0) for _ in range(FREE_REPEATS + 1)] == [True] * FREE_REPEATS + [False]
    breaker.answered += 10
    assert [breaker.grant_repeat(101.0) for _ in range(3)] == [True, True, False]
    assert breaker.grant_repeat(110.0)


@given(st.lists(st.tuples(st.sampled_from(["answer", "fail", "begin", "leave"]), st.floats(0, 5)), max_size=60))
def test_whatever_happens_it_is_usable_again_after_the_longest_pause(steps: list[tuple[str, float]]) -> None:
    breaker, now, trying = Breaker(RULES), 100.0, False
    for step, passed in steps:
        now += passed
        if step == "begin" and breaker.open_until and not trying:
            trying = breaker.begin(now)
        elif step == "leave":
            breaker.release(trying=trying)
            trying = False
        elif step == "answer":
            breaker.answered += 1
            breaker.alive(now)
            trying = False
        elif step == "fail":
            breaker.failure(now, None)
            trying = trying and breaker.trying
    breaker.release(trying=trying)
    assert breaker.usable(now + RULES.longest_pause)
