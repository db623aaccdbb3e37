"""credentials/present.py: what goes on the wire, and that no key can write headers of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.credentials.present import head, headers
from dominion.domain.providers import Origin

KEY = "sk-test-0123456789"


@pytest.mark.parametrize(
    ("scheme", "lines"),
    [
        ("bearer", b"authorization: Bearer sk-test-0123456789\r\n"),
        ("header_key", b"x-api-key: sk-test-0123456789\r\n"),
        ("api_key", b"api-key: sk-test-0123456789\r\n"),
        ("google_key", b"x-goog-api-key: sk-test-0123456789\r\n"),
        ("none", b""),
        ("per_request", b""),
        (
            "anthropic_oauth",
            b"authorization: Bearer sk-test-0123456789\r\nanthropic-beta: oauth-2025-04-20\r\n",
        ),
    ],
)
def test_each_scheme_renders_its_header_lines(scheme: str, lines: bytes) -> None:
    assert headers(scheme, KEY) == lines


def test_no_credential_is_sent_where_none_is_needed() -> None:
    assert headers("none", "") == b""


@given(st.text(max_size=40), st.sampled_from("\r\n\0\t \x7f\x1f\x85\u2028é"), st.text(max_size=40))
def test_a_key_with_anything_but_visible_ascii_is_refused_without_being_repeated(a: str, bad: str, b: str) -> None:
    key = f"SECRET{a}{bad}{b}"
    with pytest.raises(ValueError, match="the key holds") as caught:
        headers("bearer", key)
    assert "SECRET" not in str(caught.value)


def test_an_empty_key_is_refused_where_one_is_needed() -> None:
    with pytest.raises(ValueError, match="empty"):
        headers("bearer", "")


def test_an_unknown_scheme_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(ValueError, match="known are none, bearer, header_key"):
        headers("bearr", KEY)


def test_the_head_holds_the_request_line_and_every_fixed_header_but_no_end() -> None:
    origin = Origin("https", "api.example.com", 443)
    assert head(origin, "/v1/chat/completions", headers("bearer", KEY), "dominion/1.2.3") == (
        b"POST /v1/chat/completions HTTP/1.1\r\n"
        b"host: api.example.com\r\n"
        b"content-type: application/json\r\n"
        b"accept-encoding: identity\r\n"
        b"user-agent: dominion/1.2.3\r\n"
        b"authorization: Bearer sk-test-0123456789\r\n"
    )


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin("http", "127.0.0.1", 8080), b"host: 127.0.0.1:8080\r\n"),
        (Origin("http", "::1", 8080), b"host: [::1]:8080\r\n"),
        (Origin("http", "::1", 80), b"host: [::1]\r\n"),
        (Origin("http", "a.example", 443), b"host: a.example:443\r\n"),
    ],
)
def test_the_host_header_names_a_port_that_is_not_the_schemes_own(origin: Origin, host: bytes) -> None:
    assert host in head(origin, "/", b"", "a")
