"""Compatible services that know several keys, remember every request, and repeat a key that they refuse."""

from typing import Any

from tests.emulators.listed import Listed, ListedService
from tests.emulators.listening import Asked


class KeyedService(ListedService):
    """`keys` are the right ones; `heard` is all that came, headers and bodies."""

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self.keys = set(keys)
        self.heard: list[Asked] = []

    def shown(self) -> list[str]:
        """The keys that completions were asked with, since the last look."""
        keys = [asked.headers.get("authorization", "").removeprefix("Bearer ") for asked in self.heard]
        self.heard.clear()
        return keys

    def _said(self, asked: Asked) -> tuple[int, Any]:
        self.heard.append(asked)
        key = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if key not in self.keys:
            told = {"message": f"This is none: {key}", "code": "invalid_api_key", "param": key}
            return 401, {"error": told}
        self.key = key
        return super()._said(asked)


class Keyed(Listed):
    """One of them, listening at `url`."""

    def __init__(self, *keys: str) -> None:
        self.keyed = KeyedService(*keys)
        super().__init__(self.keyed)
