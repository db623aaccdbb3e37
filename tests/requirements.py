"""Every promise of the five specification documents, by number; a test proves each or the line says why not yet.

Tests name what they prove: `@pytest.mark.promise("000-052")`. `make promises` counts; `tests/house/test_promises.py`
fails when a promise has no test, or a deferred one has. This file never holds a check itself.
"""

from typing import NamedTuple


class Promise(NamedTuple):
    """One promise: `id` as document-number, `text` in our words, `deferred` the reason why no test proves it yet."""

    id: str
    text: str
    deferred: str = ""


DOCUMENTS = {
    "000": "LLM Providers: the user's view",
    "001": "Gateway: the operator's view",
    "002": "Billing and analytics",
    "003": "Provider registry",
    "004": "42 providers and the router",
}

_CONTAINERS = "Container images and hosted deployment come with the issue that ships the gateway."
_POSTGRES = "PostgreSQL comes with the issue that brings several processes."

USER_VIEW = (
    Promise("000-001", "Callers speak to one interface, whatever provider stands behind it."),
    Promise("000-002", "A caller signs in to the gateway and needs no key of any provider."),
    Promise("000-003", "DOMINION_API_TOKEN is the one credential a caller holds."),
    Promise("000-004", "The command speaks to the gateway through GatewayProvider."),
    Promise("000-005", "A request is authenticated first."),
    Promise("000-006", "Then it is held against its limits."),
    Promise("000-007", "Then its usage is recorded."),
    Promise("000-008", "What passes these stages is routed to a provider."),
    Promise("000-009", "The router reaches OpenAI."),
    Promise("000-010", "The router reaches Anthropic."),
    Promise("000-011", "The router reaches the stub."),
    Promise("000-012", "OPENAI_API_KEY stays with the gateway; no answer to a caller holds it."),
    Promise("000-013", "ANTHROPIC_API_KEY stays with the gateway; no answer to a caller holds it."),
    Promise("000-014", "Setting DOMINION_API_TOKEN is all the set-up a caller needs."),
    Promise("000-015", "Keys begin with dom_."),
    Promise("000-016", "A key comes from the operator, or from one's own gateway."),
    Promise("000-017", "`dominion-pm whoami` shows the quota."),
    Promise("000-018", "It prints the user's id."),
    Promise("000-019", "It prints daily requests as used/limit (left remaining)."),
    Promise("000-020", "It prints daily tokens the same way, thousands as K."),
    Promise("000-021", "It prints the month's spend as $used/$cap."),
    Promise("000-022", "`whoami --json` prints the same as JSON."),
    Promise("000-023", "GatewayProvider is what a caller gets unless they choose another."),
    Promise("000-024", "pm.config.yaml names the gateway's address under gateway.url."),
    Promise("000-025", "A hosted gateway's address works there, with the token from the environment."),
    Promise("000-026", "OpenAIProvider goes to OpenAI directly, with the caller's own key."),
    Promise("000-027", "Its model and temperature come from pm.config.yaml."),
    Promise("000-028", "Its key comes from OPENAI_API_KEY."),
    Promise("000-029", "AnthropicProvider goes to Anthropic directly, with the caller's own key."),
    Promise("000-030", "Its model and temperature come from pm.config.yaml."),
    Promise("000-031", "Its key comes from ANTHROPIC_API_KEY."),
    Promise("000-032", "StubProvider answers the same to the same."),
    Promise("000-033", "StubProvider opens no connection."),
    Promise("000-034", 'provider.default: "stub" chooses it.'),
    Promise("000-035", "With DOMINION_API_TOKEN set, the gateway is used."),
    Promise("000-036", "Without it, the provider that the file names."),
    Promise("000-037", "Without both, the stub."),
    Promise("000-038", "gpt-4o can be asked for."),
    Promise("000-039", "gpt-4o-mini can be asked for."),
    Promise("000-040", "gpt-4-turbo can be asked for."),
    Promise("000-041", "gpt-3.5-turbo can be asked for."),
    Promise("000-042", "claude-3-5-sonnet can be asked for."),
    Promise("000-043", "claude-3-opus can be asked for."),
    Promise("000-044", "claude-3-haiku can be asked for."),
    Promise("000-045", "Without a choice, the gateway picks what is available."),
    Promise("000-046", "`llm.complete` takes provider, model and messages."),
    Promise("000-047", "Provider is openai, anthropic or auto."),
    Promise("000-048", "1,000 requests a day, unless said otherwise."),
    Promise("000-049", "100,000 tokens a day, unless said otherwise."),
    Promise("000-050", "50 dollars a month, unless said otherwise."),
    Promise("000-051", "5 requests at a time, unless said otherwise."),
    Promise("000-052", "A refusal for quota says quota_exceeded."),
    Promise("000-053", "It has a sentence that names the limit."),
    Promise("000-054", "It says what the limit is."),
    Promise("000-055", "It says how much is used."),
    Promise("000-056", "It says when the limit resets: the next UTC edge, in ISO 8601 with Z."),
    Promise("000-057", "Cost is kept for each user."),
    Promise("000-058", "gpt-4o has its price (decision X-01: today's, with the document's as an older row)."),
    Promise("000-059", "gpt-4o-mini has its price."),
    Promise("000-060", "claude-3-5-sonnet has its price."),
    Promise("000-061", "claude-3-haiku has its price."),
    Promise("000-062", "Anybody can clone the gateway and host it."),
    Promise("000-063", "`cp env.example .env` is the way to configure it."),
    Promise("000-064", "OPENAI_API_KEY is read from .env."),
    Promise("000-065", "ANTHROPIC_API_KEY is read from .env."),
    Promise("000-066", "ADMIN_TOKEN is read from .env."),
    Promise("000-067", "It deploys with docker-compose.", deferred=_CONTAINERS),
    Promise("000-068", "It deploys with Railway.", deferred=_CONTAINERS),
    Promise("000-069", "It listens on port 3100."),
    Promise("000-070", "POST /admin/users with the admin token makes a user."),
    Promise("000-071", "POST /admin/keys with a user's id makes a key, with or without a name."),
    Promise("000-072", "What the caller gets is a dom_ key that works."),
    Promise("000-073", "DOMINION_API_URL says where the gateway is."),
    Promise("000-074", "DOMINION_API_TOKEN says who is calling."),
    Promise("000-075", "One's own provider extends LLMProvider and speaks in its option and response types."),
    Promise("000-076", "It has a name."),
    Promise("000-077", "It has `async complete(options)` and answers a response."),
    Promise("000-078", "Options hold messages, temperature and the cap on output."),
    Promise("000-079", "The response holds the content."),
    Promise("000-080", "The response holds prompt, completion and total tokens."),
    Promise("000-081", "It is registered in one place."),
)

OPERATOR_VIEW = (
    Promise("001-001", "One endpoint serves models of OpenAI and of Anthropic."),
    Promise("001-002", "Callers authenticate with keys that are stored as argon2 hashes."),
    Promise("001-003", "Requests are limited in rate by user."),
    Promise("001-004", "Requests are limited in rate by IP address."),
    Promise("001-005", "Requests are limited by day."),
    Promise("001-006", "Tokens are limited by day."),
    Promise("001-007", "Spend is limited by month."),
    Promise("001-008", "Every use leaves a record."),
    Promise("001-009", "Every record has its cost."),
    Promise("001-010", "Users are managed over HTTP."),
    Promise("001-011", "Keys are managed over HTTP."),
    Promise("001-012", "Docker is the recommended way.", deferred=_CONTAINERS),
    Promise("001-013", "`cp env.example .env` makes a working configuration."),
    Promise("001-014", "A compose file starts it on SQLite.", deferred=_CONTAINERS),
    Promise("001-015", "A compose file starts it on PostgreSQL.", deferred=_CONTAINERS),
    Promise("001-016", "One command installs what it needs."),
    Promise("001-017", "One command runs it for development and reloads on change."),
    Promise("001-018", "One command builds it and one starts it."),
    Promise("001-019", "PORT says the port."),
    Promise("001-020", "HOST says the address to listen on."),
    Promise("001-021", "NODE_ENV names the environment."),
    Promise("001-022", "DATABASE_URL chooses PostgreSQL.", deferred=_POSTGRES),
    Promise("001-023", "SQLITE_PATH chooses SQLite and its file."),
    Promise("001-024", "OPENAI_API_KEY turns OpenAI on."),
    Promise("001-025", "ANTHROPIC_API_KEY turns Anthropic on."),
    Promise("001-026", "ADMIN_TOKEN guards the admin routes."),
    Promise("001-027", "RATE_LIMIT_MAX says how many requests in a window."),
    Promise("001-028", "RATE_LIMIT_WINDOW_MS says how long the window is."),
    Promise("001-029", "DEFAULT_DAILY_REQUESTS is a new user's limit."),
    Promise("001-030", "DEFAULT_DAILY_TOKENS is a new user's limit."),
    Promise("001-031", "DEFAULT_MONTHLY_SPEND_CAP_USD is a new user's limit."),
    Promise("001-032", "GET /health says that the gateway lives."),
    Promise("001-033", "GET /health/ready says whether the database answers."),
    Promise("001-034", "GET /health/ready says whether a provider can answer."),
    Promise("001-035", "POST /v1/llm/complete completes."),
    Promise("001-036", "The key comes as a Bearer token."),
    Promise("001-037", "The body may name the provider, or auto."),
    Promise("001-038", "The body names the model."),
    Promise("001-039", "The body holds messages with roles and content."),
    Promise("001-040", "The body may set the temperature."),
    Promise("001-041", "The body may cap the output."),
    Promise("001-042", "GET /v1/llm/models lists the models."),
    Promise("001-043", "GET /v1/llm/quota says what is left."),
    Promise("001-044", "POST /admin/users makes a user."),
    Promise("001-045", "GET /admin/users lists users."),
    Promise("001-046", "GET /admin/users/:id shows one."),
    Promise("001-047", "POST /admin/users/:id/suspend shuts one out."),
    Promise("001-048", "POST /admin/users/:id/activate lets one in again."),
    Promise("001-049", "POST /admin/keys makes a key and shows it once."),
    Promise("001-050", "DELETE /admin/keys/:id revokes a key."),
    Promise("001-051", "POST /admin/limits changes a user's limits."),
    Promise("001-052", "GET /admin/usage shows a user's use."),
    Promise("001-053", "Making a user takes name and email and answers the id."),
    Promise("001-054", "Making a key takes the user's id and a name."),
    Promise("001-055", "It answers the key, and says to save it now."),
    Promise("001-056", "`dominion-pm login` keeps the key."),
    Promise("001-057", "DOMINION_API_URL reaches one's own gateway."),
    Promise("001-058", "DOMINION_API_TOKEN is sent to it."),
    Promise("001-059", "gateway.url in pm.config.yaml does the same."),
    Promise("001-060", "gateway.token in pm.config.yaml does the same."),
    Promise("001-061", "Only the argon2 hash of a key is stored."),
    Promise("001-062", "The key itself is shown once, when it is made."),
    Promise("001-063", "Prompts are in no log by default (and no setting puts them there yet)."),
    Promise("001-064", "A flood of requests is stopped by the rate limit."),
    Promise("001-065", "A run of requests cannot cost more than the cap."),
    Promise("001-066", "One command runs the tests."),
    Promise("001-067", "One command runs them again on change."),
    Promise("001-068", "One command checks the types."),
    Promise("001-069", "The licence is MIT."),
)


_COMPATIBLE = (
    "groq deepseek openrouter xai mistral perplexity together fireworks cerebras sambanova hyperbolic novita lepton "
    "corethink featherless requesty glama chutes cohere gemini moonshot glm doubao qwen zai yi minimax hunyuan "
    "stepfun lmstudio llamacpp localai litellm"
)

# What documents whose issues come later promise, and tests prove already.
EARLY = (
    Promise("002-022", "Callers may write claude-3-opus, gpt-4 and claude-3-sonnet."),
    Promise("002-023", "claude-3-opus can be asked for."),
    Promise("002-024", "claude-3-sonnet can be asked for."),
    Promise("002-025", "claude-3-haiku can be asked for."),
    Promise("002-026", "gpt-4 can be asked for."),
    Promise("002-027", "gpt-4-turbo can be asked for."),
    Promise("002-028", "gpt-3.5-turbo can be asked for."),
    Promise("003-002", "A provider is added without changing code."),
    Promise("003-073", "gpt-4o is OpenAI's default."),
    Promise("003-074", "gpt-4o-mini is known."),
    Promise("003-075", "o1 is known."),
    Promise("003-076", "o3-mini is known."),
    Promise("003-079", "OpenAI's own address is the default."),
    Promise("003-080", "OpenAI can be reached at another address."),
    Promise("003-081", "gpt-4o costs $2.50 per million input tokens."),
    Promise("003-082", "gpt-4o costs $10.00 per million output tokens."),
    Promise("003-084", "claude-sonnet-4-5 is Anthropic's default."),
    Promise("003-085", "claude-opus-4-5 is known."),
    Promise("003-086", "claude-haiku-4 is known."),
    Promise("003-088", "Anthropic's own address is the default."),
    Promise("003-089", "claude-sonnet-4-5 costs $3.00 per million input tokens."),
    Promise("003-090", "claude-sonnet-4-5 costs $15.00 per million output tokens."),
    Promise("003-199", "1,000 tokens in and 500 out of gpt-4o cost exactly $0.0075."),
    Promise("004-022", "The known compatible providers are built in."),
    Promise("004-023", "A known provider needs only its id and a key; its address is built in."),
    *(Promise(f"004-{24 + place:03}", f"{name} is built in.") for place, name in enumerate(_COMPATIBLE.split())),
    Promise("004-057", "Any OpenAI-compatible API works by base_url and api_key."),
    Promise("004-058", "It is a [[providers.openai_compat]] table with id, api_key and base_url."),
    Promise("004-059", "It may name its chat_path; /v1/chat/completions is the default."),
    Promise("004-060", "It may name its model."),
    Promise("004-061", "agent.model is the default of the whole gateway."),
    Promise("004-062", "providers.anthropic.api_key configures Anthropic."),
    Promise("004-063", "An Anthropic OAuth token is known by its prefix and sent as Bearer."),
    Promise("004-064", "providers.openai.api_key configures OpenAI."),
    Promise("004-066", "A known provider is configured by id, key and model."),
    Promise("004-089", "Anthropic is tried first."),
    Promise("004-090", "Then OpenAI."),
    Promise("004-091", "Then the compatible ones, as declared."),
    Promise("004-097", "The environment's keys serve where no TOML provider is configured."),
    Promise("004-098", "Each provider that can be used is a slot."),
    Promise("004-099", "One that cannot is skipped with a warning."),
    Promise("004-100", "A static key is sent as the provider's header."),
    Promise("004-101", "An OAuth token is sent as Bearer with its beta header."),
    Promise("004-106", "Local providers need no key."),
    Promise("004-107", "A compatible provider is configuration only."),
)


def _later(document: str, count: int, reason: str) -> tuple[Promise, ...]:
    """The promises of a document whose issue has not come yet, deferred but for the early ones."""
    early = {promise.id: promise for promise in EARLY}
    text = f"as numbered in the checklist of document {document}"
    numbers = (f"{document}-{number:03}" for number in range(1, count + 1))
    return tuple(early.get(name) or Promise(name, text, deferred=reason) for name in numbers)


PROMISES: tuple[Promise, ...] = (
    *USER_VIEW,
    *OPERATOR_VIEW,
    *_later("002", 67, "Billing, analytics, Cap'n Web and MCP come with later issues."),
    *_later("003", 237, "The provider registry and its screens come with later issues."),
    *_later("004", 108, "The 42 providers and the router come with the next issue."),
)
