"""HTML and CSS to pixels: the only module that knows the layout engine."""

import html
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytakumi
import uharfbuzz as hb  # type: ignore[import-untyped]
from PIL import Image

from app.renderer.base import Lettering, Picture, TextRun, Vector
from app.renderer.engine import emoji, language, line_breaking
from app.renderer.engine.families import Family, describe
from app.renderer.engine.fonts import (
    BrokenFont,
    FontFile,
    Fonts,
    covered,
    load_fonts,
)
from app.renderer.engine.shaping import Faces, Shaped
from app.renderer.engine.typeface import Typeface, names
from app.renderer.errors import Undrawable
from app.renderer.params import EmojiStyle
from app.renderer.produce import scaled

_T = TypeVar("_T")
_DEVANAGARI = re.compile("[\u0900-\u097f]")
# What pytakumi 0.1.5 draws in pixels and leaves out of SVG, or may: classes of Tailwind
# are not looked up.
_PIXELS_ONLY = re.compile(r"\stw\s*=")
# Shadows, whose part under the box SVG has and pixels have not.
_SHADOWS = re.compile(r"box-shadow\s*:([^;}\"]*)")
_LENGTHS = re.compile(r"(?<![\w#.-])-?\d*\.?\d+(?=[a-z]*(?:[\s,]|$))", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
# The last letter of Latin Extended-B.
_LATIN = 0x24F
# How the names of its regional families begin.
_CJK = "Noto Sans CJK"


class PageFont(NamedTuple):
    """A face that a page brings: its family there, its file, and what it is for.

    `weight` is None where it is as the file says; `points` are its characters.
    """

    family: str
    data: bytes
    weight: float | None
    style: str
    points: hb.Set


@dataclass(frozen=True, slots=True)
class Page:
    """Markup, style sheets in cascading order, and images by the name in `src`.

    The engine does not read `<style>` elements in the markup. `lang` is the language
    of what does not name its own, as a canonical tag; without it the text decides.
    `emoji` says whether emoji are pictures or glyphs of a font; `facts` are known
    before the drawing. `fonts` are tried where a style names their families.
    """

    body: str
    styles: tuple[str, ...] = ()
    images: Mapping[str, bytes] = field(default_factory=dict)
    lang: str | None = None
    emoji: EmojiStyle = "color"
    facts: Mapping[str, Any] = field(default_factory=dict)
    fonts: tuple[PageFont, ...] = ()


class Engine:
    """Lays pages out and paints them; may be shared by threads.

    It reaches neither files nor the network: only the fonts and images handed
    to it. Raises BrokenFont where a font cannot be registered.
    """

    def __init__(self, fonts: Fonts) -> None:
        self._fonts = fonts
        self._renderer = pytakumi.Renderer()
        self._faces = _register(self._renderer, fonts)
        self._names: dict[FontFile, set[str]] = {}
        for name, faces in self._faces.items():
            for file, _ in faces:
                self._names.setdefault(file, set()).add(name)
        self._families = {name: _drawn(faces) for name, faces in self._faces.items()}
        order = list(self._families)
        self._shapes = Faces(self._faces)
        self._orders = {None: order, **_regional(order)}
        self._first = order[:1]
        self._generics = _generics(self._faces)
        self.version = (
            f"pytakumi {version('pytakumi')} fonts {fonts.digest[:16]}"
            f" {emoji.VERSION} {line_breaking.VERSION}"
        )

    @property
    def files(self) -> tuple[FontFile, ...]:
        """The files of the fonts, best first."""
        return self._fonts.faces

    @property
    def families(self) -> tuple[str, ...]:
        """The names of the families of fonts, best first."""
        return tuple(self._families)

    def describe(self) -> tuple[Family, ...]:
        """Return all families by name, as `/fonts` shows them."""
        return tuple(describe(name, self._faces[name]) for name in sorted(self._faces))

    def open_fonts(self) -> None:
        """Open what is opened late otherwise, for a process that can open nothing."""
        self._shapes.open_all()

    def typeface(self, families: str, weight: float, italic: bool) -> Typeface:
        """Return the font for a `font-family`, as the engine chooses it."""
        for name in names(families):
            known = self._generics.get(name.lower(), name)
            if known in self._faces:
                return self._shapes.typeface(known, weight, italic)
        return self._shapes.typeface(self._first[0], weight, italic)

    def covers(self, family: str, text: str) -> bool:
        """Tell whether a family has all letters of a text outside of Latin."""
        points = self._families.get(family, hb.Set())
        return all(
            ord(letter) in points
            for letter in text
            if letter.isalpha() and ord(letter) > _LATIN
        )

    def draw(self, page: Page, size: tuple[int, int], scale: float) -> Picture:
        """Paint a page of `size` CSS pixels with `scale` device pixels for each.

        Raises Undrawable where the engine refuses the page.
        """
        device = scaled(size, scale)
        page, setting, facts, fonts_s = self._set(page)
        renderer = self._renderer_of(page, setting)
        pixels = _guard(
            lambda: renderer.render_html(
                page.body,
                width=device[0],
                height=device[1],
                format="raw",
                device_pixel_ratio=scale,
                stylesheets=page.styles,
                images=page.images,
                **setting,
            )
        )
        # Not copied: the image shares the engine's buffer.
        image = Image.frombuffer("RGBA", device, pixels, "raw", "RGBA", 0, 1)
        return Picture(image, pixels, facts, fonts_s)

    def draw_svg(self, page: Page, size: tuple[int, int | None]) -> Vector:
        """Return a page of `size` CSS pixels as SVG, with its text as outlines.

        Without a height it is as high as it needs.
        """
        page, setting, facts, fonts_s = self._set(page)
        renderer = self._renderer_of(page, setting)
        # Only `render_html` parses markup itself.
        tree = pytakumi.from_html(page.body)
        options = {
            "width": size[0],
            "stylesheets": page.styles,
            "images": page.images,
            **setting,
        }
        if size[1] is not None:
            options["height"] = size[1]
        svg = _guard(lambda: renderer.render_svg(tree, **options))

        def texts() -> Lettering:
            measured = _guard(lambda: renderer.measure(tree, **options))
            return Lettering(tuple(_runs(measured)), emoji.texts_of(page.images))

        exact = all(map(_in_svg, (page.body, *page.styles)))
        lang = setting["lang"] or ""
        return Vector(svg, facts, fonts_s, lang, texts, self._paint, exact)

    def _paint(self, svg: str, size: tuple[int, int]) -> Image.Image:
        """Paint a document of SVG, in so many pixels."""
        # As markup: what comes as an image, the engine keeps, up to 64 MiB.
        pixels = _guard(
            lambda: self._renderer.render_html(
                svg, width=size[0], height=size[1], format="raw"
            )
        )
        return Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1)

    def bottom(self, page: Page, size: tuple[int, int]) -> float:
        """Return how far down a page of `size` CSS pixels reaches.

        Raises Undrawable where the engine refuses the page.
        """
        return max(_bottoms(self.layout(page, size)))

    def text_runs(self, page: Page, size: tuple[int, int]) -> Iterator[TextRun]:
        """Yield where the text of a page of `size` CSS pixels is, line by line.

        Raises Undrawable where the engine refuses the page.
        """
        return _runs(self.layout(page, size))

    def layout(self, page: Page, size: tuple[int, int | None]) -> Mapping[str, Any]:
        """Return the boxes of a page of `size` CSS pixels, as the engine measures them.

        Without a height it is as high as it needs. Each box has its `width`, `height`,
        the `transform` by which it is placed, its `runs` of text, and `children`.
        Raises Undrawable where the engine refuses the page.
        """
        page, setting, _, _ = self._set(page)
        renderer = self._renderer_of(page, setting)
        tree = pytakumi.from_html(page.body)
        if size[1] is not None:
            setting["height"] = size[1]
        measured: Mapping[str, Any] = _guard(
            lambda: renderer.measure(
                tree,
                width=size[0],
                stylesheets=page.styles,
                images=page.images,
                **setting,
            )
        )
        return measured

    def measure(
        self,
        node: Mapping[str, Any],
        width: float,
        lang: str | None = None,
        style: EmojiStyle = "color",
    ) -> Mapping[str, Any]:
        """Lay a text node of the engine's tree out in a column of `width` CSS pixels.

        Returns its `height`, and its `runs` of text with `x`, `y`, `width`, `height`
        and `text`, in CSS pixels, line by line. A picture of an emoji is a run too.
        """
        return self.paragraph(node["text"], lang, style).measure(node["style"], width)

    def paragraph(
        self, text: str, lang: str | None = None, style: EmojiStyle = "color"
    ) -> "Paragraph":
        """Prepare a text for being laid out at several sizes; `lang` as in `Page`."""
        prepared = _prepare(html.escape(text), style)
        setting = self._setting(visible_text(prepared.markup), lang)
        return Paragraph(self._renderer, self._shapes, prepared, setting)

    def reads_font(self, data: bytes) -> bool:
        """Tell whether the engine finds a face in a font file."""
        try:
            renderer = pytakumi.Renderer()
            # Of a font without a name it takes none by itself.
            return bool(_guard(lambda: renderer.register_font(data, name="font")))
        except Undrawable:
            return False

    def _renderer_of(self, page: Page, setting: Mapping[str, Any]) -> pytakumi.Renderer:
        """Return what draws a page: by itself where it brings fonts.

        Such a one has of ours what the page may want, and is gone with the page, so
        that no font is another page's. What that takes: `python -m
        benchmarks.page_fonts`.
        """
        if not page.fonts:
            return self._renderer
        named = html.unescape(" ".join((page.body, *page.styles))).lower()
        wanted = {*setting["font_families"], *self._first}
        wanted |= {name for name in self._families if name.lower() in named}
        wanted |= {self._generics[each] for each in self._generics if each in named}
        renderer = pytakumi.Renderer()
        for file in self.files:
            if not wanted.isdisjoint(self._names[file]):
                data = self._shapes.content(file)
                renderer.register_font(data, generic=file.generic)
        for font in page.fonts:
            _guard(
                lambda font=font: renderer.register_font(  # type: ignore[misc]
                    font.data, name=font.family, weight=font.weight, style=font.style
                )
            )
        return renderer

    def _set(self, page: Page) -> tuple[Page, dict[str, Any], dict[str, Any], float]:
        """Return the page as it is drawn, how, its facts, and the seconds it took."""
        started = time.perf_counter()
        page, text, facts = self._typeset(page)
        setting = self._setting(text, page.lang)
        return page, setting, facts, time.perf_counter() - started

    def _typeset(self, page: Page) -> tuple[Page, str, dict[str, Any]]:
        """Return the page as it is drawn, its text, and the facts about it."""
        facts = dict(page.facts)
        prepared = _prepare(page.body, page.emoji)
        if prepared.images:
            facts["attribution"] = [emoji.ATTRIBUTION]
        images = {**page.images, **prepared.images}
        page = replace(page, body=prepared.markup, images=images)
        text = visible_text(page.body)
        missing = self._fonts.missing(text, [font.points for font in page.fonts])
        if missing:
            facts["missing_glyphs"] = list(missing)
        return page, text, facts

    def _setting(self, text: str, lang: str | None) -> dict[str, Any]:
        """Return the language of a text, and the families where its style has none."""
        if text.isascii():
            return {"font_families": self._first, "lang": lang}
        region = language.region(text, lang)
        return {
            "font_families": self._order(text, region),
            "lang": lang or (region and language.REGIONS[region]),
        }

    def _order(self, text: str, region: str | None) -> list[str]:
        """Return the families that a text needs, best first.

        Each name costs pytakumi 0.1.5 some 10 us a drawing and 1 us a measurement,
        wanted or not. Where the spaces come from another font than the letters, it
        leaves a space or a fragment of a glyph at the ends of Devanagari lines.
        """
        needed = hb.Set(set(map(ord, text)))
        for name in self._first:
            needed -= self._families[name]
        if not len(needed):
            return self._first
        order = [
            name
            for name in self._orders[region]
            if name in self._first or _meet(needed, self._families[name])
        ]
        if _DEVANAGARI.search(text):
            order.sort(key="Noto Sans Devanagari".__ne__)
        return order

    def preflight(self, page: Page) -> Mapping[str, Any]:
        """Return the facts that a drawing of the page would have, without drawing."""
        return self._typeset(page)[2]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A text on its own, ready to be laid out in any style."""

    _renderer: pytakumi.Renderer
    _faces: Faces
    _prepared: emoji.Illustrated
    _setting: Mapping[str, Any]

    def measure(self, style: Mapping[str, Any], width: float) -> Mapping[str, Any]:
        """Lay the text out in a column of `width` CSS pixels, as `Engine.measure`.

        `style` are properties of the engine's tree, such as `fontSize`.
        """
        markup, images = self._prepared
        if "<" not in markup:
            node = {"type": "text", "text": html.unescape(markup), "style": style}
            return self._measure(node, width, images)
        inside = pytakumi.from_html(markup)
        block = pytakumi.container([inside], style={**style, "display": "block"})
        measured = self._measure(block, width, images)
        boxes = [
            {
                **box,
                "x": box["transform"][4],
                "y": box["transform"][5],
                "text": "\ufffc",
            }
            for box in measured["children"]
        ]
        runs = sorted(
            [*measured["runs"], *boxes], key=lambda run: run["y"] + run["height"] / 2
        )
        return {**measured, "runs": runs}

    def _measure(
        self, node: Any, width: float, images: Mapping[str, bytes]
    ) -> dict[str, Any]:
        return _guard(
            lambda: self._renderer.measure(
                node, width=max(1, int(width)), images=images, **self._setting
            )
        )

    def shape(
        self, families: Sequence[str], weight: float, italic: bool, tracking: float
    ) -> Shaped | None:
        """Return the places where lines may break at any size; `tracking` is in ems.

        None where that is not to be had from HarfBuzz: for pictures of emoji, no-break
        spaces, blank texts, and families that are not loaded.
        """
        text = html.unescape(self._prepared.markup)
        stack = self._faces.stack(
            (*families, *self._setting["font_families"]), weight, italic
        )
        if stack is None or "<" in self._prepared.markup or not text.strip():
            return None
        return stack.shape(text, tracking, self._setting["lang"])


def _prepare(markup: str, style: EmojiStyle) -> emoji.Illustrated:
    """Put pictures in place of emoji, and marks where lines may or may not break."""
    illustrated = emoji.illustrate(markup, style)
    return illustrated._replace(markup=line_breaking.mark(illustrated.markup))


@lru_cache(4)
def load_engine(folder: Path | None, system: bool) -> Engine:
    """Return the engine with the packaged fonts, those in `folder` and the system's.

    One for the whole process, and for the processes that are forked from it: what is
    registered before is in memory once. Raises BrokenFont.
    """
    return Engine(load_fonts(folder, system))


def visible_text(markup: str) -> str:
    """Return markup without its tags and with its character references resolved."""
    if markup.isascii() and "&" not in markup:
        return markup
    return html.unescape(_TAG.sub(" ", markup))


def _in_svg(css: str) -> bool:
    """Tell whether SVG has all that a page wants, apart from blur."""
    css = css.lower()
    # Text of an inline drawing is in an image there, in whatever font a reader has.
    drops = "background-blend-mode" in css or "<text" in css
    # Two searches for a word take less than one for either.
    if drops or ("tw" in css and _PIXELS_ONLY.search(css)):
        return False
    values = (re.sub(r"\([^)]*\)", "", found[1]) for found in _SHADOWS.finditer(css))
    return all(map(_is_blurred, ",".join(values).split(",")))


def _is_blurred(shadow: str) -> bool:
    """Tell whether a shadow is blurred, or there is none outside of the box."""
    if not shadow.strip() or re.search("inset|none", shadow):
        return True
    lengths = _LENGTHS.findall(shadow)
    return len(lengths) > 2 and float(lengths[2]) > 0


def _runs(measured: Mapping[str, Any]) -> Iterator[TextRun]:
    """Yield the runs of all boxes of a measured page, in the order of the document."""
    boxes = [measured]
    number = 0
    while boxes:
        box = boxes.pop()
        number += 1
        for run in box["runs"]:
            sides = (run[name] for name in ("x", "y", "width", "height"))
            yield TextRun(run["text"], number, tuple(box["transform"]), *sides)
        boxes.extend(reversed(box["children"]))


def _bottoms(box: Mapping[str, Any]) -> Iterator[float]:
    """Yield where a measured box and those in it end, none of them being turned."""
    yield box["transform"][5] + box["height"]
    for child in box["children"]:
        yield from _bottoms(child)


def _register(
    renderer: pytakumi.Renderer, fonts: Fonts
) -> dict[str, list[tuple[FontFile, int]]]:
    """Hand the fonts over; return their families with their faces, first choice first.

    A face is known by its file and its place there.
    """
    # A family may have several files; the first of them decides its place.
    names: dict[str, list[tuple[FontFile, int]]] = {}
    for file in fonts.faces:
        for family in _families_of(renderer, file):
            faces = [(file, face["index"]) for face in family["faces"]]
            names.setdefault(family["name"], []).extend(faces)
    return names


def _generics(families: Mapping[str, list[tuple[FontFile, int]]]) -> dict[str, str]:
    """Return the family that stands for each generic one."""
    found: dict[str, str] = {}
    for name, faces in families.items():
        for file, _ in faces:
            if file.generic:
                found.setdefault(file.generic, name)
    return found


def _drawn(faces: Iterable[tuple[FontFile, int]]) -> hb.Set:
    """Return what the faces of a family draw together."""
    points = hb.Set()
    for path in {file.path for file, _ in faces}:
        points |= covered(path)
    return points


def _meet(one: hb.Set, other: hb.Set) -> bool:
    both = one.copy()
    both &= other
    return bool(len(both))


def _regional(families: list[str]) -> dict[str | None, list[str]]:
    """Return the families by region, with its own before those of the others."""
    orders: dict[str | None, list[str]] = {}
    for region in language.REGIONS:
        own = [name for name in families if name == f"{_CJK} {region}"]
        rest = [name for name in families if name not in own]
        at = next((i for i, name in enumerate(rest) if name.startswith(_CJK)), 0)
        orders[region] = [*rest[:at], *own, *rest[at:]]
    return orders


def _families_of(renderer: pytakumi.Renderer, face: FontFile) -> list[Any]:
    try:
        families = _guard(
            lambda: renderer.register_font(face.read(), generic=face.generic)
        )
    except Undrawable:
        families = []
    # A damaged font of the system's is not ours to complain about.
    if not families and face.source != "system":
        raise BrokenFont(face.path, "is damaged: the engine finds no face in it")
    return families


def _guard(call: Callable[[], _T]) -> _T:
    try:
        return call()
    except (RuntimeError, ValueError) as error:
        raise Undrawable(str(error)) from error
    except BaseException as error:
        # A Rust panic arrives as pyo3_runtime.PanicException, a class that can
        # not be imported and does not derive from Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise Undrawable("The engine gave up on this layout.") from None
