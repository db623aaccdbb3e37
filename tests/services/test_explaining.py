"""A provider's failure is told in the words of specification 003, with what could be done instead."""

import pytest

from dominion.domain import errors as e
from dominion.domain.providers import Origin, Slot, Target
from dominion.providers.catalog import Catalogue
from dominion.services.offer.explaining import Explanations
from dominion.services.offer.lineup import Lineup
from dominion.services.offer.routing import Route
from dominion.wire.openai_chat.dialect import OPENAI_CHAT

CATALOGUE = Catalogue.load()


def slot(provider: str, *models: str) -> Slot:
    row = CATALOGUE.providers[provider]
    target = Target(Origin("https", provider, 443), b"POST / HTTP/1.1\r\n")
    return Slot(row, target, models, row.default_model)


OPENAI, ANTHROPIC = slot("openai"), slot("anthropic")


def route(at: Slot, model: str) -> Route:
    row = CATALOGUE.row(at.row.id, model)
    return Route(at, OPENAI_CHAT, model, row, None, at.target, at.target)


def explained(error: e.ProviderError, *others: Slot, model: str = "gpt-4o") -> e.ProviderError:
    Explanations(CATALOGUE, Lineup([OPENAI, *others], {})).explain(error, route(OPENAI, model))
    return error


def read(status: int, body: bytes = b"{}") -> e.ProviderError:
    return OPENAI_CHAT.read_error("OpenAI", status, body)


@pytest.mark.promise("003-157", "003-164")
def test_a_refused_key_asks_to_be_entered_again() -> None:
    error = explained(read(401))
    assert isinstance(error, e.InvalidCredentials)
    assert error.message == "Your OpenAI API key is invalid. Please check and try again."
    assert error.action == "The operator must re-enter the provider's key."


@pytest.mark.promise("003-158")
def test_a_rate_limit_says_when_to_come_again() -> None:
    error = explained(read(429, b'{"error": {"message": "Please try again in 30s."}}'))
    assert isinstance(error, e.ProviderRateLimited)
    assert (error.retry_after, error.retryable) == (30.0, True)
    assert error.message.startswith("OpenAI rate limit hit.")


@pytest.mark.promise("003-159", "003-166")
def test_a_model_that_is_not_there_leads_to_its_nearest_neighbour() -> None:
    error = explained(read(404, b'{"error": {"message": "The model does not exist"}}'))
    assert isinstance(error, e.ModelNotAvailable)
    assert error.model == "gpt-4o"
    said, _, theirs = error.message.partition(" It says: ")
    assert said == "GPT-4o is unavailable right now. Try GPT-4o mini instead?"
    assert theirs == "The model does not exist"
    assert error.action == "Choose another model."


def test_a_model_of_a_provider_that_has_no_other_leads_nowhere() -> None:
    alone = slot("groq", "only")
    alone = Slot(alone.row, alone.target, ("only",))
    error = e.ModelNotAvailable("This model is unavailable at Groq right now.")
    Explanations(Catalogue([alone.row], []), Lineup([alone], {})).explain(error, route(alone, "only"))
    assert error.message == "only is unavailable right now."


@pytest.mark.promise("003-160", "003-167")
def test_a_used_up_account_leads_to_another_provider() -> None:
    error = explained(read(402), ANTHROPIC)
    assert isinstance(error, e.ProviderQuota)
    assert error.limit_type == "usage"
    assert error.message == "You've hit your OpenAI usage cap. Upgrade your plan or use Anthropic."
    stub = Slot(CATALOGUE.providers["stub"], Target(Origin("stub", "stub", 0), b""))
    assert explained(read(402), stub).message.endswith("Upgrade your plan or use another provider.")


@pytest.mark.promise("003-161", "003-168")
def test_a_provider_that_cannot_be_reached_leads_to_the_network_and_another_try() -> None:
    failure = e.NetworkFailure("The provider cannot be reached: Name or service not known.")
    failure.sent = False
    error = explained(failure)
    assert isinstance(error, e.NetworkFailure)
    assert error.message == "Can't reach OpenAI. Check your internet connection."
    assert error.source == "The provider cannot be reached: Name or service not known."
    assert error.provider == "OpenAI"
    assert error.retryable
    broken = e.NetworkFailure("The connection to the provider broke before its answer was whole.")
    assert explained(broken).message == broken.source  # there it was reached


@pytest.mark.promise("003-163")
def test_an_unexpected_answer_keeps_its_status_and_beginning_without_secrets() -> None:
    error = explained(read(307, b"moved to sk-0123456789abcdef0123"))
    assert isinstance(error, e.UnexpectedResponse)
    assert error.status == 307
    assert error.body == "moved to [masked]"
