"""The group `providers`, for the operator: the list of its commands. Imports none of them."""

import click

from dominion.cli.lazy import Lazy, Place

COMMANDS = {
    "list": Place("providers_registry", "list_providers", "List providers in the order in which they are asked."),
    "show": Place("providers_registry", "show_provider", "Show one provider."),
    "add": Place("providers_registry", "add_provider", "Register a provider."),
    "change": Place("providers_registry", "change_provider", "Change a registered provider."),
    "set-key": Place("providers_registry", "set_key", "Set the key of a provider, typed or piped in."),
    "remove-key": Place("providers_registry", "remove_key", "Forget the key of a provider."),
    "validate": Place("providers_registry", "validate", "Ask a provider whether it takes its key."),
    "enable": Place("providers_registry", "enable", "Let requests go to a provider again."),
    "disable": Place("providers_registry", "disable", "Let no request go to a provider."),
    "remove": Place("providers_registry", "remove_provider", "Remove a provider and its key."),
    "models": Place("providers_models", "models", "List the models of a provider with their prices."),
    "recommend": Place("providers_models", "recommend", "Name a model for a task and a budget."),
    "estimate": Place("providers_models", "estimate", "Tell what a run costs."),
    "difference": Place("providers_models", "difference", "Tell what a run costs more with another model."),
    "audit": Place("providers_models", "audit", "Show who changed what."),
    "login": Place("sign_in", "login", "Sign in to a provider that has no keys."),
    "logout": Place("sign_in", "logout", "Forget the token that login kept."),
}


@click.group(cls=Lazy, table=COMMANDS)
def providers() -> None:
    """Register providers, and see what their models cost.

    Providers of dominion.toml and the environment are listed with the source "file" and are changed there; those that
    are registered here are changed here, and every change holds from the next request on.
    """
