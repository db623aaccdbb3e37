"""The gateway as it must not be: it logs what it shows to providers. The control of the search for secrets."""

import base64
import logging
from collections.abc import Coroutine
from typing import Any

from dominion.cli.main import main
from dominion.domain.providers import Target
from dominion.upstream.exchange import HttpExchange
from dominion.upstream.pool import HttpUpstream

Sending = Coroutine[Any, Any, HttpExchange]


def make_leaky(upstream: type[HttpUpstream]) -> None:
    """Let each request be logged, in Base64."""
    send = upstream.send

    def send_and_tell(self: HttpUpstream, target: Target, body: bytes, extra: bytes = b"") -> Sending:
        logging.getLogger("dominion.leaky").debug("sends %s", base64.b64encode(target.head).decode())
        return send(self, target, body, extra)

    upstream.send = send_and_tell  # type: ignore[method-assign]


if __name__ == "__main__":
    make_leaky(HttpUpstream)
    main()
