"""What one process holds of a limit: the quick question and the whole answer never disagree."""

from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.allowances import Amount, ScopeLimits
from dominion.domain.people import Limits
from dominion.rules.limits.shares import fits, wants_of
from dominion.rules.limits.verdict import Rate, ScopeStanding, Standing, Window

FEW = st.integers(0, 3)
LIMIT = st.none() | st.integers(0, 8)
WINDOWS = st.builds(
    Window, st.just(1), requests=FEW, tokens=FEW, spend=FEW, held_requests=FEW, held_tokens=FEW, held_spend=FEW
)
FIELDS = {
    "daily_requests": LIMIT,
    "daily_tokens": LIMIT,
    "monthly_spend_nano": LIMIT,
    "concurrent_requests": LIMIT,
}
OF_USERS = st.builds(
    Standing, st.builds(Limits, **FIELDS), WINDOWS, WINDOWS, st.builds(Rate), running=FEW, scope=st.just("user:1")
)
OF_SCOPES = st.builds(
    ScopeStanding,
    st.builds(ScopeLimits, daily_spend_nano=LIMIT, **FIELDS),
    WINDOWS,
    WINDOWS,
    st.builds(Rate),
    running=FEW,
    scope=st.just("key:1"),
)


@given(OF_USERS | OF_SCOPES, FEW, FEW)
def test_what_fits_wants_nothing_and_what_wants_nothing_fits(standing: Standing, tokens: int, nano: int) -> None:
    assert fits(standing, tokens, nano) == (not wants_of(standing, Amount(1, tokens, nano)))
