"""The one place where providers of the caller's side are registered: the built-in ones, and the caller's own."""

import difflib
import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from dominion.client.anthropic import AnthropicProvider
from dominion.client.config_file import ClientConfig
from dominion.client.gateway import GatewayProvider
from dominion.client.openai import OpenAIProvider
from dominion.client.provider import LLMProvider
from dominion.client.selection import GATEWAY, TOKEN_NAME, Choice
from dominion.client.stub import StubProvider
from dominion.domain.errors import ConfigProblem, Unauthenticated, UnknownProvider

Own = Mapping[str, Callable[[], LLMProvider]]
"""Names to the caller's own provider classes; anything that makes a provider without arguments will do."""
Build = Callable[[ClientConfig, Mapping[str, str]], LLMProvider]

BUILT_IN: Mapping[str, Build] = MappingProxyType(
    {
        "openai": lambda config, environ: OpenAIProvider.configured(config.provider.openai, environ),
        "anthropic": lambda config, environ: AnthropicProvider.configured(config.provider.anthropic, environ),
        "stub": lambda config, _: StubProvider(config.provider.stub.model),
    }
)


def is_own(name: str, config: ClientConfig, own: Own) -> bool:
    """Whether the caller registered a provider of this name."""
    return name in own or name in config.provider.custom


def build(
    name: str, choice: Choice, config: ClientConfig, environ: Mapping[str, str], own: Own, provider_key: str = ""
) -> LLMProvider:
    """The provider of this name; the caller's own names come first. A gateway passes `provider_key` on.

    Raises UnknownProvider, ConfigProblem for what is missing in the configuration, Unauthenticated without a key.
    """
    if name in own:
        return own[name]()
    if name in config.provider.custom:
        return _load(name, config)
    if name in BUILT_IN:
        return BUILT_IN[name](config, environ)
    if name == GATEWAY:
        if not choice.token:
            raise Unauthenticated(
                "There is no key for the gateway.",
                action=f"Run `dominion login`, or set {TOKEN_NAME} to your dom_ key.",
            )
        return GatewayProvider(choice.url, choice.token, provider_key)
    known = [*own, *config.provider.custom, *BUILT_IN, GATEWAY]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UnknownProvider(f"There is no provider {name!r}.{hint}", action=f"Use one of: {', '.join(known)}.")


def _load(name: str, config: ClientConfig) -> LLMProvider:
    """A class that `provider.custom` names as "package.module:Class"."""
    place = config.provider.custom[name]
    module, _, attribute = place.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigProblem(
            f"{config.file}: provider.custom.{name}: {place!r} cannot be loaded: {error}.",
            action="Write it as package.module:Class; the module must be importable and the class need no arguments.",
        ) from error
    if not isinstance(made, LLMProvider):
        raise ConfigProblem(f"{config.file}: provider.custom.{name}: {place!r} is not an LLMProvider.")
    return made
