"""What a provider repeats of the key that it was shown is taken out of its words, whole or cut off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.credentials.present import headers, hidden

KEY = "odd.key_of-any/form"
LINES = b"POST / HTTP/1.1\r\nhost: example.com\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize("scheme", ["bearer", "header_key", "api_key", "google_key", "anthropic_oauth"])
def test_the_key_of_every_scheme_is_hidden_and_nothing_else(scheme: str) -> None:
    shown = LINES + headers(scheme, KEY)
    said = b'{"error": "example.com takes no odd.key, and not odd.key_of-any/form of application/json"}'
    assert hidden(said, shown) == said.replace(KEY.encode(), b"[masked]")
    assert hidden(said, LINES + headers("none", "")) == said


@given(st.text(max_size=20), st.integers(4, len(KEY)))
def test_a_key_that_was_cut_off_at_the_end_is_hidden(before: str, size: int) -> None:
    said = before.encode() + KEY[:size].encode()
    found = hidden(said, LINES + headers("bearer", KEY))
    assert found.endswith(b"[masked]")
    assert KEY[:4].encode() not in found.removesuffix(b"[masked]") or KEY[:4] in before


def test_a_key_too_short_to_be_told_from_words_hides_nothing() -> None:
    assert hidden(b"a cat sat", LINES + headers("bearer", "at")) == b"a cat sat"
