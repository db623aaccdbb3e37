"""Reads dominion.toml: plain settings by path, and the tables of providers and prices. Collects every problem."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from dominion.config.kinds import BASE_URL, CHAT_PATH, NAMES, SECRET, TEXT, choice
from dominion.config.settings import CompatibleProvider
from dominion.domain.providers import ProviderRow
from dominion.domain.usage import Price
from dominion.providers.catalog_files import PriceTable
from dominion.rules.prices.pricing import pico_per_token

_RESERVED = ("stub", "auto")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_COMPATIBLE = {
    "id": TEXT,
    "name": TEXT,
    "api_key": SECRET,
    "base_url": BASE_URL,
    "chat_path": CHAT_PATH,
    "stream_path": CHAT_PATH,
    "responses_path": CHAT_PATH,
    "wire": TEXT,
    "credentials": choice("bearer", "header_key", "api_key", "google_key"),
    "model": TEXT,
    "models": NAMES,
}


def nearest(name: str, known: Iterable[str]) -> str:
    """The question "; did you mean ...?" with the known name that `name` most likely stands for, or nothing."""
    names = list(known)
    last = name.rpartition(".")[2]
    same = [each for each in names if each.rpartition(".")[2] == last and each != name]
    near = same[:1] or difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


class TomlFile:
    """One TOML file, or none (`path` None). `known` are the paths of plain settings, such as "server.port"."""

    def __init__(self, path: Path | None, known: Iterable[str], problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        self.compatible: list[CompatibleProvider] = []
        self.prices: dict[str, Price] = {}
        self._known = sorted(filter(None, known))
        self._tables = dict.fromkeys(each.rpartition(".")[0] for each in self._known if each.startswith("providers."))
        self._doc = {} if path is None else self._read(path)
        self.provider_tables = frozenset(self._table("providers"))

    def value(self, path: str) -> Any:
        """The value of a plain setting, or None."""
        section, _, key = path.rpartition(".")
        found: Any = self._doc
        for step in filter(None, section.split(".")):
            found = found.get(step) if isinstance(found, dict) else None
        return found.get(key) if isinstance(found, dict) else None

    def check(self, catalogue: Mapping[str, ProviderRow]) -> None:
        """Read the tables of providers and prices, and report every key that means nothing."""
        sections = {path.partition(".")[0] for path in self._known} | {"prices"}
        for name in self._doc:
            if name not in sections:
                self._unknown(name, [*self._known, *sections])
            elif name not in ("providers", "prices", *self._known):
                self._check_keys(name, self._table(name))
        for name, table in self._table("providers").items():
            self._provider(name, table, catalogue)
        for name in self._table("prices"):
            self._price(f'prices."{name}"', name, self._doc["prices"][name])

    def problem(self, key: str, text: str) -> None:
        """Note what is wrong with a key of this file."""
        self.problems.append(f"{self.path}: {key}: {text}")

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            # Decimal keeps the digits that were written; prices depend on them.
            return tomllib.loads(path.read_text("utf-8-sig"), parse_float=Decimal)
        except (OSError, UnicodeDecodeError) as problem:
            self.problems.append(f"{path}: cannot be read: {problem}")
        except (tomllib.TOMLDecodeError, ArithmeticError, RecursionError) as problem:
            self.problems.append(f"{path}: is not TOML: {problem}")
        return {}

    def _table(self, name: str) -> dict[str, Any]:
        table = self._doc.get(name, {})
        if isinstance(table, dict):
            return table
        self.problem(name, f"is not a table; write [{name}]")
        self._doc[name] = {}
        return {}

    def _unknown(self, key: str, known: Iterable[str]) -> None:
        self.problem(key, f"unknown key{nearest(key, known)}")

    def _check_keys(self, section: str, table: Any) -> None:
        for key in table if isinstance(table, dict) else ():
            if f"{section}.{key}" not in self._known:
                self._unknown(f"{section}.{key}", self._known)

    def _provider(self, name: str, table: Any, catalogue: Mapping[str, ProviderRow]) -> None:
        key = f"providers.{name}"
        if name == "openai_compat":
            for number, entry in enumerate(table if isinstance(table, list) else [table]):
                self._compatible_provider(f"{key}[{number}]", entry, catalogue)
        elif key in self._tables:
            self._check_keys(key, table)
            if not isinstance(table, dict):
                self.problem(key, f"is not a table; write [{key}]")
        elif name in catalogue:
            self.problem(key, f'unknown key; write [[providers.openai_compat]] with id = "{name}"')
        else:
            self._unknown(key, [*self._tables, "providers.openai_compat"])

    def _compatible_provider(self, key: str, entry: Any, catalogue: Mapping[str, ProviderRow]) -> None:
        if not isinstance(entry, dict):
            self.problem(key, "is not a table; write [[providers.openai_compat]]")
            return
        prices = entry.get("prices", {})
        values = self._fields(key, {name: value for name, value in entry.items() if name != "prices"})
        values["id"] = values.get("id", "").lower()
        row = catalogue.get(values["id"])
        if not _ID.fullmatch(values["id"]):
            self.problem(f"{key}.id", "must be letters, digits, dots, dashes and underscores")
        elif values["id"] in _RESERVED or (row is not None and row.own_table):
            self.problem(f"{key}.id", f'"{values["id"]}" is taken; choose another id or use its own table')
        elif values["id"] in {each.id for each in self.compatible}:
            self.problem(f"{key}.id", f'"{values["id"]}" is there twice')
        elif not (values.get("base_url") or "base_url" in entry or (row is not None and row.base_url)):
            near = nearest(values["id"], catalogue) if row is None else ""
            self.problem(f"{key}.base_url", f'is missing; "{values["id"]}" has no built-in address{near}')
        self.compatible.append(CompatibleProvider(**values))
        if isinstance(prices, dict):
            for model, table in prices.items():
                self._price(f'{key}.prices."{model}"', f"{values['id']}/{model}", table)
        else:
            self.problem(f"{key}.prices", "is not a table of models")

    def _fields(self, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for name, value in entry.items():
            if name not in _COMPATIBLE:
                self._unknown(f"{key}.{name}", [f"{key}.{each}" for each in (*_COMPATIBLE, "prices")])
            elif value != "":
                try:
                    values[name] = _COMPATIBLE[name].read(value)
                except ValueError as problem:
                    self.problem(f"{key}.{name}", str(problem))
        return values

    def _price(self, key: str, name: str, table: Any) -> None:
        if not isinstance(table, dict) or "/" not in name:
            self.problem(key, 'is not a price; write [prices."provider/model"] with input and output')
            return
        known = PriceTable.__struct_fields__
        for each in table:
            if each not in known:
                self._unknown(f"{key}.{each}", [f"{key}.{name}" for name in known])
        for each in ("input", "output"):
            if each not in table:
                self.problem(f"{key}.{each}", "is missing")
        written = {each: str(table[each]) for each in known if each in table}
        before = len(self.problems)
        for each, text in written.items():
            try:
                pico_per_token(text)
            except ValueError as problem:
                self.problem(f"{key}.{each}", str(problem))
        if len(self.problems) == before and "input" in table and "output" in table:
            self.prices[name.lower()] = PriceTable(**written).price()
