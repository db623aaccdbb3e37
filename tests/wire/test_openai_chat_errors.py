"""Errors of OpenAI chat completions: sorted from providers, written to callers, never with a credential in them."""

import json
import time

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain import errors as e
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.openai_chat.errors import mask
from dominion.wire.sse import FrameReader

STEADY = settings(derandomize=True, deadline=None)


def read(status: int, body: object) -> e.ProviderError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return OPENAI_CHAT.read_error("Acme", status, raw)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # OpenAI
        (401, {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}, e.InvalidCredentials),
        (403, {"error": {"message": "Not in your country"}}, e.InvalidCredentials),
        (403, {"error": {"message": "No access", "code": "model_not_found"}}, e.ModelNotAvailable),
        (404, {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}, e.ModelNotAvailable),
        (400, {"error": {"message": "No such model", "code": "model_not_found"}}, e.ModelNotAvailable),
        (400, {"error": {"message": "Bad", "type": "invalid_request_error", "param": "x"}}, e.ProviderRefused),
        (400, {"error": {"message": "Too long", "code": "context_length_exceeded"}}, e.ContextOverflow),
        (429, {"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}, e.ProviderRateLimited),
        (429, {"error": {"message": "You exceeded", "code": "insufficient_quota"}}, e.ProviderQuota),
        (500, {"error": {"message": "Sorry", "type": "server_error"}}, e.ProviderUnavailable),
        (503, {"error": {"message": "The engine is overloaded"}}, e.ProviderUnavailable),
        # Azure
        (401, {"error": {"code": "401", "message": "Access denied"}}, e.InvalidCredentials),
        (404, {"error": {"code": "DeploymentNotFound", "message": "No deployment"}}, e.ModelNotAvailable),
        (429, {"error": {"code": "429", "message": "context length exceeded"}}, e.ContextOverflow),
        (400, {"error": {"code": "content_filter", "message": "Filtered", "innererror": {}}}, e.ProviderRefused),
        # xAI
        (400, {"code": "invalid", "error": "Incorrect API key provided: xa***11"}, e.InvalidCredentials),
        (404, {"code": "not_found", "error": "The model x does not exist"}, e.ModelNotAvailable),
        (403, {"code": "x", "error": "Your team has used all available credits"}, e.ProviderQuota),
        # Gemini's compatible API
        (400, [{"error": {"code": 400, "message": "API key not valid.", "status": "X"}}], e.InvalidCredentials),
        (400, [{"error": {"code": 400, "message": "The input token count (9) exceeds"}}], e.ContextOverflow),
        (429, [{"error": {"code": 429, "message": "You exceeded your current quota"}}], e.ProviderRateLimited),
        # Cerebras
        (
            429,
            {"message": "Tokens per minute - too many tokens", "type": "too_many_tokens_error"},
            e.ProviderRateLimited,
        ),
        (429, {"message": "Tokens per day limit", "code": "token_quota_exceeded"}, e.ProviderRateLimited),
        # Mistral
        (422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}, e.ProviderRefused),
        (422, {"object": "error", "message": {"detail": [{"msg": "Extra inputs"}]}, "code": 0}, e.ProviderRefused),
        (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model"}, e.ModelNotAvailable),
        (401, {"detail": "Unauthorized"}, e.InvalidCredentials),
        # Groq
        (413, {"error": {"message": "Request too large", "code": "rate_limit_exceeded"}}, e.ProviderRateLimited),
        (400, {"error": {"message": "x", "code": "model_decommissioned"}}, e.ModelNotAvailable),
        (498, {"error": {"message": "Flex capacity exceeded"}}, e.ProviderUnavailable),
        # DeepSeek, OpenRouter
        (402, {"error": {"message": "Insufficient Balance"}}, e.ProviderQuota),
        (400, {"error": {"message": "This model's maximum context length is 65536 tokens"}}, e.ContextOverflow),
        (404, {"error": {"message": "No endpoints found for x/y.", "code": 404}}, e.ModelNotAvailable),
        (400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}, e.ModelNotAvailable),
        (
            429,
            {"error": {"code": 429, "message": "Provider error", "metadata": {"raw": "slow"}}},
            e.ProviderRateLimited,
        ),
        (200, {"error": {"code": 502, "message": "Upstream is down"}}, e.ProviderUnavailable),
        (200, {"error": {"code": 429, "message": "Slow down"}}, e.ProviderRateLimited),
        # Perplexity, llama.cpp, Ollama, Hugging Face, Cohere
        (400, {"error": {"message": "x", "type": "too_many_prompt_tokens", "code": 400}}, e.ContextOverflow),
        (400, {"error": {"code": 400, "message": "x", "type": "exceed_context_size_error"}}, e.ContextOverflow),
        (500, {"error": {"code": 500, "message": "prompt is too long"}}, e.ContextOverflow),
        (404, {"error": {"message": "model 'x' not found", "type": "api_error"}}, e.ModelNotAvailable),
        (503, {"error": "Model is loading"}, e.ProviderUnavailable),
        (400, {"id": "1", "message": "too many input tokens"}, e.ContextOverflow),
        # no JSON, or none of an error
        (400, b"Bad Request", e.ProviderRefused),
        (413, b"<html>Request Entity Too Large</html>", e.ProviderRefused),
        (404, b"<html>not here</html>", e.UnexpectedResponse),
        (404, {"detail": "Not Found"}, e.UnexpectedResponse),
        (502, b"<html>Bad Gateway</html>", e.ProviderUnavailable),
        (504, b"", e.ProviderTimeout),
        (408, b"", e.ProviderTimeout),
        (524, b"", e.ProviderTimeout),
        (529, b"", e.ProviderUnavailable),
        (302, b"", e.UnexpectedResponse),
        (466, b"", e.UnexpectedResponse),
        (200, b"{}", e.UnexpectedResponse),
        (200, b"[" * 100_000, e.UnexpectedResponse),
    ],
)
def test_every_shape_is_sorted(status: int, body: object, kind: type[e.ProviderError]) -> None:
    error = read(status, body)
    assert type(error) is kind
    assert error.provider == "Acme"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, {"error": {"message": "x"}}, "Your Acme API key is invalid. Please check and try again."),
        (403, {"error": {"message": "x"}}, "Your Acme API key is invalid. Please check and try again."),
        (
            400,
            {"error": "Incorrect API key provided: abc"},
            "Your Acme API key is invalid. Please check and try again.",
        ),
        (402, b"", "You've hit your Acme usage cap. Upgrade your plan or use another provider."),
        (429, b"", "Acme rate limit hit."),
        (400, {"error": {"message": "Unknown\n  parameter"}}, "Acme refused the request. It says: Unknown parameter"),
        (422, {"detail": [{"msg": "A"}, {"msg": "B"}]}, "Acme refused the request. It says: A; B"),
        (404, b"<html>model", "Acme answered something unexpected (status 404)."),
        (503, b"<!DOCTYPE html>", "Acme is unavailable right now."),
        (429, {"error": {"message": "M", "metadata": {"raw": "R"}}}, "Acme rate limit hit. It says: M: R"),
    ],
)
def test_the_sentence_is_ours_and_quotes_the_provider(status: int, body: object, message: str) -> None:
    assert read(status, body).message == message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 20s.", 20),
        ("Please try again in 7m12.5s.", 432.5),
        ("Please try again in 1h2m3s", 3723),
        ("Please try again in 250ms.", 0.25),
        ("Please retry after 6 seconds.", 6),
        ("Please try again later.", None),
        ("again in " + "9" * 5000 + "s", None),
    ],
)
def test_the_time_to_wait_is_read_from_the_text(text: str, seconds: float | None) -> None:
    assert read(429, {"error": {"message": text}}).retry_after == seconds


SECRETS = [
    "sk-proj-AbCdEf1234567890",
    "sk-abc***********xyz",
    "dom_k1abcdef_0123456789abcdef",
    "gsk_abcdefghijklmnop",
    "xai-abcdefghijklmnop",
    "AIzaSyA1234567890abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "0123456789abcdef0123456789abcdef",
    "AbC9" * 20,
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 200])
@pytest.mark.parametrize("shape", ['{"error":{"message":"%s"}}', '{"error":"got %s"}', '{"detail":"%s"}', "plain %s."])
def test_no_credential_comes_through(secret: str, status: int, shape: str) -> None:
    error = read(status, (shape % f"Your key {secret} for model x").encode())
    said = f"{error.message} {error.action} {error.verbatim!r} {OPENAI_CHAT.write_error(error, 'req_1')!r}"
    assert secret not in said
    assert secret[4:] not in said


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Incorrect API key provided: bad-key-*****test.", "Incorrect API key provided: [masked]"),
        ("api_key=AbCdEf12345678 here", "api_key=[masked] here"),
        ("Authorization: Bearer abcdef012345", "Authorization: Bearer [masked]"),
        ("x-api-key: 0123456789", "x-api-key: [masked]"),
        ("key sk-abcdefgh", "key [masked]"),
    ],
)
def test_what_is_labelled_as_a_key_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "the key 'additionalProperties' is unknown",
        "max_tokens is too large: 123456789",
        "token limit 123456789 exceeded",
        "quota GenerateRequestsPerMinutePerProjectPerModelFreeTier",
        "request 123e4567-e89b-12d3-a456-426614174000",
    ],
)
def test_what_is_no_key_stays(text: str) -> None:
    assert mask(text) == text


def test_a_clean_refusal_may_be_relayed_verbatim() -> None:
    body = b'{"error":{"message":"Unknown parameter: x","type":"invalid_request_error","param":"x","code":null}}'
    assert read(400, body).verbatim == body


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":{"message":"at sk-abcdefgh123456"}}'),
        (400, b'{"error":"Unknown parameter"}'),
        (400, b"Bad request"),
        (401, b'{"error":{"message":"Unknown parameter"}}'),
        (500, b'{"error":{"message":"Unknown parameter"}}'),
    ],
)
def test_other_errors_are_not_relayed_verbatim(status: int, body: bytes) -> None:
    assert read(status, body).verbatim == b""


@STEADY
@given(
    st.integers(100, 999), st.binary() | st.text().map(lambda text: json.dumps({"error": {"message": text}}).encode())
)
def test_reading_an_error_never_raises(status: int, body: bytes) -> None:
    assert isinstance(read(status, body), e.ProviderError)


def test_hostile_errors_are_read_in_time() -> None:
    start = time.process_time()
    for text in (
        "key:" * 60_000,
        "key key-" * 30_000,
        "a" * 250_000,
        "again " * 40_000,
        "model " * 40_000,
        "eyJ" * 80_000,
    ):
        read(400, {"error": {"message": text}})
    assert time.process_time() - start < 2


# --- to callers


LIMIT = e.QuotaExceeded(
    "Daily requests are used up.",
    kind="daily_requests",
    limit=100,
    used=100,
    resets_at="2026-11-22T00:00:00Z",
    retry_after=60,
)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (e.InvalidRequest("x", param="n"), "invalid_request_error", "invalid_request"),
        (e.UnknownModel("x"), "invalid_request_error", "model_not_found"),
        (e.Unauthenticated("x"), "authentication_error", "invalid_api_key"),
        (e.Forbidden("x"), "permission_error", "forbidden"),
        (LIMIT, "insufficient_quota", "insufficient_quota"),
        (e.ProviderRateLimited("x"), "rate_limit_error", "rate_limit_exceeded"),
        (e.ModelNotAvailable("x"), "invalid_request_error", "model_not_found"),
        (e.ContextOverflow("x"), "invalid_request_error", "context_length_exceeded"),
        (e.InvalidCredentials("x"), "server_error", "provider_credentials_invalid"),
        (e.Internal("x"), "server_error", "internal_error"),
    ],
)
def test_errors_are_written_in_openai_s_envelope(error: e.DominionError, kind: str, code: str) -> None:
    written = json.loads(OPENAI_CHAT.write_error(error, "req_1"))["error"]
    assert (written["type"], written["code"], written["param"]) == (kind, code, error.param)
    assert (written["message"], written["action"], written["request_id"]) == (error.message, error.action, "req_1")


def test_a_limit_tells_its_numbers() -> None:
    written = json.loads(OPENAI_CHAT.write_error(LIMIT, "req_1"))["error"]
    assert (written["limit"], written["used"], written["resets_at"]) == (100, 100, "2026-11-22T00:00:00Z")


def test_the_sdk_understands_a_written_error() -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(429, content=OPENAI_CHAT.write_error(LIMIT, "req_1"))

    transport = httpx2.MockTransport(answer)
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(api_key="k", base_url="http://127.0.0.1", http_client=http, max_retries=0) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.models.list()
    assert caught.value.code == "insufficient_quota"
    assert caught.value.type == "insufficient_quota"


def test_an_error_inside_a_stream_ends_it() -> None:
    frames = FrameReader().feed(OPENAI_CHAT.write_stream_error(e.UnexpectedResponse("Broke off."), "req_1"))
    assert [found.data for found in frames][1:] == [b"[DONE]"]
    assert json.loads(frames[0].data)["error"]["message"] == "Broke off."
