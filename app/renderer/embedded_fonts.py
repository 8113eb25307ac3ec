"""Fonts inside of style sheets, taken out of them (CSS Fonts 4, 4)."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import uharfbuzz as hb  # type: ignore[import-untyped]

from app.renderer.document.css_tokens import URL, address_of, unescaped
from app.renderer.document.stylesheet import split
from app.renderer.document.values import FontMetrics
from app.renderer.engine import web_font
from app.renderer.engine.engine import Engine, PageFont
from app.renderer.engine.families import find
from app.renderer.engine.shaping import nearest
from app.renderer.engine.typeface import Typeface, names
from app.renderer.errors import Undrawable, shorten
from app.renderer.probe.base64_stream import NotBase64, decode_text

# Of all fonts of a page together, unpacked.
_MOST_BYTES = 32 << 20
_FORMATS = re.compile(
    r"(?:woff2?|truetype|opentype)(?:-variations)?\Z|collection\Z", re.IGNORECASE
)
_FORMAT = re.compile(r"""\bformat\(\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_LOCAL = re.compile(r"local\(([^()]*)\)", re.IGNORECASE)
_RANGE = re.compile(
    r"u\+(?:([0-9a-f]{1,6})(?:-([0-9a-f]{1,6}))?|([0-9a-f]{0,5}\?{1,6}))\Z",
    re.IGNORECASE,
)
_WEIGHTS: Mapping[str, float] = {"normal": 400.0, "bold": 700.0}
_REGULAR = 400.0
_LIGHTEST, _BOLDEST = 1.0, 1000.0
# What of a face is neither drawn nor nothing, but for these values.
_UNDRAWN = frozenset(
    {"size-adjust", "ascent-override", "descent-override", "line-gap-override"}
    | {"font-stretch", "font-width", "font-feature-settings", "font-variant"}
    | {"font-variation-settings"}
)
_NOTHING = frozenset({"normal", "100%", "auto"})
_SPACE = ord(" ")
_LAST = 0x10FFFF
Spans = tuple[tuple[int, int], ...]


class Unusable(Exception):
    """A source of a face cannot be had; the message says why."""


class FaceRule(NamedTuple):
    """A rule `@font-face`: `weights` are its lightest and its boldest.

    `spans` are the characters that it is for, from the first to the last of each, None
    for all.
    """

    family: str
    src: str
    weights: tuple[float, float] | None
    style: str
    spans: Spans | None
    undrawn: tuple[str, ...]


class LoadedFace(NamedTuple):
    """A face that a page has, and the weights it stands for.

    Where it is `primary`, lines and lengths are of it: as in browsers it is for spaces,
    whether it has one or not.
    """

    face: hb.Face
    primary: bool
    weights: tuple[float, float]
    is_italic: bool

    def metrics(self, weight: float) -> FontMetrics:
        """Return how wide and high letters are at a weight."""
        font = hb.Font(self.face)
        if self.face.has_var_data:
            font.set_variations({"wght": weight})
        return Typeface(font, self.face.upem)


class EmbeddedFonts:
    """Loads the faces that style sheets declare, once a text asks for their family.

    In the engine a family has a name of its own, which none of the server's has; of
    faces for some characters alone, those for the same ones are a family. Says what
    cannot be had of the families that are asked for.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._text: frozenset[int] = frozenset()
        self._rules: dict[str, dict[object, FaceRule]] = {}
        self._families: dict[str, tuple[str, ...]] = {}
        self._lists: dict[str, str] = {}
        self._files: dict[str, web_font.WebFont | Unusable] = {}
        self._left = _MOST_BYTES
        self._loaded: dict[str, list[LoadedFace]] = {}
        self._typefaces: dict[tuple[str, float, bool], FontMetrics] = {}
        self._warnings: dict[str, None] = {}
        self.faces: list[PageFont] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the faces is not drawn."""
        return tuple(self._warnings)

    @property
    def first(self) -> str:
        """The family of what names none."""
        return self._engine.families[0]

    def declare(self, rules: Iterable[Mapping[str, str]], text: str) -> None:
        """Take rules; the last one for the same letters in the same style holds.

        Faces for characters that are not in `text` are not missed. A rule without a
        family or a source is none.
        """
        self._text = frozenset(map(ord, set(text)))
        for rule in filter(None, map(_rule, rules)):
            same = self._rules.setdefault(rule.family.casefold(), {})
            key = (rule.weights, rule.style, rule.spans)
            same.pop(key, None)
            same[key] = rule

    def families(self, value: str) -> str:
        """Return a `font-family` with the names by which the engine knows its fonts."""
        if not self._rules:
            return value
        if value not in self._lists:
            found = [self._named(each) for each in split(value)]
            self._lists[value] = ",".join(found)
        return self._lists[value]

    def _named(self, name: str) -> str:
        plain = unescaped(name) if name[:1] in "\"'" else " ".join(name.split())
        family = plain.casefold()
        if family not in self._rules:
            return name
        if family not in self._families:
            self._families[family] = tuple(
                self._load(list(self._rules[family].values()))
            )
        # The server may have it, where the page has not.
        return ",".join(f"'{each}'" for each in self._families[family]) or name

    def typeface(self, families: str, weight: float, italic: bool) -> FontMetrics:
        """Return the first available font of a list (CSS Fonts 4, 5.2)."""
        key = (families, weight, italic)
        if key not in self._typefaces:
            self._typefaces[key] = self._typeface(*key)
        return self._typefaces[key]

    def _typeface(self, families: str, weight: float, italic: bool) -> FontMetrics:
        for name in names(families):
            found = self._loaded.get(name)
            if found is None and name in self._engine.families:
                break
            if not found or not found[0].primary:
                continue
            slanted = [face for face in found if face.is_italic == italic] or found

            def own(face: LoadedFace) -> float:
                return max(face.weights[0], min(weight, face.weights[1]))

            return nearest(slanted, weight, own).metrics(weight)
        return self._engine.typeface(families, weight, italic)

    def _load(self, rules: list[FaceRule]) -> Iterator[str]:
        """Load the faces of a family; yield its names, those declared last first."""
        groups: dict[Spans | None, list[FaceRule]] = {}
        for rule in reversed(rules):
            groups.setdefault(rule.spans, []).append(rule)
        for group in groups.values():
            found: list[tuple[FaceRule, web_font.WebFont]] = []
            ours: dict[str, None] = {}
            for rule in reversed(group):
                source = self._source(rule)
                if isinstance(source, str):
                    ours[source] = None
                elif source is not None:
                    found.append((rule, source))
            if found:
                yield self._keep(found)
            yield from ours

    def _keep(self, found: list[tuple[FaceRule, web_font.WebFont]]) -> str:
        """Make a family of faces; return its name."""
        digest = hashlib.sha256()
        faces = []
        for rule, font in found:
            face = font.face
            spread = any(axis.tag == "wght" for axis in face.axis_infos)
            weights = rule.weights or (
                (_LIGHTEST, _BOLDEST) if spread else (_REGULAR, _REGULAR)
            )
            weight = weights[0] if weights[0] == weights[1] else None
            faces.append((font, face, weights, weight, rule.style))
            described = f"{weight} {rule.style} {rule.spans} {len(font.data)} "
            digest.update(described.encode())
            digest.update(font.data)
        spans = found[0][0].spans
        primary = not spans or any(low <= _SPACE <= high for low, high in spans)
        name = f"font-{digest.hexdigest()[:32]}"
        if name not in self._loaded:
            self._loaded[name] = []
            for font, face, weights, weight, style in faces:
                points = face.unicodes
                is_italic = style != "normal"
                self._loaded[name].append(LoadedFace(face, primary, weights, is_italic))
                self.faces.append(PageFont(name, font.data, weight, style, points))
        return name

    def _source(self, rule: FaceRule) -> web_font.WebFont | str | None:
        """Return a rule's font, or the family of the server's that it names."""
        reasons: dict[str, None] = {}
        for each in split(rule.src):
            try:
                found = self._read(each)
            except Unusable as error:
                reasons[str(error)] = None
                continue
            for name in rule.undrawn:
                self._warn(rule, name)
            if rule.spans is None:
                return found
            if isinstance(found, str):
                self._warn(rule, "unicode-range of a font that is here")
                return found
            return self._limited(found, rule.spans)
        if rule.spans is None or any(
            low <= each <= high for low, high in rule.spans for each in self._text
        ):
            self._warn(rule, ", ".join(reasons))
        return None

    def _limited(self, font: web_font.WebFont, spans: Spans) -> web_font.WebFont:
        points = hb.Set()
        for low, high in spans:
            points.add_range(low, high)
        known = font.face.unicodes
        if known.issubset(points):
            return font
        points &= known
        # A few bytes of a font may map all the characters there are.
        self._left -= font.size + web_font.CHARACTER_BYTES * len(points)
        if self._left < 0:
            raise Undrawable("The page's fonts are too large.")
        return font.limited(points)

    def _read(self, source: str) -> web_font.WebFont | str:
        """Return what a source names; raise Unusable."""
        local = _LOCAL.match(source)
        if local:
            name = local[1].strip().strip("\"'").strip()
            try:
                return find(name, self._engine.families)
            except ValueError:
                raise Unusable(f"local({shorten(name)}) is not here") from None
        url = URL.match(source)
        reference = url and address_of(url)
        if url is None or reference is None:
            raise Unusable(f"{shorten(source)} is no source")
        kind = _FORMAT.search(source, url.end())
        if kind and not _FORMATS.match(kind[1]):
            raise Unusable(f"format({shorten(kind[1])}) is not read")
        if reference[:5].lower() != "data:":
            raise Unusable(f"{shorten(reference)} is not fetched")
        if reference not in self._files:
            self._files[reference] = self._opened(reference)
        found = self._files[reference]
        if isinstance(found, Unusable):
            raise found
        return found

    def _opened(self, reference: str) -> web_font.WebFont | Unusable:
        try:
            data = decode_text(reference)
            font = web_font.read(data, self._left)
        except NotBase64 as error:
            return Unusable(str(error))
        except web_font.BrokenWebFont as error:
            return Unusable(f"the font {error}")
        if not self._engine.reads_font(font.data):
            return Unusable("the font is damaged")
        self._left -= font.size
        return font

    def _warn(self, rule: FaceRule, text: str) -> None:
        self._warnings[f"@font-face {shorten(rule.family)}: {text}"] = None


def _rule(descriptors: Mapping[str, str]) -> FaceRule | None:
    family, src = descriptors.get("font-family", "").strip(), descriptors.get("src", "")
    if not family or not src.strip():
        return None
    plain = unescaped(family) if family[:1] in "\"'" else " ".join(family.split())
    style = (descriptors.get("font-style") or "normal").lower().split()[0]
    undrawn = tuple(
        name
        for name in descriptors
        if name in _UNDRAWN and descriptors[name].strip().lower() not in _NOTHING
    )
    return FaceRule(
        plain,
        src,
        _weights(descriptors.get("font-weight", "")),
        style if style in ("italic", "oblique") else "normal",
        _spans(descriptors.get("unicode-range", "")),
        undrawn,
    )


def _weights(text: str) -> tuple[float, float] | None:
    """Return the lightest and the boldest that a `font-weight` names, if any."""
    try:
        found = [_WEIGHTS.get(each) or float(each) for each in text.lower().split()]
    except ValueError:
        return None
    if not found or not all(_LIGHTEST <= each <= _BOLDEST for each in found):
        return None
    return min(found), max(found)


def _spans(text: str) -> Spans | None:
    """Return the characters of a `unicode-range`; None for all, or where it is none."""
    spans = []
    for each in split(text) if text.strip() else ():
        found = _RANGE.match(each)
        if found is None:
            return None
        low = int(found[1] or found[3].replace("?", "0"), 16)
        high = int(found[2] or found[1] or found[3].replace("?", "f"), 16)
        if not low <= high <= _LAST:
            return None
        spans.append((low, high))
    return tuple(sorted(spans)) or None
