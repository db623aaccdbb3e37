"""Makes the settings from defaults, the TOML file, the .env file, the environment and the options, the last strongest.

Reads everything once and never again; knows nothing of what the settings are for.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dominion.config.dotenv import read_dotenv
from dominion.config.secret import Secret
from dominion.config.settings import Settings
from dominion.config.table import SETTINGS, Setting
from dominion.config.toml_file import TomlFile, nearest
from dominion.domain.errors import ConfigProblem
from dominion.providers.catalog_files import read_providers

_TOML_NAME = "dominion.toml"
_CLIENT_NAMES = frozenset({"DOMINION_API_URL", "DOMINION_API_TOKEN"})
_TEST_PREFIX = "DOMINION_TEST_"
_KEY_SUFFIX = "_API_KEY"
_AWS_PREFIX = "AWS_"
_TYPO = 0.85


def load(environ: Mapping[str, str], options: Mapping[str, Any] | None = None, folder: Path = Path()) -> Settings:
    """The settings. `options` maps fields to values, None for those not given; `folder` holds .env and dominion.toml.

    Raises ConfigProblem with all problems, one a line: where it is, what is wrong, the nearest known name.
    """
    problems: list[str] = []
    reader = _Reader(environ, options or {}, folder, problems)
    settings = reader.settings()
    if problems:
        raise ConfigProblem("\n".join(problems))
    return settings


class _Reader:
    """The sources of one reading. An empty text counts as not set, everywhere."""

    def __init__(
        self, environ: Mapping[str, str], options: Mapping[str, Any], folder: Path, problems: list[str]
    ) -> None:
        self.environ = environ
        self.options = options
        self.problems = problems
        self.dotenv_path = folder / ".env"
        self.dotenv = read_dotenv(self.dotenv_path, problems)
        self.toml = TomlFile(None, (), problems)
        default = folder / _TOML_NAME
        path = self._read(SETTINGS[0], {}) or (default if default.exists() else None)
        self.toml = TomlFile(path, (each.toml for each in SETTINGS), problems)

    def settings(self) -> Settings:
        """Everything read, problems noted."""
        self._check_names()
        self.toml.check({row.id: row for row in read_providers()})
        values: dict[str, Any] = {"config": self.toml.path}
        for setting in SETTINGS[1:]:
            values[setting.field] = self._read(setting, values)
        secrets = {
            name: Secret(value.strip()) for name, value in {**self.dotenv, **self.environ}.items() if value.strip()
        }
        return Settings(
            **values,
            openai_compat=tuple(self.toml.compatible),
            provider_tables=self.toml.provider_tables,
            provider_keys={name: secret for name, secret in secrets.items() if name.endswith(_KEY_SUFFIX)},
            aws={name: secret for name, secret in secrets.items() if name.startswith(_AWS_PREFIX)},
            prices=self.toml.prices,
        )

    def _read(self, setting: Setting, values: Mapping[str, Any]) -> Any:
        for where, value in self._written(setting):
            if value is not None and str(value).strip():
                try:
                    return setting.kind.read(value)
                except ValueError as problem:
                    self.problems.append(f"{where}: {problem}")
                    break
        default = setting.default.format_map(values)
        return setting.kind.read(default) if default else setting.kind.empty

    def _written(self, setting: Setting) -> Iterator[tuple[str, Any]]:
        """Where the setting may be written, and what is there; the strongest source first."""
        yield f"option {setting.option}", self.options.get(setting.field)
        for source, names in (("environment", self.environ), (str(self.dotenv_path), self.dotenv)):
            for name in filter(None, (setting.env, setting.also)):
                yield f"{source}: {name}", names.get(name)
        if setting.toml:
            yield f"{self.toml.path}: {setting.toml}", self.toml.value(setting.toml)

    def _check_names(self) -> None:
        """Names beginning with DOMINION_ are ours; in .env, so is what looks like a name of ours."""
        known = {name for each in SETTINGS for name in (each.env, each.also) if name} | _CLIENT_NAMES
        for source, names in (("environment", self.environ), (str(self.dotenv_path), self.dotenv)):
            for name in sorted(names):
                if name.startswith("DOMINION_") and name not in known and not name.startswith(_TEST_PREFIX):
                    self.problems.append(f"{source}: {name}: unknown name{nearest(name, known)}")
        for name in sorted(self.dotenv.keys() - known):
            near = difflib.get_close_matches(name, known, n=1, cutoff=_TYPO)
            if near and not name.startswith("DOMINION_") and not name.endswith(_KEY_SUFFIX):
                self.problems.append(f"{self.dotenv_path}: {name}: unknown name; did you mean {near[0]}?")
