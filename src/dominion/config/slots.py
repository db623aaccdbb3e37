"""Configured providers, ready to be asked, in the order of specification 004. Opens no connection."""

from collections.abc import Iterator

import msgspec

from dominion import __version__
from dominion.config.secret import Secret
from dominion.config.settings import CompatibleProvider, Settings
from dominion.config.toml_file import NOT_YET
from dominion.credentials.present import head, headers
from dominion.domain.providers import Origin, ProviderRow, Slot, Target
from dominion.providers.address import address, is_loopback
from dominion.providers.catalog import STUB, Catalogue

_AGENT = f"dominion/{__version__}"
_OAUTH_PREFIX = "sk-ant-oat01-"


def slots(settings: Settings, catalogue: Catalogue) -> tuple[list[Slot], list[str]]:
    """Slots in scan order (anthropic, openai, compatible ones as declared), the stub last; and warnings for the log.

    A provider that cannot be used is left out, with a warning: the others serve on.
    """
    scan = _Scan(settings, catalogue)
    found = [*scan.anthropic(), *scan.openai(), *scan.compatible()]
    scan.skip_unsupported()
    return [*found, stub_slot(catalogue)], scan.warnings


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
    """One pass over the settings."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.settings = settings
        self.providers = catalogue.providers
        self.warnings: list[str] = []

    def anthropic(self) -> Iterator[Slot]:
        """An OAuth token of the environment counts only where the TOML file configures no provider, then first."""
        settings = self.settings
        key, row = settings.anthropic_api_key, self.providers["anthropic"]
        if settings.anthropic_oauth_token is not None and not settings.provider_tables:
            key = settings.anthropic_oauth_token
        elif settings.anthropic_oauth_token is not None:
            self.warnings.append("ANTHROPIC_OAUTH_TOKEN is not used: the TOML file configures providers.")
        scheme = row.credentials
        if key is not None and (key is settings.anthropic_oauth_token or key.reveal().startswith(_OAUTH_PREFIX)):
            scheme = "anthropic_oauth"
            self.warnings.append("Anthropic: an OAuth token is used; Anthropic refuses those of subscriptions.")
        yield from self._native(row, key, settings.anthropic_base_url, scheme)

    def openai(self) -> Iterator[Slot]:
        """Configured by the TOML file or by the environment."""
        row = self.providers["openai"]
        yield from self._native(row, self.settings.openai_api_key, self.settings.openai_base_url, row.credentials)

    def compatible(self) -> Iterator[Slot]:
        """One for each [[providers.openai_compat]]."""
        for entry in self.settings.openai_compat:
            row = self._compatible_row(entry)
            key = entry.api_key or self._key_of_environment(row)
            if key is None and row.key_env and not row.local:
                names = " or ".join(row.key_env)
                self.warnings.append(f"{row.name} is skipped: it has no api_key, and {names} is not set.")
                continue
            scheme = row.credentials if key is not None else "none"
            models = tuple(dict.fromkeys(filter(None, (entry.model, *entry.models))))
            yield from self._slot(row, key, scheme, models, entry.model or row.default_model or next(iter(models), ""))

    def skip_unsupported(self) -> None:
        """Tables of 004 that a later version serves."""
        self.warnings.extend(
            f"[providers.{name}] is skipped: this version does not support it yet."
            for name in NOT_YET
            if name in self.settings.provider_tables
        )

    def _native(self, row: ProviderRow, key: Secret | None, base_url: str, scheme: str) -> Iterator[Slot]:
        if key is not None:
            yield from self._slot(_at(row, base_url=base_url), key, scheme, (), row.default_model)
        elif row.id in self.settings.provider_tables:
            self.warnings.append(f"{row.name} is skipped: it has no api_key, and {row.key_env[0]} is not set.")

    def _compatible_row(self, entry: CompatibleProvider) -> ProviderRow:
        row = self.providers.get(entry.id) or ProviderRow(id=entry.id, name=entry.id, base_url=entry.base_url)
        return _at(row, base_url=entry.base_url, chat_path=entry.chat_path, name=entry.name)

    def _key_of_environment(self, row: ProviderRow) -> Secret | None:
        keys = self.settings.provider_keys
        return next((keys[name] for name in row.key_env if name in keys), None)

    def _slot(
        self, row: ProviderRow, key: Secret | None, scheme: str, models: tuple[str, ...], default: str
    ) -> Iterator[Slot]:
        try:
            origin, path = address(row.base_url, row.chat_path)
            credential = headers(scheme, "" if key is None else key.reveal())
        except ValueError as problem:
            self.warnings.append(f"{row.name} is skipped: {problem}.")
            return
        if origin.scheme == "http" and not is_loopback(origin.host):
            self.warnings.append(f"{row.name}: prompts and keys travel unencrypted to {origin.host}.")
        yield Slot(row, Target(origin, head(origin, path, credential, _AGENT)), models, default)


def _at(row: ProviderRow, **changes: str) -> ProviderRow:
    """The row with what the operator changed; empty texts change nothing."""
    return msgspec.structs.replace(row, **{name: text for name, text in changes.items() if text})
