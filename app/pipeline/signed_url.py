"""URLs that only this server can have made, and that end."""

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable

from app.store import Store, StoreError, get_or_create, key_for

# Where the key is in its room.
_NAME = key_for("key of signed URLs")
_KEY_BYTES = 32


class BadSignature(Exception):
    """A signed URL was not made here, or was changed."""

    def __str__(self) -> str:
        return "This URL was not signed by this server."


class ExpiredUrl(Exception):
    """A signed URL is past its time, or its image is no longer kept."""

    def __str__(self) -> str:
        return "This URL has expired."


class UrlSigner:
    """Signs the name of an image together with the time at which its URL ends.

    HMAC-SHA256 (RFC 2104) over both, base64url (RFC 4648, section 5). The key is
    looked for at the first use.
    """

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._find = key
        self._key: bytes | None = None

    def sign(self, name: str, expires: int) -> str:
        """Return the signature; `expires` is in seconds since the epoch."""
        text = f"{name}\n{expires}".encode()
        if self._key is None:
            self._key = self._find()
        digest = hmac.digest(self._key, text, "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")

    def check(self, name: str, expires: str, signature: str, now: float) -> int:
        """Return when the URL ends; raise BadSignature or ExpiredUrl."""
        # Before the digest: int() takes other digits, spaces and underscores too.
        if not (expires.isascii() and expires.isdigit() and len(expires) < 12):
            raise BadSignature
        wanted = self.sign(name, int(expires)).encode()
        # In constant time: `==` tells by its time how many characters are right.
        if not hmac.compare_digest(wanted, signature.encode()):
            raise BadSignature
        # Last: only to whoever has a true URL is it said that it was one.
        if now >= int(expires):
            raise ExpiredUrl
        return int(expires)


def key_of(store: Store) -> bytes:
    """Return the key that all who share a store sign with, made at the first use.

    Raises StoreError.
    """
    key = get_or_create(store, _NAME, secrets.token_bytes(_KEY_BYTES))
    if len(key) != _KEY_BYTES:
        raise StoreError("the key of signed URLs is damaged: delete the room `keys`")
    return key
