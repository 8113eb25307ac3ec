"""Which font files are loaded, in which order, and what they can draw.

The engine tries fonts in the order in which they were registered, so the order
of `Fonts.faces` is the fallback order.
"""

import hashlib
import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import fontpkg  # type: ignore[import-untyped]
import uharfbuzz as hb  # type: ignore[import-untyped]

from app.errors import with_fields

Source = Literal["packaged", "installed", "folder", "system"]

# The first is the face of the user interface; the rest add scripts or a generic
# family. Italics are listed where their file is small. The last has Latin letters,
# punctuation and symbols of its own, so it comes after all that have better ones.
PACKAGED: tuple[tuple[str, str | None], ...] = (
    ("fontpkg_inter/files/Inter[opsz,wght].ttf", "sans-serif"),
    ("fontpkg_inter/files/Inter-Italic[opsz,wght].ttf", None),
    ("fontpkg_noto_sans/files/NotoSans[wdth,wght].ttf", None),
    ("fontpkg_noto_sans_arabic/files/NotoSansArabic[wdth,wght].ttf", None),
    ("fontpkg_noto_sans_devanagari/files/NotoSansDevanagari[wdth,wght].ttf", None),
    ("fontpkg_heebo/files/Heebo[wght].ttf", None),
    ("fontpkg_source_serif_4/files/SourceSerif4[opsz,wght].ttf", "serif"),
    ("fontpkg_source_serif_4/files/SourceSerif4-Italic[opsz,wght].ttf", "serif"),
    ("fontpkg_jetbrains_mono/files/JetBrainsMono[wght].ttf", "monospace"),
    # Not Noto Sans Bengali 3: pytakumi 0.1.5 leaves its letter ra unjoined.
    ("fontpkg_hind_siliguri/files/HindSiliguri-Regular.ttf", None),
    ("fontpkg_hind_siliguri/files/HindSiliguri-SemiBold.ttf", None),
    ("fontpkg_hind_siliguri/files/HindSiliguri-Bold.ttf", None),
    ("manimgx_fonts/NotoSansArmenian[wght].ttf", None),
    ("manimgx_fonts/NotoSansEthiopic[wght].ttf", None),
    ("manimgx_fonts/NotoSansGeorgian[wght].ttf", None),
    ("manimgx_fonts/NotoSansGujarati[wght].ttf", None),
    ("manimgx_fonts/NotoSansGurmukhi[wght].ttf", None),
    ("manimgx_fonts/NotoSansKannada[wght].ttf", None),
    ("manimgx_fonts/NotoSansKhmer[wght].ttf", None),
    ("manimgx_fonts/NotoSansLao[wght].ttf", None),
    ("manimgx_fonts/NotoSansMalayalam[wght].ttf", None),
    ("manimgx_fonts/NotoSansMyanmar[wght].ttf", None),
    ("manimgx_fonts/NotoSansOriya[wght].ttf", None),
    ("manimgx_fonts/NotoSansSinhala[wght].ttf", None),
    ("manimgx_fonts/NotoSansTamil[wght].ttf", None),
    ("manimgx_fonts/NotoSansTelugu[wght].ttf", None),
    ("manimgx_fonts/NotoSansThai[wght].ttf", None),
    ("app/renderer/fonts/NotoSansThaana-Regular.ttf", None),
    ("app/renderer/fonts/NotoSansThaana-Bold.ttf", None),
    ("app/renderer/fonts/NotoSerifTibetan-Regular.ttf", None),
    ("app/renderer/fonts/NotoSerifTibetan-Bold.ttf", None),
    ("manimgx_fonts_cjk/NotoSansCJK-VF.otf.ttc", None),
    ("manimgx_fonts/NotoSansSymbols[wght].ttf", None),
    ("manimgx_fonts/NotoEmoji[wght].ttf", None),
)

# A desktop may hold thousands of fonts; these bounds keep a start under a second.
MAX_EXAMINED = 400
MAX_SYSTEM_FILES = 64
MAX_SYSTEM_BYTES = 128 * 1024 * 1024
MIN_GAIN = 16

_SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})
_WEB_SUFFIXES = frozenset({".woff", ".woff2"})
_REFUSED_SUFFIXES = frozenset({".eot"})
_PRIVATE_USE = ((0xE000, 0xF8FF), (0xF0000, 0x10FFFF))
_PLAIN = re.compile(r"[-_ ]?(regular|book|variable)(?=$|[-_ \[])", re.IGNORECASE)
_STYLED = re.compile(
    r"italic|oblique|thin|light|medium|semi|demi|bold|extra|black|heavy|condensed"
    r"|narrow|mono|math|display|ui\b"
)
_EMOJI = re.compile(r"emoji|emj|colr")


@with_fields
class BrokenFont(ValueError):
    """A file that should be a font cannot be used; it stops the start."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"Font file {self.path} {self.reason}"


@dataclass(frozen=True, slots=True)
class FontFile:
    """One file with one or more faces.

    `generic` is the CSS generic family that the file stands for; `color` tells
    whether its glyphs are coloured pictures; `licence` is what the file's package
    says of it.
    """

    path: Path
    source: Source
    generic: str | None = None
    color: bool = False
    licence: str | None = None

    def read(self) -> bytes:
        """Return the content of the file; a web font is as it was before packing."""
        if self.path.suffix.lower() in _WEB_SUFFIXES:
            return unpacked(self.path)
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class Fonts:
    """Font files in order of preference, with what they draw together.

    `digest` is the SHA-256 of the files' contents in that order, so it agrees
    between machines that hold the same fonts.
    """

    faces: tuple[FontFile, ...]
    digest: str
    coverage: hb.Set

    def missing(self, text: str, more: Sequence[hb.Set] = ()) -> tuple[str, ...]:
        """Return the characters that no font can draw, as sorted `U+4E2D` names.

        `more` are what other fonts draw. Spaces, controls, joiners and variation
        selectors need no glyph.
        """
        if text.isascii():
            return ()
        points = sorted(
            point
            for point in map(ord, set(text))
            if point not in self.coverage
            and not any(point in points for points in more)
            and _needs_glyph(point)
        )
        return tuple(f"U+{point:04X}" for point in points)


def load_fonts(folder: Path | None, system: bool) -> Fonts:
    """Find the packaged and the installed fonts, `folder`'s, and what the system adds.

    Raises BrokenFont where a file in `folder` is not a font.
    """
    coverage = hb.Set()
    faces = list(_packaged())
    faces += _installed({face.path.parent for face in faces})
    if folder is not None:
        faces += _in_folder(folder)
    for face in faces:
        coverage |= covered(face.path)
    # What the system adds depends on what the others lack, so it comes last.
    if system:
        for face in _from_system(system_folders(), coverage):
            faces.append(face)
            coverage |= covered(face.path)
    ordered = tuple(sorted(faces, key=_precedence))
    return Fonts(ordered, _digest(ordered), coverage)


def system_folders() -> tuple[Path, ...]:
    """Return the folders in which this platform keeps fonts."""
    home = Path.home()
    if sys.platform == "darwin":
        return (
            Path("/System/Library/Fonts"),
            Path("/Library/Fonts"),
            home / "Library/Fonts",
        )
    if sys.platform == "win32":
        return (
            Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts"),
            home / "AppData/Local/Microsoft/Windows/Fonts",
        )
    return (
        Path("/usr/share/fonts"),
        Path("/usr/local/share/fonts"),
        home / ".fonts",
        home / ".local/share/fonts",
    )


def interface_font() -> Path:
    """Return the packaged face of the user interface; reads no file."""
    return next(_packaged()).path


def _packaged() -> Iterator[FontFile]:
    for name, generic in PACKAGED:
        package, _, inside = name.partition("/")
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise BrokenFont(Path(name), f"is missing: install {package}")
        yield FontFile(Path(spec.origin).parent / inside, "packaged", generic)


def _installed(ours: set[Path]) -> Iterator[FontFile]:
    """Find the families of packages called `fontpkg-*`, but not those in `ours`."""
    for _, family in sorted(fontpkg.families().items()):
        for file in family.files:
            if file.path.parent not in ours:
                if not covered(file.path):
                    raise BrokenFont(file.path, "is not a font, or cannot be read")
                yield FontFile(file.path, "installed", licence=family.license)


def _in_folder(folder: Path) -> Iterator[FontFile]:
    if not folder.is_dir():
        raise BrokenFont(folder, "is not a folder")
    for path in _walk(folder, _SUFFIXES | _WEB_SUFFIXES | _REFUSED_SUFFIXES):
        if path.suffix.lower() in _REFUSED_SUFFIXES:
            raise BrokenFont(path, "is an EOT font: convert it to WOFF2, TTF or OTF")
        if not covered(path):
            raise BrokenFont(path, "is not a font, or cannot be read")
        yield FontFile(path, "folder", color=_is_color(path))


def _walk(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    found = (
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if os.path.splitext(name)[1].lower() in suffixes
    )
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _from_system(folders: Iterable[Path], known: hb.Set) -> Iterator[FontFile]:
    """Choose the files that add enough characters to `known`, with their bold.

    Colour emoji come first, so that no text font takes their characters.
    """
    paths = sorted(
        (p for folder in folders for p in _walk(folder, _SUFFIXES)), key=_rank
    )
    seen = hb.Set(known)
    # What these mean differs from font to font: no file is worth loading for them.
    for first, last in _PRIVATE_USE:
        seen.add_range(first, last)
    files, budget = MAX_SYSTEM_FILES, MAX_SYSTEM_BYTES
    for path in paths[:MAX_EXAMINED]:
        found = covered(path)
        gain = found.copy()
        gain -= seen
        if len(gain) < MIN_GAIN:
            continue
        family = [path, *_bold_of(path)]
        size = sum(member.stat().st_size for member in family)
        if len(family) > files or size > budget:
            continue
        seen |= found
        files, budget = files - len(family), budget - size
        for member in family:
            yield FontFile(member, "system", color=_is_color(member))


def _rank(path: Path) -> tuple[bool, bool, int, bool, bool, str]:
    """Order by: colour emoji, plain style, sans, Noto, name."""
    name = path.stem.lower()
    return (
        _EMOJI.search(name) is None,
        "color" not in name,
        len(_STYLED.findall(name)),
        "serif" in name and "sans" not in name,
        not name.startswith("noto"),
        str(path),
    )


def _bold_of(path: Path) -> list[Path]:
    if "[" in path.stem:
        return []
    plain = _PLAIN.sub("", path.stem)
    bold = path.with_name(f"{plain}-Bold{path.suffix}")
    return [bold] if bold.is_file() else []


@lru_cache(64)
def unpacked(path: Path) -> bytes:
    """Return the font that a WOFF or WOFF2 file holds; empty where it is damaged.

    Raises BrokenFont where the packages that read it are not installed.
    """
    plain = io.BytesIO()
    try:
        from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

        with TTFont(path, recalcTimestamp=False) as font:
            font.flavor = None
            font.save(plain)
    except ImportError as error:
        remedy = "pip install 'mimeo[woff]', or convert it to TTF or OTF"
        raise BrokenFont(path, f"is a web font: {remedy}") from error
    except Exception:
        # Damage shows in errors of many classes: fontTools', struct's, brotli's.
        return b""
    return plain.getvalue()


def faces_of(path: Path) -> Iterator[hb.Face]:
    """Open the faces of a file; none where it cannot be read."""
    try:
        if path.suffix.lower() in _WEB_SUFFIXES:
            blob = hb.Blob(unpacked(path))
        else:
            blob = hb.Blob.from_file_path(str(path))
    except hb.HarfBuzzError:
        return iter(())
    count = hb.Face(blob).count
    return (hb.Face(blob, index) for index in range(count))


def covered(path: Path) -> hb.Set:
    """Return every code point that a face of a font file maps to a glyph."""
    points = hb.Set()
    tables = set()
    for face in faces_of(path):
        # The ten faces of a CJK collection share few distinct tables.
        table = hash(face.reference_table("cmap").data)
        if table not in tables:
            tables.add(table)
            points |= face.unicodes
    return points


def _is_color(path: Path) -> bool:
    return any(
        face.has_color_png or face.has_color_paint or face.has_color_layers
        for face in faces_of(path)
    )


def _precedence(face: FontFile) -> tuple[int, bool]:
    """Put colour emoji after the packaged fonts and before all other ones.

    The packaged fonts keep digits and spaces; fonts such as DejaVu Sans, which
    hold outlines for emoji, come too late to take them.
    """
    place: dict[Source, int] = {"packaged": 0, "folder": 2, "installed": 3, "system": 4}
    return (1 if face.color else place[face.source], face.source == "system")


def _digest(faces: Iterable[FontFile]) -> str:
    total = hashlib.sha256()
    # A digest of digests needs one file in memory at a time.
    for face in faces:
        total.update(hashlib.sha256(face.read()).digest())
    return total.hexdigest()


def _needs_glyph(point: int) -> bool:
    if unicodedata.category(chr(point)) in _INVISIBLE_CATEGORIES:
        return False
    return not any(first <= point <= last for first, last in _IGNORABLE)


_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
# Default_Ignorable_Code_Point of Unicode outside those categories.
_IGNORABLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2065, 0x2065),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)
