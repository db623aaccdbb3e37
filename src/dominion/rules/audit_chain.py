"""The audit log's chain: what each entry's hash is, and what a page of entries proves; pure, never reads a store.

Without the key nobody can write an entry that fits. Who has the key and the database can write the whole log anew, and
anybody with the database can cut its end off: only an anchor that was kept elsewhere shows these two.
"""

import hmac
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from dominion.domain.registry import AuditEntry

HASH_BYTES = 32
BEGINNING = b""
"""What stands in for the hash before the first entry."""
_WRITTEN = re.compile(r"(?<![\w:])([1-9]\d{0,17}):([0-9a-f]{64})(?![\w:])")


class Anchor(NamedTuple):
    """The head of the log at some time: keep it where who changes the database cannot change it, too."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        """As notices and `audit verify` write it, and `anchors_in` reads it."""
        return f"{self.number}:{self.hash.hex()}"


class Fault(NamedTuple):
    """What is wrong with the log, at which number; `what` is a sentence."""

    number: int
    what: str


def anchors_in(text: str) -> Iterator[Anchor]:
    """The anchors that stand in a text, be it a log."""
    return (Anchor(int(number), bytes.fromhex(digits)) for number, digits in _WRITTEN.findall(text))


def chained(
    key: bytes,
    head: Anchor,
    at: int,
    actor: str,
    action: str,
    subject: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    request_id: str,
) -> AuditEntry:
    """The entry that follows `head`. `key`: 32 bytes. Of `before` and `after` stays what JSON can say."""
    before, after = msgspec.json.decode(msgspec.json.encode([before, after]))
    entry = AuditEntry(head.number + 1, at, actor, action, subject, before, after, request_id, b"")
    return msgspec.structs.replace(entry, hash=link(key, head.hash, entry))


def link(key: bytes, before: bytes, entry: AuditEntry) -> bytes:
    """The hash that the entry must have when `before` is that of the one before: HMAC-SHA256, 32 bytes."""
    fields = [before.hex(), *msgspec.structs.astuple(entry)[:-1]]
    return hmac.digest(key, msgspec.json.encode(fields, order="sorted"), "sha256")


class Chain:
    """Checks a log page by page, from its first entry on: `take` each page, then ask for the `end`. Every one of the
    `anchors` must fit."""

    def __init__(self, key: bytes, anchors: Iterable[Anchor] = ()) -> None:
        self._key = key
        self._anchors = frozenset(anchors)
        self._anchored = frozenset(anchor.number for anchor in self._anchors)
        self.head = Anchor(0, BEGINNING)
        """The last entry seen; after a whole log without a fault it is an anchor for the next time."""

    def take(self, entries: Iterable[AuditEntry]) -> list[Fault]:
        """The faults of the next page. After a fault the rest is checked as if the log went on from there."""
        faults = []
        for entry in entries:
            if what := self._fault(entry):
                faults.append(Fault(entry.number, what))
            self.head = Anchor(max(entry.number, self.head.number), entry.hash)
        return faults

    def end(self) -> list[Fault]:
        """The faults that show when there is no further page."""
        longest = max(self._anchored, default=0)
        if self.head.number >= longest:
            return []
        what = f"The log ends at entry {self.head.number}; it had {longest} when the anchor was taken."
        return [Fault(self.head.number + 1, what)]

    def _fault(self, entry: AuditEntry) -> str:
        number, due = entry.number, self.head.number + 1
        if number > due:
            return f"Entry {due} is missing." if number == due + 1 else f"Entries {due} to {number - 1} are missing."
        if number < due:
            return f"Entry {number} stands behind entry {self.head.number}."
        if not hmac.compare_digest(link(self._key, self.head.hash, entry), entry.hash):
            return f"Entry {number} is not as it was written, or does not follow the entry before it."
        if number in self._anchored and any(
            anchor.hash != entry.hash for anchor in self._anchors if anchor.number == number
        ):
            return f"Entry {number} is another one than when the anchor was taken: the log was written anew."
        return ""
