"""A caller's document as markup that pytakumi 0.1.5 draws as browsers would.

It is parsed by the HTML standard, each element gets the style that the cascade gives
it, and what the engine does not know is said in terms of what it does.
"""

from typing import NamedTuple

import turbohtml
from turbohtml import Element, Node

from app.renderer.document import elements, media, page_rules, stylesheet
from app.renderer.document.box_model import (
    LayoutBox,
)
from app.renderer.document.cascade import cascade
from app.renderer.document.computed_style import Context
from app.renderer.document.markup_writer import MarkupWriter
from app.renderer.document.page_breaks import PageBreaks
from app.renderer.document.page_rules import PageRule
from app.renderer.document.properties import Ignored
from app.renderer.document.values import ComputedFont, Units
from app.renderer.embedded_fonts import EmbeddedFonts
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.errors import LimitExceeded, Undrawable


class Translation(NamedTuple):
    """Markup for the engine, and what of the document is not in it."""

    body: str
    ignored: tuple[str, ...]
    pages: PageBreaks | None = None


def translate(
    document: str,
    canvas: tuple[int, int],
    images: EmbeddedImages,
    most_deep: int,
    fonts: EmbeddedFonts,
) -> Translation:
    """Return a document for a canvas of so many CSS pixels.

    For a `PageArea` it tells what is said about breaks between pages, and is as high as
    it needs. `images` takes images out, `fonts` fonts, and tells which one is chosen.

    Raises LimitExceeded where elements nest deeper than `most_deep`, Undrawable where
    style sheets make too much of them.
    """
    ignored = Ignored()
    told = {*images.warnings, *fonts.warnings}
    tree = turbohtml.parse(document)
    every = tree.select("*")
    _check_depth(every, most_deep)
    sheets: dict[Element | None, list[stylesheet.Rule]] = {}
    printed = PageBreaks(canvas) if isinstance(canvas, media.PageArea) else None
    if printed is not None:
        sheets[None] = [*stylesheet.read(printed.defaults, canvas, ignored).rules]
    faces: list[dict[str, str]] = []
    for element in every:
        if element.tag == "style":
            sheet = stylesheet.read(
                _text(element, element.attr("media")), canvas, ignored
            )
            scope = element.closest("svg")
            sheets.setdefault(scope, []).extend(sheet.rules)
            faces.extend(sheet.fonts)
        elif element.tag in ("script", "link", "meta"):
            _look_at(element, ignored)
    if faces:
        # With its style sheets, for what they put in.
        fonts.declare(faces, document + tree.text)
    styles = cascade(tree, every, sheets, ignored)
    units = Units(canvas, fonts.typeface)
    writer = MarkupWriter(styles, images, fonts, ignored, units, canvas, printed)
    root = every[0]
    if printed is not None:
        printed.enter_root(styles.elements[root])
    box = LayoutBox({}, ComputedFont(), canvas[0], units)
    try:
        elements.write(writer, root, Context({}, {}, 0, ComputedFont()), box)
        writer.finish()
    except RecursionError as error:
        # Where an operator lets elements nest deeper than Python's calls do.
        raise Undrawable("The page's elements nest too deep.") from error
    for warning in (*images.warnings, *fonts.warnings):
        if warning not in told:
            ignored.add(warning)
    return Translation("".join(writer.out), ignored.found, printed)


def page_rules_of(
    document: str, canvas: media.PageArea, ignored: Ignored
) -> list[PageRule] | None:
    """Return what a document's style sheets say of pages; None where they do not."""
    found: list[tuple[str, str]] = []
    for element in turbohtml.parse(document).select("style"):
        css = _text(element, element.attr("media"))
        found += stylesheet.read(css, canvas, Ignored()).pages
    return page_rules.read(found, ignored) if found else None


def _check_depth(elements: list[Element], most_deep: int) -> None:
    depths: dict[Node | None, int] = {}
    for element in elements:
        depth = depths.get(element.parent, -1) + 1
        # The document's own three elements are no nesting of the caller's.
        if depth > most_deep + 1:
            raise LimitExceeded("html", "MIMEO_MAX_HTML_DEPTH", most_deep, depth - 1)
        depths[element] = depth


def _text(style: Element, media: str | None) -> str:
    css = style.text
    return f"@media {media} {{{css}}}" if media and media.strip() else css


def _look_at(element: Element, ignored: Ignored) -> None:
    """Report what an element in the head would have fetched or run."""
    if element.tag == "script":
        kind = (element.attr("type") or "").lower()
        if not kind or "javascript" in kind or kind == "module":
            ignored.add("script")
    elif "stylesheet" in (element.attr("rel") or "").lower().split():
        ignored.add(f"style sheet {element.attr('href') or ''}")
