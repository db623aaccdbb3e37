"""The call of document 001 through the running program, to servers that stand where OpenAI and Anthropic would."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tests.client.scripted import Said, Scripted, events, said, scripted
from tests.whole.program import Answer, Program

OPENAI_KEY = "sk-canary-of-openai-0123456789abcdefghij"
ANTHROPIC_KEY = "sk-ant-canary-of-anthropic-0123456789abcdefghij"
CHAT, MESSAGES = "POST /v1/chat/completions", "POST /v1/messages"
TURNS = [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": "Hello!"}]
USAGE = {"promptTokens": 1000, "completionTokens": 500, "totalTokens": 1500}


def openai_answer(model: str = "gpt-4o-mini") -> Said:
    message = {"role": "assistant", "content": "Good day."}
    return said(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
        }
    )


def openai_stream() -> Said:
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    said_first = {"index": 0, "delta": {"role": "assistant", "content": "Good day."}, "finish_reason": None}
    return events(
        frame | {"choices": [said_first]},
        frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        frame | {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}},
        "[DONE]",
    )


ANTHROPIC_ANSWER = said(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-3-5-sonnet-20241022",
        "content": [{"type": "text", "text": "Good day."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 500},
    }
)


class House(NamedTuple):
    """A gateway between a caller and two vendors."""

    program: Program
    openai: Scripted
    anthropic: Scripted

    def complete(self, key: str | None, **fields: Any) -> Answer:
        return self.program.ask("POST", "/v1/llm/complete", {"messages": TURNS, **fields}, token=key)

    def asked(self) -> tuple[int, int]:
        """How often each vendor was asked."""
        return len(self.openai.asked), len(self.anthropic.asked)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with scripted({}) as openai, scripted({}) as anthropic:
        environment = {
            "OPENAI_API_KEY": OPENAI_KEY,
            "OPENAI_BASE_URL": openai.url,
            "ANTHROPIC_API_KEY": ANTHROPIC_KEY,
            "ANTHROPIC_BASE_URL": anthropic.url,
        }
        with Program(tmp_path_factory.mktemp("native"), **environment) as program:
            yield House(program, openai, anthropic)


@pytest.fixture
def house(gateway: House) -> House:
    """The gateway, with both vendors well and nothing asked yet."""
    gateway.openai.answers.update({CHAT: openai_answer()})
    gateway.anthropic.answers.update({MESSAGES: ANTHROPIC_ANSWER})
    gateway.openai.asked.clear()
    gateway.anthropic.asked.clear()
    return gateway


DOCUMENT_001 = {"temperature": 0.2, "max_tokens": 1024}


@pytest.mark.promise("000-008", "000-009", "001-001", "001-035", "001-036", "001-037", "001-038", "001-039")
@pytest.mark.promise("000-047", "001-040", "001-041", "002-018", "002-035", "002-036", "002-037")
@pytest.mark.parametrize("provider", ["openai", "auto"])
def test_the_call_of_document_001_reaches_openai(house: House, provider: str) -> None:
    answer = house.complete(house.program.user()[1], provider=provider, model="gpt-4o-mini", **DOCUMENT_001)
    assert answer.status == 200, answer.body
    assert (answer.json["content"], answer.json["finish_reason"]) == ("Good day.", "stop")
    assert {name: answer.json["usage"][name] for name in USAGE} == USAGE
    assert answer.headers["x-dominion-provider"] == "openai"
    assert house.asked() == (1, 0)
    (asked,) = house.openai.asked
    assert asked.headers["authorization"] == f"Bearer {OPENAI_KEY}"
    body = asked.json()
    assert (body["model"], body["messages"], body["temperature"]) == ("gpt-4o-mini", TURNS, 0.2)
    assert body.get("max_tokens", body.get("max_completion_tokens")) == 1024


@pytest.mark.promise("000-008", "000-010", "000-047", "001-001", "001-035", "001-037", "001-039", "001-040", "001-041")
@pytest.mark.parametrize("provider", ["anthropic", "auto"])
def test_the_call_of_document_001_reaches_anthropic(house: House, provider: str) -> None:
    answer = house.complete(house.program.user()[1], provider=provider, model="claude-3-5-sonnet", **DOCUMENT_001)
    assert answer.status == 200, answer.body
    assert answer.json["content"] == "Good day."
    assert {name: answer.json["usage"][name] for name in USAGE} == USAGE
    assert answer.headers["x-dominion-provider"] == "anthropic"
    assert house.asked() == (0, 1)
    (asked,) = house.anthropic.asked
    assert asked.headers["x-api-key"] == ANTHROPIC_KEY
    assert asked.headers["anthropic-version"]
    body = asked.json()
    assert (body["temperature"], body["max_tokens"]) == (0.2, 1024)
    assert "You are helpful." in str(body["system"])
    assert [turn["role"] for turn in body["messages"]] == ["user"]
    assert "Hello!" in str(body["messages"])


@pytest.mark.promise("000-011", "000-047")
def test_the_stub_stays_within_reach_where_vendors_are_configured(house: House) -> None:
    answer = house.complete(house.program.user()[1], provider="stub", model="echo")
    assert answer.json["content"].endswith("You said: Hello!")
    assert answer.headers["x-dominion-provider"] == "stub"
    assert house.asked() == (0, 0)


@pytest.mark.promise("000-045")
def test_without_a_choice_the_next_vendor_answers_when_the_first_cannot(house: House) -> None:
    key = house.program.user()[1]
    assert house.complete(key).headers["x-dominion-provider"] == "anthropic"
    house.anthropic.answers[MESSAGES] = said({"type": "error", "error": {"type": "overloaded_error"}}, 529)
    assert house.complete(key).headers["x-dominion-provider"] == "openai"
    assert house.asked() == (1, 2)
    house.openai.answers[CHAT] = said({"error": {"message": "down"}}, 503)
    failed = house.complete(key)
    assert (failed.status, failed.json["error"]) == (503, "provider_unavailable")


@pytest.mark.promise("000-005", "000-006", "000-007", "000-008")
def test_a_request_is_authenticated_then_limited_then_routed_and_its_usage_recorded(house: House) -> None:
    (user_id, key), (poor_id, poor) = house.program.user(daily_requests=1), house.program.user(daily_requests=0)
    for stranger in (None, "dom_0000000000000000_wrong", OPENAI_KEY):
        assert house.complete(stranger, model="gpt-4o").status == 401
    refused = house.complete(poor, model="gpt-4o")
    assert (refused.status, refused.json["message"]) == (429, "Daily request limit exceeded")
    assert house.asked() == (0, 0)
    assert house.complete(key, model="gpt-4o").status == 200
    assert house.complete(key, model="gpt-4o").status == 429
    assert house.asked() == (1, 0)
    assert house.program.usage(poor_id)["requests"] == 0
    recorded = house.program.usage(user_id)
    assert (recorded["requests"], recorded["input_tokens"], recorded["output_tokens"]) == (1, 1000, 500)


PRICES = {
    ("openai", "gpt-4o"): "0.007500000",  # decision X-01: today's price, not that of document 000
    ("openai", "gpt-4o-mini"): "0.000450000",
    ("anthropic", "claude-3-5-sonnet"): "0.010500000",
    ("anthropic", "claude-3-haiku"): "0.000875000",
}


@pytest.mark.promise("000-057", "000-058", "000-059", "000-060", "000-061", "001-009", "002-041", "003-199")
@pytest.mark.parametrize(("provider", "model"), PRICES)
def test_a_thousand_tokens_in_and_five_hundred_out_cost_what_the_table_says(
    house: House, provider: str, model: str
) -> None:
    house.openai.answers[CHAT] = openai_answer(model)
    user_id, key = house.program.user(monthly_spend_cap_usd=50)
    cost = PRICES[provider, model]
    answer = house.complete(key, provider=provider, model=model, max_tokens=500)
    assert answer.headers["x-dominion-cost-usd"] == cost
    assert Decimal(answer.headers["x-dominion-remaining-usd"]) == 50 - Decimal(cost)
    usage = house.program.admin("GET", f"/admin/usage?user_id={user_id}")
    (row,) = usage["rows"]
    assert (row["provider"], row["cost_usd"], usage["totals"]["cost_usd"]) == (provider, cost, cost)
    spend = house.program.ask("GET", "/v1/llm/quota", token=key).json["monthly_spend"]
    assert (spend["used_usd"], Decimal(spend["remaining_usd"])) == (cost, 50 - Decimal(cost))


@pytest.mark.promise("002-019")
def test_a_stream_costs_the_same_whichever_door_it_leaves_by(house: House) -> None:
    house.openai.answers[CHAT] = openai_stream()
    asked = {"model": "openai/gpt-4o", "messages": TURNS[1:], "max_tokens": 500, "stream": True}
    for door in ("/v1/llm/complete", "/v1/chat/completions", "/v1/messages"):
        user_id, key = house.program.user()
        answer = house.program.ask("POST", door, asked, token=key)
        assert b"Good day." in answer.body
        assert house.program.usage(user_id)["cost_usd"] == "0.007500000", door


@pytest.mark.promise("000-012", "000-013")
def test_no_byte_of_any_answer_holds_a_key_of_a_vendor(house: House) -> None:
    """Not even when the vendor itself repeats it."""
    key = house.program.user()[1]
    quoted = f"Incorrect API key provided: {OPENAI_KEY} {ANTHROPIC_KEY}"
    seen = [
        house.program.ask(method, path, token=house.program.admin_token if path.startswith("/admin") else key)
        for method, path in (
            ("GET", "/v1/llm/models"),
            ("GET", "/v1/models"),
            ("GET", "/v1/llm/quota"),
            ("GET", "/health/ready"),
            ("GET", "/openapi.json"),
            ("GET", "/metrics"),
            ("GET", "/admin/users"),
            ("GET", "/admin/usage"),
        )
    ]
    for status in (200, 400, 401, 403, 404, 429, 500):
        openai_error = {"error": {"message": quoted, "type": "invalid_request_error", "code": OPENAI_KEY}}
        house.openai.answers[CHAT] = openai_answer() if status == 200 else said(openai_error, status)
        anthropic_error = {"type": "error", "error": {"type": "authentication_error", "message": quoted}}
        house.anthropic.answers[MESSAGES] = ANTHROPIC_ANSWER if status == 200 else said(anthropic_error, status)
        for door in ("/v1/llm/complete", "/v1/chat/completions", "/v1/messages"):
            for model in ("gpt-4o", "claude-3-haiku"):
                asked = {"model": model, "messages": TURNS[1:], "max_tokens": 50}
                answer = house.program.ask("POST", door, asked, token=key)
                assert (answer.status == 200) == (status == 200)
                seen.append(answer)
    for answer in seen:
        everything = repr(answer.headers).encode() + answer.body
        assert b"canary" not in everything, answer.body
