"""The providers that can be asked now: those of the configuration file, then the registered ones, the stub last.

Everything that looks for providers reads this one value, so that a change holds from the next request on.
"""

from collections.abc import Mapping, Sequence

from dominion.domain.contracts import Authority
from dominion.domain.providers import Slot
from dominion.providers.catalog import STUB


class Lineup:
    """`slots` in the order in which they are asked. `version` grows with every change: who remembers what it found in
    the slots forgets it then. `authorities` go by provider id.

    `of_file` are the slots that the configuration gave, which never change.
    """

    def __init__(self, slots: Sequence[Slot], authorities: Mapping[str, Authority]) -> None:
        self.of_file = tuple(slots)
        self.authorities = authorities
        self.slots = self.of_file
        self.version = 0

    def register(self, registered: Sequence[Slot]) -> None:
        """These are the registered ones from now on; one whose id is in the file does not count."""
        taken = {slot.row.id for slot in self.of_file}
        new = [slot for slot in registered if slot.row.id not in taken]
        real = [slot for slot in self.of_file if slot.row.id != STUB]
        slots = (*real, *new, *(slot for slot in self.of_file if slot.row.id == STUB))
        if slots != self.slots:
            self.slots = slots
            self.version += 1
