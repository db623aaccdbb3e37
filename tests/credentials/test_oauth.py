"""credentials/oauth.py: forms, answers, PKCE, and that a complaint never repeats a secret."""

import pytest

from dominion.credentials.oauth import TokenAnswer, complaint, form, pkce, read_answer


def test_the_pkce_challenge_is_that_of_rfc_7636() -> None:
    octets = bytes.fromhex("7418dfb49799e0254ffa607dd8adbbba16d4254d69d6bff05b58055853848d79")
    assert pkce(octets) == (
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    )


def test_a_form_is_url_encoded() -> None:
    assert form({"grant_type": "a:b", "x": "y z&="}) == b"grant_type=a%3Ab&x=y+z%26%3D"


def test_an_answer_is_read_whatever_its_numbers_and_nulls_look_like() -> None:
    answer = read_answer(b'{"access_token":"t","expires_in":"3599","refresh_token":null,"scope":"a","x":{}}')
    assert (answer.access_token, answer.lasts(1), answer.refresh_token) == ("t", 3599.0, "")
    assert read_answer(b"{}").lasts(60) == 60
    assert read_answer(b'{"expires_in":-5}').lasts(60) == 0
    assert read_answer(b'{"expires_in":"nan"}').lasts(60) == 60
    assert "t" not in repr(answer).replace("TokenAnswer", "").replace("error", "")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"access_token":5}', b"\xff", b'{"expires_in":"soon"}'])
def test_anything_else_is_no_answer(body: bytes) -> None:
    with pytest.raises(ValueError, match="not the JSON of a token endpoint"):
        read_answer(body)


def test_a_complaint_shows_code_and_sentence_in_one_line() -> None:
    answer = TokenAnswer(error="invalid_grant", error_description="Token has been\nrevoked.")
    assert complaint(answer, {"refresh_token": "CANARY-0123"}) == "invalid_grant: Token has been revoked"
    assert complaint(TokenAnswer(), {}) == "it gave no reason"
    assert len(complaint(TokenAnswer(error="x" * 1000), {})) == 200


def test_a_complaint_that_repeats_what_was_sent_is_not_shown() -> None:
    answer = TokenAnswer(error="bad", error_description="The token CANARY-0123 is unknown")
    assert "CANARY" not in complaint(answer, {"refresh_token": "CANARY-0123"})
