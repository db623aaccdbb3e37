"""Requests as the HTTP door of the Gemini API hands them to the dialect."""

import json
from typing import Any

from dominion.domain.contracts import Fields
from dominion.domain.messages import Message, Request, Text
from dominion.wire.fields import read_fields
from dominion.wire.gemini.dialect import GEMINI

HELLO = [{"role": "user", "parts": [{"text": "Hello"}]}]
USER = Message("user", (Text("Hello"),))


def fields_of(body: dict[str, Any], *, model: str = "gemini-x", stream: bool = False) -> Fields:
    """As the HTTP door hands them over: what stood in the address is among them."""
    address = json.dumps({"model": model, "stream": stream}).encode()
    return {**read_fields(json.dumps(body, separators=(",", ":")).encode()), **read_fields(address)}


def door(**fields: Any) -> Request:
    return GEMINI.read_request(fields_of({"contents": HELLO} | fields))
