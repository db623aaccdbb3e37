"""How compatible servers spell what OpenAI chat completions calls otherwise. Never changes what a request means."""

from typing import NamedTuple

import msgspec

from dominion.domain.contracts import Fields

OUTPUT_CAPS = ("max_completion_tokens", "max_tokens")
"""Both names of the output cap; the second is the old one, and the only one that most compatible servers know."""

_NEW_CAP_MODELS = ("o1", "o3", "o4", "gpt-5")


class Spelling(NamedTuple):
    """The words of one kind of server. `cap` is its name of the output cap, "" where it takes both and the model
    decides; `required` its tool choice for a call that must be; `seed` its name of the seed.
    `details`: it takes reasoning that it has signed or sealed back in `reasoning_details`.
    `signed` is in the names of the models that sign their calls; others may refuse what they do not know.
    """

    cap: str = ""
    required: str = "required"
    seed: str = "seed"
    signed: str = "gemini"
    details: bool = False

    def cap_field(self, model: str) -> str:
        """The name of the output cap where the caller has not chosen one: OpenAI's reasoning models refuse the old."""
        new = model.rpartition("/")[2].startswith(_NEW_CAP_MODELS)
        return self.cap or OUTPUT_CAPS[0 if new else 1]

    def respell(self, fields: Fields) -> Fields:
        """The fields of a caller's request (peeked at, so sane) in these words; of two caps the larger."""
        changed = dict(fields)
        if self.cap:
            asked = [changed.pop(name) for name in OUTPUT_CAPS if name in changed]
            caps = [raw for raw in asked if bytes(raw) != b"null"]
            if caps:
                changed[self.cap] = max(caps, key=lambda raw: float(bytes(raw)))
        if self.seed != "seed" and "seed" in changed:
            changed[self.seed] = changed.pop("seed")
        if bytes(changed.get("tool_choice", b"")) == b'"required"':
            changed["tool_choice"] = msgspec.Raw(b'"%b"' % self.required.encode())
        return changed


OPENAI = Spelling()
GOOGLE = Spelling(signed="")
OPENROUTER = Spelling(details=True)
OLD_CAP = Spelling(cap=OUTPUT_CAPS[1])
MISTRAL = Spelling(cap=OUTPUT_CAPS[1], required="any", seed="random_seed")
