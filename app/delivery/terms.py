"""What is known of an answer before anything is drawn, and who may keep it."""

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

# RFC 8246: no revalidation, because the URL names the bytes.
_PINNED = "max-age=31536000, immutable"


class Terms(NamedTuple):
    """How an answer is tagged, named and kept; one policy for every route.

    `tag` is the entity tag without quotes, or None where the bytes may be others next
    time. A `pinned` URL names its bytes. `shared` caches may keep an answer unless it
    may hold people's names, as collections do. `name` is the file name without
    extension, `download` the one that the caller asked for: an attachment then, as
    where `attachment` says so. `extensions` are those of the format, the usual one
    first. `max_age_s` counts where the URL does not pin. `negotiated` answers depend
    on Accept; those `as_json` have a tag of their own.
    """

    tag: str | None
    name: str
    extensions: tuple[str, ...]
    pinned: bool = False
    shared: bool = True
    negotiated: bool = False
    as_json: bool = False
    download: str | None = None
    attachment: bool = False
    max_age_s: int = 0

    @property
    def etag(self) -> str:
        """The strong entity tag, quoted."""
        return f'"{self.tag}-json"' if self.as_json else f'"{self.tag}"'

    @property
    def representation(self) -> Representation:
        """What conditions and ranges are compared with."""
        return Representation(self.etag, self.pinned)

    @property
    def cache_control(self) -> str:
        """Who may keep the answer, and how long (RFC 9111, 5.2.2)."""
        scope = "public" if self.shared else "private"
        if self.pinned:
            return f"{scope}, {_PINNED}"
        if self.max_age_s:
            return f"{scope}, max-age={self.max_age_s}"
        return f"{scope}, no-cache"

    @property
    def disposition(self) -> str:
        """The value of Content-Disposition (RFC 6266)."""
        return content_disposition(
            self.download or self.name,
            self.extensions,
            attachment=self.attachment or self.download is not None,
        )

    def validators(self) -> list[Pair]:
        """Return what a cache needs to keep a copy, or to refresh it with a 304."""
        pairs = [("Cache-Control", self.cache_control)]
        if self.tag is not None:
            pairs.append(("ETag", self.etag))
        if self.negotiated:
            pairs.append(("Vary", "Accept"))
        return pairs


def answer_early(environ: Mapping[str, Any], terms: Terms) -> Answer | None:
    """Return 304 where the client has the bytes already, or None to go on.

    `environ` is the WSGI environment. Raises PreconditionFailed.
    """
    if terms.tag is None:
        return None
    decision = precondition(Conditions.from_environ(environ), terms.representation)
    if decision is None:
        return None
    if decision is not NOT_MODIFIED:
        raise PreconditionFailed
    # RFC 9110, 15.4.5: what a cache needs to refresh its copy.
    return Answer("304 NOT MODIFIED", terms.validators(), ())
