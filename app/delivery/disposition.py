"""Write Content-Disposition with a file name that is safe to save under.

RFC 6266 and RFC 8187. A name is a wish of whoever wrote the URL, not of whoever
follows it: it must not choose a folder, hide behind control characters, open a
device, or name another type of file than the bytes are.
"""

import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote

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
    stem, extension = _split(text, extensions)
    return f"{_tidy(stem)}.{extension}"


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in _DROPPED:
        return ""
    return " " if category == "Zs" else character


def _split(name: str, extensions: tuple[str, ...]) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if dot and extension.lower() in extensions:
        return stem, extension.lower()
    return name, extensions[0]


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
