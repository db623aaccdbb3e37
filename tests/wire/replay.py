"""Every recording through its dialect: the checks, and `counts()` of what passes.

A further dialect is one more `Replayed` in `ROWS`; it needs no test of its own.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from dominion.domain.contracts import Dialect
from dominion.domain.messages import (
    Answer,
    Event,
    Failed,
    Finished,
    Metered,
    Started,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from tests.wire.recordings import Recording, pieces, providers_at, recordings_at
from tests.wire.replay_rows import ROWS, Counts, Replayed, Told

BY_NAME = {row.dialect.name: row.dialect for row in ROWS}
SMALL = 5_000
"""Bytes: streams up to here are always read byte by byte, longer ones by the soak test."""

# --- what makes us count otherwise than the independent meter (reference/providers.md 1.1): each corrects its counts


def _hidden(told: Told, counts: Counts) -> None:
    total = told.get("total_tokens") or 0
    counts["output"] = max(counts["output"], total - counts["input"])


def _cached_elsewhere(told: Told, counts: Counts) -> None:
    counts["read"] = counts["read"] or told.get("num_cached_tokens") or told.get("cached_tokens") or 0


def _read_and_written(_: Told, counts: Counts) -> None:
    counts["read"] = min(counts["read"], counts["input"])
    counts["write"] = min(counts["write"], counts["input"] - counts["read"])


def _told_apart(told: Told, counts: Counts) -> None:
    for step in told.get("iterations") or ():
        if step["type"] in ("compaction", "advisor_message"):
            read, write = step.get("cache_read_input_tokens") or 0, step.get("cache_creation_input_tokens") or 0
            counts["input"] += step["input_tokens"] + read + write
            counts["output"] += step["output_tokens"]
            counts["read"] += read
            counts["write"] += write


EXPLAINED: dict[str, Callable[[Told, Counts], None]] = {
    "xAI and Gemini's compatible API: reasoning is outside the completion, or only in the total": _hidden,
    "Mistral and Moonshot: cached tokens stand beside the details": _cached_elsewhere,
    "OpenRouter: one token can be counted as read and as written": _read_and_written,
    "Anthropic: compactions and advisors are told apart from the top level, and billed": _told_apart,
}


def our_counts(usage: Usage) -> Counts:
    """The same of ours."""
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "read": usage.cache_read_tokens,
        "write": usage.cache_write_tokens,
    }


def reasons(told: Told, counts: Counts) -> list[str]:
    """The explanations that change anything, in their order; corrects `counts`."""
    found = []
    for reason, correct in EXPLAINED.items():
        before = dict(counts)
        correct(told, counts)
        if counts != before:
            found.append(reason)
    return found


# --- the checks: each raises AssertionError, or an error of the dialect


def events_of(dialect: Dialect, chunks: list[bytes]) -> list[Event]:
    """A stream as events."""
    reader = dialect.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def ways(one: Recording, *, every_byte: bool) -> list[list[bytes]]:
    """The body whole, cut at random (the same in each run), and byte by byte."""
    places = random.Random(one.id).choices(range(len(one.body) + 1), k=min(40, len(one.body) // 10))
    found = [[one.body], pieces(one.body, places)]
    if every_byte or len(one.body) <= SMALL:
        found.append([one.body[place : place + 1] for place in range(len(one.body))])
    return found


def check_cuts(row: Replayed, one: Recording, *, every_byte: bool = False) -> None:
    """However a stream is cut, its events are the same, and they have an end."""
    first, *others = (events_of(row.dialect, chunks) for chunks in ways(one, every_byte=every_byte))
    assert all(events == first for events in others)
    ends = [event for event in first if isinstance(event, Finished | Failed)]
    assert len(ends) == 1 or isinstance(ends[-1], Failed) or apart(row, one)


def check_relay(row: Replayed, one: Recording, *, every_byte: bool = False) -> None:
    """Relayed within its dialect, every byte arrives, and the usage that goes by is the one that a reader reads."""
    events = events_of(row.dialect, [one.body])
    expected = last_usage(events)
    for chunks in ways(one, every_byte=every_byte):
        tap = row.dialect.tap(hide_usage=False)
        relayed = b"".join(map(tap.feed, chunks)) + tap.end()
        if row.dialect.speaks == row.dialect.name:
            assert relayed == one.body
        else:  # a cloud's envelope is taken off
            assert events_of(BY_NAME[row.dialect.speaks], [relayed]) == events
        assert tap.seen.usage == expected
        assert tap.seen.frames or not any(isinstance(event, TextDelta) for event in events)
        assert tap.seen.done or tap.seen.finish or tap.seen.failed


def check_rewriting(row: Replayed, one: Recording) -> None:
    """What is read, written and read again is the same."""
    dialect = row.dialect
    if one.kind == "json":
        answer = dialect.read_answer(one.body)
        assert dialect.read_answer(dialect.write_answer(answer, now=7)) == with_arguments(answer)
        seen = dialect.read_seen(one.body)
        assert (seen.usage, seen.model) == (answer.usage, answer.model)
        return
    events = events_of(dialect, [one.body])
    writer = dialect.writer(now=7, asks_usage=True)
    again = events_of(dialect, [b"".join(map(writer.write, events)) + writer.end()])
    assert settled(again, gathers=row.gathers) == settled(events, gathers=row.gathers)
    if not isinstance(events[-1], Failed):  # nothing is read after a failure
        assert (last_usage(again) or Usage()) == (last_usage(events) or Usage())  # some APIs cannot do without counts


def check_meter(row: Replayed, one: Recording) -> list[str] | None:
    """Usage is what the independent meter reads, corrected by the measured facts; which of them were needed. None where
    the provider told no usage."""
    whole = one.kind == "json"
    told = row.told_whole(json.loads(one.body)) if whole else row.told(one.body)
    usage = row.dialect.read_seen(one.body).usage if whole else last_usage(events_of(row.dialect, [one.body]))
    if not told:
        assert usage is None
        return None
    theirs = row.meter(told)
    needed = reasons(told, theirs)
    assert usage is not None
    assert our_counts(usage) == theirs
    return needed


def settled(events: list[Event], *, gathers: bool) -> list[Event]:
    """Events without what a writer may add (empty arguments, a start without a name) or gather (usage, which comes
    once, at the end, and calls where the dialect has them whole)."""
    added: list[Event] = [ToolCallDelta(event.part, "{}") for event in events if isinstance(event, ToolCallDelta)]
    added.append(Started("", ""))
    found: list[Event] = []
    for event in events:
        last = found[-1] if found else None
        if gathers and isinstance(event, ToolCallDelta) and isinstance(last, ToolCallDelta) and event.part == last.part:
            found[-1] = msgspec.structs.replace(last, arguments=last.arguments + event.arguments)
        elif not isinstance(event, Metered) and event not in added:
            found.append(event)
    return found


def last_usage(events: list[Event]) -> Usage | None:
    """The usage that counts."""
    return next((event.usage for event in reversed(events) if isinstance(event, Metered)), None)


def with_arguments(answer: Answer) -> Answer:
    """A call without arguments is written with an empty object."""
    parts = [
        msgspec.structs.replace(part, arguments=part.arguments or "{}") if isinstance(part, ToolCall) else part
        for part in answer.parts
    ]
    return msgspec.structs.replace(answer, parts=tuple(parts))


# --- which recordings


def apart(row: Replayed, one: Recording) -> str:
    """Why a recording is more than one answer, and so cannot be the same when written again; usually empty."""
    if one.kind == "json" and b'"choices"' in one.body and len(json.loads(one.body)["choices"] or ()) > 1:
        return "several choices, asked for with n, which a translation never does"
    if one.kind != "json" and one.body.count(b'"message_start"') > 1:
        return "a fixture of several streams in a row"
    return next((reason for end, reason in row.apart.items() if one.id.endswith(end)), "")


def supported(row: Replayed, provider: str) -> list[Recording]:
    """The answers of one provider in one dialect, errors left out (tests of the dialects sort those)."""
    found = [one for one in recordings_at(re.compile(row.path), provider) if one.status < 400 and row.answers(one)]
    return [one for one in map(row.prepare, found) if not _error(one)]


def _error(one: Recording) -> bool:
    """OpenRouter and others send errors with status 200."""
    return one.kind == "json" and b'"error"' in one.body and bool(json.loads(one.body).get("error"))


def places() -> list[tuple[Replayed, str]]:
    """Every dialect with every provider that was recorded speaking it."""
    found = [(row, provider) for row in ROWS for provider in providers_at(re.compile(row.path))]
    return [(row, provider) for row, provider in found if provider not in row.others]


class Count(NamedTuple):
    """Recordings of one dialect at one provider: all of them, those that pass every check, those whose usage the other
    meter reads too, and how many of these with which explanation. `failing`: ids and reasons."""

    recordings: int
    passing: int
    metered: int
    explained: Mapping[str, int]
    failing: tuple[str, ...]


def counts(*, every_byte: bool = True) -> dict[tuple[str, str], Count]:
    """Dialect and provider to what passes, every recording in all ways. Takes a minute."""
    return {(row.name, provider): _count(row, provider, every_byte=every_byte) for row, provider in places()}


def _count(row: Replayed, provider: str, *, every_byte: bool) -> Count:
    found = supported(row, provider)
    failing, metered, explained = [], 0, Counter[str]()
    for one in found:
        try:
            if one.kind != "json":
                check_cuts(row, one, every_byte=every_byte)
                check_relay(row, one, every_byte=every_byte)
            needed = check_meter(row, one)
            metered += needed is not None
            explained.update(needed or ())
            check_rewriting(row, one)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and told
            failing.append(f"{one.id}: {apart(row, one) or repr(error)}")
    return Count(len(found), len(found) - len(failing), metered, explained, tuple(failing))
