"""Colours that CSS writes as functions: rgb(), hsl(), hwb() (CSS Color 4, 5 to 8)."""

import colorsys
import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

_BLANKS = r"[ \t\n]"
_FRACTION = r"(\.[0-9]{1,9})?"
_BYTE = rf"\+?((25[0-4]|2[0-4][0-9]|1?[0-9]?[0-9]){_FRACTION}|255(\.0{{1,9}})?)"
_SHARE = rf"\+?([0-9]?[0-9]{_FRACTION}|100(\.0{{1,9}})?)"
_PERCENT = rf"{_SHARE}%"
_ANGLE = rf"[+-]?([0-9]{{1,4}}{_FRACTION}|\.[0-9]{{1,9}})(deg|grad|rad|turn)?"
_ALPHA = rf"(0?\.[0-9]{{1,9}}|0|1(\.0{{1,9}})?|{_PERCENT})"
_DEGREES = MappingProxyType({"deg": 1.0, "grad": 0.9, "rad": 180 / math.pi})
_ARGUMENT = re.compile(r"[^\s,/()]+")

Shares = tuple[float, float, float]


def _with_commas(first: str, *others: str) -> str:
    between = rf"{_BLANKS}*,{_BLANKS}*"
    return rf"{between.join((first, *others))}({between}{_ALPHA})?"


def _with_blanks(*each: str) -> str:
    channels = rf"{_BLANKS}+".join(rf"({one}|none)" for one in each)
    return rf"{channels}({_BLANKS}*/{_BLANKS}*({_ALPHA}|none))?"


class _Function(NamedTuple):
    """What may stand in the brackets, how it is said, and what the channels are."""

    pattern: str
    usage: str
    channels: Callable[[Sequence[str]], Shares]


def _rgb(given: Sequence[str]) -> Shares:
    red, green, blue = (_share(each, 255) for each in given)
    return red, green, blue


def _hsl(given: Sequence[str]) -> Shares:
    hue, saturation, lightness = given
    return colorsys.hls_to_rgb(_turn(hue), _share(lightness), _share(saturation))


def _hwb(given: Sequence[str]) -> Shares:
    hue, white, black = _turn(given[0]), _share(given[1]), _share(given[2])
    if white + black >= 1:
        grey = white / (white + black)
        return grey, grey, grey
    red, green, blue = (
        each * (1 - white - black) + white
        for each in colorsys.hls_to_rgb(hue, 0.5, 1.0)
    )
    return red, green, blue


def _share(text: str, whole: float = 100) -> float:
    if text == "none":
        return 0.0
    return float(text[:-1]) / 100 if text.endswith("%") else float(text) / whole


def _turn(text: str) -> float:
    """Return a hue in turns; any number of them is the same colour."""
    if text == "none":
        return 0.0
    number, unit = re.fullmatch(r"(.*?)([a-z]*)", text).groups()  # type: ignore[union-attr]
    turns = float(number)
    return (turns if unit == "turn" else turns * _DEGREES[unit or "deg"] / 360) % 1


_OF_RGB = (
    _with_commas(*[_BYTE] * 3),
    _with_commas(*[_PERCENT] * 3),
    _with_blanks(*[f"{_BYTE}|{_PERCENT}"] * 3),
)
_OF_HSL = (
    _with_commas(_ANGLE, _PERCENT, _PERCENT),
    _with_blanks(_ANGLE, *[f"{_SHARE}%?"] * 2),
)
_RGB = _Function(
    "|".join(_OF_RGB),
    "rgb(180, 20, 60) or rgb(70% 8% 24% / 50%), of 0 to 255 or 0% to 100%",
    _rgb,
)
_HSL = _Function(
    "|".join(_OF_HSL), "hsl(345, 80%, 39%) or hsl(345deg 80% 39% / 50%)", _hsl
)
_HWB = _Function(_OF_HSL[1], "hwb(345 8% 29%) or hwb(345deg 8% 29% / 50%)", _hwb)
_FUNCTIONS: Mapping[str, _Function] = MappingProxyType(
    {"rgb": _RGB, "rgba": _RGB, "hsl": _HSL, "hsla": _HSL, "hwb": _HWB}
)
_PATTERNS = MappingProxyType(
    {
        name: rf"{name}\({_BLANKS}*({each.pattern}){_BLANKS}*\)"
        for name, each in _FUNCTIONS.items()
    }
)
# Of them all, for JSON Schema.
PATTERN = f"^({'|'.join(_PATTERNS.values())})$"


def read_function(text: str) -> str | None:
    """Return the eight hexadecimal digits of a colour function in small letters.

    None where the text is no call of one. Channels are rounded to bytes, halves up.
    Raises ValueError with the function's usage where its arguments are not of its
    grammar or out of bounds: browsers cut those, and nothing is cut in silence here.
    """
    name, bracket, _ = text.partition("(")
    function = _FUNCTIONS.get(name)
    if not bracket or function is None:
        return None
    if not re.fullmatch(_PATTERNS[name], text):
        raise ValueError(f"is not a colour: write {name}() as {function.usage}")
    *channels, alpha = [*_ARGUMENT.findall(text.partition("(")[2]), "1"][:4]
    shares = (*function.channels(channels), _share(alpha, 1))
    return bytes(math.floor(255 * each + 0.5) for each in shares).hex()
