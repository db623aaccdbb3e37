"""The way back: a gateway's error body becomes the error it was. Never knows status numbers beyond "it failed"."""

import msgspec

from dominion.domain.errors import (
    DominionError,
    LimitExceeded,
    NetworkFailure,
    SwitchProposed,
    UnexpectedResponse,
    WrongMethod,
)


class GatewayUnreachable(NetworkFailure):
    """No gateway answers at the configured address."""

    code = "gateway_unreachable"
    default_action = "Check the address (DOMINION_API_URL, or gateway.url in pm.config.yaml) and that the gateway runs."
    sent = False


class ErrorBody(msgspec.Struct):
    """The flat error of the native and admin routes, whole or inside a stream."""

    error: str
    message: str = ""
    action: str | None = None
    request_id: str = ""
    param: str | None = None
    kind: str = ""
    limit: int | str = 0
    used: int | str = 0
    resets_at: str | None = None
    proposed_model: str = ""
    more_input_usd_per_million: str | None = None
    more_output_usd_per_million: str | None = None
    more_request_usd: str | None = None


def _by_code(root: type[DominionError]) -> dict[str, type[DominionError]]:
    """Codes to classes; of a class and its parent with one code, the class."""
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _by_code(child)
    return found


def read_error(status: int, body: bytes, retry_after: float | None = None) -> DominionError:
    """The error behind a gateway's answer. Never raises; what is not a gateway's error is an UnexpectedResponse."""
    try:
        told = msgspec.json.decode(body, type=ErrorBody)
    except msgspec.MsgspecError:
        return UnexpectedResponse(
            f"The server answered {status} and not in the way of a Dominion gateway.",
            provider="the gateway",
            status=status,
            action="Check that the address (DOMINION_API_URL, or gateway.url) leads to a Dominion gateway.",
        )
    return build_error(told, retry_after)


def build_error(told: ErrorBody, retry_after: float | None = None) -> DominionError:
    """The error that the gateway told, of the class that its code names."""
    kind = _by_code(DominionError).get(told.error, DominionError)
    message = told.message or told.error
    error: DominionError
    if issubclass(kind, LimitExceeded):
        error = kind(
            message,
            kind=told.kind,
            limit=told.limit,
            used=told.used,
            resets_at=told.resets_at,
            retry_after=retry_after or 0.0,
            action=told.action,
        )
    elif issubclass(kind, SwitchProposed):
        error = kind(
            message,
            model=told.proposed_model,
            more_input_usd_per_million=told.more_input_usd_per_million,
            more_output_usd_per_million=told.more_output_usd_per_million,
            more_request_usd=told.more_request_usd,
        )
        error.action = told.action or error.action
    elif issubclass(kind, WrongMethod):
        error = kind(message, allowed=())
        error.action = told.action or error.default_action
    else:
        error = kind(message, action=told.action, retry_after=retry_after)
    error.param = told.param
    if told.request_id:
        error.add_note(f"request id: {told.request_id}")
    return error
