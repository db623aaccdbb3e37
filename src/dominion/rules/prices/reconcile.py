"""A provider's exported usage beside our ledger: how far they drift apart, by day and model. Pure; reads no file.

Understood are OpenAI's exports (usage and costs, as CSV or as the JSON of its API), Anthropic's usage CSV and cost CSV,
and a plain CSV of day, model, input_tokens, output_tokens and cost_usd. What a file does not tell is not compared.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from dominion.domain.usage import NANO_PER_USD

EVERY_MODEL = ""
_DATE = re.compile(r"[-@](20\d{2})-?(\d{2})-?(\d{2})$")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_JSON = msgspec.json.Decoder(float_hook=Decimal)
Row = Mapping[str, Any]


class Told(msgspec.Struct):
    """What one side says of a day and a model; None: it says nothing of it. Nano-dollars."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    nano: int | None = None

    def add(self, other: "Told") -> None:
        """Sum up what both say."""
        for name in self.__struct_fields__:
            mine, more = getattr(self, name), getattr(other, name)
            if more is not None:
                setattr(self, name, more + (mine or 0))


Key = tuple[str, str]
"""A UTC day, YYYY-MM-DD, and a model without the date of its snapshot; EVERY_MODEL: all models together."""
Side = dict[Key, Told]


class Drift(msgspec.Struct, frozen=True):
    """One day and model: `theirs` less `ours`, None where one of them does not say."""

    day: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    nano: int | None
    our_nano: int
    their_nano: int | None


def read_export(text: str) -> Side:
    """A provider's file. Raises ValueError, with a sentence, for what is none of the known kinds or cannot be read."""
    try:
        rows = list(_json_rows(text) if text.lstrip().startswith(("{", "[")) else _csv_rows(text))
        read = _reader(rows)
        side: Side = {}
        for row in rows:
            day, model, told = read(row)
            if any(value is not None for value in msgspec.structs.astuple(told)):
                side.setdefault((day, plain_name(model)), Told()).add(told)
    except (KeyError, InvalidOperation, msgspec.DecodeError, TypeError, OverflowError) as error:
        raise ValueError(f"The file cannot be read: {error!r}.") from error
    return side


def plain_name(model: str) -> str:
    """The name in lower case, words joined by "-", without the date of a snapshot: exports and requests differ in
    these."""
    name = _DATE.sub("", model.strip().lower())
    return _NOT_IN_NAMES.sub("-", name).strip("-")


def compare(ours: Side, theirs: Side) -> list[Drift]:
    """Every day and model that either side knows, in order. Where a file sums up all models of a day, so does this."""
    days = {day for day, model in theirs if model == EVERY_MODEL}
    ours, theirs = _summed(ours, days), _summed(theirs, days)
    told_at_all = Told()
    for told in theirs.values():
        told_at_all.add(told)
    return [
        _drift(key, ours.get(key, Told(0, 0, 0)), theirs.get(key), told_at_all)
        for key in sorted(ours.keys() | theirs.keys())
    ]


def beyond(drifts: Iterable[Drift], *, percent: Decimal, least_nano: int) -> list[Drift]:
    """Those whose money drifts by more than `least_nano` and by more than `percent` of what the provider says; where it
    says nothing of money, those whose tokens drift at all."""
    found = []
    for drift in drifts:
        if drift.nano is None:
            far = bool(drift.input_tokens or drift.output_tokens)
        else:
            far = abs(drift.nano) > least_nano and abs(drift.nano) * 100 > percent * abs(drift.their_nano or 0)
        if far:
            found.append(drift)
    return found


def _summed(side: Side, days: set[str]) -> Side:
    """With one row for each of these days."""
    summed: Side = {}
    for (day, model), told in side.items():
        summed.setdefault((day, EVERY_MODEL if day in days else plain_name(model)), Told()).add(told)
    return summed


def _drift(key: Key, ours: Told, theirs: Told | None, told_at_all: Told) -> Drift:
    """A day and model that their file leaves out is nothing there, in what the file tells of others."""

    def other(name: str) -> int | None:
        said: int | None = getattr(theirs, name, None)
        return 0 if said is None and theirs is None and getattr(told_at_all, name) is not None else said

    def difference(name: str) -> int | None:
        said = other(name)
        return None if said is None else said - (getattr(ours, name) or 0)

    return Drift(
        *key,
        input_tokens=difference("input_tokens"),
        output_tokens=difference("output_tokens"),
        nano=difference("nano"),
        our_nano=ours.nano or 0,
        their_nano=other("nano"),
    )


# --- the kinds of files


def _csv_rows(text: str) -> Iterator[Row]:
    lines = text.removeprefix("\ufeff")
    delimiter = "\t" if "\t" in lines.partition("\n")[0] else ","
    yield from csv.DictReader(io.StringIO(lines), delimiter=delimiter)


def _json_rows(text: str) -> Iterator[Row]:
    """The results of every bucket, each with the bucket's start, and `amount` taken apart."""
    pages = _JSON.decode(text)
    for page in pages if isinstance(pages, list) else [pages]:
        for bucket in page["data"]:
            for result in bucket.get("results", []):
                amount = result.get("amount") or {}
                yield {
                    "start_time": bucket["start_time"],
                    "amount_value": amount.get("value"),
                    "amount_currency": amount.get("currency"),
                    **result,
                }


def _reader(rows: list[Row]) -> Callable[[Row], tuple[str, str, Told]]:
    names = set(rows[0]) if rows else set()
    for marks, read in READERS:
        if marks <= names:
            return read
    if not rows:
        raise ValueError("The file holds no row.")
    raise ValueError(f"The file is no usage export that is known here; its columns are {', '.join(sorted(names))}.")


def _openai_usage(row: Row) -> tuple[str, str, Told]:
    told = Told(_count(row.get("input_tokens")), _count(row.get("output_tokens")))
    return _day(row["start_time"]), row.get("model") or "", told


def _openai_costs(row: Row) -> tuple[str, str, Told]:
    """A line item is "model, what": both halves of a model's cost are one."""
    currency = (row.get("amount_currency") or "usd").lower()
    if currency != "usd":
        raise ValueError(f"The file tells amounts in {currency}, not in US dollars.")
    model = (row.get("line_item") or "").partition(",")[0]
    return _day(row["start_time"]), model, Told(nano=_nano(row.get("amount_value")))


def _anthropic_usage(row: Row) -> tuple[str, str, Told]:
    parts = ("no_cache", "cache_write_5m", "cache_write_1h", "cache_read")
    tokens = sum(_count(row.get(f"usage_input_tokens_{part}")) or 0 for part in parts)
    return row["usage_date_utc"][:10], row["model_version"], Told(tokens, _count(row["usage_output_tokens"]) or 0)


def _anthropic_costs(row: Row) -> tuple[str, str, Told]:
    return row["usage_date_utc"][:10], row.get("model") or "", Told(nano=_nano(row["cost_usd"]))


def _plain(row: Row) -> tuple[str, str, Told]:
    told = Told(_count(row.get("input_tokens")), _count(row.get("output_tokens")), _nano(row.get("cost_usd")))
    return datetime.fromisoformat(row["day"]).date().isoformat(), row["model"], told


READERS: tuple[tuple[frozenset[str], Callable[[Row], tuple[str, str, Told]]], ...] = (
    (frozenset({"usage_date_utc", "model_version", "usage_output_tokens"}), _anthropic_usage),
    (frozenset({"usage_date_utc", "cost_usd"}), _anthropic_costs),
    (frozenset({"start_time", "input_tokens"}), _openai_usage),
    (frozenset({"start_time", "amount_value"}), _openai_costs),
    (frozenset({"day", "model"}), _plain),
)
"""Columns that tell a kind of file, and how a row of it is read; the first that fits holds."""


def _day(start: Any) -> str:
    return datetime.fromtimestamp(int(start), UTC).date().isoformat()


def _count(value: Any) -> int | None:
    return None if value in (None, "") else int(value)


def _nano(value: Any) -> int | None:
    """Dollars in nano-dollars, half to even: providers print more digits than they bill."""
    return None if value in (None, "") else round(Decimal(str(value)) * NANO_PER_USD)
