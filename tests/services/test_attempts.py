"""One attempt: what counts as an answer, who proves who pays, how much is taken in."""

import gc

import pytest

from dominion.domain.errors import (
    InvalidCredentials,
    NetworkFailure,
    ProviderError,
    ProviderTimeout,
    UnexpectedResponse,
)
from dominion.domain.records import Outcome
from dominion.services.completions.router import RouterRules
from tests.services.house import (
    END,
    House,
    Play,
    event,
    failing,
    streamed,
    text_event,
    well,
)

ONCE = RouterRules(retry_count=0)


# --- who pays


class Papers:
    """Implements `domain.contracts.Authority`."""

    def __init__(self) -> None:
        self.made = 1

    async def headers(self, path: bytes, body: bytes) -> bytes:
        assert path
        assert body
        return b"authorization: Bearer %d\r\n" % self.made

    def refused(self) -> None:
        self.made += 1


@pytest.mark.parametrize("play", [failing(401), failing(403, "ExpiredTokenException: expired")])
async def test_a_refused_proof_is_made_anew_and_tried_once_more(play: Play) -> None:
    house = House("ant", authority=Papers(), rules=ONCE)
    house.play("ant", play, well())
    await house.ask()
    assert [extra for _, extra in house.upstream.sent] == [
        b"authorization: Bearer 1\r\n",
        b"authorization: Bearer 2\r\n",
    ]


async def test_a_proof_that_is_refused_twice_is_wrong() -> None:
    house = House("ant", authority=Papers())
    house.play("ant", failing(401), failing(401))
    with pytest.raises(InvalidCredentials):
        await house.ask()
    assert house.asked() == "aa"


async def test_a_fixed_key_that_is_refused_goes_to_the_next_provider_at_once() -> None:
    house = House("ant", "bee")
    house.play("ant", failing(401))
    house.play("bee", well())
    await house.ask()
    assert house.asked() == "ab"


# --- answers that are none


@pytest.mark.parametrize(
    "play",
    [
        failing(200),
        streamed(b"<html>"),
        streamed(b""),
        streamed(b'{"choices": [{'),
    ],
)
async def test_a_whole_answer_that_is_none_is_asked_elsewhere(play: Play) -> None:
    house = House("ant", "bee")
    house.play("ant", play)
    house.play("bee", well("Moo"))
    assert b"Moo" in (await house.ask()).body


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"<html><body>no stream</body></html>"],
        [event(error={"message": "overloaded", "type": "x"})],
        [b": comment\n\n", event(error={"message": "overloaded", "type": "x"})],
        [event(id="c1", choices=[]) + event(error={"message": "overloaded", "type": "x"})],
        [b": comment\n\n", ProviderTimeout("silent")],
        [b":" + b" " * 65_536 + b"\n\n"] * 20,
    ],
)
async def test_a_stream_that_never_really_began_is_asked_elsewhere(pieces: list[bytes | ProviderError]) -> None:
    house = House("ant", "bee")
    house.play("ant", streamed(*pieces))
    house.play("bee", streamed(b": hello\n\n", text_event("Moo"), END))
    heard = await house.ask(stream=True, stream_options={"include_usage": True})
    assert heard.body == b": hello\n\n" + text_event("Moo") + END
    assert house.asked() == "ab"
    (row,) = await house.rows()
    assert (row.provider, row.outcome) == ("bee", Outcome.OK)


async def test_a_stream_begins_with_its_first_event_even_one_without_text() -> None:
    house = House("ant", rules=ONCE)
    created = event(id="c1", choices=[])
    house.play("ant", streamed(created[:9], created[9:], UnexpectedResponse("broke")))
    heard = await house.ask(stream=True, stream_options={"include_usage": True})
    assert heard.started
    assert heard.body.startswith(created)
    (row,) = await house.rows()
    assert row.outcome == Outcome.CUT


async def test_after_the_first_byte_nobody_else_is_asked() -> None:
    house = House("ant", "bee")
    house.play("ant", streamed(text_event("Hel"), NetworkFailure("reset")))
    heard = await house.ask(stream=True)
    assert (house.asked(), b"provider_unreachable" in heard.body or b"server_error" in heard.body) == ("a", True)


async def test_what_has_been_said_is_handed_over_even_if_an_error_comes_with_it() -> None:
    house = House("ant", "bee")
    broken = text_event("Hel") + event(error={"message": "overloaded", "type": "x"})
    house.play("ant", streamed(broken))
    assert (await house.ask(stream=True, stream_options={"include_usage": True})).body == broken
    assert house.asked() == "a"
    (row,) = await house.rows()
    assert row.outcome == Outcome.CUT


async def test_announced_answers_above_the_limit_are_refused_unread() -> None:
    house = House("ant", rules=ONCE)
    exchange = failing(200, content_length="99999999")
    house.play("ant", exchange)
    with pytest.raises(UnexpectedResponse, match="longer"):
        await house.ask()
    assert exchange.closed
    assert await exchange.chunk()  # nothing of it was taken


async def test_large_answers_of_unknown_length_are_bounded_one_by_one_and_together() -> None:
    house = House("ant", rules=ONCE)
    house.play("ant", streamed(*[b" " * 2**20] * 40), well())
    with pytest.raises(UnexpectedResponse, match="longer"):
        await house.ask()
    await house.ask()  # what the failed one held is free again


async def test_requests_leave_no_reference_cycles() -> None:
    house = House("ant", "bee")

    async def some() -> None:
        house.play("ant", well(), failing(503))
        house.play("bee", well(), streamed(text_event("x"), END))
        await house.ask()
        await house.ask()
        house.play("ant", streamed(event(error={"message": "overloaded"})))
        await house.ask(stream=True)

    await some()  # what is made once is no garbage
    gc.collect()
    gc.disable()
    try:
        await some()
        assert gc.collect() == 0
    finally:
        gc.enable()
