"""Every way a request can fail, as one tree. Never knows a status number: only transports do.

DominionError
 +- CallerError                 the caller can mend it
 |   +- InvalidRequest          the body or a parameter is wrong
 |   |   +- TooLarge            body, headers or nesting above a limit
 |   |   +- WrongMediaType      the body is not JSON
 |   |   +- LossyTranslation    strict mode and a field with no place on the other side
 |   |   +- MaxCostExceeded     it may cost more than the caller allowed for it
 |   +- NotFound                no such route, user or key
 |   |   +- UnknownModel        no provider serves this model
 |   |   +- UnknownProvider     no such provider, or it is not configured
 |   +- WrongMethod             the route exists for another method
 |   +- Conflict                the thing exists already
 |   +- SwitchProposed          another model would have to answer, and the caller wants to be asked first
 |   +- Unauthenticated         no key, a wrong key or a revoked key
 |   +- Forbidden               the user is suspended, or the route needs another role
 |   +- LimitExceeded           a limit of this gateway
 |       +- QuotaExceeded       daily requests or tokens, monthly spend
 |       +- RateLimited         requests per minute, by user or IP
 |       +- TooManyConcurrent   requests at the same time
 +- ProviderError               the provider failed
 |   +- InvalidCredentials      the operator's provider key was refused
 |   |   +- OwnKeyRefused       the caller's own one was
 |   +- ProviderRateLimited     the provider's rate limit
 |   +- ProviderQuota           the provider account's usage cap
 |   +- ModelNotAvailable       the provider does not serve the model (now)
 |   +- ProviderRefused         the provider found fault with the request itself
 |   |   +- ContextOverflow     the prompt is longer than the model's window
 |   +- NetworkFailure          cannot reach the provider, or the connection broke
 |   +- ProviderTimeout         the provider did not answer in time
 |   +- ProviderUnavailable     the provider answered 5xx or "overloaded"
 |   +- UnexpectedResponse      the provider answered something that is not its dialect
 +- GatewayFailure              this gateway failed
     +- StorageUnavailable      money cannot be recorded, so nothing that costs money runs
     +- ShuttingDown            the gateway is draining
     +- ConfigProblem           the configuration is wrong; stops the start
     +- Internal                a defect; the text is logged, never sent
"""

from typing import Any, ClassVar


class DominionError(Exception):
    """Root of the tree; never raised itself.

    `code` is stable and machine-readable, `message` a sentence for a person, `action` what that person can do,
    `retryable` whether the same request may succeed later, `retry_after` in seconds when known.
    """

    code: ClassVar[str] = "error"
    default_action: ClassVar[str] = "Try again, or contact the operator of this gateway."
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, action: str | None = None, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.action = action or self.default_action
        self.param = param
        self.retry_after = retry_after

    @property
    def details(self) -> dict[str, Any]:
        """What the class tells beyond its sentences, as JSON values."""
        return {}


class CallerError(DominionError):
    """The caller can mend it."""

    code = "invalid_request"


class InvalidRequest(CallerError):
    """The body or a parameter is wrong; `param` names it."""

    default_action = "Correct the request and send it again."


class TooLarge(InvalidRequest):
    """Body, headers or nesting above a limit."""

    code = "request_too_large"
    default_action = "Send a smaller request."


class WrongMediaType(InvalidRequest):
    """The body is not JSON."""

    code = "unsupported_media_type"
    default_action = "Send the body as JSON with the header content-type: application/json."


class LossyTranslation(InvalidRequest):
    """Strict mode, and the request has fields without a place in the provider's dialect."""

    code = "lossy_translation"
    default_action = "Remove the named fields, choose another provider, or leave strict mode."


class MaxCostExceeded(InvalidRequest):
    """The request may cost more than its header x-dominion-max-cost allows."""

    code = "max_cost_exceeded"
    default_action = "Ask for a shorter answer, choose a cheaper model, or allow more in x-dominion-max-cost."


class NotFound(CallerError):
    """No such route, user or key."""

    code = "not_found"
    default_action = "Check the address or the id."


class UnknownModel(NotFound):
    """No provider serves this model."""

    code = "model_not_found"
    default_action = "List the models with GET /v1/models or `dominion models`."


class UnknownProvider(NotFound):
    """No such provider, or it is not configured."""

    code = "provider_not_found"
    default_action = 'Use "auto", or ask the operator to configure this provider.'


class WrongMethod(CallerError):
    """The route exists for another method; `allowed` lists those."""

    code = "method_not_allowed"

    def __init__(self, message: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(message, action=f"Use {' or '.join(allowed)}.")
        self.allowed = allowed


class Conflict(CallerError):
    """The thing exists already, or is in a state that forbids this."""

    code = "conflict"
    default_action = "Look at the present state first."


class SwitchProposed(CallerError):
    """No provider of the wanted model answers, another model can, and the caller wants to be asked before it does.

    `model` is the other one as "provider/model": naming it in the header x-dominion-accept runs it. The rest is how
    much more it costs than the wanted one, negative: less; None where one of the prices is not known. Decimal strings
    of US dollars: per million tokens in and out, and for this request with the longest answer that it may get.
    """

    code = "switch_proposed"

    def __init__(
        self,
        message: str,
        *,
        model: str,
        more_input_usd_per_million: str | None = None,
        more_output_usd_per_million: str | None = None,
        more_request_usd: str | None = None,
    ) -> None:
        super().__init__(message, action=f"Send it again with the header x-dominion-accept: {model}")
        self.model = model
        self.more_input_usd_per_million = more_input_usd_per_million
        self.more_output_usd_per_million = more_output_usd_per_million
        self.more_request_usd = more_request_usd

    @property
    def details(self) -> dict[str, Any]:
        """The other model and the differences of its price."""
        return {"proposed_model": self.model} | {k: v for k, v in vars(self).items() if k.startswith("more_")}


class Unauthenticated(CallerError):
    """No key, a wrong key or a revoked key."""

    code = "invalid_api_key"
    default_action = "Send a valid key as 'Authorization: Bearer dom_...', or ask the operator for one."


class Forbidden(CallerError):
    """The user is suspended, or the route needs another role."""

    code = "forbidden"
    default_action = "Ask the operator of this gateway."


class LimitExceeded(CallerError):
    """A limit of this gateway.

    `kind` names the limit as `POST /admin/limits` does. `limit` and `used` (settled and set aside) are in the limit's
    own unit, US dollars as decimal strings; `resets_at` is ISO 8601 UTC, or None when nothing resets at a fixed time.
    `scope` ("provider:openai", "key:ID", ...) says whose limit it is, "": the user's own.
    """

    code = "limit_exceeded"
    retryable = True
    scope: str = ""

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        limit: int | str,
        used: int | str,
        resets_at: str | None,
        retry_after: float,
        action: str | None = None,
    ) -> None:
        super().__init__(message, action=action, retry_after=retry_after)
        self.kind = kind
        self.limit = limit
        self.used = used
        self.resets_at = resets_at

    @property
    def details(self) -> dict[str, Any]:
        """The limit's numbers."""
        told = {"limit": self.limit, "used": self.used, "resets_at": self.resets_at}
        return told | {"scope": self.scope} if self.scope else told


class QuotaExceeded(LimitExceeded):
    """Daily requests, daily tokens or monthly spend are used up."""

    code = "quota_exceeded"
    default_action = "Wait until the quota resets, or ask the operator to raise it."


class RateLimited(LimitExceeded):
    """Too many requests in a short time, by user or IP."""

    code = "rate_limited"
    default_action = "Slow down and send the request again after the time in retry-after."


class TooManyConcurrent(LimitExceeded):
    """Too many requests at the same time."""

    code = "concurrency_exceeded"
    default_action = "Wait until one of your running requests has ended."


class ProviderError(DominionError):
    """The provider failed. `provider` is its display name, `status` what it answered (None: nothing). `sent`: a byte of
    the request may have reached it.

    `verbatim` is the provider's own error body, set when it may be relayed to a caller of the same dialect. `attempts`
    were made for the request, this one being the last.
    """

    code = "provider_error"
    sent: bool = True
    verbatim: bytes = b""
    attempts: int = 1

    def __init__(
        self,
        message: str,
        *,
        provider: str = "the provider",
        status: int | None = None,
        action: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, action=action, param=param, retry_after=retry_after)
        self.provider = provider
        self.status = status


class InvalidCredentials(ProviderError):
    """The operator's key for this provider was refused."""

    code = "provider_credentials_invalid"
    default_action = "The operator must re-enter the provider's key."


class OwnKeyRefused(InvalidCredentials):
    """The provider refused the key that the caller keeps here or has passed."""

    code = "own_key_refused"
    default_action = "Check the key at the provider, then enter it again or pass another one."


class ProviderRateLimited(ProviderError):
    """The provider's rate limit."""

    code = "provider_rate_limited"
    retryable = True
    default_action = "Send the request again after the time in retry-after, or use another model."


class ProviderQuota(ProviderError):
    """The usage cap of the operator's account at the provider. `limit_type` says which, as far as providers tell."""

    code = "provider_quota_exceeded"
    limit_type: str = "usage"
    default_action = "The operator must raise the cap at the provider; meanwhile use another provider."


class ModelNotAvailable(ProviderError):
    """The provider does not serve this model (now). `model` is what it was asked for."""

    code = "model_not_available"
    model: str = ""
    default_action = "Choose another model."


class ProviderRefused(ProviderError):
    """The provider found fault with the request itself; the caller can mend it."""

    code = "provider_refused_request"
    default_action = "Correct the request as the provider's message says."


class ContextOverflow(ProviderRefused):
    """The prompt is longer than the model's context window."""

    code = "context_length_exceeded"
    default_action = "Shorten the conversation, or choose a model with a larger context window."


class NetworkFailure(ProviderError):
    """Cannot reach the provider, or the connection broke; `source` says how. `unanswered`: the provider closed the
    connection without a byte of an answer, and was not asked again since."""

    code = "provider_unreachable"
    retryable = True
    default_action = "Send the request again; if it stays so, the operator should check the network."
    unanswered: bool = False
    source: str = ""


class ProviderTimeout(ProviderError):
    """The provider did not answer in time. `duration` is how many seconds the gateway had waited, None: not known."""

    code = "provider_timeout"
    retryable = True
    default_action = "Send the request again, or use a faster model."
    duration: float | None = None


class ProviderUnavailable(ProviderError):
    """The provider answered 5xx or said that it is overloaded."""

    code = "provider_unavailable"
    retryable = True
    default_action = "Send the request again shortly, or use another model."


class UnexpectedResponse(ProviderError):
    """The provider answered something that is not its dialect. `body` is the beginning of it, secrets masked."""

    code = "provider_unexpected_response"
    body: str = ""
    retryable = True
    default_action = "Send the request again; if it stays so, the operator should check the provider's address."


class GatewayFailure(DominionError):
    """This gateway failed."""

    code = "gateway_failure"


class StorageUnavailable(GatewayFailure):
    """Money cannot be recorded, so nothing that costs money runs."""

    code = "storage_unavailable"
    retryable = True
    default_action = "Send the request again shortly; the operator should check disk and database."


class ShuttingDown(GatewayFailure):
    """The gateway is draining and takes no new requests."""

    code = "shutting_down"
    retryable = True
    default_action = "Send the request again; another instance or the restarted one will take it."


class ConfigProblem(GatewayFailure):
    """The configuration is wrong; stops the start. The message holds every problem, one a line."""

    code = "config_problem"
    default_action = "Correct the configuration and start again."


class Internal(GatewayFailure):
    """A defect of this gateway; the text is logged, never sent."""

    code = "internal_error"
    default_action = "Tell the operator the request id."
