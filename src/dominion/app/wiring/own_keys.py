"""Wires the keys of callers' own at providers: where they lie, how they are sealed, and who tells of changes."""

from dominion.app.wiring.registered import KeptSealer
from dominion.app.world import World
from dominion.config import Settings
from dominion.config.slots import with_key
from dominion.domain.contracts import Clock
from dominion.services.registry.own_key_files import KeyFiles
from dominion.services.registry.own_keys import OwnKeys
from dominion.stores.files.keys import KeyFolder
from dominion.stores.sql.registry import SqlRegistry


def own_keys(world: World, settings: Settings, clock: Clock) -> OwnKeys:
    """Not loaded yet; hears of changes by other processes from now on."""
    keys = OwnKeys(
        SqlRegistry(world.database),
        KeptSealer(world.keys, world.keys_kept),
        world.people,
        world.audit,
        world.lineup,
        with_key,
        clock,
        together=settings.byok_fallback,
    )
    world.changes.listen("credential", keys.hear)
    return keys


def key_files(settings: Settings, keys: OwnKeys) -> KeyFiles:
    """Not read yet. Raises ConfigProblem."""
    return KeyFiles(KeyFolder(settings.own_keys_dir) if settings.own_keys_dir else None, keys)
