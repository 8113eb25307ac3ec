"""What is known of an answer before anything is drawn: tag, name, who may keep it.

A file name is a wish of whoever wrote the URL, not of whoever follows it: it must not
choose a folder, hide behind control characters, open a device, or name another type
of file than the bytes are (RFC 6266 and RFC 8187).
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from app.delivery.answer import Answer, Pair, list_of
from app.delivery.conditional import (
    NOT_MODIFIED,
    Conditions,
    Representation,
    precondition,
)
from app.delivery.errors import PreconditionFailed

_SEPARATORS = re.compile(r"[/\\]+")
# Forbidden by Windows, or, as the quotation mark, by the header itself.
_FORBIDDEN = re.compile(r'[<>:"|?*]')
# Controls, invisible formatting (bidi overrides), surrogates, line separators and
# code points without a meaning.
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Opened instead of a file by Windows, whatever the extension.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\Z", re.I
)
# RFC 6266, appendix D: some browsers decode %41 even in a quoted string.
_NOT_PLAIN = re.compile(r"[^ !#$&\'()+,\-.0-9;=@A-Z\[\]^_`a-z{}~]+")
_UNSAVED = "image"
# Leaves room for an extension and a browser's " (1)" in the 255 bytes of a file name.
_STEM_BYTES = 180
# RFC 8187, 3.2.1: attr-char.
_ATTR_CHARS = "!#$&+-.^_`|~"
# RFC 8246: no revalidation, because the URL names the bytes.
_PINNED = "max-age=31536000, immutable"
# The header with names of the query that count for nothing, and its bytes.
IGNORED = "X-Ignored-Parameters"
# What stands in place of an image that a URL pins and that is no longer made.
STALE = "X-Stale-Pin"
_MOST_IGNORED = 200


class Terms(NamedTuple):
    """How an answer is tagged, named and kept; one policy for every route.

    `tag` is the entity tag without quotes, or None where the bytes may be others next
    time. A `pinned` URL names its bytes. `shared` caches may keep an answer unless it
    may hold people's names, as collections do. `name` is the file name without
    extension, `download` the one that the caller asked for: an attachment then, as
    where `attachment` says so. `extensions` are those of the format, the usual one
    first. `max_age_s` counts where the URL does not pin. `negotiated` answers depend
    on Accept; those `as_json` have a tag of their own. `ignored` are names of the query
    that count for nothing: the answer says so.
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
    ignored: tuple[str, ...] = ()

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
        return [*pairs, *say_ignored(self.ignored)]


def say_ignored(names: Sequence[str]) -> tuple[Pair, ...]:
    """Return the header that names what of a query counts for nothing."""
    return ((IGNORED, list_of(names, _MOST_IGNORED)),) if names else ()


def answer_early(environ: Mapping[str, Any], terms: Terms) -> Answer | None:
    """Return 304 where the client has the bytes already, or None to go on.

    `environ` is the WSGI environment. Raises PreconditionFailed.
    """
    if terms.tag is None:
        return None
    current = terms.representation
    decision = precondition(Conditions.from_environ(environ), current)
    if decision is None:
        return None
    if decision is not NOT_MODIFIED:
        raise PreconditionFailed
    # RFC 9110, 15.4.5: what a cache needs to refresh its copy.
    return Answer("304 NOT MODIFIED", terms.validators(), ())


@lru_cache(maxsize=512)
def content_disposition(
    name: str, extensions: tuple[str, ...], *, attachment: bool = False
) -> str:
    """Return the header's value: `inline` or `attachment`, with a safe file name.

    See `safe_name`. `filename*` is added only where ASCII cannot say the name.
    """
    kind = "attachment" if attachment else "inline"
    safe = safe_name(name, extensions)
    plain = _plain(safe)
    value = f'{kind}; filename="{plain}"'
    if plain == safe:
        return value
    return f"{value}; filename*=UTF-8''{quote(safe, safe=_ATTR_CHARS)}"


def safe_name(name: str, extensions: tuple[str, ...]) -> str:
    """Return the last part of a path as a file name that ends in an extension.

    `extensions` are those of one format, without dot, the usual one first; it is
    added where the name ends in none of them. At most 190 bytes of UTF-8 for
    extensions of up to nine letters.
    """
    parts = [part for part in _SEPARATORS.split(name) if part.strip(". ")]
    visible = "".join(map(_visible, parts[-1])) if parts else ""
    text = unicodedata.normalize("NFC", visible).rstrip(". ")
    stem, dot, extension = text.rpartition(".")
    if not dot or extension.lower() not in extensions:
        stem, extension = text, extensions[0]
    return f"{_tidy(stem)}.{extension.lower()}"


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in _DROPPED:
        return ""
    return " " if category == "Zs" else character


def _tidy(stem: str) -> str:
    """Shorten a stem and take from it what an operating system would trip over."""
    safe = _FORBIDDEN.sub("_", stem).lstrip(". ")
    short = safe.encode()[:_STEM_BYTES].decode(errors="ignore").rstrip(". ")
    if _DEVICE.match(short.partition(".")[0].rstrip()):
        return f"_{short}"
    return short or _UNSAVED


def _plain(safe: str) -> str:
    """Return the nearest ASCII name, for readers that do not know `filename*`."""
    stem, _, extension = safe.rpartition(".")
    decomposed = unicodedata.normalize("NFKD", stem)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    plain = _NOT_PLAIN.sub("_", bare)
    return f"{_tidy(plain) if plain.strip('_. ') else _UNSAVED}.{extension}"
