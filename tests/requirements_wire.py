"""The promises of document 003 about providers and their APIs that tests prove, for requirements.py."""

WIRE: tuple[tuple[str, str], ...] = (
    ("003-003", "All providers stand behind one contract."),
    ("003-092", "A provider with an API of its own is one file."),
    ("003-101", "Gemini answers whole and in streams, through its own API."),
    ("003-223", "Gemini is a provider."),
    ("003-224", "Local models answer, by Ollama and LM Studio."),
    ("003-225", "Azure OpenAI is a provider."),
    ("003-226", "Providers come in without a rebuild, those with an API of their own too."),
    ("003-235", "A new provider is less than an hour of work: a few lines of a row, or a dialect of sixty lines."),
    ("003-236", "No file of a provider's implementation has 500 lines."),
)
