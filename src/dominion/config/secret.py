"""A value that must not show itself by accident: in a log line, a traceback, a debugger or a dump of the settings."""

import hmac
from typing import final


@final
class Secret:
    """Text that only `reveal` gives. It is no msgspec type, so that encoding settings fails rather than leaks."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(...)"
