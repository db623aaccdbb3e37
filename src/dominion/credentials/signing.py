"""The signature under what the gateway tells a webhook, so that its receiver can tell it from anybody else's word."""

import hashlib
import hmac

HEADER = "x-dominion-signature"


def signature(secret: bytes, at: int, body: bytes) -> str:
    """`t=<epoch seconds>,v1=<hex>`: HMAC-SHA256 over the time, a dot and the body. The time is signed, too, so that a
    receiver can refuse what is old."""
    return f"t={at},v1={hmac.new(secret, b'%d.%s' % (at, body), hashlib.sha256).hexdigest()}"
