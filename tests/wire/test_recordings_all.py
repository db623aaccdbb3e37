"""Every recorded answer of every provider, in every dialect of `replay`: cut, relayed, written again, and metered."""

import re

import pytest

from tests.wire.recordings import needs_recordings
from tests.wire.replay import (
    EXPLAINED,
    apart,
    check_cuts,
    check_meter,
    check_relay,
    check_rewriting,
    counts,
    places,
    supported,
)
from tests.wire.replay_rows import Replayed
from tools.recordings_table import PAGE, page

pytestmark = needs_recordings
PLACES = places()
everywhere = pytest.mark.parametrize(
    ("row", "provider"), [pytest.param(*place, id=f"{place[0].name}-{place[1]}") for place in PLACES]
)


@everywhere
def test_a_stream_gives_the_same_events_however_it_is_cut(row: Replayed, provider: str) -> None:
    for one in supported(row, provider):
        if one.kind != "json":
            check_cuts(row, one)


@everywhere
def test_a_stream_is_relayed_to_the_byte_and_watched_on_its_way(row: Replayed, provider: str) -> None:
    for one in supported(row, provider):
        if one.kind != "json":
            check_relay(row, one)


@everywhere
def test_an_answer_survives_reading_writing_and_reading(row: Replayed, provider: str) -> None:
    for one in supported(row, provider):
        if not apart(row, one):
            check_rewriting(row, one)


@everywhere
def test_usage_is_what_an_independent_meter_reads(row: Replayed, provider: str) -> None:
    found = [check_meter(row, one) for one in supported(row, provider)]
    assert len([needed for needed in found if needed is not None]) > len(found) / 2


def test_every_explained_difference_is_a_real_one() -> None:
    needed = [check_meter(row, one) or [] for row, provider in PLACES for one in supported(row, provider)]
    assert {reason for reasons in needed for reason in reasons} == set(EXPLAINED)


def test_99_of_100_recordings_are_held_to_all_of_it() -> None:
    """Those that hold more than one answer are cut, relayed and metered, but not written again."""
    every = [apart(row, one) for row, provider in PLACES for one in supported(row, provider)]
    assert len(every) > 2900
    assert len(list(filter(None, every))) < 0.01 * len(every)


def test_the_page_of_recordings_has_a_row_for_every_provider_and_gives_a_reason_for_what_does_not_pass() -> None:
    told = PAGE.read_text()
    every = [(row, provider, supported(row, provider)) for row, provider in PLACES]
    assert all(f"| {row.name} | {provider} | {len(found)} |" in told for row, provider, found in every)
    known = {one.id for row, _, found in every for one in found if apart(row, one)}
    assert set(re.findall(r"^  `(.+)`$", told, re.MULTILINE)) <= known
    assert all(f"| {reason} | " in told for reason in EXPLAINED)


@pytest.mark.soak
def test_every_recording_passes_byte_by_byte_and_the_page_says_so() -> None:
    """Long streams too, which takes two minutes."""
    every = {one.id for row, provider in PLACES for one in supported(row, provider) if apart(row, one)}
    found = counts(every_byte=True)
    assert {line.partition(": ")[0] for count in found.values() for line in count.failing} <= every
    assert page(found) == PAGE.read_text()
