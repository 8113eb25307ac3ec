"""Strings and `url()` of CSS, as they are written (CSS Syntax 3, 4.3)."""

import re

# The end of the text ends a string too, so that none is looked for twice.
QUOTED = r"""(?:"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|'(?:[^'\\]|\\.)*+(?:'|\\?\Z))"""
_ESCAPED = r"\\(?:[0-9a-f]{1,6}\s?|.)"
_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(\n)|(.))", re.IGNORECASE | re.DOTALL)
# An address in quotes or without; or else what a browser drops, up to where it goes on.
# The end of the text ends all of them.
URL = re.compile(
    rf"""\burl\((?:\s*+({QUOTED}|(?:[^\s"'()\\]|{_ESCAPED})*+)\s*+(?:\)|\Z)"""
    r"|(?:[^)\\]|\\.)*+\)?)",
    re.IGNORECASE | re.DOTALL,
)


def url_of(value: str) -> str | None:
    """Return the address in a value that is one `url()`; None for any other."""
    found = URL.fullmatch(value.strip())
    return address_of(found) if found else None


def address_of(found: re.Match[str]) -> str | None:
    """Return the address in a match of `URL`; None where browsers read none."""
    given: str | None = found[1]
    if given is None:
        return None
    return (unescaped(given) if given[:1] in ("'", '"') else _plain(given)).strip()


def unescaped(text: str) -> str:
    """Return a string of CSS without its quotes and escapes."""
    return _plain(text[1:].removesuffix(text[:1]))


def _plain(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        if found[1]:
            point = int(found[1], 16)
            valid = 0 < point < 0x110000 and not 0xD800 <= point < 0xE000
            return chr(point) if valid else "\ufffd"
        return "" if found[2] else found[3]

    return _ESCAPE.sub(plain, text) if "\\" in text else text


def quoted(text: str) -> str:
    """Return a text as a string of CSS."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\a ")
    return f"'{escaped}'"
