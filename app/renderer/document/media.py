"""Media queries about a picture, a screen of its size, or a page (Media Queries 4)."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from app.renderer.document.values import ABSOLUTE

_LENGTH = re.compile(r"([+-]?\d*\.?\d+)(px|em|rem|pt|pc|in|cm|mm|q)?", re.IGNORECASE)
_PIXELS: Mapping[str, float] = MappingProxyType({**ABSOLUTE, "em": 16, "rem": 16})
_FEATURE = re.compile(r"\(\s*([\w-]+)\s*(?::\s*([^()]+?)\s*)?\)")
_RANGE = re.compile(
    r"\(\s*(?:([\d.]+\w*)\s*([<>]=?|=)\s*)?(width|height)\s*"
    r"(?:([<>]=?|=)\s*([\d.]+\w*)\s*)?\)",
    re.IGNORECASE,
)
# What a picture is: seen, still, bright, and never touched.
_FIXED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prefers-color-scheme": ("light",),
        "prefers-reduced-motion": ("reduce", ""),
        "prefers-contrast": ("no-preference",),
        "prefers-reduced-transparency": ("no-preference",),
        "forced-colors": ("none",),
        "hover": ("none",),
        "any-hover": ("none",),
        "pointer": ("none",),
        "any-pointer": ("none",),
        "scripting": ("none",),
        "update": ("none",),
        "grid": ("0",),
        "color": ("8", ""),
        "color-gamut": ("srgb", ""),
        "dynamic-range": ("standard",),
        "display-mode": ("browser",),
    }
)


class PageArea(NamedTuple):
    """A canvas that is the area of a page of paper: its medium is print."""

    width: int
    height: int


def matches(text: str, canvas: tuple[int, int]) -> bool:
    """Tell whether a list of queries is true of a canvas of so many CSS pixels.

    What is not known is false.
    """
    return not text.strip() or any(
        _query(query.strip().lower(), canvas) for query in text.split(",")
    )


def _query(query: str, canvas: tuple[int, int]) -> bool:
    wanted = True
    if query.startswith("not "):
        query, wanted = query[4:].strip(), False
    query = query.removeprefix("only ").strip()
    kind = re.match(r"[\w-]+", query)
    if kind:
        medium = "print" if isinstance(canvas, PageArea) else "screen"
        if kind[0] not in ("all", medium):
            return not wanted
        query = query[kind.end() :].strip()
        if not query:
            return wanted
        if not query.startswith("and"):
            return False
        query = query[3:]
    conditions = re.split(r"\band\b", query)
    return all(_condition(each.strip(), canvas) for each in conditions) is wanted


def _condition(text: str, canvas: tuple[int, int]) -> bool:
    if " or " in text:
        return any(_condition(each.strip(), canvas) for each in text.split(" or "))
    if text.startswith("not"):
        return not _condition(text[3:].strip(), canvas)
    found = _RANGE.fullmatch(text)
    if found and (found[2] or found[4]):
        side = canvas[found[3] == "height"]
        return all(
            _compare(one, sign, other)
            for one, sign, other in (
                (_pixels(found[1]), found[2], side),
                (side, found[4], _pixels(found[5])),
            )
            if sign
        )
    feature = _FEATURE.fullmatch(text)
    if feature is None:
        return False
    return _feature(feature[1], (feature[2] or "").strip(), canvas)


def _feature(name: str, value: str, canvas: tuple[int, int]) -> bool:
    if name in _FIXED:
        return value in _FIXED[name]
    width, height = canvas
    if name == "orientation":
        return value == ("landscape" if width > height else "portrait")
    side, _, what = name.rpartition("-")
    if what not in ("width", "height") or side not in ("", "min", "max"):
        return False
    is_side = width if what == "width" else height
    length = _pixels(value)
    sign = {"": "=", "min": ">=", "max": "<="}[side]
    return bool(value) and _compare(is_side, sign, length)


def _compare(one: float | None, sign: str, other: float | None) -> bool:
    if one is None or other is None:
        return False
    if "=" in sign and one == other:
        return True
    return one < other if "<" in sign else one > other if ">" in sign else False


def _pixels(text: str | None) -> float | None:
    found = _LENGTH.fullmatch((text or "").strip())
    if found is None or (found[2] is None and float(found[1])):
        return None
    return float(found[1]) * _PIXELS[(found[2] or "px").lower()]
