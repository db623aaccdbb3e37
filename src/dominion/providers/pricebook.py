"""What a model costs at a given second. Never imports the price source: that runs apart and leaves a file.

Order of truth: the operator's dated rows, then the prices of the operator's file, then those of models.toml, then the
source's. A model found in none of them is unpriced, never free.
"""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from dominion.domain.errors import ConfigProblem
from dominion.domain.prices import PriceRow
from dominion.domain.usage import Price
from dominion.providers.catalog import Catalogue
from dominion.providers.price_file import LAYOUT, DatedPrice, ProviderPrices, find, price_at, with_dashed_date

_REMEMBERED = 2_000
_EXPORT_SECONDS = 60


Source = Literal["operator", "file", "catalogue", "genai-prices"]


class _Prices(NamedTuple):
    """All prices of one model: `rows` by name, the nearest name first, each in the order in which they begin; and what
    holds before all of them."""

    rows: tuple[tuple[PriceRow, ...], ...]
    other: tuple[DatedPrice, ...]
    source: Source | None


class PriceBook:
    """Prices by provider and model.

    `operator` maps "provider/model" or "provider/*", in lower case, to prices of the operator's file; `exported` is
    what `read_prices` gave, None: not read yet.

    `version` grows with every change of prices, and when one of the operator's rows begins: who remembers a price
    forgets it then.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        operator: Mapping[str, Price] | None = None,
        exported: Mapping[str, ProviderPrices] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._operator = operator or {}
        self._exported = exported
        self._found: dict[tuple[str, str], _Prices] = {}
        self._rows: Mapping[tuple[str, str], Sequence[PriceRow]] = {}
        self._edges: list[int] = []
        self._turned = 0.0
        self.version = 0

    def replace(self, rows: Iterable[PriceRow]) -> None:
        """These are all rows of the operator from now on."""
        by_model: defaultdict[tuple[str, str], list[PriceRow]] = defaultdict(list)
        for row in sorted(rows, key=attrgetter("valid_from", "number")):
            by_model[row.provider, row.model].append(row)
        self._rows = by_model
        self._edges = [row.valid_from for own in by_model.values() for row in own]
        self._found.clear()
        self.version += 1

    @property
    def has_source(self) -> bool:
        """Whether the source's prices were read."""
        return self._exported is not None

    def learn(self, exported: Mapping[str, ProviderPrices]) -> None:
        """These are the source's prices."""
        self._exported = exported
        self._found.clear()
        self.version += 1

    def turn(self, now: float) -> bool:
        """Whether a row has begun since the last call; then `version` has grown."""
        begun = any(self._turned < edge <= now for edge in self._edges)
        self._turned = now
        self.version += begun
        return begun

    def price(self, provider: str, model: str, at: float) -> Price | None:
        """The price at `at` epoch seconds, under the caller's name for the model or the provider's; None: unpriced."""
        return self.explain(provider, model, at)[0]

    def explain(self, provider: str, model: str, at: float) -> tuple[Price | None, Source | None]:
        """The price and where it stands."""
        found = self._prices(provider, model)
        for rows in found.rows:
            row = next((row for row in reversed(rows) if row.valid_from <= at), None)
            if row is not None:
                return row.price, "operator"
        return price_at(found.other, at) if found.other else None, found.source

    def history(self, provider: str, model: str) -> tuple[list[PriceRow], tuple[DatedPrice, ...], Source | None]:
        """The operator's rows of a model in the order in which they begin, what holds before them, and its source."""
        found = self._prices(provider, model)
        return [row for rows in found.rows for row in rows], found.other, found.source

    def _prices(self, provider: str, model: str) -> _Prices:
        found = self._found.get((provider, model))
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[provider, model] = self._find(provider, model)
        return found

    def _find(self, provider: str, model: str) -> _Prices:
        row = self._catalogue.row(provider, model)
        names = dict.fromkeys((model, row.sends or row.id, row.id) if row else (model,))
        own = dict.fromkeys((provider, name.lower()) for name in (*names, "*"))
        rows = tuple(tuple(self._rows[key]) for key in own if key in self._rows)
        return _Prices(rows, *self._without_rows(provider, list(names)))

    def _without_rows(self, provider: str, names: Sequence[str]) -> tuple[tuple[DatedPrice, ...], Source | None]:
        for name in (*names, "*"):
            if price := self._operator.get(f"{provider}/{name}".lower()):
                return (DatedPrice(price),), "file"
        for name in names:
            if prices := self._catalogue.own_prices(provider, name):
                return prices, "catalogue"
            if prices := self._from_source(provider, name):
                return prices, "genai-prices"
        return (), None

    def _from_source(self, provider: str, model: str) -> tuple[DatedPrice, ...]:
        """Only for providers of the catalogue: an operator's own endpoint may bear the name of a company."""
        row = self._catalogue.providers.get(provider)
        exported = self._exported or {}
        prices = exported.get(row.prices_as or row.id) if row else None
        if prices is None:
            return ()
        sellers = (prices, *(exported[each] for each in prices.fallback if each in exported))
        name = model.lower()
        found = (find(seller, written) for written in (name, with_dashed_date(name)) for seller in sellers)
        return next((dated for dated in found if dated is not None), ())


def ensure_prices(data_dir: Path) -> Path:
    """The price file of the installed genai-prices, exported by a process of its own if it is not there yet.

    Blocks for about a second the first time. Raises ConfigProblem when the file cannot be made.
    """
    path = data_dir / f"prices-{version('genai-prices')}.{LAYOUT}.msgpack"
    if path.exists():
        return path
    command = [sys.executable, "-P", "-m", "dominion.providers.price_export", str(path)]
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True, capture_output=True, timeout=_EXPORT_SECONDS)  # noqa: S603 - our own code
    except subprocess.CalledProcessError as problem:
        reason = problem.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise ConfigProblem(f"{path}: the prices could not be exported: {reason[0]}") from problem
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise ConfigProblem(f"{path}: the prices could not be exported: {problem}") from problem
    for old in data_dir.glob("prices-*.msgpack"):
        if old != path:
            old.unlink(missing_ok=True)
    return path


def read_prices(path: Path) -> Mapping[str, ProviderPrices]:
    """The exported prices, each provider's decoded when it is first asked for.

    Raises ConfigProblem when the file is not what `ensure_prices` writes.
    """
    try:
        return _Exported(msgspec.msgpack.decode(path.read_bytes(), type=dict[str, msgspec.Raw]))
    except (OSError, msgspec.DecodeError) as problem:
        raise ConfigProblem(
            f"{path}: the price file cannot be read: {problem}",
            action="Delete the file; it is made again at the start.",
        ) from problem


class _Exported(Mapping[str, ProviderPrices]):
    def __init__(self, encoded: Mapping[str, msgspec.Raw]) -> None:
        self._encoded = encoded
        self._decoded: dict[str, ProviderPrices] = {}

    def __getitem__(self, provider: str) -> ProviderPrices:
        if provider not in self._decoded:
            self._decoded[provider] = msgspec.msgpack.decode(self._encoded[provider], type=ProviderPrices)
        return self._decoded[provider]

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)
