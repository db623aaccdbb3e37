"""The caller's configuration: `pm.config.yaml` and what surrounds the program. Never reads the operator's files."""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml

from dominion.domain.errors import ConfigProblem

FILE_NAME = "pm.config.yaml"


class Surroundings(msgspec.Struct, frozen=True):
    """What a program finds around itself: environment variables, the working folder."""

    environ: Mapping[str, str]
    folder: Path

    @classmethod
    def real(cls) -> Self:
        """Those of this process."""
        return cls(os.environ, Path.cwd())

    @property
    def config_folder(self) -> Path:
        """The user's own folder for Dominion: $XDG_CONFIG_HOME/dominion, else ~/.config/dominion."""
        home = self.environ.get("XDG_CONFIG_HOME") or Path(self.environ.get("HOME") or Path.home()) / ".config"
        return Path(home) / "dominion"


class GatewaySection(msgspec.Struct, frozen=True):
    """`gateway:`; where the gateway is, and a key for it."""

    url: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"GatewaySection(url={self.url!r}, token={'***' if self.token else None})"


class DirectSection(msgspec.Struct, frozen=True):
    """`provider.openai:`, `provider.anthropic:`; the key always comes from the environment."""

    model: str | None = None
    temperature: float | None = None
    base_url: str | None = None


class StubSection(msgspec.Struct, frozen=True):
    """`provider.stub:`; one of the stub's models, "echo" unless named."""

    model: str | None = None


class ProviderSection(msgspec.Struct, frozen=True):
    """`provider:`; which provider answers without a gateway. `custom` maps names to "package.module:Class"."""

    default: str | None = None
    openai: DirectSection = DirectSection()
    anthropic: DirectSection = DirectSection()
    stub: StubSection = StubSection()
    custom: dict[str, str] = {}


class ClientConfig(msgspec.Struct, frozen=True):
    """The whole file. `file` is where it was read from, None when there is none."""

    gateway: GatewaySection = GatewaySection()
    provider: ProviderSection = ProviderSection()
    file: Path | None = None


class _File(msgspec.Struct, frozen=True):
    """What may stand in the file."""

    gateway: GatewaySection = GatewaySection()
    provider: ProviderSection = ProviderSection()


def load_config(around: Surroundings) -> ClientConfig:
    """The nearest pm.config.yaml from the working folder upwards, else the user's own, else an empty configuration.

    Raises ConfigProblem for a file that cannot be read, belongs to another user or holds anything unknown.
    """
    places = [*(folder / FILE_NAME for folder in (around.folder, *around.folder.parents))]
    file = next((place for place in (*places, around.config_folder / FILE_NAME) if place.is_file()), None)
    return ClientConfig() if file is None else read_config(file)


def read_config(file: Path) -> ClientConfig:
    """One file. Raises ConfigProblem with every problem on a line of its own: file, line, key, nearest known key."""
    try:
        owner, text = file.stat().st_uid, file.read_text("utf-8")
        # The file says where keys are sent, so another user's file in a shared folder must not be found by accident.
        if hasattr(os, "getuid") and os.getuid() != 0 and owner not in (0, os.getuid()):
            raise ConfigProblem(f"{file} belongs to another user.", action="Copy it, or work in another folder.")
        tree, values = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except OSError as error:
        raise ConfigProblem(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigProblem(f"{file} is not UTF-8 text.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigProblem(f"{file}:{line}: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ConfigProblem(f"{file} is not YAML.") from error
    lines: dict[str, int] = {}
    problems = [f"{file}:{problem}" for problem in _walk(tree, _File, "", lines)]
    if problems:
        raise ConfigProblem("\n".join(problems))
    try:
        read = msgspec.convert(_without_nulls(values) or {}, _File)
    except msgspec.ValidationError as error:
        complaint, _, path = str(error).partition(" - at `$.")
        key = path.rstrip("`")
        raise ConfigProblem(f"{file}:{lines.get(key, 1)}: {key or 'the file'}: {complaint}.") from error
    return ClientConfig(read.gateway, read.provider, file)


def _walk(node: yaml.Node | None, shape: type[msgspec.Struct], prefix: str, lines: dict[str, int]) -> Iterator[str]:
    """What is unknown or doubled below a node, each as "line: sentence"; notes the line of every known key."""
    known = {field.name: field.type for field in msgspec.structs.fields(shape)}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name, line = f"{prefix}{key.value}", key.start_mark.line + 1
        if key.value not in known:
            near = difflib.get_close_matches(str(key.value), known, n=1, cutoff=0.0)
            yield f"{line}: unknown key {name}; did you mean {prefix}{near[0]}?"
        elif name in lines:
            yield f"{line}: {name} occurs twice, first on line {lines[name]}."
        else:
            lines[name] = line
            if isinstance(known[key.value], type) and issubclass(known[key.value], msgspec.Struct):
                yield from _walk(value, known[key.value], f"{name}.", lines)


def _without_nulls(value: Any) -> Any:
    """An empty section or value is one that was not written."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
