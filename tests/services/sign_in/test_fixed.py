"""services/sign_in/fixed.py: tokens that are shown as they are."""

import pytest

from dominion.services.sign_in.fixed import AnthropicOAuth, FixedAuthority


async def test_a_claude_oauth_token_is_a_bearer_token_with_its_beta_header_and_nothing_pretended() -> None:
    authority = AnthropicOAuth("sk-ant-oat01-CANARY")
    lines = b"authorization: Bearer sk-ant-oat01-CANARY\r\nanthropic-beta: oauth-2025-04-20\r\n"
    assert await authority.headers(b"/v1/messages", b"{}") == lines
    authority.refused()
    assert await authority.headers(b"/v1/messages", b"{}") == lines


async def test_a_bearer_token_of_bedrock_is_shown_as_it_is() -> None:
    assert await FixedAuthority("bearer", "ABSK1").headers(b"/", b"") == b"authorization: Bearer ABSK1\r\n"


def test_a_token_that_cannot_be_in_a_header_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="the key holds") as caught:
        AnthropicOAuth("CANARY\r\nx: y")
    assert "CANARY" not in str(caught.value)
