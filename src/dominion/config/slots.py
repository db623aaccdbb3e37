"""Configured providers, ready to be asked, in the order of specification 004. Opens no connection."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import msgspec

from dominion import __version__
from dominion.config import sign_ins
from dominion.config.secret import Secret
from dominion.config.settings import CompatibleProvider, Settings
from dominion.credentials.aws_profile import DEFAULT_REGION
from dominion.credentials.present import PER_REQUEST, fixed, head, headers
from dominion.domain.providers import AlsoSpoken, Origin, ProviderRow, Slot, Target
from dominion.providers.address import address, is_loopback
from dominion.providers.catalog import STUB, Catalogue
from dominion.providers.catalog_files import read_other_apis

_AGENT = f"dominion/{__version__}"
OAUTH_PREFIX = "sk-ant-oat"
_VERTEX_HOSTS: Mapping[str, str] = MappingProxyType(
    {"global": "aiplatform", "us": "aiplatform.us.rep", "eu": "aiplatform.eu.rep"}
)
_PLACED = re.compile(r"[A-Za-z0-9._:-]+")


def slots(settings: Settings, catalogue: Catalogue) -> tuple[list[Slot], list[str]]:
    """Slots in scan order (the table of `_Scan.found`), the stub last; and warnings for the log.

    A provider that cannot be used is left out, with a warning: the others serve on.
    """
    scan = _Scan(settings, catalogue)
    return [*scan.found(), stub_slot(catalogue)], scan.warnings


def stub_slot(catalogue: Catalogue) -> Slot:
    """The provider inside this process; its target leads to no socket."""
    row = catalogue.providers[STUB]
    return Slot(row, Target(Origin(STUB, STUB, 0), b""), default_model=row.default_model)


def local_model_slot(catalogue: Catalogue, port: int) -> Slot:
    """The llama.cpp server that `make run-local` starts on a loopback port."""
    row = catalogue.providers["llamacpp"]
    origin, path = address(f"http://127.0.0.1:{port}", row.chat_path)
    return Slot(row, Target(origin, head(origin, path, b"", _AGENT)), default_model=row.default_model)


class _Scan:
    """One pass over the settings. Each provider's method raises ValueError, the end of a sentence, when it cannot be
    used, and gives no slot when nobody asked for it."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.settings = settings
        self.providers = catalogue.providers
        self.others = {row.id: row for row in read_other_apis()}
        self.warnings: list[str] = []

    def found(self) -> Iterator[Slot]:
        """All slots: the order of specification 004, with those that it does not name before the local one."""
        providers = self.providers
        yield from self._usable(providers["anthropic"], self._anthropic)
        yield from self._usable(providers["openai"], self._openai)
        for entry in self.settings.openai_compat:
            yield from self._usable(self._compatible_row(entry), partial(self._compatible, entry))
        yield from self._usable(providers["copilot"], self._copilot)
        yield from self._usable(providers["qwen_oauth"], self._qwen)
        yield from self._usable(providers["bedrock"], self._bedrock)
        yield from self._usable(providers["vertex"], self._vertex)
        yield from self._usable(self.others["gemini"], self._gemini)
        yield from self._usable(providers["azure_openai"], self._azure)
        yield from self._usable(providers["ollama"], self._ollama)

    def _usable(self, row: ProviderRow, make: Callable[[ProviderRow], Iterator[Slot]]) -> Iterator[Slot]:
        try:
            found = list(make(row))
        except ValueError as problem:
            self.warnings.append(f"{row.name} is skipped: {problem}.")
            return
        for origin in {slot.target.origin for slot in found}:
            if origin.scheme == "http" and not is_loopback(origin.host):
                self.warnings.append(f"{row.name}: prompts and keys travel unencrypted to {origin.host}.")
        yield from found

    # --- one method for each provider

    def _anthropic(self, row: ProviderRow) -> Iterator[Slot]:
        """An OAuth token of the environment counts only where the TOML file configures no provider, then first."""
        settings = self.settings
        key, token = settings.anthropic_api_key, settings.anthropic_oauth_token
        if token is not None and settings.provider_tables:
            self.warnings.append("ANTHROPIC_OAUTH_TOKEN is not used: the TOML file configures providers.")
        elif token is not None and not settings.anthropic_oauth:
            self.warnings.append("ANTHROPIC_OAUTH_TOKEN is not used: ANTHROPIC_OAUTH is not true.")
        elif token is not None:
            key = token
        if key is None and not self._has_table(row):
            return
        key, scheme = self._needed(row, key), row.credentials
        if key is token or key.reveal().startswith(OAUTH_PREFIX):
            if not settings.anthropic_oauth:
                raise ValueError("its key is an OAuth token, which is used only with oauth = true (ANTHROPIC_OAUTH)")
            scheme = "anthropic_oauth"
            self.warnings.append("Anthropic: an OAuth token is used; Anthropic refuses those of subscriptions.")
        yield slot_of(_at(row, base_url=settings.anthropic_base_url), key, scheme)

    def _openai(self, row: ProviderRow) -> Iterator[Slot]:
        """Configured by the TOML file or by the environment."""
        key = self.settings.openai_api_key
        if key is not None or self._has_table(row):
            row = _at(row, base_url=self.settings.openai_base_url)
            row = _responding(row, self.settings.openai_responses_path)
            more = fixed("openai-organization", self.settings.openai_organization_id)
            yield slot_of(row, self._needed(row, key), more=more)

    def _compatible(self, entry: CompatibleProvider, row: ProviderRow) -> Iterator[Slot]:
        """One [[providers.openai_compat]]."""
        key = entry.api_key or self._key_of_environment(row)
        if row.key_env and not row.local:
            key = self._needed(row, key)
        models = tuple(dict.fromkeys(filter(None, (entry.model, *entry.models))))
        default = entry.model or row.default_model or next(iter(models), "")
        yield slot_of(row, key, row.credentials if key is not None else "none", models, default)

    def _copilot(self, row: ProviderRow) -> Iterator[Slot]:
        if self._has_table(row):
            sign_ins.signed_in(self.settings.copilot_token_path, "copilot")
            yield slot_of(_at(row, base_url=self.settings.copilot_base_url))

    def _qwen(self, row: ProviderRow) -> Iterator[Slot]:
        if self._has_table(row):
            kept = sign_ins.signed_in(self.settings.qwen_credentials_path, "qwen")
            yield slot_of(_at(row, base_url=sign_ins.qwen_address(kept)))
            self.warnings.append(f"{row.name}: Qwen discontinued this sign-in; an API key of qwen works instead.")

    def _bedrock(self, row: ProviderRow) -> Iterator[Slot]:
        """Converse for every model but Claude."""
        settings = self.settings
        if not self._has_table(row):
            return
        region = sign_ins.aws_region(settings, Path.home())
        url = settings.bedrock_base_url or row.base_url.replace(DEFAULT_REGION, region)
        key = settings.bedrock_api_key
        for each in (row, self.others[row.id]):
            yield slot_of(_at(each, base_url=url), key, row.credentials if key is None else "bearer")

    def _vertex(self, row: ProviderRow) -> Iterator[Slot]:
        """Google's models by its own API, Claude by Anthropic's."""
        settings = self.settings
        if not self._has_table(row):
            return
        project, location = sign_ins.vertex_project(settings), settings.vertex_location
        host = _VERTEX_HOSTS.get(location, f"{location}-aiplatform")
        url = settings.vertex_base_url or f"https://{host}.googleapis.com"
        for each in (row, self.others[row.id]):
            yield slot_of(placed(_at(each, base_url=url), project=project, location=location))

    def _gemini(self, row: ProviderRow) -> Iterator[Slot]:
        """The environment's key is that of the compatible API where the TOML file has that."""
        settings = self.settings
        table = self._has_table(row)
        compatible = any(entry.id == row.id for entry in settings.openai_compat)
        key = settings.gemini_api_key or self._key_of_environment(row)
        if table or (key is not None and not compatible):
            yield slot_of(_at(row, base_url=settings.gemini_base_url), self._needed(row, key))

    def _azure(self, row: ProviderRow) -> Iterator[Slot]:
        """Models are deployments."""
        settings, endpoint = self.settings, self.settings.azure_openai_endpoint
        if not endpoint and not self._has_table(row):
            return
        if not endpoint:
            raise ValueError("it has no endpoint, and AZURE_OPENAI_ENDPOINT is not set")
        key, models = self._needed(row, settings.azure_openai_api_key), settings.azure_openai_deployment
        row = placed(_at(row, base_url=endpoint), api_version=settings.azure_openai_api_version)
        yield slot_of(row, key, models=models, default=next(iter(models), ""))

    def _ollama(self, row: ProviderRow) -> Iterator[Slot]:
        settings, models = self.settings, self.settings.ollama_models
        if settings.ollama_base_url or self._has_table(row):
            key = settings.ollama_api_key
            scheme = "none" if key is None else row.credentials
            row = _at(row, base_url=settings.ollama_base_url)
            yield slot_of(row, key, scheme, models, next(iter(models), row.default_model))

    # --- what they share

    def _has_table(self, row: ProviderRow) -> bool:
        return row.id in self.settings.provider_tables

    def _needed(self, row: ProviderRow, key: Secret | None) -> Secret:
        if key is None:
            raise ValueError(f"it has no api_key, and {' or '.join(row.key_env)} is not set")
        return key

    def _compatible_row(self, entry: CompatibleProvider) -> ProviderRow:
        row = self.providers.get(entry.id) or ProviderRow(id=entry.id, name=entry.id, base_url=entry.base_url)
        row = _at(
            row, base_url=entry.base_url, chat_path=entry.chat_path, stream_path=entry.stream_path, name=entry.name
        )
        row = _at(row, wire=entry.wire, credentials=entry.credentials)
        return _responding(row, entry.responses_path)

    def _key_of_environment(self, row: ProviderRow) -> Secret | None:
        keys = self.settings.provider_keys
        return next((keys[name] for name in row.key_env if name in keys), None)


def slot_of(
    row: ProviderRow,
    key: Secret | None = None,
    scheme: str | None = None,
    models: tuple[str, ...] = (),
    default: str | None = None,
    *,
    more: bytes = b"",
) -> Slot:
    """Raises ValueError for an address or a key that cannot be sent. What is not given is the row's. `more` are header
    lines besides the credential's."""
    row = row if scheme is None else msgspec.structs.replace(row, credentials=scheme)
    credential = headers(row.credentials, "" if key is None else key.reveal()) + more

    def target(chat_path: str) -> Target:
        origin, path = address(row.base_url, chat_path)
        return Target(origin, head(origin, path, credential, _AGENT))

    return Slot(
        row,
        target(row.chat_path),
        models,
        row.default_model if default is None else default,
        target(row.stream_path) if row.stream_path else None,
        tuple((also.wire, target(also.path)) for also in row.also),
    )


def with_key(slot: Slot, key: str) -> Slot:
    """The slot as a caller's own key shows it, at the same origins. Raises ValueError, which never holds the key."""
    row = slot.row
    if row.credentials in (PER_REQUEST, "none") or row.local:
        raise ValueError("it takes no key")
    if row.id == "anthropic" and key.startswith(OAUTH_PREFIX):
        raise ValueError("this is an OAuth token, and not an API key")
    scheme = "header_key" if row.credentials == "anthropic_oauth" else row.credentials
    made = slot_of(row, Secret(key), scheme, slot.models, slot.default_model)

    def at(target: Target) -> Target:
        """With the guard, which the address alone does not tell."""
        return Target(msgspec.structs.replace(target.origin, guarded=slot.target.origin.guarded), target.head)

    return msgspec.structs.replace(
        slot,
        target=at(made.target),
        stream_target=None if made.stream_target is None else at(made.stream_target),
        also=tuple((wire, at(target)) for wire, target in made.also),
    )


def _at(row: ProviderRow, **changes: str) -> ProviderRow:
    """The row with what the operator changed; empty texts change nothing. Elsewhere it need not speak all dialects."""
    given = {name: text for name, text in changes.items() if text}
    moved = row.base_url and given.get("base_url", row.base_url).removesuffix("/").removesuffix("/v1") != row.base_url
    return msgspec.structs.replace(row, **given, also=() if moved else row.also)


def _responding(row: ProviderRow, path: str) -> ProviderRow:
    """The row with the Responses API at this path, if one is given."""
    also = (AlsoSpoken("openai_responses", path),)
    return msgspec.structs.replace(row, also=also) if path else row


def placed(row: ProviderRow, **places: str) -> ProviderRow:
    """The row with `{name}` in its paths replaced. Raises ValueError for what would change the path."""
    for name, text in places.items():
        if not _PLACED.fullmatch(text):
            raise ValueError(f"{text!r} cannot be its {name}")
        also = tuple(AlsoSpoken(each.wire, each.path.replace(f"{{{name}}}", text)) for each in row.also)
        paths = {path: getattr(row, path).replace(f"{{{name}}}", text) for path in ("chat_path", "stream_path")}
        row = msgspec.structs.replace(row, also=also, **paths)
    return row
