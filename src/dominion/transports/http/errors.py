"""The only table of status numbers: error classes to HTTP, and back for our own client."""

from dominion.domain import errors as e

STATUS: dict[type[e.DominionError], int] = {
    e.InvalidRequest: 400,
    e.TooLarge: 413,
    e.WrongMediaType: 415,
    e.LossyTranslation: 422,
    e.MaxCostExceeded: 400,
    e.NotFound: 404,
    e.UnknownModel: 404,
    e.UnknownProvider: 404,
    e.WrongMethod: 405,
    e.Conflict: 409,
    e.SwitchProposed: 409,
    e.Unauthenticated: 401,
    e.Forbidden: 403,
    e.LimitExceeded: 429,
    e.QuotaExceeded: 429,
    e.RateLimited: 429,
    e.TooManyConcurrent: 429,
    e.ProviderError: 502,
    e.InvalidCredentials: 502,
    e.OwnKeyRefused: 401,
    e.ProviderRateLimited: 429,
    e.ProviderQuota: 502,
    e.ModelNotAvailable: 404,
    e.ProviderRefused: 400,
    e.ContextOverflow: 400,
    e.NetworkFailure: 502,
    e.ProviderTimeout: 504,
    e.ProviderUnavailable: 503,
    e.UnexpectedResponse: 502,
    e.GatewayFailure: 500,
    e.StorageUnavailable: 503,
    e.ShuttingDown: 503,
    e.ConfigProblem: 500,
    e.Internal: 500,
}
PAYMENT_REQUIRED = 402
"""Anthropic's own status for an exhausted account; its SDKs do not retry it."""
SOON = 1.0
"""Seconds after which to come again when this gateway itself cannot serve now."""


def status_of(error: e.DominionError, door: str) -> int:
    """The HTTP status of an error at a door."""
    if isinstance(error, e.ProviderRefused | e.ModelNotAvailable) and error.verbatim and error.status:
        return error.status
    if isinstance(error, e.QuotaExceeded) and error.kind == "monthly_spend_cap_usd" and door == "anthropic_messages":
        return PAYMENT_REQUIRED
    return STATUS[type(error)]


def headers_of(error: e.DominionError) -> list[tuple[bytes, bytes]]:
    """The headers that belong to an error: when to come again, whether to, which methods there are, and how many
    attempts were made if more than one.

    `x-should-retry: false` keeps the vendors' SDKs from hammering a quota that resets at midnight, and from asking
    again (as they do for 409) what a person must decide.
    """
    headers = []
    wait = SOON if isinstance(error, e.StorageUnavailable | e.ShuttingDown) else error.retry_after
    if wait is not None:
        headers.append((b"retry-after", b"%d" % max(1, -int(-wait // 1))))
    if isinstance(error, e.QuotaExceeded | e.SwitchProposed):
        headers.append((b"x-should-retry", b"false"))
    if isinstance(error, e.ProviderError) and error.attempts > 1:
        headers.append((b"x-dominion-attempts", b"%d" % error.attempts))
    if isinstance(error, e.WrongMethod):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if isinstance(error, e.Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    return headers
