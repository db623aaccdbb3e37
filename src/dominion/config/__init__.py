"""The operator's settings: read once at the start from files, environment and options, then frozen."""

from dominion.config.reading import load
from dominion.config.secret import Secret
from dominion.config.settings import CompatibleProvider, Settings
from dominion.config.slots import local_model_slot, slots, stub_slot
from dominion.config.table import SETTINGS, Setting, documentation

__all__ = [
    "SETTINGS",
    "CompatibleProvider",
    "Secret",
    "Setting",
    "Settings",
    "documentation",
    "load",
    "local_model_slot",
    "slots",
    "stub_slot",
]
