"""The chain of the audit log: whatever is done to a log is found, by its key or against an anchor."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dominion.domain.registry import AuditEntry
from dominion.rules.audit_chain import BEGINNING, Anchor, Chain, Fault, chained, link

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
Value = dict[str, Any] | None
VALUES = st.none() | st.dictionaries(st.text(max_size=3), JSON, max_size=3)


def entries(count: int, key: bytes = KEY, head: Anchor = Anchor(0, BEGINNING)) -> Iterator[AuditEntry]:  # noqa: B008  # frozen
    """A log; every third entry has no `before`."""
    for number in range(head.number + 1, head.number + 1 + count):
        before = None if number % 3 else {"enabled": False}
        entry = chained(key, head, number * 10, "admin", "changed", "provider:p", before, {"n": number}, "req_1")
        head = Anchor(entry.number, entry.hash)
        yield entry


def faults(log: Sequence[AuditEntry], anchor: Anchor | None = None) -> list[Fault]:
    chain = Chain(KEY, filter(None, [anchor]))
    return chain.take(log) + chain.end()


def anchor_of(log: Sequence[AuditEntry]) -> Anchor:
    return Anchor(log[-1].number, log[-1].hash)


def test_an_empty_log_and_a_whole_one_have_no_fault() -> None:
    log = list(entries(20))
    assert [entry.number for entry in log] == list(range(1, 21))
    assert faults([]) == faults(log) == faults(log, anchor_of(log)) == faults(log, anchor_of(log[:7])) == []


@given(VALUES, VALUES)
def test_whatever_json_can_say_is_chained_as_it_reads_back(before: Value, after: Value) -> None:
    entry = chained(KEY, Anchor(0, BEGINNING), 1, "admin", "changed", "x", before, after, "")
    assert (entry.before, entry.after) == (before, after)
    assert faults([entry]) == []


def test_the_order_of_keys_in_a_value_says_nothing() -> None:
    one, other = (
        chained(KEY, Anchor(0, BEGINNING), 1, "a", "b", "c", None, value, "")
        for value in ({"x": 1, "y": {"p": 1, "q": 2}}, {"y": {"q": 2, "p": 1}, "x": 1})
    )
    assert one.hash == other.hash


CHANGES: dict[str, Any] = {
    "at": 1,
    "actor": "somebody",
    "action": "change",
    "subject": "provider:q",
    "before": {"enabled": True},
    "after": {"n": "2"},
    "request_id": "",
    "hash": b"\x00" * 32,
}


@pytest.mark.parametrize("field", sorted(CHANGES))
@pytest.mark.parametrize("position", [0, 3, 9])
def test_no_field_can_be_changed(field: str, position: int) -> None:
    log = list(entries(10))
    log[position] = replace(log[position], **{field: CHANGES[field]})
    assert faults(log)[0].number == position + 1


def test_text_cannot_move_from_one_field_to_the_next() -> None:
    first = next(entries(1))
    moved = replace(first, actor="adm", action="inchanged")
    assert link(KEY, BEGINNING, moved) != first.hash


@given(st.data())
def test_every_deletion_but_that_of_the_end_is_found(data: st.DataObject) -> None:
    log = list(entries(12))
    gone = data.draw(st.sets(st.integers(0, 11), min_size=1, max_size=11))
    left = [entry for place, entry in enumerate(log) if place not in gone]
    assert faults(left, anchor_of(log)) != []
    if max(place for place in range(12) if place not in gone) != len(left) - 1:
        assert faults(left) != []


@given(st.permutations(range(8)))
def test_every_other_order_is_found_whether_numbers_move_along_or_not(order: list[int]) -> None:
    log = list(entries(8))
    moved = [log[place] for place in order]
    numbered = [replace(entry, number=number) for number, entry in enumerate(moved, 1)]
    assert (faults(moved) == []) == (faults(numbered) == []) == (order == sorted(order))


@given(st.integers(0, 8), st.integers(0, 7))
def test_no_entry_can_be_put_in_even_a_true_one(place: int, source: int) -> None:
    log = list(entries(8))
    doubled = [*log[:place], log[source], *log[place:]]
    assert faults(doubled) != []
    assert faults([replace(entry, number=number) for number, entry in enumerate(doubled, 1)]) != []


def test_a_missing_stretch_is_named() -> None:
    log = list(entries(9))
    assert faults([*log[:2], *log[3:]]) == [Fault(4, "Entry 3 is missing.")]
    assert faults([*log[:2], *log[6:]]) == [Fault(7, "Entries 3 to 6 are missing.")]


def test_without_the_key_nothing_can_be_written_anew() -> None:
    forged = list(entries(5, OTHER_KEY))
    assert [fault.number for fault in faults(forged)] == [1, 2, 3, 4, 5]
    log = list(entries(5))
    assert [fault.number for fault in faults([*log, *entries(2, OTHER_KEY, anchor_of(log))])] == [6, 7]


def test_a_cut_end_shows_only_against_an_anchor() -> None:
    log = list(entries(9))
    assert faults(log[:6]) == []
    assert faults(log[:6], anchor_of(log)) == [Fault(7, "The log ends at entry 6; it had 9 when the anchor was taken.")]
    assert faults([], anchor_of(log))[0].number == 1


def test_a_log_written_anew_with_the_key_shows_only_against_an_anchor() -> None:
    log = list(entries(9))
    anew = log[:3]
    anew.append(chained(KEY, anchor_of(anew), 1, "cli", "nothing", "provider:p", None, None, ""))
    anew += entries(8, KEY, anchor_of(anew))
    assert faults(anew) == []
    assert [fault.number for fault in faults(anew, anchor_of(log))] == [9]


def test_a_hundred_thousand_entries_are_checked_page_by_page() -> None:
    chain, head, pages = Chain(KEY), Anchor(0, BEGINNING), 0
    while head.number < 100_000:
        page = list(entries(1_000, KEY, head))
        if pages == 61:
            page[500] = replace(page[500], actor="somebody")
        assert [fault.number for fault in chain.take(page)] == ([61_501] if pages == 61 else [])
        head, pages = anchor_of(page), pages + 1
    assert (chain.end(), chain.head) == ([], head)
    assert not any(isinstance(value, list | dict | set) for value in vars(chain).values())


def test_hashes_of_equal_entries_differ_by_their_place() -> None:
    hashes = [link(KEY, before.hash, replace(entry, number=1)) for before, entry in pairwise(entries(4))]
    assert len(set(hashes)) == 3


def test_every_one_of_several_anchors_must_fit() -> None:
    log = list(entries(9))
    anchors = [anchor_of(log[:count]) for count in (2, 5, 9)]
    chain = Chain(KEY, anchors)
    assert chain.take(log) + chain.end() == []
    anew = [*log[:3], *entries(6, KEY, Anchor(3, b"x" * 32))]
    found = Chain(KEY, [*anchors, Anchor(2, b"y" * 32)])
    assert {fault.number for fault in found.take(anew)} >= {2, 4, 5, 9}
    cut = Chain(KEY, anchors)
    assert [fault.number for fault in cut.take(log[:6]) + cut.end()] == [7]
