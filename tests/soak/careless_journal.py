"""The gateway as it must not be: rows wait in its memory until the database takes them, whatever happens meanwhile. The
control of the experiments with failing disks.
"""

from dominion.cli.main import main
from dominion.domain.records import JournalRecord, UsageRow
from dominion.stores.files.journal import FileJournal


def make_careless(journal: type[FileJournal]) -> None:
    """Let the journal say that it has rows which it does not write."""
    append = journal.append

    def append_holds(self: FileJournal, record: JournalRecord) -> None:
        if not isinstance(record, UsageRow):
            append(self, record)

    journal.append = append_holds  # type: ignore[method-assign]


if __name__ == "__main__":
    make_careless(FileJournal)
    main()
