"""Writes docs/translation.md: what becomes of each thing between each door and each provider, as the tests measure it.

    python -m tools.translation_table

Never says what was not measured.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.translation.measure import DOORS, MODELS, PROVIDERS, Outcome, answers_of, requests_of

PAGE = Path(__file__).parents[1] / "docs" / "translation.md"
NAMES: Mapping[str, str] = {
    "native": "Native",
    "openai_chat": "OpenAI chat",
    "openai_responses": "OpenAI Responses",
    "anthropic_messages": "Anthropic",
    "gemini": "Gemini",
    "bedrock_converse": "Bedrock",
    "ollama_chat": "Ollama",
}
_LONGEST = 40
_HEAD = """\
# What becomes of a request, and of its answer

Written by `tools/translation_table.py` from what the tests measure; `tests/translation` fails when this page is old.

A caller at one door can be served by a provider that speaks another API. Each row is one thing that a request or an
answer can say, each column an API that providers speak.

- **kept**: it arrives as it was said.
- **mapped**: it arrives in the nearest words of the other side, which are shown.
- **lost**: the other side has no place for it. For requests the names stand in the header `x-dominion-lost` of the
  answer, and with `x-dominion-strict: true` the request is refused instead. What answers lose has no place in the API
  of the door; the gateway itself reads it, so bills know it.
- **relayed**: both sides speak one API, so the bytes go through as they are.
- **-**: the side that begins has no words for it.

Where an API is written by the model's generation, these were asked: {models}.
Two things hang on the model or the service, and are more than the table shows: the seal of a call goes back to every
model with `gemini` in its name and to all services of the dialect `openai_chat_google`; signed reasoning goes back to
those of `openai_chat_openrouter`. What is sealed goes back to the provider that sealed it, and to no other: a seal that
passes a translation is marked with its origin, and left out, with a name in `x-dominion-lost`, where it means nothing.
"""


def page() -> str:
    """The whole page, as measured now."""
    models = ", ".join(f"{NAMES[name]} `{model}`" for name, model in MODELS.items() if name != "native")
    sections = [_HEAD.format(models=models)]
    for door in DOORS:
        name = NAMES[door.name]
        sections.append(f"## The {name} door: requests\n\n{_table('a request says', requests_of(door), _asked)}")
        sections.append(f"## The {name} door: answers\n\n{_table('an answer says', answers_of(door), _told)}")
    return "\n".join(sections)


def _table(head: str, rows: Mapping[str, Sequence[Outcome]], cell: Callable[[Outcome], str]) -> str:
    names = [NAMES[provider.name] for provider in PROVIDERS]
    lines = [[head, *names], ["---"] * (len(names) + 1)]
    lines += [[name, *map(cell, outcomes)] for name, outcomes in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _asked(outcome: Outcome) -> str:
    match outcome.kind:
        case "lost":
            return "lost: " + ", ".join(f"`{name}`" for name in outcome.told)
        case "dropped":
            raise AssertionError("a request must not lose anything without naming it")
    return _told(outcome)


def _told(outcome: Outcome) -> str:
    match outcome.kind:
        case "mapped":
            words = "; ".join(outcome.told)
            return f"mapped: `{words if len(words) <= _LONGEST else words[: _LONGEST - 1] + '…'}`"
        case "dropped":
            return "lost"
        case "unsaid":
            return "-"
    return outcome.kind


def main() -> int:
    """Write the page; the exit code."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
