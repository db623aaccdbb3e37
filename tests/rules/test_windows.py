"""UTC days and months, at their edges."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dominion.rules.windows import day_end, day_from_iso, day_of, first_day, iso, iso_day, month_end, month_of

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC).timestamp())  # noqa: DTZ001


@given(MOMENTS)
def test_a_moment_lies_in_its_day_and_month_and_before_their_ends(at: float) -> None:
    day = day_of(at)
    month = month_of(day)
    assert day * 86_400 <= at < day_end(day) <= month_end(month)
    assert first_day(month) <= day
    assert month_of(day_of(month_end(month) - 1)) == month
    assert month_of(day_of(month_end(month))) == month + 1
    assert iso(at).startswith(iso_day(day))
    assert day_from_iso(iso_day(day)) == day


def test_the_edges_of_days_months_leap_days_and_years() -> None:
    last_moment = datetime(2026, 12, 31, 23, 59, 59, 999_000, UTC).timestamp()
    assert iso(day_end(day_of(last_moment))) == "2027-01-01T00:00:00Z"
    assert iso(month_end(month_of(day_of(last_moment)))) == "2027-01-01T00:00:00Z"
    leap = datetime(2028, 2, 29, 12, tzinfo=UTC).timestamp()
    assert iso(day_end(day_of(leap))) == "2028-03-01T00:00:00Z"
    assert iso_day(first_day(month_of(day_of(leap)))) == "2028-02-01"
