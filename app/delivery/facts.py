"""What is known of an image beside its bytes, as header fields.

The same facts stand in the JSON and in the manifest of an archive, in full.
"""

from collections.abc import Callable, Mapping
from typing import Any

from app.delivery.answer import Pair

# Header lines beyond 8 KiB are refused by proxies; 32 entries take under 400 bytes.
_LISTED = 32


def fact_headers(facts: Mapping[str, Any]) -> tuple[Pair, ...]:
    """Return the headers of an image's facts; texts stay in JSON."""
    if not facts:
        return ()
    return tuple(
        (header, spell(facts[name]))
        for name, (header, spell) in _HEADERS.items()
        if facts.get(name) not in (None, "", [], ())
    )


def _token(value: object) -> str:
    """Spell a word of a service as a header can hold it (RFC 9110, 5.5)."""
    text = str(value)
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:200]


def _list(values: Any) -> str:
    """List tokens (RFC 9651, 3.1), at most 32 of them."""
    shown = [_token(value) for value in values[:_LISTED]]
    if len(values) > len(shown):
        shown.append(f"more;count={len(values) - len(shown)}")
    return ", ".join(shown)


_HEADERS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "missing_glyphs": ("X-Missing-Glyphs", _list),
    "seed": ("X-Media-Seed", _token),
    "finish_reason": ("X-Media-Finish-Reason", _token),
    "repairs": ("X-Media-Repairs", _list),
    "warnings": ("X-Media-Warnings", _list),
    "upstream": ("X-Media-Upstream", _token),
    "converted_from": ("X-Media-Converted-From", _token),
}
EXPOSED = ", ".join(header for header, _ in _HEADERS.values())
