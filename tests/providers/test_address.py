"""providers/address.py: how people write base URLs, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.providers import Origin
from dominion.providers.address import address, is_loopback

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    "written",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com/v1",
        "https://api.example.com/v1/",
        "https://api.example.com/v1/chat/completions",
        "HTTPS://API.Example.com:443/v1",
    ],
)
def test_every_way_to_write_a_base_url_leads_to_the_same_address(written: str) -> None:
    assert address(written, CHAT) == (Origin("https", "api.example.com", 443), "/v1/chat/completions")


@pytest.mark.parametrize(
    ("base_url", "chat_path", "path"),
    [
        ("https://a.example/api/paas/v4", CHAT, "/api/paas/v4/chat/completions"),
        ("https://a.example/api/paas", "/v4/chat/completions", "/api/paas/v4/chat/completions"),
        ("https://a.example/v1beta/openai", "/chat/completions", "/v1beta/openai/chat/completions"),
        ("https://a.example/v1beta", "/v1/x", "/v1beta/x"),
        ("https://a.example/inference", CHAT, "/inference/v1/chat/completions"),
        ("https://a.example/v1", "/v1/messages", "/v1/messages"),
        ("https://a.example", "/chat?api-version=2024-02-01", "/chat?api-version=2024-02-01"),
    ],
)
def test_a_version_never_stands_twice_in_a_path(base_url: str, chat_path: str, path: str) -> None:
    assert address(base_url, chat_path)[1] == path


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("http://localhost:11434", Origin("http", "localhost", 11434)),
        ("http://[::1]:8080/v1", Origin("http", "::1", 8080)),
        ("http://10.0.0.7", Origin("http", "10.0.0.7", 80)),
        ("https://my_host.internal.", Origin("https", "my_host.internal.", 443)),
    ],
)
def test_an_origin_has_scheme_host_and_port(base_url: str, origin: Origin) -> None:
    assert address(base_url, CHAT)[0] == origin


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("", "empty"),
        ("api.example.com", "http:// or https://"),
        ("ftp://api.example.com", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("https://user:secret@api.example.com", "user name or password"),
        ("https://api.example.com/v1#x", "fragment"),
        ("https://api.example.com/v1?key=secret", "query"),
        ("https://", "host or port"),
        ("https://api.example.com:99999", "host or port"),
        ("https://api.example.com:0", "host or port"),
        ("https://[::1", "host or port"),
        ("https://exa mple.com", "space"),
        ("https://example.com\r\nx: y", "control character"),
        ("https://exämple.com", "outside ASCII"),
        ("https://.example.com", "host or port"),
    ],
)
def test_what_is_no_base_url_is_refused_with_a_reason_and_without_its_secrets(wrong: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        address(wrong, CHAT)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "chat", "/a b", "/a\r\nhost: evil", "/a#b"])
def test_a_chat_path_that_could_end_the_request_line_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="chat path"):
        address("https://api.example.com", wrong)


@given(st.text(max_size=60), st.text(max_size=30))
def test_any_text_gives_an_address_of_visible_ascii_or_a_value_error(base_url: str, chat_path: str) -> None:
    try:
        origin, path = address(base_url, chat_path)
    except ValueError:
        return
    assert all("!" <= character <= "~" for character in origin.host + path)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.3.2.1", True), ("::1", True), ("a.localhost", True), ("10.0.0.1", False), ("x", False)],
)
def test_loopback_is_told_by_name(host: str, loopback: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_loopback(host) is loopback
