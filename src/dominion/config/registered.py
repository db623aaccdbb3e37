"""Registered providers as rows and slots: what a registration leaves open is the catalogue's. Opens no connection."""

from collections.abc import Callable

from msgspec.structs import replace

from dominion.config.secret import Secret
from dominion.config.settings import Settings
from dominion.config.slots import OAUTH_PREFIX, placed, slot_of
from dominion.credentials.present import PER_REQUEST, headers
from dominion.domain.providers import MODEL_PLACE, Origin, ProviderRow, Slot, Target
from dominion.domain.registry import Registration
from dominion.providers.catalog import STUB, Catalogue, how_to_configure
from dominion.providers.catalog_files import read_other_apis

_PATHS = {"openai_responses": "/v1/responses", "openai_completions": "/v1/completions"}
"""Of dialects that are the first choice of no provider in the catalogue."""
_OWN_API = "gemini"
"""The provider whose own API keeps more than the compatible one of the same id."""
_KEYLESS = "none"
_OAUTH = "anthropic_oauth"


class Registered:
    """Makes rows and slots. Both raise ValueError, the end of a sentence about the provider, when it cannot be used;
    the sentence never holds the key.

    `admit` puts an origin under the guard of addresses that come through an API, and raises InvalidRequest.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, admit: Callable[[Origin], Origin]) -> None:
        self._settings = settings
        self._admit = admit
        self._providers = catalogue.providers
        self._others = {row.id: row for row in read_other_apis()}

    def row(self, registration: Registration) -> ProviderRow:
        """The row: the catalogue's, if it has one, with what the registration changes."""
        row = self._known(registration)
        changes = {
            "name": registration.name,
            "base_url": registration.base_url,
            "credentials": registration.scheme,
            "default_model": registration.default_model,
        }
        if registration.chat_path:
            changes |= {"chat_path": registration.chat_path}
            row = replace(row, stream_path="")
        if registration.chat_path or registration.base_url:
            row = replace(row, also=())
        row = replace(row, **{field: text for field, text in changes.items() if text})
        self._check_scheme(row)
        if "{api_version}" in row.chat_path:
            row = placed(row, api_version=self._settings.azure_openai_api_version)
        if "{" in row.chat_path.replace(MODEL_PLACE.decode(), ""):
            raise ValueError("its chat_path has a place for something else than {model}")
        return row

    def keyed(self, row: ProviderRow) -> bool:
        """Whether it cannot be asked without a key."""
        return not row.local and row.credentials != _KEYLESS

    def slot(self, registration: Registration, key: str) -> Slot:
        """Ready to be asked; `key` "" for a provider that can do without one."""
        row, secret, scheme = self.row(registration), Secret(key) if key else None, None
        if secret is None and not self.keyed(row):
            scheme = _KEYLESS
        elif row.id == "anthropic" and key.startswith(OAUTH_PREFIX):
            scheme = _OAUTH
            self._check_scheme(replace(row, credentials=scheme))
        models = registration.models
        slot = slot_of(row, secret, scheme, models, row.default_model or next(iter(models), ""))
        streams = slot.stream_target
        return replace(
            slot,
            target=self._guarded(slot.target),
            stream_target=None if streams is None else self._guarded(streams),
            also=tuple((wire, self._guarded(target)) for wire, target in slot.also),
        )

    def _check_scheme(self, row: ProviderRow) -> None:
        if row.credentials == PER_REQUEST:
            known = self._providers.get(row.id)
            how = f": {how_to_configure(known)}" if known and known.credentials == PER_REQUEST else ""
            raise ValueError(f"it proves each request anew, which only the file can configure{how}")
        if row.credentials == _OAUTH and not self._settings.anthropic_oauth:
            raise ValueError("OAuth tokens are used only with ANTHROPIC_OAUTH=true")
        headers(row.credentials, "x")

    def _guarded(self, target: Target) -> Target:
        return Target(self._admit(target.origin), target.head)

    def _known(self, registration: Registration) -> ProviderRow:
        """The catalogue's row, or one that speaks the same dialect as most do."""
        named, wire = registration.id, registration.wire
        if named == STUB:
            raise ValueError("the stub is always there")
        if named == _OWN_API and wire in ("", self._others[named].wire):
            return self._others[named]
        row = self._providers.get(named) or ProviderRow(id=named, name=named, base_url="")
        return (
            row if wire in ("", row.wire) else _speaking(row, wire, [*self._providers.values(), *self._others.values()])
        )


def _speaking(row: ProviderRow, wire: str, known: list[ProviderRow]) -> ProviderRow:
    """The row with a dialect, and with what usually goes with it."""
    row = replace(row, wire=wire, stream_path="", also=(), chat_path=_PATHS.get(wire, row.chat_path))
    for other in known:
        if other.wire == wire and other.credentials != PER_REQUEST:
            return replace(row, chat_path=other.chat_path, stream_path=other.stream_path, credentials=other.credentials)
    return row
