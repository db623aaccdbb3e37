"""Which origin goes through which proxy, and what a proxy address may look like."""

import pytest

from dominion.domain.errors import ConfigProblem
from dominion.domain.providers import Origin
from dominion.upstream.proxies import Proxies, Proxy, authority

PROXY = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("no_proxy", "host", "straight"),
    [
        ("", "api.openai.com", False),
        ("*", "api.openai.com", True),
        ("openai.com", "api.openai.com", True),
        (".openai.com", "api.openai.com", True),
        ("*.openai.com", "api.openai.com", True),
        ("openai.com", "openai.com", True),
        ("OpenAI.com", "API.openai.COM", True),
        ("openai.com", "notopenai.com", False),
        ("api.openai.com", "openai.com", False),
        ("other.test, openai.com ,", "api.openai.com", True),
        ("openai.com:443", "api.openai.com", True),
        ("openai.com:8443", "api.openai.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("::1", "::1", True),
        ("fd00::/8", "fd00::7", True),
        (",", "api.openai.com", False),
    ],
)
def test_no_proxy_names_what_is_reached_straight(no_proxy: str, host: str, straight: bool) -> None:  # noqa: FBT001
    proxies = Proxies(https=PROXY, no_proxy=no_proxy)
    assert (proxies.proxy_for(Origin("https", host, 443)) is None) is straight


def test_each_scheme_has_its_own_proxy() -> None:
    proxies = Proxies(http="http://plain.test:1")
    found = proxies.proxy_for(Origin("http", "a.test", 80))
    assert found is not None
    assert (found.host, found.port, found.authorization) == ("plain.test", 1, b"")
    assert proxies.proxy_for(Origin("https", "a.test", 443)) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://proxy.test:3128", ("proxy.test", 3128)),
        ("http://proxy.test", ("proxy.test", 80)),
        ("proxy.test:3128", ("proxy.test", 3128)),
        ("http://[::1]:8080/", ("::1", 8080)),
    ],
)
def test_proxy_addresses_are_read_as_other_programs_read_them(address: str, expected: tuple[str, int]) -> None:
    proxy = Proxy(address)
    assert (proxy.host, proxy.port) == expected


@pytest.mark.parametrize(
    "address",
    ["https://me:canary@proxy.test", "socks5://me:canary@proxy.test", "http://me:canary@", "http://canary:99999"],
)
def test_an_address_that_cannot_work_stops_the_start_without_telling_the_password(address: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        Proxies(https=address)
    assert "canary" not in str(caught.value)


def test_no_repr_tells_the_password() -> None:
    proxies = Proxies(https="http://me:canary@proxy.test")
    proxy = proxies.proxy_for(Origin("https", "a.test", 443))
    assert "canary" not in f"{proxies!r}{proxy!r}"


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert authority(Origin("https", "fd00::7", 443)) == b"[fd00::7]:443"
