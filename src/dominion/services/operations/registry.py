"""What operators ask of the registry, as rows of the table of operations."""

from typing import Any

import msgspec

from dominion.domain.errors import InvalidRequest
from dominion.services.operations.table import Asked, Operation
from dominion.services.registry.advice import Advice
from dominion.services.registry.checks import Checks
from dominion.services.registry.editing import NewProvider, ProviderChanges, Registry

MOST_TOKENS = 1_000_000_000
USUAL_INPUT, USUAL_OUTPUT = 1_000, 500
"""Tokens of a run, where nobody says how many."""


class NewCredentials(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /admin/providers/{id}/credentials`."""

    api_key: str


def registry_operations(registry: Registry, checks: Checks, advice: Advice) -> tuple[Operation, ...]:
    """The rows."""
    return (*_of_providers(registry), *_of_states(registry, checks), *_of_models(advice), *_of_audit(registry))


def _of_providers(registry: Registry) -> tuple[Operation, ...]:
    async def every(asked: Asked) -> Any:
        return await registry.listed(every=_flag(asked, "all"), enabled=_flag(asked, "enabled"))

    async def one(asked: Asked) -> Any:
        return await registry.shown(asked.path["id"])

    async def add(asked: Asked) -> Any:
        return await registry.add(asked.read(NewProvider), asked.request_id)

    async def change(asked: Asked) -> Any:
        return await registry.change(asked.path["id"], asked.read(ProviderChanges), asked.request_id)

    async def remove(asked: Asked) -> Any:
        return await registry.remove(asked.path["id"], asked.request_id)

    async def set_key(asked: Asked) -> Any:
        return await registry.set_key(asked.path["id"], asked.read(NewCredentials).api_key, asked.request_id)

    async def remove_key(asked: Asked) -> Any:
        return await registry.remove_key(asked.path["id"], asked.request_id)

    all_of_them, single = "/admin/providers", "/admin/providers/{id}"
    key = f"{single}/credentials"
    listing = (
        "Providers in the order in which they are asked; query: all (true: others, too), enabled (true: no others)"
    )
    keep = "Set the key of a provider; it is sealed, and never shown again"
    return (
        Operation("providers", "GET", all_of_them, "admin", listing, every),
        Operation("add_provider", "POST", all_of_them, "admin", "Register a provider", add, NewProvider, creates=True),
        Operation("provider", "GET", single, "admin", "One provider", one),
        Operation("change_provider", "PATCH", single, "admin", "Change a provider", change, ProviderChanges),
        Operation("remove_provider", "DELETE", single, "admin", "Remove a provider and its key", remove),
        Operation("set_provider_key", "PUT", key, "admin", keep, set_key, NewCredentials),
        Operation("remove_provider_key", "DELETE", key, "admin", "Forget the key of a provider", remove_key),
    )


def _of_states(registry: Registry, checks: Checks) -> tuple[Operation, ...]:
    async def validate(asked: Asked) -> Any:
        return await checks.validate(asked.path["id"])

    async def enable(asked: Asked) -> Any:
        return await registry.change(asked.path["id"], ProviderChanges(enabled=True), asked.request_id)

    async def disable(asked: Asked) -> Any:
        return await registry.change(asked.path["id"], ProviderChanges(enabled=False), asked.request_id)

    async def models(asked: Asked) -> Any:
        return await checks.models(asked.path["id"])

    single = "/admin/providers/{id}"
    return (
        Operation("validate_provider", "POST", f"{single}/validate", "admin", "Does it answer to its key?", validate),
        Operation("enable_provider", "POST", f"{single}/enable", "admin", "Enable a provider", enable),
        Operation("disable_provider", "POST", f"{single}/disable", "admin", "Disable a provider", disable),
        Operation("provider_models", "GET", f"{single}/models", "admin", "The models that a provider lists", models),
    )


def _of_models(advice: Advice) -> tuple[Operation, ...]:
    async def recommend(asked: Asked) -> Any:
        return await advice.recommend(_given(asked, "budget"), asked.query.get("task", "chat"))

    async def estimate(asked: Asked) -> Any:
        return await advice.estimate(_given(asked, "model"), *_tokens(asked))

    async def difference(asked: Asked) -> Any:
        return await advice.difference(_given(asked, "from"), _given(asked, "to"), *_tokens(asked))

    best = "The model for a task and a budget; query: budget (US dollars a run), task"
    cost = "What a run costs; query: model, input, output (tokens)"
    more = "What a run costs more with another model; query: from, to, input, output (tokens)"
    return (
        Operation("recommend_model", "GET", "/admin/models/recommend", "admin", best, recommend),
        Operation("estimate_cost", "GET", "/admin/models/estimate", "admin", cost, estimate),
        Operation("price_difference", "GET", "/admin/models/difference", "admin", more, difference),
    )


def _of_audit(registry: Registry) -> tuple[Operation, ...]:
    async def page(asked: Asked) -> Any:
        after = asked.query.get("after", "0")
        if not after.isdecimal():
            raise InvalidRequest("after is the number of an entry.", param="after")
        return await registry.audit(int(after[:18]), asked.number("limit", 100, 1000), asked.query.get("subject"))

    log = "Who changed what, oldest first; query: after, limit, subject (provider:ID)"
    return (Operation("audit", "GET", "/admin/audit", "admin", log, page),)


def _flag(asked: Asked, name: str) -> bool:
    value = asked.query.get(name, "false")
    if value not in ("true", "false"):
        raise InvalidRequest(f"{name} is true or false.", param=name)
    return value == "true"


def _given(asked: Asked, name: str) -> str:
    value = asked.query.get(name, "")
    if not value:
        raise InvalidRequest(f"The query needs {name}.", param=name)
    return value


def _tokens(asked: Asked) -> tuple[int, int]:
    return asked.number("input", USUAL_INPUT, MOST_TOKENS), asked.number("output", USUAL_OUTPUT, MOST_TOKENS)
