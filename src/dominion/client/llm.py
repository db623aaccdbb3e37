"""The public API: `LLM` for async programs, and the same for scripts, `LLM.sync()`."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from dominion.client.config_file import Surroundings, load_config
from dominion.client.gateway import GatewayProvider, Quota
from dominion.client.provider import LLMCompletionOptions, LLMModel, LLMProvider, LLMResponse
from dominion.client.registry import Own, build, is_own
from dominion.client.selection import GATEWAY, TOKEN_NAME, URL_NAME, choose
from dominion.client.stored_login import StoredLogin
from dominion.domain.errors import ConfigProblem, InvalidRequest

AUTO = "auto"
T = TypeVar("T")
Messages = Sequence[Mapping[str, Any]]


class LLMStream:
    """The pieces of an answer's text as they come. `response` is the whole answer, once the last piece has come."""

    def __init__(self, source: AsyncIterator[str | LLMResponse]) -> None:
        self.response: LLMResponse | None = None
        self._pieces = self._read(source)

    async def _read(self, source: AsyncIterator[str | LLMResponse]) -> AsyncGenerator[str, None]:
        text = ""
        try:
            async for piece in source:
                if isinstance(piece, LLMResponse):
                    self.response = piece
                else:
                    text += piece
                    yield piece
            self.response = self.response or LLMResponse(content=text)
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()

    def __aiter__(self) -> AsyncIterator[str]:
        return self._pieces

    async def aclose(self) -> None:
        """Stop the answer here; what was generated so far is charged, and no more."""
        await self._pieces.aclose()


class LLM:
    """A language model, behind whichever provider the configuration chooses.

    >>> async with LLM() as llm:
    ...     response = await llm.complete(prompt="Hello!")
    ...     print(response.content, response.usage.total_tokens)

    `url` and `token` name a gateway, `provider` another provider, `model` the model for calls that name none.
    `provider_key` is your own key at the provider that the gateway asks for you; a mapping has several, by provider.
    `providers` registers one's own classes by name. Everything else comes from the environment and pm.config.yaml.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        token: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        providers: Own | None = None,
        provider_key: str | Mapping[str, str] = "",
        surroundings: Surroundings | None = None,
    ) -> None:
        """Raises ConfigProblem, UnknownProvider, or Unauthenticated when a gateway is wanted without a key."""
        if not isinstance(provider_key, str):
            provider_key = ", ".join(f"{name} {key}" for name, key in provider_key.items())
        self._provider_key = provider_key
        around = surroundings or Surroundings.real()
        given = {URL_NAME: url, TOKEN_NAME: token}
        self._environ = {**around.environ, **{name: value for name, value in given.items() if value is not None}}
        self._config = load_config(around)
        self._choice = choose(self._config, self._environ, StoredLogin.load(around.config_folder))
        self._own = providers or {}
        self._model = model
        self._made: dict[str, LLMProvider] = {}
        self.provider = self._named(provider or self._choice.provider)
        if provider_key and not isinstance(self.provider, GatewayProvider):
            raise ConfigProblem(
                f"The provider {self.provider.name!r} takes no provider_key; only a gateway passes one on.",
                action=f"Run `dominion login`, set {TOKEN_NAME}, or leave it out.",
            )

    @classmethod
    def sync(cls, **arguments: Any) -> "SyncLLM":
        """The same for scripts without async; arguments as of the class itself."""
        return SyncLLM(cls(**arguments))

    async def complete(
        self,
        messages: Messages | None = None,
        *,
        prompt: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        ask_first: bool = False,
        accept: str | None = None,
        max_cost: str | None = None,
        **extra: Any,
    ) -> LLMResponse:
        """The whole answer to `messages` (`{"role", "content"}`), or to one `prompt`.

        `provider` is "openai", "anthropic", "auto" or one's own; `max_tokens` caps the output. `ask_first`, `accept`
        and `max_cost`: see `LLMCompletionOptions`. `extra` are further fields of the native API: tools, top_p, ...
        Raises errors of `dominion.domain.errors`.
        """
        named = {"model": model, "temperature": temperature, "max_tokens": max_tokens, "max_cost": max_cost}
        asked, options = self._asked(
            provider, messages, prompt, ask_first=ask_first, accept=accept, extra=extra, **named
        )
        return await asked.complete(options)

    def stream(
        self,
        messages: Messages | None = None,
        *,
        prompt: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        ask_first: bool = False,
        accept: str | None = None,
        max_cost: str | None = None,
        **extra: Any,
    ) -> LLMStream:
        """The same, piece by piece: `async for piece in llm.stream(...)`. Errors are raised by the iteration."""
        named = {"model": model, "temperature": temperature, "max_tokens": max_tokens, "max_cost": max_cost}
        asked, options = self._asked(
            provider, messages, prompt, ask_first=ask_first, accept=accept, extra=extra, **named
        )
        return LLMStream(asked.stream(options))

    async def models(self) -> list[LLMModel]:
        """The models that can be asked for."""
        return await self.provider.models()

    async def quota(self) -> Quota:
        """What is used and what is left. Raises InvalidRequest where no gateway keeps count."""
        if not isinstance(self.provider, GatewayProvider):
            raise _only_a_gateway(self.provider, "keeps no quota")
        return await self.provider.quota()

    async def quote(
        self,
        messages: Messages | None = None,
        *,
        prompt: str | None = None,
        models: Sequence[str] = (),
        model: str | None = None,
        provider: str | None = None,
        max_tokens: int | None = None,
        **extra: Any,
    ) -> dict[str, Any]:
        """What a request would cost before it is made, with each of `models` or with `model`: likely, and at most.

        Nobody is asked and nothing is charged. Raises InvalidRequest where no gateway knows the prices.
        """
        asked, options = self._asked(provider, messages, prompt, model=model, max_tokens=max_tokens, extra=extra)
        if not isinstance(asked, GatewayProvider):
            raise _only_a_gateway(asked, "tells no price")
        return await asked.quote(options, models)

    async def aclose(self) -> None:
        """Close every connection."""
        for provider in self._made.values():
            await provider.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _named(self, name: str) -> LLMProvider:
        if name not in self._made:
            self._made[name] = build(name, self._choice, self._config, self._environ, self._own, self._provider_key)
        return self._made[name]

    def _asked(
        self,
        provider: str | None,
        messages: Messages | None,
        prompt: str | None,
        **options: Any,
    ) -> tuple[LLMProvider, LLMCompletionOptions]:
        """Who is asked, and what. A gateway knows providers of its own: only names registered here are not for it."""
        if (messages is None) == (prompt is None):
            raise InvalidRequest("Give either messages or a prompt.", param="messages")
        asked, passed = self.provider, None
        if provider is not None and provider != AUTO:
            if asked.name == GATEWAY and provider != GATEWAY and not is_own(provider, self._config, self._own):
                passed = provider
            else:
                asked = self._named(provider)
        if options.get("max_cost") is not None and asked.name != GATEWAY:
            raise _only_a_gateway(asked, "keeps to no maximum of cost")
        if messages is None:
            messages = [{"role": "user", "content": prompt}]
        options["model"] = options["model"] or self._model
        return asked, LLMCompletionOptions(messages=messages, provider=passed, **options)


def _only_a_gateway(provider: LLMProvider, does_not: str) -> InvalidRequest:
    return InvalidRequest(
        f"The provider {provider.name!r} {does_not}; only a gateway does.",
        action=f"Run `dominion login`, or set {TOKEN_NAME}.",
    )


class SyncStream:
    """`LLMStream` for scripts; `response` is the whole answer, once the last piece has come."""

    def __init__(self, stream: LLMStream, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._stream = stream
        self._run = run

    @property
    def response(self) -> LLMResponse | None:
        """The whole answer; None before the last piece."""
        return self._stream.response

    def __iter__(self) -> Iterator[str]:
        pieces = aiter(self._stream)

        async def step() -> str | None:
            return await anext(pieces, None)

        try:
            while (piece := self._run(step())) is not None:
                yield piece
        finally:
            self._run(self._stream.aclose())


class SyncLLM:
    """`LLM` for scripts: every call runs in a private event loop, in a thread of its own. Close it, or use `with`."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dominion-sync", daemon=True)
        self._thread.start()

    def complete(self, messages: Messages | None = None, **options: Any) -> LLMResponse:
        """As `LLM.complete`."""
        return self._run(self._llm.complete(messages, **options))

    def stream(self, messages: Messages | None = None, **options: Any) -> "SyncStream":
        """As `LLM.stream`, for `for`."""
        return SyncStream(self._llm.stream(messages, **options), self._run)

    def models(self) -> list[LLMModel]:
        """As `LLM.models`."""
        return self._run(self._llm.models())

    def quota(self) -> Quota:
        """As `LLM.quota`."""
        return self._run(self._llm.quota())

    def quote(self, messages: Messages | None = None, **options: Any) -> dict[str, Any]:
        """As `LLM.quote`."""
        return self._run(self._llm.quote(messages, **options))

    def close(self) -> None:
        """Close every connection and end the thread. Idempotent."""
        if not self._loop.is_closed():
            self._run(self._llm.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupted script stops the request too
            raise
