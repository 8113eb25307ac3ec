"""The colours of a scene, by the names of their mood."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.renderer.dream.brush import Colour, hexed


@dataclass(frozen=True, slots=True)
class Palette:
    """Sky from top to horizon, land near and its haze, and the light."""

    sky: tuple[Colour, Colour, Colour]
    near: Colour
    light: Colour
    starry: bool = False

    @property
    def haze(self) -> Colour:
        """What is far away takes this colour."""
        return self.sky[2]


def _palette(sky: str, near: str, light: str, *, starry: bool = False) -> Palette:
    high, middle, low = map(hexed, sky.split())
    return Palette((high, middle, low), hexed(near), hexed(light), starry)


PALETTES: Mapping[str, Palette] = MappingProxyType(
    {
        "sunset": _palette("3b2a63 c2556d f8b26a", "2a1533", "ffe2a8"),
        "dawn": _palette("5b7db8 e8a9a9 fbe3c0", "33405f", "fff2d0"),
        "night": _palette("050a24 14245a 34508f", "04081a", "e9efff", starry=True),
        "blue": _palette("1d5fa8 5aa7dd cfeaf5", "0c2f52", "ffffff"),
        "green": _palette("7fb7a8 bcdcb4 eef3d2", "12392f", "fffbd9"),
        "gold": _palette("d98b3a f2bf6b fbeac0", "5a2f14", "fff6d8"),
        "snow": _palette("8fa9c4 c5d5e4 f2f5f8", "3d5570", "ffffff"),
        "red": _palette("3a0d1c a32a2a f0704a", "1c060d", "ffd9a0"),
        "rose": _palette("8d6bb5 e59bbd fbdcd9", "44224f", "fff0ec"),
        "violet": _palette("241a52 6a4bb0 c79be0", "140d33", "f6e7ff", starry=True),
    }
)
