"""The OpenAI-compatible services as their own servers behave, one row each. Written from what was read and recorded of
them (reference/providers.md 1.1, 1.2, 1.13 and openai_compatible.tsv), never from our catalogue.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

HINT = 30
INPUT_TOKENS, OUTPUT_TOKENS, REASONING_TOKENS = 20, 12, 5


class Vendor(NamedTuple):
    """One service. `path` of completions, exactly.

    `keyed`: it answers 401 (or what `wrong_key` says) to any other key than its own. `refuses` are parameters that it
    answers 400 to; `forced` its word for a tool that must be called, "" where it knows no tools. `usage` says where a
    stream tells it, `reasoning` whether those tokens are inside the completion, outside it, or only in the total.
    `signed`: a tool call carries a signature that must come back. `extra` fields of every chunk.
    """

    id: str
    path: str = "/v1/chat/completions"
    keyed: bool = True
    refuses: tuple[str, ...] = ()
    forced: str = "required"
    usage: Literal["asked", "finish", "always", "x_groq", "every"] = "asked"
    reasoning: Literal["inside", "outside", "hidden"] = "inside"
    crlf: bool = False
    comments: str = ""
    done: bool = True
    signed: bool = False
    wrong_key: tuple[int, Any] | None = None
    limited: Any = None
    hinted: bool = True
    extra: Mapping[str, Any] = MappingProxyType({})


def _error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


_GEMINI_LIMIT = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{HINT}s"}],
    }
}
_GEMINI_KEY = {
    "error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    }
}

VENDORS = (
    Vendor(
        "groq",
        "/openai/v1/chat/completions",
        usage="x_groq",
        limited=_error(f"Rate limit reached. Please try again in {HINT}s.", type="tokens", code="rate_limit_exceeded"),
    ),
    Vendor(
        "deepseek",
        "/chat/completions",
        usage="finish",
        wrong_key=(401, _error("Authentication Fails", type="authentication_error", code="invalid_request_error")),
    ),
    Vendor(
        "openrouter",
        "/api/v1/chat/completions",
        usage="always",
        comments=": OPENROUTER PROCESSING",
        wrong_key=(401, _error("No auth credentials found", code=401)),
        limited=_error("Provider returned error", code=429, metadata={"raw": "slow down", "provider_name": "X"}),
        hinted=False,
        extra={"provider": "OpenAI"},
    ),
    Vendor(
        "xai",
        reasoning="outside",
        usage="always",
        wrong_key=(400, {"code": "invalid-argument", "error": "Incorrect API key provided: ke***me."}),
        limited={"code": "resource-exhausted", "error": "Too many requests."},
    ),
    Vendor(
        "mistral",
        refuses=("max_completion_tokens",),
        forced="any",
        usage="finish",
        wrong_key=(401, {"detail": "Invalid API Key"}),
        limited={"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"},
        hinted=False,
        extra={"p": "abcde"},
    ),
    Vendor(
        "perplexity",
        "/chat/completions",
        forced="",
        usage="every",
        crlf=True,
        comments=": ping - 2026-11-21",
        done=False,
        wrong_key=(401, _error("Invalid API key provided.", type="invalid_api_key", code=401)),
        limited=_error("Request rate limit exceeded.", type="request_rate_limit_exceeded", code=429),
        extra={"citations": ["https://example.com"]},
    ),
    Vendor("together", usage="finish", extra={"prompt": []}),
    Vendor("fireworks", "/inference/v1/chat/completions"),
    Vendor(
        "cerebras",
        wrong_key=(401, {"message": "Wrong API Key", "type": "invalid_request_error", "code": "wrong_api_key"}),
        limited={  # opencode issue 7463, grammar-nazi-bot issue 958
            "message": "Tokens per minute limit exceeded - too many tokens processed.",
            "type": "too_many_tokens_error",
            "param": "quota",
            "code": "token_quota_exceeded",
        },
        extra={"time_info": {"queue_time": 0.004}},
    ),
    Vendor("sambanova"),
    Vendor("hyperbolic"),
    Vendor("novita", "/v3/openai/chat/completions"),
    Vendor("lepton", "/api/v1/chat/completions"),
    Vendor("corethink"),
    Vendor("featherless"),
    Vendor("requesty"),
    Vendor("glama", "/api/gateway/openai/v1/chat/completions"),
    Vendor("chutes", refuses=("max_completion_tokens",)),
    Vendor(
        "cohere",
        "/compatibility/v1/chat/completions",
        wrong_key=(401, {"id": "1", "message": "invalid api token"}),
        limited={"id": "1", "message": "Trial keys are limited."},
    ),
    Vendor(
        "gemini",
        "/v1beta/openai/chat/completions",
        reasoning="hidden",
        signed=True,
        wrong_key=(400, [_GEMINI_KEY]),
        limited=[_GEMINI_LIMIT],
    ),
    Vendor("moonshot", usage="finish"),
    Vendor("glm", "/api/paas/v4/chat/completions", usage="finish"),
    Vendor("doubao", "/api/v3/chat/completions"),
    Vendor("qwen", "/compatible-mode/v1/chat/completions"),
    Vendor("zai", "/api/paas/v4/chat/completions", usage="finish"),
    Vendor("yi"),
    Vendor("minimax"),
    Vendor("hunyuan"),
    Vendor("stepfun"),
    Vendor("lmstudio", keyed=False),
    Vendor(
        "llamacpp",
        keyed=False,
        wrong_key=(401, _error("Invalid API Key", code=401, type="authentication_error")),
        extra={"timings": {"prompt_ms": 1.5}},
    ),
    Vendor("localai", keyed=False),
    Vendor("litellm", keyed=False),
    Vendor("made-up", "/llm/v2/converse"),
)
