"""The terms on which one form of a collection is sent."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.delivery.answer import Answer, Pair
from app.delivery.conditional import (
    NOT_MODIFIED,
    Conditions,
    Representation,
    precondition,
)
from app.delivery.disposition import content_disposition
from app.delivery.errors import PreconditionFailed

# The URL names the bytes (RFC 8246), but a collection may hold people's names: shared
# caches are not to keep it.
_PINNED = "private, max-age=31536000, immutable"
_OPEN = "private, no-cache"
_FIXED: tuple[Pair, ...] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Access-Control-Allow-Origin", "*"),
    (
        "Access-Control-Expose-Headers",
        "Accept-Ranges, Content-Disposition, Content-Location, Content-Range, ETag, "
        "X-Request-ID",
    ),
)


class Offer(NamedTuple):
    """What is known of an answer before anything is drawn.

    `tag` is the entity tag without quotes. An offer that is not `pinned` may have
    other bytes next time: it has no validator. `download` is the file name that the
    caller asked for, `name` the one without.
    """

    tag: str
    media_type: str
    name: str
    extension: str
    pinned: bool = True
    download: str | None = None
    attachment: bool = False

    @property
    def representation(self) -> Representation:
        """What conditions are compared with."""
        return Representation(f'"{self.tag}"', self.pinned)

    def pairs(self, *, whole: bool) -> list[Pair]:
        """Return the headers; `whole` where the bytes are known to the last."""
        disposition = content_disposition(
            self.download or self.name,
            (self.extension,),
            attachment=self.attachment or self.download is not None,
        )
        cached = _PINNED if whole and self.pinned else _OPEN
        validators = (("ETag", f'"{self.tag}"'),) if self.pinned else ()
        return [
            ("Content-Type", self.media_type),
            ("Content-Disposition", disposition),
            ("Cache-Control", cached),
            *validators,
            *_FIXED,
        ]


def answer_early(environ: Mapping[str, Any], offer: Offer) -> Answer | None:
    """Return 304 where the client has the bytes already, or None to go on.

    `environ` is the WSGI environment. Raises PreconditionFailed.
    """
    if not offer.pinned:
        return None
    decision = precondition(Conditions.from_environ(environ), offer.representation)
    if decision is None:
        return None
    if decision is not NOT_MODIFIED:
        raise PreconditionFailed
    return Answer("304 NOT MODIFIED", offer.pairs(whole=False), ())
