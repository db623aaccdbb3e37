"""Takes over what processes that are no more have left in their journals: workers that there are fewer of now, or a
gateway that ran alone before. Never touches the journal of a running process.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from dominion.domain.errors import ConfigProblem
from dominion.domain.stores import AllowanceStore, AttemptStore, LedgerStore
from dominion.services.limits.posting import Posting
from dominion.stores.files.journal import NAME, FileJournal
from dominion.stores.files.process_id import process_id

LOG = logging.getLogger("dominion.leftovers")


async def adopt(
    folders: Iterable[Path], ledger: LedgerStore, attempts: AttemptStore, leases: AllowanceStore | None
) -> int:
    """Bring the rows of these journals into the ledger, and free what their processes had leased.

    Returns how many rows were new there. Raises StorageUnavailable.
    """
    recovered = 0
    for folder in folders:
        if not any(NAME.fullmatch(path.name) for path in folder.iterdir()):
            continue
        try:
            journal = FileJournal(folder)
        except ConfigProblem as error:
            LOG.info("left as it is: %s", error.message)
            continue
        posting = Posting(journal, ledger, attempts)
        try:
            recovered += await posting.start()
            if leases is not None:
                name = process_id(folder)
                await leases.join(name)  # takes back what was charged for it, if it was given up as lost
                await leases.leave(name)
        finally:
            await posting.close()
    return recovered
