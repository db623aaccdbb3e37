"""Input in words or in tokens, as legacy completions and embeddings of OpenAI take it. Never counts a token itself."""

from collections.abc import Sequence

import msgspec

from dominion.domain.contracts import Fields
from dominion.domain.errors import InvalidRequest
from dominion.wire.fields import decode

_INPUT = msgspec.json.Decoder(str | list[str | int | list[int]] | None)


def words_or_tokens(fields: Fields, name: str) -> Sequence[str] | Sequence[list[int]]:
    """The texts, or the lists of tokens; one may stand alone, and a text may be empty. Raises InvalidRequest for none
    and for both."""
    asked = decode(fields, name, _INPUT)
    if isinstance(asked, str):
        return [asked]
    asked = asked or []
    words = [each for each in asked if isinstance(each, str)]
    tokens = [each for each in asked if isinstance(each, int)]
    lists = [each for each in asked if isinstance(each, list)]
    found: Sequence[str] | Sequence[list[int]] = words or ([tokens] if tokens else lists)
    if not found or [] in found or len(asked) not in (len(words), len(tokens), len(lists)):
        raise InvalidRequest(f"'{name}' must be a text, an array of texts, or tokens, and not empty.", param=name)
    return found
