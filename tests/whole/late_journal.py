"""The gateway as it must not be: rows reach the journal after their answers. The control of the kill experiment."""

import asyncio

from dominion.cli.main import main
from dominion.domain.records import JournalRecord, UsageRow
from dominion.stores.files.journal import FileJournal

LATE = 0.3


def make_late(journal: type[FileJournal]) -> None:
    """Let the journal take rows a moment after it said that it has them."""
    append = journal.append

    def append_late(self: FileJournal, record: JournalRecord) -> None:
        if isinstance(record, UsageRow):
            asyncio.get_running_loop().call_later(LATE, append, self, record)
        else:
            append(self, record)

    journal.append = append_late  # type: ignore[method-assign]


if __name__ == "__main__":
    make_late(FileJournal)
    main()
