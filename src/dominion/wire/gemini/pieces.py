"""Arguments of a call that Vertex streams in pieces (`streamFunctionCallArguments`). Never guesses what is missing.

A piece has the place of its value as a JSON path ("$.items[0].name"); text at one place comes in several pieces.
"""

import re
from typing import Any

import msgspec

from dominion.wire.gemini.parts import Call

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\[['\"](.*?)['\"]\]")


class OpenCall:
    """A call whose arguments still come; `part` is its number in the answer."""

    def __init__(self, part: int, call: Call) -> None:
        self.part = part
        self._tree: dict[str | int, Any] = {}
        self.add(call)

    def add(self, call: Call) -> None:
        """Put its pieces in their places."""
        for piece in call.partial_args or ():
            steps = [int(index) if index else name or quoted for name, index, quoted in _STEP.findall(piece.json_path)]
            node = self._tree
            for step in steps[:-1]:
                node = node.setdefault(step, {})
            before, value = node.get(steps[-1]), piece.value
            node[steps[-1]] = before + value if isinstance(before, str) and isinstance(value, str) else value

    def arguments(self) -> str:
        """The whole of them as JSON text."""
        return msgspec.json.encode(_listed(self._tree)).decode()


def goes_on(call: Call) -> bool:
    """Whether arguments of this call come in pieces, now or later."""
    return bool(call.will_continue or call.partial_args)


def _listed(node: Any) -> Any:
    """Numbered places are those of a list."""
    if not isinstance(node, dict):
        return node
    if node and all(isinstance(step, int) for step in node):
        return [_listed(value) for _, value in sorted(node.items())]
    return {str(step): _listed(value) for step, value in node.items()}
