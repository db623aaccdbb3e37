"""Puts a provider's failure into the words of specification 003, with what this gateway could do instead.

Runs once for a request that failed for good; never changes what an error is, only how it reads.
"""

import difflib

from dominion.domain import errors as e
from dominion.services.offer.lineup import Lineup
from dominion.services.offer.listing import Listing
from dominion.services.offer.routing import Route

_STUB_SCHEME = "stub"


class Explanations:
    """`catalogue` and `lineup` are where alternatives come from."""

    def __init__(self, catalogue: Listing, lineup: Lineup) -> None:
        self._catalogue = catalogue
        self._lineup = lineup

    def explain(self, error: e.ProviderError, route: Route) -> None:
        """Name who failed, and what could be used instead. What the provider itself said stays behind it."""
        name = error.provider = route.slot.row.name
        match error:
            case e.ModelNotAvailable():
                error.model = route.sends
                other = self._model_beside(route)
                question = f" Try {other} instead?" if other else ""
                _begin(error, f"{_shown(route)} is unavailable right now.{question}")
            case e.ProviderQuota():
                other = self._provider_beside(route)
                _begin(error, f"You've hit your {name} usage cap. Upgrade your plan or use {other}.")
            case e.NetworkFailure():
                error.source = error.source or error.message
                if not error.sent or error.unanswered:
                    error.message = f"Can't reach {name}. Check your internet connection."

    def _model_beside(self, route: Route) -> str:
        """The model of the same provider whose name goes on from this one's, or is nearest; "" when there is none."""
        rows = {
            row.id.rpartition("/")[2]: row
            for row in self._catalogue.models([route.slot])
            if not row.deprecated and route.sends not in (row.id, row.sends)
        }
        kin = [name for name in rows if name.startswith(route.sends)]
        near = kin or difflib.get_close_matches(route.sends, rows, n=1, cutoff=0.0)
        return (rows[near[0]].name or near[0]) if near else ""

    def _provider_beside(self, route: Route) -> str:
        names = (
            slot.row.name
            for slot in self._lineup.slots
            if slot.row.id != route.slot.row.id and slot.target.origin.scheme != _STUB_SCHEME
        )
        return next(names, "another provider")


def _shown(route: Route) -> str:
    return (route.row and route.row.name) or route.sends


def _begin(error: e.ProviderError, sentence: str) -> None:
    """Replace our own sentence, which ends where the provider's words begin."""
    _, told, theirs = error.message.partition(" It says: ")
    error.message = f"{sentence}{told}{theirs}"
