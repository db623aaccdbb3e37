"""Hands notices to the operator's webhook: signed JSON, one request each; never follows a redirect."""

from collections.abc import Sequence

import msgspec

from dominion.credentials.signing import HEADER, signature
from dominion.domain.alerts import Notice
from dominion.domain.contracts import Clock
from dominion.domain.errors import UnexpectedResponse
from dominion.rules.windows import iso
from dominion.upstream.ask import HttpAsk


class Webhook:
    """A `services.delivery.Channel`. The address may hold a secret, and is in no error."""

    name = "webhook"
    most = 1

    def __init__(self, ask: HttpAsk, url: str, secret: str, clock: Clock) -> None:
        self._ask = ask
        self._url = url
        self._secret = secret.encode()
        self._clock = clock

    async def deliver(self, notices: Sequence[Notice]) -> None:
        """Any answer of 2xx is a yes. Raises ProviderError, ConfigProblem."""
        for notice in notices:
            told = {**msgspec.structs.asdict(notice), "at": iso(notice.at / 1000)}
            body = msgspec.json.encode(told)
            headers = {
                "content-type": "application/json",
                HEADER: signature(self._secret, int(self._clock.now()), body),
            }
            status, _ = await self._ask("POST", self._url, headers, body)
            if not 200 <= status < 300:  # noqa: PLR2004 - HTTP
                raise UnexpectedResponse(f"The webhook answered {status}.")
