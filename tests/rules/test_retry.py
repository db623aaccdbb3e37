"""What may be repeated at the same provider, and after how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain import errors as e
from dominion.rules.routing.retry import LONGEST_HINT, backoff, may_repeat, speaks_against, told_wait

NOW = 1_767_571_200.0
"""Mon, 05 Jan 2026 00:00:00 GMT."""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({b"retry-after": b"30"}, 30.0),
        ({b"retry-after": b"1.5"}, 1.5),
        ({b"retry-after-ms": b"1500"}, 1.5),
        ({b"retry-after-ms": b"1500", b"retry-after": b"2"}, 1.5),
        ({b"retry-after-ms": b"?", b"retry-after": b"2"}, 2.0),
        ({b"retry-after": b"Mon, 05 Jan 2026 00:00:30 GMT"}, 30.0),
        ({b"retry-after": b"Monday, 05-Jan-26 00:00:30 GMT"}, 30.0),
        ({b"retry-after": b"Mon Jan  5 00:00:30 2026"}, 30.0),
        ({b"retry-after": b"Sun, 04 Jan 2026 00:00:30 GMT"}, 0.0),
        ({b"retry-after": b"-1"}, 0.0),
        ({b"retry-after": b"1000000000"}, LONGEST_HINT),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"infinity"}, None),
        ({b"retry-after": b"\xff"}, None),
    ],
)
def test_every_form_of_a_hint_is_read(headers: dict[bytes, bytes], seconds: float | None) -> None:
    assert told_wait(headers, NOW) == seconds


@given(st.binary(max_size=40))
def test_a_hint_is_never_out_of_bounds(told: bytes) -> None:
    wait = told_wait({b"retry-after": told}, NOW)
    assert wait is None or 0 <= wait <= LONGEST_HINT


def network(*, sent: bool, unanswered: bool = False) -> e.NetworkFailure:
    error = e.NetworkFailure("broken")
    error.sent = sent
    error.unanswered = unanswered
    return error


def timeout(*, sent: bool, status: int | None = None) -> e.ProviderTimeout:
    error = e.ProviderTimeout("silent", status=status)
    error.sent = sent
    return error


@pytest.mark.parametrize(
    ("error", "headers", "repeats", "may"),
    [
        (network(sent=False), None, 5, True),
        (network(sent=True, unanswered=True), None, 0, True),
        (network(sent=True, unanswered=True), None, 1, False),
        (network(sent=True), None, 0, False),
        (network(sent=True), {}, 0, False),
        (timeout(sent=False), None, 0, True),
        (timeout(sent=True), None, 0, False),
        (timeout(sent=True), {}, 0, False),
        (timeout(sent=True, status=408), {}, 0, True),
        (e.ProviderRateLimited("", status=429), {}, 0, True),
        (e.ProviderUnavailable("", status=529), {}, 0, True),
        (e.UnexpectedResponse("", status=409), {}, 0, True),
        (e.UnexpectedResponse("", status=307), {}, 0, False),
        (e.UnexpectedResponse("", status=466), {}, 0, False),
        (e.UnexpectedResponse(""), {}, 0, False),
        (e.InvalidCredentials("", status=401), {}, 0, False),
        (e.ProviderQuota("", status=429), {}, 0, False),
        (e.ModelNotAvailable("", status=404), {}, 0, False),
        (e.ProviderRefused("", status=400), {}, 0, False),
        (e.ProviderRefused("", status=400), {b"x-should-retry": b"true"}, 0, False),
        (e.ProviderUnavailable("", status=500), {b"x-should-retry": b"false"}, 0, False),
        (e.UnexpectedResponse("", status=420), {b"x-should-retry": b"True"}, 0, True),
    ],
)
def test_only_what_cost_nothing_is_repeated(
    error: e.ProviderError, headers: dict[bytes, bytes] | None, repeats: int, *, may: bool
) -> None:
    assert may_repeat(error, headers, repeats) is may


@given(st.integers(0, 2_000), st.floats(0, 1))
def test_backoff_is_within_its_bounds(repeats: int, chance: float) -> None:
    assert 0 <= backoff(repeats, chance) <= min(0.25 * 2.0 ** min(repeats, 10), 8.0)


def test_faults_of_a_request_do_not_speak_against_the_provider() -> None:
    assert [speaks_against(kind("")) for kind in (e.ContextOverflow, e.ModelNotAvailable, e.ProviderQuota)] == [
        False,
        False,
        True,
    ]
