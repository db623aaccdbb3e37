"""The group `providers`, for the operator: the list of its commands. Imports none of them."""

import click

from dominion.cli.lazy import Lazy, Place

COMMANDS = {
    "list": Place("providers.registry", "list_providers", "List providers in the order in which they are asked."),
    "show": Place("providers.registry", "show_provider", "Show one provider."),
    "add": Place("providers.registry", "add_provider", "Register a provider."),
    "change": Place("providers.registry", "change_provider", "Change a registered provider."),
    "set-key": Place("providers.registry", "set_key", "Set the key of a provider, typed or piped in."),
    "remove-key": Place("providers.registry", "remove_key", "Forget the key of a provider."),
    "validate": Place("providers.registry", "validate", "Ask a provider whether it takes its key."),
    "enable": Place("providers.registry", "enable", "Let requests go to a provider again."),
    "disable": Place("providers.registry", "disable", "Let no request go to a provider."),
    "remove": Place("providers.registry", "remove_provider", "Remove a provider and its key."),
    "models": Place("providers.costs", "models", "List the models of a provider with their prices."),
    "recommend": Place("providers.costs", "recommend", "Name a model for a task and a budget."),
    "estimate": Place("providers.costs", "estimate", "Tell what a run costs."),
    "difference": Place("providers.costs", "difference", "Tell what a run costs more with another model."),
    "audit": Place("providers.costs", "audit", "Show who changed what."),
    "login": Place("providers.sign_in", "login", "Sign in to a provider that has no keys."),
    "logout": Place("providers.sign_in", "logout", "Forget the token that login kept."),
}


@click.group(cls=Lazy, table=COMMANDS)
def providers() -> None:
    """Register providers, and see what their models cost.

    Providers of dominion.toml and the environment are listed with the source "file" and are changed there; those that
    are registered here are changed here, and every change holds from the next request on.
    """
