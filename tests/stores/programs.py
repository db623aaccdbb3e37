"""Programs that tests start, kill or starve of disk: each says what it did on its standard output, a line per fact."""

import asyncio
import resource
import sys
from pathlib import Path

from dominion.domain.errors import StorageUnavailable
from dominion.stores.files.journal import FileJournal
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from tests.stores.samples import hold, row


def append_for_ever(folder: str) -> None:
    """Append records and say the number of each when the journal has taken it."""
    journal = FileJournal(Path(folder))
    number = 0
    while True:
        journal.append(hold(number) if number % 2 else row(number))
        number += 1
        if number % 1000 == 0:
            journal.rotate()
        sys.stdout.write(f"{number - 1}\n")
        sys.stdout.flush()


def append_on_a_full_disk(folder: str) -> None:
    """Append while for some time no file may grow, so no segment can begin; say which records were taken."""
    journal = FileJournal(Path(folder), segment_bytes=4096)
    refused = 0
    for number in range(1000):
        limit = number % 90 if number % 100 >= 50 else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            journal.append(row(number))
        except StorageUnavailable:
            refused += 1
        else:
            sys.stdout.write(f"{number}\n")
    sys.stdout.write(f"refused {refused}\n")


def add_for_ever(path: str) -> None:
    """Add rows to the ledger of a database and say how many it has."""

    async def run() -> None:
        ledger = SqlLedger(Database.open(path))
        count = 0
        while True:
            count += await ledger.add([row(count + number) for number in range(10)])
            sys.stdout.write(f"{count}\n")
            sys.stdout.flush()

    asyncio.run(run())


PROGRAMS = {program.__name__: program for program in (append_for_ever, append_on_a_full_disk, add_for_ever)}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](sys.argv[2])
