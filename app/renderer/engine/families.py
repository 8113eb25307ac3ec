"""The families of the loaded fonts: what they are called, draw, weigh and allow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import regex  # type: ignore[import-untyped]
import uharfbuzz as hb  # type: ignore[import-untyped]

from app.renderer.engine.fonts import FontFile, Source, covered, faces_of
from app.renderer.errors import nearest

# The scripts of UAX #31, table 5, with some letters of each: a font that has half of
# them draws the script. Hangul and Han are told by a few of their thousands.
SAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "Latin": "ABCXYZabcxyz",
        "Greek": "ΑΒΓΨΩαβγψω",
        "Cyrillic": "АБВЮЯабвюя",
        "Arabic": "ابتثجحخدذرزسش",
        "Armenian": "ԱԲԳԴաբգդ",
        "Bengali": "অআইঈকখগঘঙ",
        "Bopomofo": "ㄅㄆㄇㄈㄉㄊ",
        "Devanagari": "अआइईकखगघङ",
        "Ethiopic": "ሀለሐመሠረሰ",
        "Georgian": "აბგდევზ",
        "Gujarati": "અઆઇઈકખગઘ",
        "Gurmukhi": "ਅਆਇਈਕਖਗਘ",
        "Han": "一人大中文字",
        "Hangul": "가나다라마바사",
        "Hebrew": "אבגדהוזחט",
        "Hiragana": "あいうえおかき",
        "Kannada": "ಅಆಇಈಕಖಗಘ",
        "Katakana": "アイウエオカキ",
        "Khmer": "កខគឃងចឆ",
        "Lao": "ກຂຄງຈຊຍ",
        "Malayalam": "അആഇഈകഖഗഘ",
        "Myanmar": "ကခဂဃငစဆ",
        "Oriya": "ଅଆଇଈକଖଗଘ",
        "Sinhala": "අආඇඈකඛගඝ",
        "Tamil": "அஆஇஈகஙசஞ",
        "Telugu": "అఆఇఈకఖగఘ",
        "Thaana": "ހށނރބޅކއ",
        "Thai": "กขคฆงจฉ",
        "Tibetan": "ཀཁགངཅཆཇ",
    }
)
# Licences of fonts, by words in their own text, as SPDX calls them.
_LICENCES = (
    (regex.compile(r"open font licen[sc]e|scripts\.sil\.org/OFL", regex.I), "OFL-1.1"),
    (regex.compile(r"apache", regex.I), "Apache-2.0"),
    (regex.compile(r"ubuntu font licen[sc]e", regex.I), "Ubuntu-font-1.0"),
    (regex.compile(r"bitstream vera", regex.I), "Bitstream-Vera"),
)
_MOST_OF_A_LICENCE = 120
_REGULAR = 400
# Scripts of a specimen.
_SHOWN = 4
# In the table OS/2: where the weight and the flags of a style stand.
_WEIGHT_AT, _STYLE_AT = 4, 62


@dataclass(frozen=True, slots=True)
class Family:
    """A family of fonts.

    `weights` are the lightest and the boldest where it is `variable`, else each one.
    `licence` is an SPDX identifier, or what the font says, or
    None where it says nothing.
    """

    name: str
    source: Source
    styles: tuple[str, ...]
    weights: tuple[int, ...]
    variable: bool
    scripts: tuple[str, ...]
    licence: str | None

    @property
    def specimen(self) -> dict[str, str]:
        """What the renderer `placeholder` takes for a look at the family."""
        letters = [SAMPLES[script] for script in self.scripts[-_SHOWN:]]
        return {
            "text": "\n".join((self.name, *letters)),
            "font": self.name,
            "width": "600",
            "height": "300",
        }


def find(name: str, known: Sequence[str]) -> str:
    """Return a family's own spelling of its name, whatever the case and blanks.

    Raises ValueError with the name that comes near, where one does.
    """
    if name in known:
        return name
    names = {_squeezed(each): each for each in known}
    found = names.get(_squeezed(name))
    if found is None:
        near = nearest(_squeezed(name), names)
        hint = f": did you mean {names[near]!r}?" if near else "."
        raise ValueError(f"is no font here{hint} /fonts lists them all")
    return found


def _squeezed(name: str) -> str:
    return str(regex.sub(r"[\s_-]+", "", name)).casefold()


def describe(name: str, files: Iterable[tuple[FontFile, int]]) -> Family:
    """Return what there is to say of a family; each file comes with the face in it."""
    listed = list(files)
    faces = [(file, face_of(file.path, index)) for file, index in listed]
    ranges = [found for _, face in faces if (found := _range(face))]
    if ranges:
        weights = {min(low for low, _ in ranges), max(high for _, high in ranges)}
    else:
        weights = {weight_of(face) for _, face in faces}
    styles = {"italic" if is_italic(face) else "normal" for _, face in faces}
    return Family(
        name,
        listed[0][0].source,
        tuple(sorted(styles, reverse=True)),
        tuple(sorted(weights)),
        bool(ranges),
        tuple(dict.fromkeys(s for file, _ in listed for s in _scripts(file.path))),
        next(filter(None, (_licence(file, face) for file, face in faces)), None),
    )


def face_of(path: Path, index: int) -> hb.Face:
    """Open one of the faces of a file."""
    return next(face for at, face in enumerate(faces_of(path)) if at == index)


def _range(face: hb.Face) -> tuple[int, int] | None:
    if not face.has_var_data:
        return None
    axes = [axis for axis in face.axis_infos if axis.tag == "wght"]
    return (int(axes[0].min_value), int(axes[0].max_value)) if axes else None


def weight_of(face: hb.Face) -> int:
    """Return the weight of a face, as its table OS/2 names it."""
    found = int.from_bytes(_os2(face)[_WEIGHT_AT : _WEIGHT_AT + 2], "big")
    return found or _REGULAR


def is_italic(face: hb.Face) -> bool:
    """Tell whether a face calls itself italic."""
    return bool(int.from_bytes(_os2(face)[_STYLE_AT : _STYLE_AT + 2], "big") & 1)


def _os2(face: hb.Face) -> bytes:
    return bytes(face.reference_table("OS/2").data)


@lru_cache(512)
def _scripts(path: Path) -> tuple[str, ...]:
    points = covered(path)
    return tuple(
        script
        for script, letters in SAMPLES.items()
        if 2 * sum(ord(letter) in points for letter in letters) >= len(letters)
    )


def _licence(file: FontFile, face: hb.Face) -> str | None:
    return file.licence or next(_said(face), None)


def _said(face: hb.Face) -> Iterator[str]:
    """Yield the licence that a font names, in short, best first."""
    identifiers = (
        hb.OTNameIdPredefined.LICENSE,
        hb.OTNameIdPredefined.LICENSE_URL,
        hb.OTNameIdPredefined.COPYRIGHT,
    )
    texts = [face.get_name(each) or "" for each in identifiers]
    for text in texts:
        yield from (name for pattern, name in _LICENCES if pattern.search(text))
    yield from (text[:_MOST_OF_A_LICENCE] for text in texts[:2] if text)
