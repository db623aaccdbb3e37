"""The liberties of Google's JSON: names in camel or snake case, one thing where a list belongs. Never guesses a third.

Google's servers take both spellings of every name (protobuf's JSON mapping), so two spellings of one field in one
object are two values for one cap: refused, like every other way to say a thing twice.
"""

import re
from collections.abc import Mapping

import msgspec

from dominion.domain.contracts import Fields
from dominion.domain.errors import InvalidRequest
from dominion.wire.fields import read_object

CONFIG = "generationConfig"
OUTPUT_CAP = "maxOutputTokens"
CHOICES = "candidateCount"

_TOP = {name.casefold(): name for name in ("contents", CONFIG, "model", "stream", "generateContentRequest")}
_CONFIG = {name.casefold(): name for name in (OUTPUT_CAP, CHOICES)}
_HUMP = re.compile(r"[A-Z]")
_UNDERSCORE = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")
_THE_CALLERS = frozenset(
    {"args", "response", "labels", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}
)
"""Fields whose names inside are not Google's."""
_LISTS = frozenset(
    {"contents", "parts", "tools", "functionDeclarations", "stopSequences", "allowedFunctionNames"}
    | {"safetySettings", "responseModalities"}
)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT, _LIST, _NULL = b"{[n"


def camel(name: str) -> str:
    """The name as Google documents it."""
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name)


def guarded(fields: Fields) -> dict[str, str]:
    """Google's names of the fields that decide over model and cap, to their spelling in this request."""
    return _spellings(fields, _TOP, "")


def config_of(fields: Fields, spelling: str) -> tuple[Fields, dict[str, str]]:
    """The generation config as it came, and the spelling of its guarded names."""
    raw = fields.get(spelling)
    config = {} if raw is None or _first(raw) == _NULL else read_object(raw, spelling)
    return config, _spellings(config, _CONFIG, f"{spelling}.")


def tidy(fields: Fields, where: str = "") -> Fields:
    """The same request in the one documented spelling, with lists where lists belong."""
    tidied: Fields = {}
    for written, raw in fields.items():
        name = camel(written)
        place = f"{where}{written}"
        if name in tidied:
            raise InvalidRequest(f"'{place}' is given in two spellings.", param=place)
        if name in _LISTS and _first(raw) not in (_LIST, _NULL):
            raw = msgspec.Raw(b"[%b]" % raw)  # noqa: PLW2901 - the same value in its right form
        tidied[name] = raw if name in _THE_CALLERS else _tidied(raw, place)
    return tidied


def _tidied(raw: msgspec.Raw, where: str) -> msgspec.Raw:
    if _first(raw) == _OBJECT:
        return msgspec.Raw(msgspec.json.encode(tidy(read_object(raw, where), f"{where}.")))
    if _first(raw) == _LIST:
        items = [_tidied(item, f"{where}[{place}]") for place, item in enumerate(_ITEMS.decode(raw))]
        return msgspec.Raw(msgspec.json.encode(items))
    return raw


def _first(raw: msgspec.Raw) -> int:
    return memoryview(raw)[0]


def _spellings(fields: Fields, known: Mapping[str, str], where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in fields:
        documented = known.get(name.replace("_", "").casefold())
        if documented is None:
            continue
        if name not in (documented, _HUMP.sub(lambda hump: f"_{hump[0].lower()}", documented)):
            raise InvalidRequest(f"The field '{where}{name}' must be written '{documented}'.", param=f"{where}{name}")
        if documented in found:
            raise InvalidRequest(f"'{where}{name}' is given in two spellings.", param=f"{where}{name}")
        found[documented] = name
    return found
