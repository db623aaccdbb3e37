"""Providers and models by name: what a caller's model name means, and what callers can use.

Decides only. It never asks a provider which models it has.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dominion.domain.errors import UnknownModel, UnknownProvider
from dominion.domain.providers import ModelRow, ProviderRow, Slot
from dominion.providers.catalog_files import read_models, read_providers
from dominion.providers.facts import Fact, Facts
from dominion.providers.price_file import DatedPrice
from dominion.providers.stub import is_stub_model

STUB = "stub"
AUTO = "auto"
_ANY_MODEL = "*"
_LONGEST_NAME = 256
_LONGEST_SHOWN = 100

Found = tuple[Slot, str, ModelRow | None]


class Catalogue:
    """All known providers and models. `default_model` answers "auto" when a configured provider serves it.

    `facts` complete what models.toml says of a model, and all that is known of one that it does not name.
    """

    def __init__(
        self,
        providers: Iterable[ProviderRow],
        models: Iterable[tuple[ModelRow, tuple[DatedPrice, ...]]],
        default_model: str = "",
        facts: Facts | None = None,
    ) -> None:
        self.providers: Mapping[str, ProviderRow] = {row.id: row for row in providers}
        self.default_model = default_model
        self._facts = facts
        self._rows: dict[tuple[str, str], ModelRow] = {}
        self._sent: dict[tuple[str, str], ModelRow] = {}
        self._prices: dict[tuple[str, str], tuple[DatedPrice, ...]] = {}
        for row, prices in models:
            if row.id != _ANY_MODEL:
                self._rows[row.provider, row.id] = row
                self._sent.setdefault((row.provider, row.sends or row.id), row)
            for name in {row.id, row.sends or row.id} if prices else ():
                self._prices[row.provider, name.lower()] = prices

    @classmethod
    def load(cls, default_model: str = "", facts: Facts | None = None) -> "Catalogue":
        """The catalogue that comes with this package."""
        return cls(read_providers(), read_models(), default_model, facts)

    def row(self, provider: str, model: str) -> ModelRow | None:
        """What is known of a model, under the caller's name for it or the provider's."""
        row = self._rows.get((provider, model)) or self._sent.get((provider, model))
        fact = self._fact(provider, row.sends or row.id if row else model)
        if fact is None:
            return row
        row = row or ModelRow(id=model, provider=provider)
        return msgspec.structs.replace(
            row,
            name=row.name or fact.name,
            context_window=row.context_window or fact.context_window,
            max_output=row.max_output or fact.max_output,
            abilities=row.abilities or frozenset(fact.abilities),
        )

    def own_prices(self, provider: str, model: str) -> tuple[DatedPrice, ...]:
        """Prices of models.toml; empty when there are none."""
        name = model.lower()
        return self._prices.get((provider, name)) or self._prices.get((provider, _ANY_MODEL), ())

    def resolve(self, model: str, provider: str, slots: Sequence[Slot]) -> list[Found]:
        """Slots that can answer, best first, each with the model name to send and what is known of the model.

        A model is "provider/model", a bare name, or "auto"; `provider` a provider id or "auto". Where no real provider
        is configured the stub answers for known models. Raises UnknownModel or UnknownProvider.
        """
        if len(model) > _LONGEST_NAME or not (model.isascii() and model.isprintable()):
            raise UnknownModel(f"{_shown(model)} cannot be the name of a model.", param="model")  # it goes into headers
        if provider.lower() != AUTO:
            return self._of_provider(provider.lower(), model, slots)
        if model in ("", AUTO):
            return self._auto(slots)
        return self._serving(model, slots) or self._unserved(model, slots)

    def models(self, slots: Sequence[Slot]) -> list[ModelRow]:
        """Rows of models that callers can use, each `id` a name that `resolve` takes to this row's provider.

        The stub is listed only where nothing else is.
        """
        rows = []
        for slot in _real(slots) or slots:
            for name in self._names(slot):
                _, sends, row = self._found(slot, name)
                first = next(iter(self._serving(name, slots)), None)
                shown = name if first is not None and first[0] is slot else f"{slot.row.id}/{name}"
                row = row or ModelRow(id=name, provider=slot.row.id)
                rows.append(msgspec.structs.replace(row, id=shown, sends=sends))
        return rows

    def _fact(self, provider: str, model: str) -> Fact | None:
        """Only for providers of the catalogue: an operator's own endpoint may bear the name of a company."""
        row = self.providers.get(provider)
        if row is None or self._facts is None:
            return None
        found = (self._facts.fact(name, model) for name in row.facts_as or (row.id,))
        return next((fact for fact in found if fact is not None), None)

    def _of_provider(self, provider: str, model: str, slots: Sequence[Slot]) -> list[Found]:
        chosen = [slot for slot in slots if slot.row.id == provider]
        if not chosen:
            raise self._not_configured(provider, slots)
        head, _, rest = model.partition("/")
        if rest and head.lower() == provider:
            model = rest
        return self._of_chosen(model, chosen)

    def _of_chosen(self, model: str, chosen: Sequence[Slot]) -> list[Found]:
        if model in ("", AUTO):
            return [self._found(slot, slot.default_model) for slot in chosen if slot.default_model]
        return [self._found(slot, model) for slot in _of_one_api(model, chosen)]

    def _auto(self, slots: Sequence[Slot]) -> list[Found]:
        real = _real(slots)
        if self.default_model and real:
            if found := self._serving(self.default_model, slots):
                return found
            if not self.owner(self.default_model):  # the operator knows a model that the catalogue does not
                return [(real[0], self.default_model, None)]
        found = [self._found(slot, slot.default_model) for slot in real or slots if slot.default_model]
        if not found:
            raise UnknownModel("No configured provider has a default model; name one.", param="model")
        return found

    def _serving(self, model: str, slots: Sequence[Slot]) -> list[Found]:
        """Slots by "provider/model"; else slots whose operator named the model, then those whose provider has it."""
        head, _, rest = model.partition("/")
        head = head.lower()
        if model.lower() == STUB:
            head, rest = STUB, ""
        if rest or head == STUB:
            chosen = [slot for slot in slots if slot.row.id == head]
            if chosen:
                return self._of_chosen(rest, chosen)
        real = _real(slots)
        named = [slot for slot in real if model in slot.models]
        known = [
            slot for slot in real if slot not in named and (model == slot.default_model or self._has(slot.row, model))
        ]
        return [self._found(slot, model) for slot in _of_one_api(model, [*named, *known])]

    def _found(self, slot: Slot, model: str) -> Found:
        if slot.row.id == STUB and not is_stub_model(model):
            raise UnknownModel(f"The stub has no model {_shown(model)}.", param="model")
        row = self.row(slot.row.id, model)
        return slot, row.sends or row.id if row is not None and row.id == model else model, row

    def _unserved(self, model: str, slots: Sequence[Slot]) -> list[Found]:
        """Known, but no slot has it: the stub stands in where nothing else is configured."""
        owner = self.owner(model)
        if not owner:
            raise UnknownModel(f"No provider here serves a model {_shown(model)}.{self._nearest(model, slots)}")
        if _real(slots):
            raise self._not_configured(owner, slots)
        return [self._found(slot, slot.default_model) for slot in slots]

    def owner(self, model: str) -> str:
        """The provider that a name belongs to, configured or not; empty: nobody knows the name."""
        head, _, rest = model.partition("/")
        if rest and head.lower() in self.providers:
            return head.lower()
        return next((row.id for row in self.providers.values() if self._has(row, model)), "")

    def _has(self, provider: ProviderRow, model: str) -> bool:
        if provider.id == STUB:
            return False
        known = (provider.id, model) in self._rows or (provider.id, model) in self._sent
        return known or model.startswith(provider.model_prefixes)

    def _names(self, slot: Slot) -> list[str]:
        ours = [name for provider, name in self._rows if provider == slot.row.id]
        return list(dict.fromkeys([*slot.models, *filter(None, [slot.default_model]), *ours]))

    def _nearest(self, model: str, slots: Sequence[Slot]) -> str:
        names = [(slot.row.id, name) for slot in slots for name in self._names(slot)]
        names += () if _real(slots) else self._rows
        known = {f"{provider}/{name}" if "/" in model else name: None for provider, name in names}
        near = difflib.get_close_matches(model[:_LONGEST_SHOWN], known, n=3)
        return f" Did you mean {' or '.join(near)}?" if near else ""

    def _not_configured(self, provider: str, slots: Sequence[Slot]) -> UnknownProvider:
        row = self.providers.get(provider)
        if row is None:
            configured = ", ".join(dict.fromkeys(slot.row.id for slot in slots))
            return UnknownProvider(
                f"There is no provider {_shown(provider)} here; configured: {configured}.", param="provider"
            )
        return UnknownProvider(
            f"{row.name} is not configured on this gateway.",
            action=f'Use "auto", or ask the operator to {how_to_configure(row)}.',
            param="provider",
        )


def how_to_configure(row: ProviderRow) -> str:
    """What an operator does to configure a provider of the catalogue, as the end of a sentence."""
    if row.id in ("openai", "anthropic"):
        return f"set {row.key_env[0]}, or api_key under [providers.{row.id}] in dominion.toml"
    if row.own_table:
        return f"add [providers.{row.id}] to dominion.toml"
    return f'add [[providers.openai_compat]] with id = "{row.id}" to dominion.toml'


def _of_one_api(model: str, slots: Sequence[Slot]) -> list[Slot]:
    """Of a provider with several APIs only the one whose prefixes fit the model best, else its first."""
    fitting: dict[str, Slot] = {}
    for slot in slots:
        fitting[slot.row.id] = max(fitting.get(slot.row.id, slot), slot, key=lambda each: _fit(each, model))
    return [slot for slot in slots if slot.row.wire == fitting[slot.row.id].row.wire]


def _fit(slot: Slot, model: str) -> int:
    return max((len(prefix) for prefix in slot.row.model_prefixes if model.startswith(prefix)), default=0)


def _real(slots: Sequence[Slot]) -> list[Slot]:
    return [slot for slot in slots if slot.row.id != STUB]


def _shown(name: str) -> str:
    return repr(name if len(name) <= _LONGEST_SHOWN else name[:_LONGEST_SHOWN] + "...")
