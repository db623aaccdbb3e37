"""What a gateway tells becomes the error it was."""

import json

import pytest

from dominion.client.errors import GatewayUnreachable, read_error
from dominion.domain import errors
from dominion.domain.errors import (
    DominionError,
    LimitExceeded,
    QuotaExceeded,
    SwitchProposed,
    UnexpectedResponse,
    WrongMethod,
)
from dominion.wire.native.dialect import NATIVE


def every_class(root: type[DominionError] = DominionError) -> list[type[DominionError]]:
    return [root, *(found for child in root.__subclasses__() for found in every_class(child))]


def example(kind: type[DominionError]) -> DominionError:
    if issubclass(kind, LimitExceeded):
        return kind(
            "Too much.", kind="daily_requests", limit=10, used="9.5", resets_at="2026-01-05T00:00:00Z", retry_after=7
        )
    if issubclass(kind, WrongMethod):
        return kind("Not so.", allowed=("GET", "POST"))
    if issubclass(kind, SwitchProposed):
        return kind("Switch?", model="a/b", more_input_usd_per_million="-1", more_request_usd="0.05")
    return kind("It failed.", action="Do this.", param="field")


@pytest.mark.parametrize(
    "kind",
    [kind for kind in every_class() if kind not in (errors.CallerError, GatewayUnreachable)],
    ids=lambda kind: kind.code,
)
def test_every_error_comes_back_as_the_class_it_was(kind: type[DominionError]) -> None:
    sent = example(kind)
    read = read_error(400, NATIVE.write_error(sent, "req_1"), 7.0)
    assert type(read) is kind
    assert (read.message, read.action, read.param) == (sent.message, sent.action, sent.param)
    assert read.details == sent.details
    assert read.__notes__ == ["request id: req_1"]


@pytest.mark.promise("000-052", "000-053", "000-054", "000-055", "000-056")
def test_the_refusal_of_the_specification_is_read_whole() -> None:
    body = {
        "error": "quota_exceeded",
        "message": "Daily request limit exceeded",
        "limit": 1000,
        "used": 1000,
        "resets_at": "2026-01-05T00:00:00Z",
    }
    error = read_error(429, json.dumps(body).encode(), 60.0)
    assert isinstance(error, QuotaExceeded)
    assert (error.message, error.limit, error.used) == ("Daily request limit exceeded", 1000, 1000)
    assert (error.resets_at, error.retry_after) == ("2026-01-05T00:00:00Z", 60.0)


def test_a_code_from_a_newer_gateway_keeps_its_sentence() -> None:
    error = read_error(418, b'{"error": "brand_new", "message": "Something new."}')
    assert (type(error), error.message) == (DominionError, "Something new.")


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b"[]", b'{"detail": "x"}', b"\xff\xfe"])
def test_what_no_gateway_would_say_is_an_unexpected_response_that_says_where_to_look(body: bytes) -> None:
    error = read_error(502, body)
    assert isinstance(error, UnexpectedResponse)
    assert "502" in error.message
    assert "DOMINION_API_URL" in error.action
