"""The files by which the workers of a gateway show one another their figures; holds no money and no secret."""

from pathlib import Path

from dominion.domain.errors import StorageUnavailable

NAME = "figures"


class FigureFiles:
    """`Board` over the folder of all workers, for the one with this number."""

    def __init__(self, workers: Path, number: int) -> None:
        self._workers = workers
        self._own = workers / str(number) / NAME

    def publish(self, figures: bytes) -> None:
        """Whole or not at all: others never read half of it. Raises StorageUnavailable."""
        part = self._own.with_suffix(".part")
        try:
            part.write_bytes(figures)
            part.replace(self._own)
        except OSError as error:
            raise StorageUnavailable(f"{self._own} cannot be written: {error.strerror}.") from error

    def predecessor(self) -> bytes | None:
        """What this worker's file holds."""
        return self._own.read_bytes() if self._own.exists() else None

    def others(self) -> list[bytes]:
        """What the files of all others hold."""
        return [path.read_bytes() for path in _files(self._workers) if path != self._own]


def forget_figures(workers: Path) -> None:
    """Begin anew, as whoever asks expects of a gateway that was started anew."""
    for path in _files(workers):
        path.unlink(missing_ok=True)


def _files(workers: Path) -> list[Path]:
    return sorted(workers.glob(f"*/{NAME}"))
