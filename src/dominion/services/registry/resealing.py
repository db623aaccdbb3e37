"""Seals every credential anew under the current version of the sealing key, while the gateway runs.

A credential that somebody changes meanwhile is left to them. Can be stopped at any time and begun again.
"""

from typing import NamedTuple, Protocol

from dominion.domain.errors import ConfigProblem
from dominion.domain.registry import SealedCredential
from dominion.domain.stores import RegistryStore


class Resealer(Protocol):
    """Opens what any version has sealed; seals with the current one."""

    @property
    def current(self) -> int:
        """The version that seals."""

    def reseal(self, credential: SealedCredential) -> SealedCredential:
        """The same credential under the current version. Raises ConfigProblem."""


class Resealed(NamedTuple):
    """How many were sealed anew, how many still are not, and why: a sentence for each that does not open."""

    done: int
    left: int
    problems: list[str]


async def reseal(store: RegistryStore, sealer: Resealer) -> Resealed:
    """Seal anew what is not under the current version. Raises StorageUnavailable.

    When nothing is `left`, older versions may be retired, once every process has read the current one.
    """
    done, problems = 0, []
    for credential in await _old(store, sealer):
        try:
            anew = sealer.reseal(credential)
        except ConfigProblem as error:
            problems.append(error.message)
        else:
            done += await store.swap_credential(credential, anew)
    return Resealed(done, len(await _old(store, sealer)), problems)


async def _old(store: RegistryStore, sealer: Resealer) -> list[SealedCredential]:
    return [one for one in await store.credentials() if one.key_version != sealer.current]
