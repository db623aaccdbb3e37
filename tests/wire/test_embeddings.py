"""Embeddings at the door and at every vendor, by hand, by OpenAI's SDK, and against recorded traffic."""

import json
import struct
from typing import Any

import msgspec
import pytest
from genai_prices import extract_usage

from dominion.domain.errors import InvalidRequest, UnexpectedResponse
from dominion.domain.usage import Usage
from dominion.wire.embedding import dialect as embeddings
from dominion.wire.embedding.dialect import EmbeddingAnswer, EmbeddingPeek, EmbeddingRequest, Encoding, Purpose
from dominion.wire.embedding.translated import EMBEDDING_DIALECTS
from dominion.wire.fields import read_fields
from tests.wire.openai_oracle import EMBEDDING_REQUEST, check_request, embeddings_in_sdk
from tests.wire.recordings import Recording, needs_recordings, recordings

GEMINI, GEMINI_SINGLE, COHERE, OLLAMA, VOYAGE = EMBEDDING_DIALECTS
NUMBERS = [0.5, -1.25, 3.0]  # exact in 32 bits
RAW, PACKED = msgspec.Raw(b"[0.5,-1.25,3.0]"), msgspec.Raw(b'"AAAAPwAAoL8AAEBA"')
ASK = EmbeddingRequest(("one", "two"))
NO_INPUTS: tuple[Any, ...] = ([], [[]], [[1], []], None, {"a": 1}, ["a", 1], [1, [2]], [1.5], True)


def fields(**given: Any) -> Any:
    return read_fields(json.dumps({"model": "m", "input": "Hello"} | given).encode())


def sent(dialect: embeddings.EmbeddingDialect, request: EmbeddingRequest) -> tuple[dict[str, Any], tuple[str, ...]]:
    written = dialect.write_request(request, model="m")
    return json.loads(written.body), written.lost


# --- the door


@pytest.mark.parametrize(
    ("given", "inputs", "bound"),
    [
        ("Hello", 1, 7),
        ("", 1, 2),
        (["Hello", "Ünder"], 2, 15),
        ([5, 6, 7], 1, 3),
        ([[5, 6], [7]], 2, 3),
    ],
)
def test_the_peek_counts_vectors_and_bounds_tokens(given: Any, inputs: int, bound: int) -> None:
    assert embeddings.peek(fields(input=given)) == EmbeddingPeek("m", inputs, bound)


@pytest.mark.parametrize("given", NO_INPUTS)
def test_no_input_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequest, match="'input") as caught:
        embeddings.peek(fields(input=given))
    assert caught.value.param


@pytest.mark.parametrize("given", [{"model": ""}, {"model": "x" * 257}, {"Input": "x"}, {"MODEL": "x"}])
def test_a_model_that_is_none_and_a_lookalike_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        embeddings.peek(fields(**given))


def test_patching_changes_the_model_and_no_other_byte() -> None:
    asked = read_fields(b'{"model":"a", "input":[1,  2], "dimensions":3.0}')
    assert embeddings.patch(asked, model="b") == b'{"model":"b","input":[1,  2],"dimensions":3.0}'
    check_request(embeddings.patch(fields(dimensions=3), model="b"), EMBEDDING_REQUEST)


def test_a_request_is_read_and_what_has_no_place_is_named() -> None:
    given = {"dimensions": 8, "encoding_format": "base64", "input_type": "query"}
    asked = embeddings.read_request(fields(**given, user="u", truncate="END", other=None))
    assert asked == EmbeddingRequest(("Hello",), 8, "base64", "query", ("truncate", "user"))
    assert embeddings.read_request(fields(input=["a", "b"])) == EmbeddingRequest(("a", "b"))
    assert embeddings.read_request(fields(input_type="clustering")).unread == ("input_type",)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": [[1], [2]]}, "input"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
    ],
)
def test_what_cannot_be_translated_is_refused(given: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        embeddings.read_request(fields(**given))
    assert caught.value.param == param


@pytest.mark.parametrize("vector", [RAW, PACKED])
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_reach_the_sdk_in_the_form_that_was_asked_for(vector: msgspec.Raw, encoding: Encoding) -> None:
    answer = EmbeddingAnswer("", (vector, vector), Usage(input_tokens=5))
    body = embeddings.write_answer(answer, model="m", encoding=encoding)
    plain = json.loads(body)["data"][1]
    assert plain["embedding"] == (NUMBERS if encoding == "float" else json.loads(bytes(PACKED)))
    told = embeddings_in_sdk(body)
    assert [(each.index, each.embedding) for each in told.data] == [(0, NUMBERS), (1, NUMBERS)]
    assert (told.model, told.usage.prompt_tokens, told.usage.total_tokens) == ("m", 5, 5)
    assert embeddings.read_usage(body) == Usage(input_tokens=5)


def test_a_vector_that_is_carried_keeps_its_bytes() -> None:
    odd = msgspec.Raw(b"[ 1.50, -0e0 ]")
    assert bytes(odd) in embeddings.write_answer(EmbeddingAnswer("m", (odd,), None), model="m", encoding="float")


@pytest.mark.parametrize("vector", [b'"!!"', b'"AAA="', b'["a"]', b"{}", b"[1e300]"])
def test_a_vector_that_is_none_is_an_unexpected_response(vector: bytes) -> None:
    answer = EmbeddingAnswer("m", (msgspec.Raw(vector),), None)
    with pytest.raises(UnexpectedResponse, match="vector"):
        embeddings.write_answer(answer, model="m", encoding="float" if vector.startswith(b'"') else "base64")


def test_usage_that_is_none_is_none() -> None:
    assert embeddings.read_usage(b'{"data":[]}') is None
    assert embeddings.read_usage(b'{"usage":{"prompt_tokens":-1}}') is None
    assert embeddings.read_usage(b'{"usage":{"total_tokens":3}}') == Usage(input_tokens=3)
    with pytest.raises(UnexpectedResponse):
        embeddings.read_usage(b"<html>")


# --- vendors


@pytest.mark.parametrize("purpose", ["", "query", "document"])
def test_each_vendor_is_told_the_purpose_in_its_words(purpose: Purpose) -> None:
    asked = msgspec.structs.replace(ASK, purpose=purpose, dimensions=8, unread=("user",))
    assert sent(COHERE, asked)[0]["input_type"] == f"search_{purpose or 'document'}"
    assert sent(VOYAGE, asked)[0].get("input_type", "") == purpose
    task = sent(GEMINI, asked)[0]["requests"][0].get("taskType", "")
    assert task == (f"RETRIEVAL_{purpose.upper()}" if purpose else "")
    assert sent(OLLAMA, asked)[1] == (("user", "input_type") if purpose else ("user",))


def test_each_vendor_is_asked_in_its_shape() -> None:
    asked = msgspec.structs.replace(ASK, dimensions=8)
    one, two = ({"content": {"parts": [{"text": each}]}, "outputDimensionality": 8} for each in asked.texts)
    assert sent(GEMINI, asked)[0] == {"requests": [{"model": "models/m"} | one, {"model": "models/m"} | two]}
    assert sent(GEMINI_SINGLE, msgspec.structs.replace(asked, texts=("one",)))[0] == one
    assert sent(COHERE, asked)[0] == {
        "model": "m",
        "texts": ["one", "two"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 8,
    }
    assert sent(OLLAMA, asked)[0] == {"model": "m", "input": ["one", "two"], "truncate": False, "dimensions": 8}
    listed = {"model": "m", "input": ["one", "two"], "truncation": False, "output_dimension": 8}
    assert sent(VOYAGE, asked)[0] == listed
    packed = msgspec.structs.replace(asked, encoding="base64")
    assert sent(VOYAGE, packed)[0] == listed | {"encoding_format": "base64"}


def test_a_vendor_of_single_texts_refuses_two() -> None:
    with pytest.raises(InvalidRequest, match="one text"):
        GEMINI_SINGLE.write_request(ASK, model="m")


@pytest.mark.parametrize(
    ("dialect", "told", "usage"),
    [
        (GEMINI, {"embeddings": [{"values": NUMBERS}], "usageMetadata": {"promptTokenCount": 3}}, 3),
        (GEMINI, {"embeddings": [{"values": NUMBERS}]}, None),
        (GEMINI_SINGLE, {"embedding": {"values": NUMBERS}, "usageMetadata": {"promptTokenCount": 3}}, 3),
        (COHERE, {"embeddings": {"float": [NUMBERS]}, "meta": {"billed_units": {"input_tokens": 3}}}, 3),
        (COHERE, {"embeddings": {"float": [NUMBERS]}}, None),
        (OLLAMA, {"model": "m", "embeddings": [NUMBERS], "prompt_eval_count": 3}, 3),
        (VOYAGE, {"data": [{"embedding": NUMBERS, "index": 0}], "usage": {"total_tokens": 3}}, 3),
    ],
)
def test_each_vendor_s_answer_is_read(dialect: embeddings.EmbeddingDialect, told: Any, usage: int | None) -> None:
    answer = dialect.read_answer(json.dumps(told).encode())
    assert [json.loads(bytes(vector)) for vector in answer.vectors] == [NUMBERS]
    assert answer.usage == (None if usage is None else Usage(input_tokens=usage))


def test_vectors_out_of_order_are_put_in_order() -> None:
    told = {"data": [{"embedding": [2], "index": 1}, {"embedding": [1], "index": 0}]}
    assert VOYAGE.read_answer(json.dumps(told).encode()).vectors == (msgspec.Raw(b"[1]"), msgspec.Raw(b"[2]"))


@pytest.mark.parametrize("dialect", EMBEDDING_DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_what_is_no_answer_is_an_unexpected_response(dialect: embeddings.EmbeddingDialect, body: bytes) -> None:
    with pytest.raises(UnexpectedResponse):
        dialect.read_answer(body)


# --- recordings


def recorded(*tails: str, providers: tuple[str, ...]) -> list[Recording]:
    found = [one for provider in providers for one in recordings(*tails, provider=provider)]
    return [one for one in found if one.status == 200]


@needs_recordings
def test_recorded_embeddings_of_openai_s_shape_are_metered_as_the_independent_meter_does() -> None:
    metered = 0
    for one in recorded("/embeddings", providers=("openai", "azure", "mistral", "local")):
        meter, flavor = ("mistral", "default") if one.provider == "mistral" else ("openai", "embeddings")
        told = json.loads(one.body) | ({} if one.provider == "mistral" else {"model": "text-embedding-3-small"})
        theirs = extract_usage(told, provider_id=meter, api_flavor=flavor).usage
        assert embeddings.read_usage(one.body) == Usage(input_tokens=int(theirs.input_tokens or 0)), one.id
        metered += 1
    assert metered >= 50


@needs_recordings
def test_recorded_requests_of_openai_s_shape_are_peeked_patched_and_bounded() -> None:
    bounded = 0
    for one in recorded("/embeddings", providers=("openai", "azure", "mistral", "local")):
        if one.request is None or not one.request.get("model"):
            continue
        asked = read_fields(json.dumps(one.request).encode())
        assert json.loads(embeddings.patch(asked, model="other")) == one.request | {"model": "other"}
        usage = embeddings.read_usage(one.body)
        assert usage is not None
        assert embeddings.peek(asked).token_bound >= usage.input_tokens, one.id
        assert embeddings.peek(asked).inputs == len(json.loads(one.body)["data"]), one.id
        bounded += 1
    assert bounded >= 30


@needs_recordings
@pytest.mark.parametrize(
    ("dialect", "providers", "tails"),
    [
        (GEMINI, ("gemini",), ("batchEmbedContents",)),
        (GEMINI_SINGLE, ("vertex",), (":embedContent",)),
        (COHERE, ("cohere",), ("/embed",)),
        (VOYAGE, ("voyage",), ("/embeddings",)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_recorded_answers_of_other_vendors_come_out_in_openai_s_shape(
    dialect: embeddings.EmbeddingDialect, providers: tuple[str, ...], tails: tuple[str, ...]
) -> None:
    for one in recorded(*tails, providers=providers):
        answer = dialect.read_answer(one.body)
        plain = _plain_vectors(json.loads(one.body))
        told = embeddings_in_sdk(embeddings.write_answer(answer, model="m", encoding="float"))
        assert len(told.data) == len(plain)
        packed = embeddings_in_sdk(embeddings.write_answer(answer, model="m", encoding="base64"))
        for index, (ours, again, theirs) in enumerate(zip(told.data, packed.data, plain, strict=True)):
            assert (ours.index, len(ours.embedding)) == (index, len(again.embedding))
            assert isinstance(theirs, str) or ours.embedding == theirs, one.id
            assert again.embedding == [struct.unpack("<f", struct.pack("<f", value))[0] for value in ours.embedding]
        if dialect is COHERE:
            theirs_used = extract_usage(json.loads(one.body), provider_id="cohere", api_flavor="embeddings").usage
            assert answer.usage == Usage(input_tokens=int(theirs_used.input_tokens or 0))


def _plain_vectors(told: dict[str, Any]) -> list[Any]:
    if "data" in told:
        return [each["embedding"] for each in sorted(told["data"], key=lambda each: each["index"])]
    if "embedding" in told:
        return [told["embedding"]["values"]]
    found = told["embeddings"]
    return found["float"] if isinstance(found, dict) else [each["values"] for each in found]


@needs_recordings
@pytest.mark.parametrize(
    ("dialect", "provider", "tail", "extra"),
    [
        (GEMINI, "gemini", "batchEmbedContents", set()),
        (COHERE, "cohere", "/embed", {"max_tokens", "truncate", "output_dimension"}),
        (VOYAGE, "voyage", "/embeddings", {"output_dtype", "input_type", "output_dimension"}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_is_sent_has_the_fields_that_the_vendor_was_recorded_to_take(
    dialect: embeddings.EmbeddingDialect, provider: str, tail: str, extra: set[str]
) -> None:
    written = sent(dialect, EmbeddingRequest(("hello", "world"), encoding="base64"))[0]
    taken = {name for one in recorded(tail, providers=(provider,)) for name in one.request or {}}
    assert written.keys() <= taken
    assert taken - written.keys() == extra
