"""Strict reading of requests, lenient reading of answers."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain.errors import InvalidRequest, TooLarge, UnexpectedResponse
from dominion.wire.fields import (
    decode_answer,
    flag,
    number,
    read_fields,
    read_object,
    refuse_lookalikes,
    splice,
    text,
    whole,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=5)
STYLES: list[dict[str, Any]] = [{"separators": (",", ":")}, {}, {"indent": 2}, {"ensure_ascii": False}]
STEADY = settings(derandomize=True, deadline=None)
ANYTHING = msgspec.json.Decoder(Any)


@STEADY
@given(OBJECTS, st.sampled_from(STYLES))
def test_every_object_is_read_in_every_style_and_spliced_back(value: dict[str, Any], style: dict[str, Any]) -> None:
    fields = read_fields(json.dumps(value, **style).encode())
    assert {name: json.loads(bytes(raw)) for name, raw in fields.items()} == value
    assert json.loads(splice(fields, {})) == value


@STEADY
@given(OBJECTS.filter(bool), JSON, st.sampled_from(STYLES), st.data())
def test_a_key_that_occurs_twice_is_refused_in_every_style(
    value: dict[str, Any], other: Any, style: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    first, second = json.dumps(value, **style), json.dumps({name: other}, **style)
    for left, right in ((first, second), (second, first)):
        body = f"{left.rstrip()[:-1]},{right.lstrip()[1:]}".encode()
        with pytest.raises(InvalidRequest, match="occurs twice"):
            read_fields(body)


@pytest.mark.parametrize(
    "body",
    [
        *(b'{"a":1,"a":1}', b'{"a":12, "a":1}', b'{"a":1, "a":12}', b'{ "":1, "":2}', b'{"a":1,"\\u0061":1}'),
        *(b'{"b":2,"aa":1,"aa":123456}', b'{"a": 1, "b": 2,"a":"x"}', b'{"a":1,"b":[],"a":1,"c":{}}'),
    ],
)
def test_duplicates_that_look_like_something_else_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="occurs twice"):
        read_fields(body)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body is empty; a JSON object is expected."),
        (b" \n", "The body is empty; a JSON object is expected."),
        (b"[]", "The body must be a JSON object."),
        (b"7", "The body must be a JSON object."),
        (b"null", "The body must be a JSON object."),
        (b'{"a":1}x', "The body is not valid JSON: trailing characters (byte 8)."),
        (b'{"a":1}{}', "The body is not valid JSON: trailing characters (byte 8)."),
        (b'{"a":NaN}', "The body is not valid JSON: invalid character (byte 5)."),
        (b'{"a":-Infinity}', "The body is not valid JSON: invalid character (byte 6)."),
        (b'{"a":01}', "The body is not valid JSON: invalid number (byte 6)."),
        (b'{"a":"\xff"}', "The body is not valid UTF-8 at byte 6."),
        (b'\xef\xbb\xbf{"a":1}', "The body is not valid JSON: invalid character (byte 0)."),
        (b'{"a":"\xed\xa0\x80"}', "The body is not valid UTF-8 at byte 6."),
        (b'{"a":1', "The body is not valid JSON: Input data was truncated."),
    ],
)
def test_what_is_not_one_strict_json_object_is_refused_with_a_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_fields(body)
    assert caught.value.message == sentence


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        text(read_fields(b'{"model":"\\ud800"}'), "model")


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_sixty_four_levels_are_read_and_one_more_is_refused(opening: bytes, closing: bytes) -> None:
    deepest = b'{"a":' + opening * 63 + b"1" + closing * 63 + b"}"
    assert list(read_fields(deepest)) == ["a"]
    assert list(read_fields(deepest[:-1] + b',"b":[[]]}')) == ["a", "b"]
    with pytest.raises(TooLarge, match="64 levels"):
        read_fields(b'{"a":' + opening * 64 + b"1" + closing * 64 + b"}")


def test_brackets_inside_strings_do_not_nest() -> None:
    value = {"a": ["[{" * 100, 'quote " [[[', "back \\", "\\" * 3, "]}" * 100], "b": [[{}]] * 100}
    assert list(read_fields(json.dumps(value).encode())) == ["a", "b"]


def test_brackets_hidden_between_strings_still_nest() -> None:
    body = b'{"a":' + b'["]]]]\\"",' * 64 + b"1" + b"]" * 64 + b"}"
    with pytest.raises(TooLarge):
        read_fields(body)


def test_a_million_open_brackets_are_refused() -> None:
    with pytest.raises(TooLarge):
        read_fields(b'{"a":' + b"[" * 1_000_000)


@STEADY
@given(st.binary() | st.text('{}[]":,\\u0dA1 ').map(str.encode))
def test_arbitrary_bytes_raise_nothing_but_an_invalid_request(body: bytes) -> None:
    try:
        fields = read_fields(body)
    except InvalidRequest:
        return
    assert json.loads(splice(fields, {})) == json.loads(body)


def test_a_splice_leaves_all_other_bytes_alone_and_the_order_too() -> None:
    fields = read_fields(b'{"a" : [1, 2] , "b":1.50, "c":"\\u00e9"}')
    assert splice(fields, {"b": b"2", "d": b"{}"}) == b'{"a":[1, 2],"b":2,"c":"\\u00e9","d":{}}'
    assert splice(fields, {}) == b'{"a":[1, 2],"b":1.50,"c":"\\u00e9"}'


def test_compact_bodies_come_out_of_a_splice_byte_for_byte() -> None:
    body = '{"model":"é","messages":[{"role":"user","content":"\\u0041"}],"x":1E2}'.encode()
    assert splice(read_fields(body), {}) == body


def test_nested_objects_are_read_as_strictly() -> None:
    fields = read_fields(b'{"options":{"a":1,"a":2},"list":[]}')
    with pytest.raises(InvalidRequest, match="'a' occurs twice in 'options'") as caught:
        read_object(fields["options"], "options")
    assert caught.value.param == "options"
    with pytest.raises(InvalidRequest, match="'list' must be a JSON object"):
        read_object(fields["list"], "list")


@pytest.mark.parametrize("name", ["Max_Tokens", "MAX_TOKENS", "max_to\u212aens"])
def test_names_that_a_careless_server_takes_for_a_cap_are_refused(name: str) -> None:
    fields = read_fields(json.dumps({"max_tokens": 5, name: 100_000}).encode())
    with pytest.raises(InvalidRequest, match="must be written 'max_tokens'"):
        refuse_lookalikes(fields, frozenset({"max_tokens"}), frozenset({"max_tokens"}))


def test_names_with_humps_are_guarded_too() -> None:
    known = frozenset({"maxOutputTokens"})
    for name in ("maxoutputtokens", "MaxOutputTokens", "MAXOUTPUTTOKENS"):
        with pytest.raises(InvalidRequest, match="must be written 'maxOutputTokens'"):
            refuse_lookalikes(read_fields(json.dumps({"maxOutputTokens": 5, name: 9}).encode()), known, known)
    refuse_lookalikes(read_fields(b'{"maxOutputTokens":5,"other":1}'), known, known)


def test_other_unknown_names_pass() -> None:
    refuse_lookalikes(read_fields(b'{"Other":1}'), frozenset({"a"}), frozenset({"a"}))


@pytest.mark.parametrize(("raw", "value"), [("1", 1), ("256.0", 256), ("1e2", 100), ("null", None)])
def test_whole_numbers_are_read(raw: str, value: int | None) -> None:
    found = whole(read_fields(f'{{"n":{raw}}}'.encode()), "n", 1, 1000)
    assert found == value
    assert not isinstance(found, float)


@pytest.mark.parametrize("raw", ["0", "-1", "1001", "1.5", "true", '"5"', "[]", "1e999", "9" * 5000, "9" * 30, "-0"])
def test_what_is_no_whole_number_in_range_is_refused(raw: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        whole(read_fields(f'{{"n":{raw}}}'.encode()), "n", 1, 1000)
    assert caught.value.param == "n"
    assert "'n'" in caught.value.message


@pytest.mark.parametrize("raw", ["2.01", "-0.1", "1e400", '"1"', "false", "{}"])
def test_what_is_no_number_in_range_is_refused(raw: str) -> None:
    with pytest.raises(InvalidRequest):
        number(read_fields(f'{{"t":{raw}}}'.encode()), "t", 0, 2)


def test_absent_and_null_fields_are_none() -> None:
    fields = read_fields(b'{"a":null}')
    for name in ("a", "b"):
        assert (text(fields, name), flag(fields, name), number(fields, name, 0, 1)) == (None, None, None)


def test_a_wrong_place_inside_a_field_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        flag(read_fields(b'{"stream":"yes"}'), "stream")
    assert caught.value.message == "'stream' is wrong: Expected `bool | null`, got `str`."


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'"\\ud83d"', "\ufffd"),
        (b'"x\\udE42y"', "x\ufffdy"),
        (b'"\\ud83d\\ude42"', "🙂"),
        (b'"\\\\ud83d \\ud83d"', "\\ud83d \ufffd"),
        (b'"\xf0\x9f"', "\ufffd"),
        (b'"\\uD83D\\u0041"', "\ufffdA"),
    ],
)
def test_halves_of_characters_in_answers_are_mended(body: bytes, value: str) -> None:
    assert str(decode_answer(ANYTHING, body)) == value


@STEADY
@given(st.binary())
def test_arbitrary_answers_raise_nothing_but_an_unexpected_response(body: bytes) -> None:
    try:
        decode_answer(ANYTHING, body)
    except UnexpectedResponse:
        return


def test_an_answer_nested_without_end_is_unexpected() -> None:
    with pytest.raises(UnexpectedResponse):
        decode_answer(ANYTHING, b"[" * 100_000)
