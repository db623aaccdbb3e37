"""The custom provider of specification 000, in Python, as a caller would write it."""

from collections.abc import AsyncIterator

from dominion.client.provider import LLMCompletionOptions, LLMProvider, LLMResponse, LLMUsage


class MyProvider(LLMProvider):
    """Answers with what it was asked."""

    name = "my-provider"

    async def complete(self, options: LLMCompletionOptions) -> LLMResponse:
        """As the base class says."""
        text = f"{options.messages[-1]['content']} at {options.temperature} up to {options.max_tokens}"
        return LLMResponse(content=text, usage=LLMUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7))


class Endless(MyProvider):
    """Streams for ever, and knows whether somebody still listens."""

    def __init__(self) -> None:
        self.open = False
        self.kept: list[AsyncIterator[str | LLMResponse]] = []

    def stream(self, options: LLMCompletionOptions) -> AsyncIterator[str | LLMResponse]:
        """As the base class says; kept, so that only an explicit end closes it."""
        self.kept.append(self._stream(options))
        return self.kept[-1]

    async def _stream(self, options: LLMCompletionOptions) -> AsyncIterator[str | LLMResponse]:
        self.open = True
        try:
            while True:
                yield str(options.messages[-1]["content"])
        finally:
            self.open = False


class NoProvider:
    """Has a fitting method and is no provider all the same."""
