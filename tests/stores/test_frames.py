"""Framing of journal records: whatever happens to the bytes, every whole record comes out and nothing else does."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.records import HoldRecord, JournalRecord, UsageRow
from dominion.stores.files.frames import HEADER, MAX_PAYLOAD, SEARCHED_BYTES, Gap, frame, read_frames
from tests.stores.samples import hold, row

RECORDS: list[JournalRecord] = [hold(1), row(1), hold(2), row(2, stream=False, error="x" * 300, cost_nano=2**62)]

numbers = st.integers(0, 2**63 - 1)
words = st.text(max_size=20)
records = st.lists(
    st.one_of(
        st.builds(HoldRecord, *[words, numbers, *[words] * 5, *[numbers] * 3]),
        st.builds(
            UsageRow, *[words, numbers, *[words] * 5, st.booleans(), *[numbers] * 10, words, st.booleans(), words]
        ),
    ),
    max_size=8,
)


def framed(written: list[JournalRecord]) -> list[bytes]:
    return [frame(msgspec.msgpack.encode(record)) for record in written]


@given(records)
def test_what_is_written_is_read(written: list[JournalRecord]) -> None:
    assert read_frames(b"".join(framed(written))) == (written, [])


def test_a_record_cut_at_any_byte_is_left_out_and_its_rest_is_reported() -> None:
    frames = framed(RECORDS)
    data = b"".join(frames)
    ends = [sum(map(len, frames[:count])) for count in range(len(frames) + 1)]
    for cut in range(len(data)):
        whole = max(count for count, end in enumerate(ends) if end <= cut)
        rest = len(data[ends[whole] : cut].rstrip(b"\0"))
        gaps = [Gap(ends[whole], rest)] if rest else []
        assert read_frames(data[:cut]) == (RECORDS[:whole], gaps)


def test_any_flipped_bit_costs_at_most_the_record_it_is_in_and_is_reported() -> None:
    frames = framed(RECORDS)
    data = b"".join(frames)
    hit = [number for number, one in enumerate(frames) for _ in one]
    for position, number in enumerate(hit):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            found, gaps = read_frames(bytes(damaged))
            assert found == RECORDS[:number] + RECORDS[number + 1 :]
            begins, ends = sum(map(len, frames[:number])), sum(map(len, frames[: number + 1]))
            assert gaps == [Gap(begins, min(ends, len(damaged.rstrip(b"\0"))) - begins)]


@given(records, st.binary(max_size=200), records)
def test_rubbish_between_records_costs_none_of_them(
    before: list[JournalRecord], rubbish: bytes, after: list[JournalRecord]
) -> None:
    found, gaps = read_frames(b"".join([*framed(before), rubbish, *framed(after)]))
    assert found == before + after
    assert sum(gap.length for gap in gaps) == len(rubbish if after else rubbish.rstrip(b"\0"))


def test_room_that_was_never_written_is_no_damage() -> None:
    assert read_frames(b"".join(framed(RECORDS)) + bytes(100_000)) == (RECORDS, [])


@pytest.mark.parametrize("rubbish", [random.Random(7).randbytes(300_000), b"\x10\x00\x00\x01" * 50_000])
def test_a_long_rubbish_end_is_one_gap(rubbish: bytes) -> None:
    data = b"".join(framed(RECORDS))
    assert read_frames(data + rubbish) == (RECORDS, [Gap(len(data), len(rubbish))])


def test_the_search_behind_damage_ends_at_its_limit() -> None:
    (one,) = framed([hold(1)])
    assert read_frames(bytes(SEARCHED_BYTES) + one)[0] == [hold(1)]
    beyond = bytes(SEARCHED_BYTES + 1) + one
    assert read_frames(beyond) == ([], [Gap(0, len(beyond))])


def test_a_length_beyond_the_limit_is_damage_even_when_the_checksum_is_right() -> None:
    too_long = frame(b"\1" * (MAX_PAYLOAD + 1))
    assert read_frames(too_long) == ([], [Gap(0, MAX_PAYLOAD + 1 + HEADER.size)])


def test_a_record_of_a_later_version_with_more_fields_is_read() -> None:
    values = msgspec.msgpack.decode(msgspec.msgpack.encode(row(1)))
    assert read_frames(frame(msgspec.msgpack.encode([*values, "of a later version"]))) == ([row(1)], [])


def test_a_record_of_an_earlier_version_with_fewer_fields_is_read() -> None:
    values = msgspec.msgpack.decode(msgspec.msgpack.encode(row(1)))
    defaults = dict(zip(UsageRow.__struct_fields__[::-1], UsageRow.__struct_defaults__[::-1], strict=False))
    earlier = values[: -len(defaults)]
    assert read_frames(frame(msgspec.msgpack.encode(earlier))) == ([row(1, **defaults)], [])


def test_an_undamaged_record_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        read_frames(frame(msgspec.msgpack.encode(["z", 1])))
