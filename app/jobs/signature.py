"""Standard Webhooks 1.0.0: by what a receiver knows who sent a message, and when.

Each origin has a secret of its own, made of the server's, so that no receiver can sign
for another, and nothing has to be kept.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable

_PREFIX = "whsec_"


def receiver_secret(secret: bytes, origin: str) -> str:
    """Return what receivers of an origin, as `https://shop.example`, verify with."""
    return _PREFIX + b64encode(_key(secret, origin)).decode()


def signed_headers(
    id: str, timestamp: int, body: bytes, secrets: Iterable[bytes], origin: str
) -> dict[str, str]:
    """Return the headers of a message, with a signature by each of the secrets.

    `timestamp` is that of the attempt, in seconds since the epoch; `id` has no full
    stop.
    """
    signed = f"{id}.{timestamp}.".encode() + body
    macs = (hmac.digest(_key(each, origin), signed, "sha256") for each in secrets)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{b64encode(mac).decode()}" for mac in macs),
    }


def _key(secret: bytes, origin: str) -> bytes:
    return hmac.digest(secret, f"webhook\n{origin}".encode(), "sha256")
