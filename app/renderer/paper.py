"""Sizes on paper: lengths with units, named pages, and what they are in pixels.

CSS says how they are spelt, and that 96 pixels are an inch where nobody says otherwise
(CSS Values and Units 4, section 6.2).
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

# CSS pixels an inch, and points an inch.
CSS_DPI = 96.0
POINTS = 72.0
UNITS = "mm, cm, in, pt or px"

# How many of a unit are an inch.
_UNITS: Mapping[str, float] = MappingProxyType(
    {"mm": 25.4, "cm": 2.54, "in": 1.0, "pt": POINTS}
)
_LENGTH = re.compile(
    r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})\s*([a-z]+)", re.IGNORECASE
)
# The x of px stands between no sides.
_BY = re.compile(r"\s*(?<!p)[x\u00d7]\s*", re.IGNORECASE)
# ISO 216 and ANSI/ASME Y14.1, upright, in inches.
_PAGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        **{
            name: (width / 25.4, height / 25.4)
            for name, width, height in (
                ("a3", 297, 420),
                ("a4", 210, 297),
                ("a5", 148, 210),
                ("a6", 105, 148),
            )
        },
        "letter": (8.5, 11.0),
        "legal": (8.5, 14.0),
    }
)

Sides = tuple[float, float]


class Paper(NamedTuple):
    """A picture's size on paper, cut: points, and CSS pixels an inch.

    `bleed` are points of artwork on each side beyond, where the cut may slip to.
    """

    width: float
    height: float
    dpi: float
    bleed: float = 0.0

    @property
    def overhang(self) -> int:
        """CSS pixels in which the bleed of a side has room."""
        # Less than that of a pixel is rounding.
        return math.ceil(self.bleed * self.dpi / POINTS - 1e-6)


def parse_length(text: str, dpi: float) -> float:
    """Return a length such as `85mm` in inches; `dpi` are pixels an inch.

    Raises ValueError where it has no unit, or one that is not known.
    """
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise ValueError(f"is no length: write a number and {UNITS}, such as 85mm")
    number, unit = float(found[1]), found[2].lower()
    if not number:
        raise ValueError("must be more than 0")
    if unit == "px":
        return number / dpi
    if unit not in _UNITS:
        raise ValueError(f"has the unit {found[2]!r}; known are {UNITS}")
    return number / _UNITS[unit]


def parse_pixels(text: str, dpi: float) -> int:
    """Return a length as the whole pixels that come nearest; raise ValueError."""
    number = text.lower().removesuffix("px").rstrip()
    if number != text.lower() and not number.isdecimal():
        raise ValueError("must be whole pixels")
    return round(parse_length(text, dpi) * dpi)


def parse_sides(text: str, dpi: float) -> Sides:
    """Return `4in x 6in` as inches; raise ValueError."""
    sides = _BY.split(text.strip())
    if len(sides) != 2:
        raise ValueError("must be width x height, such as 4in x 6in")
    width, height = (parse_length(side, dpi) for side in sides)
    return width, height


def parse_page(text: str) -> Sides:
    """Return a page such as `A4 landscape` in inches; raise ValueError.

    It stands upright unless it is said otherwise.
    """
    name, *turned = text.lower().split() or [""]
    if name not in _PAGES or turned not in ([], ["portrait"], ["landscape"]):
        known = "A3, A4, A5, A6, Letter, Legal"
        raise ValueError(f"is not one of {known}, with portrait or landscape")
    width, height = _PAGES[name]
    return (height, width) if turned == ["landscape"] else (width, height)


def pixels_of(sides: Sides, dpi: float) -> tuple[int, int]:
    """Return sides in inches as whole pixels."""
    return round(sides[0] * dpi), round(sides[1] * dpi)


def paper_of(sides: Sides, pixels: tuple[int, int], dpi: float | None) -> Paper:
    """Return the paper that a picture of so many pixels fills.

    Without a resolution it is the whole number at which paper and pixels are one, if
    there is one. Raises ValueError where they differ by a pixel or more.
    """

    def fits(dpi: float) -> bool:
        pairs = zip(sides, pixels, strict=True)
        return all(abs(side * dpi - pixel) < 1 for side, pixel in pairs)

    width, height = pixels
    if dpi is None:
        dpi = (width / sides[0] + height / sides[1]) / 2
        if not fits(dpi):
            raise ValueError(f"has another shape than {width}x{height} pixels")
        dpi = round(dpi) if fits(round(dpi)) else dpi
    elif not fits(dpi):
        made = pixels_of(sides, dpi)
        reason = f"is {made[0]}x{made[1]} pixels at {dpi:g} dpi"
        raise ValueError(f"{reason}, not {width}x{height}")
    return Paper(sides[0] * POINTS, sides[1] * POINTS, dpi)


def at(pixels: tuple[int, int], dpi: float) -> Paper:
    """Return the paper of so many CSS pixels at a resolution."""
    return Paper(pixels[0] * POINTS / dpi, pixels[1] * POINTS / dpi, dpi)


def resolve(
    declared: Paper | None, size: tuple[int, int], scale: float, dpi: float | None
) -> Paper:
    """Return the size on paper of a picture of `size` device pixels.

    A caller's `dpi` goes before another that the renderer declared. `scale` sharpens
    and moves no edge: the size is that of the CSS pixels, which are whole. Where nobody
    said anything they are as large as CSS has them.
    """
    if declared is not None and dpi in (None, declared.dpi):
        return declared
    pixels = round(size[0] / scale), round(size[1] / scale)
    paper = at(pixels, dpi or CSS_DPI)
    if declared is None:
        return paper
    return paper._replace(bleed=declared.bleed * declared.dpi / paper.dpi)
