"""What a model costs on a given day. Never imports the price source: that runs apart (price_export) and leaves a file.

Order of truth: the operator's prices, then those of models.toml, then the source's. A model found in none of them is
unpriced, never free.
"""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec

from dominion.domain.errors import ConfigProblem
from dominion.domain.providers import ProviderRow
from dominion.domain.usage import Price
from dominion.providers.catalog import Catalogue
from dominion.providers.price_file import LAYOUT, DatedPrice, ProviderPrices, find, price_at, with_dashed_date

_REMEMBERED = 2_000
_EXPORT_SECONDS = 60


class PriceBook:
    """Prices by provider and model.

    `operator` maps "provider/model" or "provider/*", in lower case, to prices; `exported` is what `read_prices` gave.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        operator: Mapping[str, Price] | None = None,
        exported: Mapping[str, ProviderPrices] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._operator = operator or {}
        self._exported = exported or {}
        self._found: dict[tuple[str, str], tuple[DatedPrice, ...]] = {}

    def price(self, provider: str, model: str, at: float) -> Price | None:
        """The price at `at` epoch seconds, under the caller's name for the model or the provider's; None: unpriced."""
        found = self._found.get((provider, model))
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[provider, model] = self._find(provider, model)
        return price_at(found, at) if found else None

    def _find(self, provider: str, model: str) -> tuple[DatedPrice, ...]:
        row = self._catalogue.row(provider, model)
        names = dict.fromkeys((model, row.sends or row.id, row.id) if row else (model,))
        for name in (*names, "*"):
            if price := self._operator.get(f"{provider}/{name}".lower()):
                return (DatedPrice(price),)
        for name in names:
            if prices := self._catalogue.own_prices(provider, name) or self._from_source(provider, name):
                return prices
        return ()

    def _from_source(self, provider: str, model: str) -> tuple[DatedPrice, ...]:
        """Only for providers of the catalogue: an operator's own endpoint may bear the name of a company."""
        row = self._catalogue.providers.get(provider)
        prices = self._exported.get(row.prices_as or row.id) if row else None
        if prices is None:
            return ()
        sellers = (prices, *(self._exported[each] for each in prices.fallback if each in self._exported))
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


def read_prices(path: Path, rows: Iterable[ProviderRow]) -> dict[str, ProviderPrices]:
    """The exported prices of these providers and of those whose models they resell; the rest stays undecoded.

    Raises ConfigProblem when the file is not what `ensure_prices` writes.
    """
    try:
        raw = msgspec.msgpack.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
        wanted = {row.prices_as or row.id for row in rows}
        prices = _decode(raw, wanted)
        return prices | _decode(raw, {each for seller in prices.values() for each in seller.fallback})
    except (OSError, msgspec.DecodeError) as problem:
        raise ConfigProblem(
            f"{path}: the price file cannot be read: {problem}",
            action="Delete the file; it is made again at the start.",
        ) from problem


def _decode(raw: Mapping[str, msgspec.Raw], wanted: Iterable[str]) -> dict[str, ProviderPrices]:
    return {each: msgspec.msgpack.decode(raw[each], type=ProviderPrices) for each in wanted if each in raw}
