"""Every dialect that the gateway speaks, by its name: its own, and those that installed packages bring.

A package brings one by an entry point of the group "dominion.dialects": its name is the dialect's, its value an object
that implements `domain.contracts.Dialect`. It is loaded only when a provider is configured that speaks it.
"""

from collections.abc import Collection, Iterator
from importlib.metadata import EntryPoint, entry_points

from dominion.domain.contracts import Dialect
from dominion.domain.errors import ConfigProblem
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.anthropic_cloud import ANTHROPIC_VERTEX, BEDROCK_INVOKE
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.native.dialect import NATIVE
from dominion.wire.ollama.dialect import OLLAMA_CHAT
from dominion.wire.openai_chat.dialect import (
    OPENAI_CHAT,
    OPENAI_CHAT_GOOGLE,
    OPENAI_CHAT_MISTRAL,
    OPENAI_CHAT_OLD_CAP,
    OPENAI_CHAT_OPENROUTER,
)
from dominion.wire.openai_completions.dialect import OPENAI_COMPLETIONS
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES

GROUP = "dominion.dialects"
_OURS = (
    OPENAI_CHAT,
    ANTHROPIC_MESSAGES,
    NATIVE,
    GEMINI,
    OPENAI_RESPONSES,
    OPENAI_COMPLETIONS,
    BEDROCK_CONVERSE,
    BEDROCK_INVOKE,
    ANTHROPIC_VERTEX,
    OLLAMA_CHAT,
    OPENAI_CHAT_GOOGLE,
    OPENAI_CHAT_MISTRAL,
    OPENAI_CHAT_OLD_CAP,
    OPENAI_CHAT_OPENROUTER,
)
_NEEDED = sorted({*Dialect.__annotations__, *(name for name in vars(Dialect) if not name.startswith("_"))})


class Dialects(dict[str, Dialect]):
    """The dialects by name; those of packages come in when they are asked for, and keep their places."""

    def __init__(self) -> None:
        super().__init__((dialect.name, dialect) for dialect in _OURS)

    def __missing__(self, name: str) -> Dialect:
        """Of an installed package. Raises ConfigProblem."""
        found = self[name] = _load(name, self)
        return found

    def __contains__(self, name: object) -> bool:
        """Whether it is there or can be."""
        return super().__contains__(name) or (isinstance(name, str) and bool(_installed(name)))


class Wires(Collection[str]):
    """The names of the dialects that providers may speak: all but this gateway's own. Loads none."""

    def __init__(self, dialects: Dialects) -> None:
        self._dialects = dialects

    def __contains__(self, name: object) -> bool:
        return name != NATIVE.name and name in self._dialects

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._dialects if name != NATIVE.name)

    def __len__(self) -> int:
        return len(self._dialects) - 1


def _load(name: str, known: Dialects) -> Dialect:
    found = _installed(name)
    if not found:
        raise ConfigProblem(
            f'There is no dialect "{name}": it is none of {", ".join(known)}, and no installed package has an entry '
            f'point of this name in the group "{GROUP}".',
            action="Correct the name of the dialect (wire), or install the package that brings it.",
        )
    if len(found) > 1:
        packages = " and ".join(sorted(_package(entry) for entry in found))
        raise ConfigProblem(f'The dialect "{name}" is brought by {packages}.', action="Uninstall all but one.")
    (entry,) = found
    whose = f'The dialect "{name}" of {_package(entry)}'
    try:
        dialect = entry.load()
    except Exception as error:  # whatever a package does when it is imported
        raise ConfigProblem(
            f"{whose} cannot be loaded: {type(error).__name__}: {error}", action="Mend the package, or uninstall it."
        ) from error
    lacking = [needed for needed in _NEEDED if not hasattr(dialect, needed)]
    if isinstance(dialect, type) or lacking:
        wrong = "is a class, not an object" if isinstance(dialect, type) else f"lacks {', '.join(lacking)}"
        raise ConfigProblem(f"{whose} {wrong}.", action="Mend the package; domain/contracts.py says what it needs.")
    if dialect.name != name:
        raise ConfigProblem(f'{whose} calls itself "{dialect.name}".', action="Give both the same name.")
    implemented: Dialect = dialect
    return implemented


def _installed(name: str) -> list[EntryPoint]:
    return list(entry_points(group=GROUP, name=name))


def _package(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist is not None else "an unknown package"
