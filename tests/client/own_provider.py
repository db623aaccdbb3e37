"""The custom provider of specification 000, in Python, as a caller would write it."""

from dominion.client.provider import LLMCompletionOptions, LLMProvider, LLMResponse, LLMUsage


class MyProvider(LLMProvider):
    """Answers with what it was asked."""

    name = "my-provider"

    async def complete(self, options: LLMCompletionOptions) -> LLMResponse:
        """As the base class says."""
        text = f"{options.messages[-1]['content']} at {options.temperature} up to {options.max_tokens}"
        return LLMResponse(content=text, usage=LLMUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7))


class NoProvider:
    """Has a fitting method and is no provider all the same."""
