"""Properties of SVG: what children inherit, and what is done to a whole element."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from PIL import ImageColor

from app.renderer.encode.pdf.matrix import NUMBER
from app.renderer.encode.pdf.outline import Bounds, Unsupported

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
REFERENCE = re.compile(r"url\(\s*['\"]?#([^)'\"]+)['\"]?\s*\)")
# Attributes that are read, and such as move no pixel.
KNOWN = frozenset(
    {"id", "class", "version", "d", "x", "y", "width", "height", "cx", "cy", "r"}
    | {"rx", "ry", "x1", "y1", "x2", "y2", "points", "href", LINK, "viewBox"}
    | {"preserveAspectRatio", "transform", "clip-path", "mask", "filter", "opacity"}
    | {"style", "fill", "fill-opacity", "fill-rule", "clip-rule", "stroke"}
    | {"stroke-width", "stroke-opacity", "stroke-linecap", "stroke-linejoin"}
    | {"stroke-miterlimit", "stroke-dasharray", "stroke-dashoffset", "color"}
    | {"shape-rendering", "{http://www.w3.org/XML/1998/namespace}space"}
)
EFFECTS = frozenset({"transform", "clip-path", "mask", "filter", "opacity", "style"})
_CAPS = {"butt": 0, "round": 1, "square": 2}
_JOINS = {"miter": 0, "round": 1, "bevel": 2}
# Section 11.3.5.
_BLENDS = {
    name: "".join(part.capitalize() for part in name.split("-"))
    for name in (
        *("multiply", "screen", "overlay", "darken", "lighten", "color-dodge"),
        *("color-burn", "hard-light", "soft-light", "difference", "exclusion"),
        *("hue", "saturation", "color", "luminosity"),
    )
}


class Style(NamedTuple):
    """Properties that children inherit (SVG 2, section 13)."""

    fill: str = "#000000"
    fill_alpha: float = 1.0
    even: bool = False
    clip_even: bool = False
    stroke: str = "none"
    stroke_alpha: float = 1.0
    width: float = 1.0
    cap: int = 0
    join: int = 0
    miter: float = 4.0
    dashes: tuple[float, ...] = ()
    dash_offset: float = 0.0
    color: str = "#000000"


@dataclass(frozen=True, slots=True)
class Effects:
    """What is done to an element as a whole."""

    transform: str = ""
    clip: str = ""
    mask: str = ""
    filter: str = ""
    blend: str = ""
    opacity: float = 1.0

    @property
    def grouped(self) -> bool:
        return bool(self.mask or self.blend or self.opacity < 1)


def effects_of(element: Element, tag: str) -> Effects:
    given = {**element.attrib, **declared(element)}
    blend = given.get("mix-blend-mode", "normal")
    if blend != "normal" and blend not in _BLENDS:
        raise Unsupported(blend)
    named: dict[str, Any] = {}
    for field_, name in (("clip", "clip-path"), ("mask", "mask"), ("filter", "filter")):
        found = REFERENCE.match(given.get(name, ""))
        if found is None and given.get(name, "none") != "none":
            raise Unsupported(name)
        named[field_] = found[1] if found else ""
    return Effects(
        given.get("transform", ""),
        blend=_BLENDS.get(blend, ""),
        opacity=float(given.get("opacity", "1")),
        **named,
    )


def declared(element: Element) -> dict[str, str]:
    """Return the properties of the attribute `style`."""
    style = element.get("style", "")
    pairs = (each.partition(":") for each in style.split(";") if each.strip())
    found = {name.strip(): value.strip() for name, _, value in pairs}
    if not found.keys() <= KNOWN | {"mix-blend-mode", "mask-type"}:
        raise Unsupported("style")
    return found


def inherit(style: Style, element: Element) -> Style:
    """Return the style of an element within another."""
    if _INHERITED.isdisjoint(element.keys()):
        return style
    given = element.attrib
    if "style" in given:
        given = {**given, **declared(element)}
    changed: dict[str, Any] = {}
    for name, value in given.items():
        read = _PROPERTIES.get(name)
        if read is not None and value != "inherit":
            key, make = read
            try:
                changed[key] = make(value)
            except (KeyError, ValueError) as error:
                raise Unsupported(f"{name}: {value}") from error
    for key in ("fill", "stroke"):
        if changed.get(key) == "currentColor":
            changed[key] = changed.get("color", style.color)
    return style._replace(**changed) if changed else style


def _dashes(value: str) -> tuple[float, ...]:
    if value == "none":
        return ()
    found = tuple(float(each) for each in NUMBER.findall(value))
    return found if any(found) else ()


_PROPERTIES: Mapping[str, tuple[str, Callable[[str], Any]]] = MappingProxyType(
    {
        "fill": ("fill", str),
        "fill-opacity": ("fill_alpha", float),
        "fill-rule": ("even", "evenodd".__eq__),
        "clip-rule": ("clip_even", "evenodd".__eq__),
        "stroke": ("stroke", str),
        "stroke-opacity": ("stroke_alpha", float),
        "stroke-width": ("width", lambda value: float(value.removesuffix("px"))),
        "stroke-linecap": ("cap", _CAPS.__getitem__),
        "stroke-linejoin": ("join", _JOINS.__getitem__),
        "stroke-miterlimit": ("miter", float),
        "stroke-dasharray": ("dashes", _dashes),
        "stroke-dashoffset": ("dash_offset", float),
        "color": ("color", str),
    }
)


# Of an element without them the style is that of its parent.
_INHERITED = frozenset({"style", *_PROPERTIES})


def attributes(style: Style) -> dict[str, str]:
    """Return a style as attributes, for a document of a part."""
    return {
        "fill": style.fill,
        "fill-opacity": f"{style.fill_alpha}",
        "fill-rule": "evenodd" if style.even else "nonzero",
        "stroke": style.stroke,
        "stroke-opacity": f"{style.stroke_alpha}",
        "stroke-width": f"{style.width}",
        "stroke-miterlimit": f"{style.miter}",
    }


def lengths(element: Element, whole: Bounds | None = None) -> Callable[..., float]:
    """Return how to read lengths, in units of the user or of the `whole` drawing.

    Others are Unsupported.
    """

    def get(name: str, default: float = 0.0) -> float:
        value = element.get(name)
        if value is None:
            return default
        if value == "100%" and whole is not None and name in ("width", "height"):
            side = name == "height"
            return whole[2 + side] - whole[side]
        try:
            return float(value.removesuffix("px"))
        except ValueError as error:
            raise Unsupported(f"{name}: {value}") from error

    return get


@lru_cache(1024)
def rgb(color: str) -> tuple[float, float, float, float]:
    """Return the channels of a colour, 0 to 1; raise Unsupported for another one."""
    try:
        red, green, blue, alpha = ImageColor.getcolor(color, "RGBA")  # type: ignore[misc]
    except ValueError as error:
        raise Unsupported(color) from error
    return red / 255, green / 255, blue / 255, alpha / 255
