"""Loads the recorded provider traffic beside the checkout. Never fails where it is absent: tests then skip."""

import base64
import csv
import functools
import gzip
import itertools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

FOLDER = Path(__file__).parents[2].parent / "shared" / "recordings"

needs_recordings = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no recordings beside the checkout (../shared/recordings)"
)


class Recording(NamedTuple):
    """One request and its answer; `features`, `kind` and the rest as the recordings' README says."""

    id: str
    provider: str
    path: str
    status: int
    kind: str
    features: frozenset[str]
    request: dict[str, Any] | None
    request_headers: dict[str, str]
    body: bytes


def recordings(*path_tails: str, provider: str | None = None, kind: str | None = None) -> list[Recording]:
    """The recordings whose path, without its query, ends with one of `path_tails`."""
    names = providers_with(*path_tails) if provider is None else (provider,)
    return [
        found
        for name in names
        for found in _load(name)
        if found.path.partition("?")[0].endswith(path_tails) and (kind is None or found.kind == kind)
    ]


def recordings_at(path: re.Pattern[str], provider: str) -> list[Recording]:
    """The recordings of a provider whose path, without its query, holds the pattern."""
    return [found for found in _load(provider) if path.search(found.path.partition("?")[0])]


def providers_at(path: re.Pattern[str]) -> tuple[str, ...]:
    """Providers that have such recordings; from the index. Empty where there are none."""
    return tuple(sorted({row["provider"] for row in index() if path.search(row["path"].partition("?")[0])}))


def providers_with(*path_tails: str, kind: str | None = None) -> tuple[str, ...]:
    """Providers that have such recordings; from the index, so cheap enough for parametrisation. Empty if absent."""
    fitting = (row for row in index() if row["path"].partition("?")[0].endswith(path_tails))
    return tuple(sorted({row["provider"] for row in fitting if kind in (None, row["kind"])}))


@functools.cache
def index() -> list[dict[str, str]]:
    """A row for each recording: provider, path, status and more. Empty where there are none."""
    if not FOLDER.is_dir():
        return []
    with (FOLDER / "INDEX.tsv").open(encoding="utf-8", newline="") as index:
        return list(csv.DictReader(index, delimiter="\t", quoting=csv.QUOTE_NONE))


@functools.cache
def _load(provider: str) -> list[Recording]:
    with gzip.open(FOLDER / f"{provider}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [_recording(json.loads(line)) for line in lines]


def _recording(record: dict[str, Any]) -> Recording:
    response = record["response"]
    body = response["body"]
    return Recording(
        id=record["id"],
        provider=record["provider"],
        path=record["path"] or "",
        status=record["status"],
        kind=record["kind"],
        features=frozenset(record["features"]),
        request=record["request"],
        request_headers=record["request_headers"] or {},
        body=base64.b64decode(body) if response["encoding"] == "base64" else body.encode(),
    )


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    """The body cut at these offsets."""
    edges = [0, *sorted(cuts), len(body)]
    return [body[start:stop] for start, stop in itertools.pairwise(edges)]
