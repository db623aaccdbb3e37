"""The gateway as it must not be: rows that the database does not take at once are dropped. The control of the
experiments with a database that goes away.
"""

from dominion.cli.main import main
from dominion.domain.errors import StorageUnavailable
from dominion.services.limits.posting import Posting


def make_forgetful(posting: type[Posting]) -> None:
    """Let it believe that a batch which failed was posted."""
    flush = posting.flush

    async def flush_once(self: Posting) -> None:
        try:
            await flush(self)
        except StorageUnavailable:
            self.posted += len(self._pending)
            self._pending.clear()
            raise

    posting.flush = flush_once  # type: ignore[method-assign]


if __name__ == "__main__":
    make_forgetful(Posting)
    main()
