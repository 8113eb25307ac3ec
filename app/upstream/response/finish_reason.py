"""Why an image is there or not, in the words of every service, made one."""

import re
from collections.abc import Mapping
from typing import Any

SUCCESS = "success"
FILTERED = "filtered"

_FINE = frozenset(
    (
        "",
        "success",
        "succeeded",
        "stop",
        "completed",
        "complete",
        "done",
        "ok",
        "finished",
    )
)
# `rai` is responsible AI, as in Vertex's `raiFilteredReason`.
_FILTER = re.compile(
    r"filter|safety|moderat|nsfw|block_?list|blocked|prohibited|recitation|spii"
    r"|content[ _]polic|responsible ai|sensitive|explicit|\brai\b",
    re.IGNORECASE,
)
_CODES = ("code", "type", "name", "status", "error_code")
_MESSAGES = ("message", "detail", "errors", "error", "title", "msg", "body")
_MOST_DEPTH = 4


def classify(finish: object) -> str | None:
    """Return `success`, `filtered`, or the service's own word in lower case.

    None where the service did not say. Anything but the first two means that the
    image failed or that the word is not known.
    """
    if finish is None or isinstance(finish, (dict, list)):
        return None
    word = str(finish).strip().lower()
    if word in _FINE:
        return SUCCESS if word else None
    return FILTERED if is_filter(word) else word[:60]


def is_filter(text: str) -> bool:
    """Tell whether a message or code speaks of a content filter."""
    return _FILTER.search(text) is not None


def explain(document: Any) -> str:
    """Return what an error document says: its codes and messages, one line.

    Knows `{"error": {...}}`, `{"error": "..."}`, `{"detail": ...}`, `{"name",
    "message" | "errors"}` and lists of these; empty where it says nothing.
    """
    return "; ".join(dict.fromkeys(_parts(document, 0)))


def _parts(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value.strip()[:2_000]] if value.strip() else []
    if depth > _MOST_DEPTH:
        return []
    if isinstance(value, list):
        return [part for item in value[:5] for part in _parts(item, depth + 1)]
    if isinstance(value, Mapping):
        codes = [value[key] for key in _CODES if isinstance(value.get(key), str)]
        inner = [p for key in _MESSAGES for p in _parts(value.get(key), depth + 1)]
        return [*codes, *inner] if inner else codes if depth else []
    return []
