"""A caller's own key at a provider, on its way through one request. No `repr` here ever holds a key."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from dominion.domain.usage import Price

KeyKind = Literal["own", "passed"]
"""A key that is kept here, sealed; one that came with the request and goes with it."""


class PassedKeys(msgspec.Struct, frozen=True):
    """Keys that came with a request: by provider id, and `unnamed` for the one provider that serves the model."""

    unnamed: str = ""
    named: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"PassedKeys(of={sorted(self.named)})"


class OwnKey(msgspec.Struct, frozen=True):
    """The key that a route shows instead of the operator's. `list_price` is what the model costs by the price book,
    None: not known; nothing of it is charged. `plain` serves only to keep the key out of what the provider says."""

    kind: KeyKind
    list_price: Price | None
    plain: str

    def hidden(self, text: str) -> str:
        """A text without the key."""
        return text.replace(self.plain, "[masked]")

    def __repr__(self) -> str:
        return f"OwnKey({self.kind})"
