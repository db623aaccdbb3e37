"""Legacy completions as a dialect, in both roles, by hand and against recorded traffic."""

import json
from typing import Any

import msgspec
import openai
import pytest

from dominion.domain.contracts import Peek
from dominion.domain.errors import InvalidRequest, NetworkFailure, ProviderRefused, UnexpectedResponse
from dominion.domain.messages import (
    Answer,
    Event,
    Failed,
    Finished,
    Image,
    Message,
    Metered,
    OutputFormat,
    Refusal,
    RefusalDelta,
    Request,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
)
from dominion.domain.usage import Usage
from dominion.wire.fields import read_fields
from dominion.wire.openai_completions.dialect import OPENAI_COMPLETIONS as DIALECT
from tests.wire.openai_oracle import LEGACY_REQUEST, check_request, completion_in_sdk, completions_in_sdk
from tests.wire.recordings import Recording, needs_recordings, pieces, recordings

NO_PROMPTS: tuple[Any, ...] = ([], [[]], [[1], []], None, {"a": 1}, ["a", 1], [1, [2]])
USED = Usage(8, 16)
USAGE = {"prompt_tokens": 8, "completion_tokens": 16, "total_tokens": 24}


def fields(**given: Any) -> Any:
    return read_fields(json.dumps({"model": "m", "prompt": "Once"} | given).encode())


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    told = {"id": "c", "object": "text_completion", "created": 7, "choices": choices, "model": "m"} | more
    return b"data: %b\n\n" % json.dumps(told).encode()


def piece(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}


STREAM = [
    chunk(piece(" upon")),
    chunk(piece(" a")),
    chunk(piece("", "length")),
    chunk(usage=USAGE),
    b"data: [DONE]\n\n",
]
EVENTS: list[Event] = [
    *(Started("c", "m"), TextDelta(0, " upon"), TextDelta(0, " a")),
    *(Finished("length"), Metered(USED)),
]


def events_of(chunks: list[bytes]) -> list[Event]:
    reader = DIALECT.reader()
    return [event for part in chunks for event in reader.feed(part)] + reader.end()


# --- requests


@pytest.mark.parametrize("prompt", ["Once", ["Once"]])
def test_one_prompt_is_one_message_of_the_user(prompt: Any) -> None:
    request = DIALECT.read_request(fields(prompt=prompt, temperature=1, stop="x", max_tokens=5, seed=3, best_of=1))
    assert request.messages == (Message("user", (Text("Once"),)),)
    assert (request.temperature, request.stop, request.max_output, request.seed) == (1, ("x",), 5, 3)
    assert request.unread == ()


def test_the_api_s_own_small_cap_holds_when_none_is_given() -> None:
    assert DIALECT.read_request(fields()).max_output == 16


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1, 2]], [[1], [2]]])
def test_tokens_and_several_prompts_are_relayed_but_never_translated(prompt: Any) -> None:
    asked = fields(prompt=prompt)
    assert json.loads(DIALECT.patch(asked, DIALECT.peek(asked), model="n", output_cap=None))["prompt"] == prompt
    with pytest.raises(InvalidRequest, match="Only one prompt, as a text") as caught:
        DIALECT.read_request(asked)
    assert caught.value.param == "prompt"


def test_what_chat_has_no_place_for_is_named() -> None:
    given = {"suffix": "end", "best_of": 3, "logprobs": 2, "echo": True, "n": 2, "logit_bias": {"5": 1}, "tools": [1]}
    assert set(DIALECT.read_request(fields(**given)).unread) == set(given)
    quiet: dict[str, Any] = {"suffix": None, "best_of": 1, "logprobs": None, "echo": False, "n": 1, "logit_bias": {}}
    assert DIALECT.read_request(fields(**quiet)).unread == ()


def test_every_completion_that_is_billed_is_counted() -> None:
    assert DIALECT.peek(fields()) == Peek(model="m", stream=False)
    assert DIALECT.peek(fields(prompt=["a", "b"], n=2, best_of=3, max_tokens=4)) == Peek("m", False, 4, 6)
    assert DIALECT.peek(fields(prompt=[[1], [2, 3]])).choices == 2
    assert not DIALECT.peek(fields(stream=True)).asks_usage
    assert DIALECT.peek(fields(stream=True, stream_options={"include_usage": True})).asks_usage


def test_a_cap_by_the_name_that_this_api_ignores_is_no_cap() -> None:
    assert DIALECT.peek(fields(max_completion_tokens=1)).output_cap is None


@pytest.mark.parametrize(
    ("given", "param"),
    [
        *(({"prompt": prompt}, "prompt") for prompt in NO_PROMPTS),
        *(({"best_of": best}, "best_of") for best in (0, 129)),
        ({"model": None}, "model"),
        ({"Best_Of": 5}, "Best_Of"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_wrong_field_is_refused_by_name(given: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.peek(fields(**given))
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)


def test_patching_changes_model_cap_and_usage_and_nothing_else() -> None:
    asked = fields(stream=True, best_of=2)
    patched = json.loads(DIALECT.patch(asked, DIALECT.peek(asked), model="gpt-5", output_cap=9))
    expected = {"model": "gpt-5", "prompt": "Once", "stream": True, "best_of": 2, "max_tokens": 9}
    assert patched == expected | {"stream_options": {"include_usage": True}}


def test_one_text_is_sent_as_a_prompt() -> None:
    asked = Request(
        model="m",
        messages=(Message("user", (Text("Once"), Text(" upon"))),),
        tools=(Tool("f", msgspec.Raw(b"{}")),),
        output_format=OutputFormat("json_object"),
        temperature=0.5,
        stop=("x",),
        max_output=5,
        top_k=3,
        stream=True,
    )
    written = DIALECT.write_request(asked, model="gpt-3.5-turbo-instruct", output_cap=None)
    assert check_request(written.body, LEGACY_REQUEST) == {
        "model": "gpt-3.5-turbo-instruct",
        "prompt": "Once upon",
        "max_tokens": 5,
        "temperature": 0.5,
        "stop": ["x"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert set(written.lost) == {"tools", "response_format", "top_k"}
    capped = DIALECT.write_request(asked, model="gpt-5-instruct", output_cap=2).body
    assert json.loads(capped)["max_tokens"] == 2
    assert "max_completion_tokens" not in json.loads(capped)


@pytest.mark.parametrize(
    "messages",
    [
        (Message("system", (Text("Be brief."),)), Message("user", (Text("Hi"),))),
        (Message("user", (Image(url="https://a/b.png"),)),),
    ],
)
def test_a_conversation_is_no_prompt(messages: tuple[Message, ...]) -> None:
    with pytest.raises(InvalidRequest, match="takes no conversation"):
        DIALECT.write_request(Request(model="m", messages=messages), model="m", output_cap=None)


# --- answers and streams


def test_an_answer_survives_writing_and_reading_and_reaches_the_sdk() -> None:
    answer = Answer("c", "m", (Text(" upon"),), "length", USED)
    body = DIALECT.write_answer(answer, now=7)
    assert DIALECT.read_answer(body) == answer
    told = completion_in_sdk(body)
    assert (told.choices[0].text, told.choices[0].finish_reason, told.created) == (" upon", "length", 7)
    seen = DIALECT.read_seen(body)
    assert (seen.usage, seen.finish, seen.model) == (USED, "length", "m")


def test_of_an_answer_only_what_is_said_is_text() -> None:
    answer = Answer("c", "m", (Thinking("hm"), Text("a"), Refusal("b")), "refusal", None)
    told = json.loads(DIALECT.write_answer(answer, now=7))
    assert told["choices"][0] == piece("ab", "stop")
    assert "usage" not in told


def test_a_stream_is_read_however_it_is_cut() -> None:
    body = b"".join(STREAM)
    assert events_of([body]) == EVENTS
    assert events_of([bytes([byte]) for byte in body]) == EVENTS


def test_a_written_stream_reaches_the_sdk_and_is_read_again() -> None:
    writer = DIALECT.writer(now=7, asks_usage=True)
    body = (
        b"".join([writer.write(event) for event in [*EVENTS[:2], ThinkingDelta(0, "hm"), *EVENTS[2:]]]) + writer.end()
    )
    assert events_of([body]) == EVENTS
    chunks = completions_in_sdk(body)
    assert "".join(choice.text for told in chunks for choice in told.choices) == " upon a"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 16


def test_usage_nobody_asked_for_is_not_written() -> None:
    writer = DIALECT.writer(now=7, asks_usage=False)
    events: list[Event] = [Started("c", "m"), RefusalDelta(0, "No"), Metered(USED)]
    body = b"".join(map(writer.write, events))
    assert b"usage" not in body + writer.end()


def test_a_tap_relays_all_but_the_usage_nobody_asked_for_and_counts_the_text() -> None:
    for hide, kept in ((False, STREAM), (True, [*STREAM[:3], STREAM[4]])):
        for cuts in ([], list(range(1, 900, 7))):
            tap = DIALECT.tap(hide_usage=hide)
            body = b"".join(STREAM)
            relayed = b"".join([tap.feed(part) for part in pieces(body, [cut for cut in cuts if cut < len(body)])])
            assert relayed + tap.end() == b"".join(kept)
            assert (tap.seen.usage, tap.seen.finish, tap.seen.model, tap.seen.done) == (USED, "length", "m", True)
            assert tap.seen.content_bytes == len(" upon a")


def test_a_failure_inside_a_stream_is_read_and_written() -> None:
    body = b'data: {"error":{"message":"Boom","code":"overloaded"}}\n\n'
    assert events_of([body]) == [Failed("Boom", "overloaded")]
    tap = DIALECT.tap(hide_usage=True)
    assert (tap.feed(body), tap.seen.failed) == (body, "Boom")
    ended = DIALECT.write_stream_error(NetworkFailure("Gone."), "req_1")
    with pytest.raises(openai.APIError, match="Gone"):
        completions_in_sdk(ended)
    written = DIALECT.writer(now=7, asks_usage=False).write(Failed("Boom", "overloaded"))
    assert events_of([written]) == [Failed("Boom", "overloaded")]


def test_a_stream_that_breaks_off_is_told() -> None:
    with pytest.raises(UnexpectedResponse, match="broke off"):
        events_of(STREAM[:2])


def test_errors_are_those_of_chat() -> None:
    body = DIALECT.write_error(InvalidRequest("Wrong.", param="prompt"), "req_1")
    assert json.loads(body)["error"]["param"] == "prompt"
    assert isinstance(DIALECT.read_error("OpenAI", 400, body), ProviderRefused)


# --- recordings


def recorded(kind: str) -> list[Recording]:
    """Of OpenAI, Azure, Together and vLLM; the streams of Writer, at the same path, are not of this dialect."""
    found = [one for one in recordings("/completions", kind=kind) if "chat/completions" not in one.path]
    return [one for one in found if one.status == 200 and (one.provider, kind) != ("writer", "sse")]


@needs_recordings
def test_recorded_requests_are_read_and_written_again() -> None:
    for one in [*recorded("json"), *recorded("sse")]:
        if one.request is None:
            continue
        prompt = one.request["prompt"]
        if isinstance(prompt, list) and not (len(prompt) == 1 and isinstance(prompt[0], str)):
            with pytest.raises(InvalidRequest, match="Only one prompt"):
                DIALECT.read_request(read_fields(json.dumps(one.request).encode()))
            continue
        request = DIALECT.read_request(read_fields(json.dumps(one.request).encode()))
        written = DIALECT.write_request(request, model=request.model, output_cap=None)
        assert set(request.unread) <= set(written.lost), one.id
        again = DIALECT.read_request(read_fields(written.body))
        assert again == msgspec.structs.replace(request, unread=()), one.id
