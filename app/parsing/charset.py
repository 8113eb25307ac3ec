"""Which charset a text was sent in: by its mark, by what is declared, or UTF-8."""

import codecs
import encodings
import pkgutil
import re
from encodings.aliases import aliases

from app.renderer.errors import shorten

# The longest first: UTF-16's mark begins UTF-32's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What Python counts as text encodings, and no file is written in.
_NO_CHARSETS = (
    *("punycode", "idna", "undefined", "utf-7", "charmap"),
    *("unicode-escape", "raw-unicode-escape"),
)
# Python remembers each name that it was asked for and does not know.
_KNOWN = frozenset(
    (
        *aliases,
        *aliases.values(),
        *(each.name for each in pkgutil.iter_modules(encodings.__path__)),
    )
)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_META = re.compile(rb"<meta\s[^>]*?\bcharset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
# So far browsers look for it (HTML, 13.2.3.2).
_META_WITHIN = 1024


def codec_of(label: str) -> str:
    """Return Python's name of a charset; raise LookupError where there is none."""
    # As browsers read the label (WHATWG Encoding, section 4.2).
    known = {"iso-8859-1": "cp1252", "latin1": "cp1252", "iso8859-1": "cp1252"}
    name = label.strip().lower()
    name = encodings.normalize_encoding(known.get(name, name))
    if name not in _KNOWN:
        raise LookupError(f"The charset {shorten(label)!r} is not known.")
    try:
        found = codecs.lookup(name)
    except LookupError as error:
        # A module beside the charsets, such as the one of their aliases.
        raise LookupError(f"{shorten(label)!r} is no charset.") from error
    if not found._is_text_encoding or found.name in _NO_CHARSETS:
        raise LookupError(f"{shorten(label)!r} is no charset.")
    return found.name


def mark_of(data: bytes) -> tuple[bytes, str] | None:
    """Return the byte order mark that bytes begin with, and the charset it tells."""
    return next((each for each in _MARKS if data.startswith(each[0])), None)


def decode_text(data: bytes, declared: str | None) -> str:
    """Decode by a mark, else as `declared`, else UTF-8, else as HTML's `<meta>` says.

    Unlike in browsers (HTML, 13.2.3.2), UTF-8 goes before a `<meta>`: programs send in
    it what was written for another charset, and what is none is never taken for it.
    Raises LookupError for a charset that is not known, and UnicodeDecodeError.
    """
    if (mark := mark_of(data)) is not None:
        return data[len(mark[0]) :].decode(mark[1])
    if declared is not None:
        return data.decode(codec_of(declared))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        meta = _META.search(_COMMENT.sub(b"", data[:_META_WITHIN]))
        if meta is None:
            raise
        return data.decode(codec_of(meta[1].decode("ascii", "replace")))
