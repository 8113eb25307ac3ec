"""The `html` renderer: a caller's own HTML and CSS."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any
from unicodedata import normalize

from pydantic import BeforeValidator, Field

from app.config import Settings
from app.renderer.base import Picture, PrintedPage, Renderer, Vector
from app.renderer.document import BASE as BASE
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.engine.engine import Engine, Page
from app.renderer.errors import BadParameter, Fault, LimitExceeded
from app.renderer.image_file import reader_version
from app.renderer.params import Canvas, Text, Typeset
from app.renderer.produce import scaled

# Of all renderers of documents: raise the number where other pixels are made of equal
# HTML and CSS, by whatever module of `renderer.document`.
TRANSLATION = "documents 1"
# As deep as elements nest where nobody says otherwise.
MOST_DEEP = 200
# U+0338 makes other characters of these.
_BETWEEN = re.compile("[^<>=]+")
# What of a document is no text, as far as can be told without parsing it.
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(style|script|title|template)\b.*?(?:</\1|\Z)",
    re.IGNORECASE | re.DOTALL,
)


def _composed(document: Any) -> Any:
    """Compose the letters of a document, and never a tag's end with what follows."""
    if not isinstance(document, str) or document.isascii():
        return document
    return _BETWEEN.sub(lambda piece: normalize("NFC", piece[0]), document)


class Parameters(Typeset, Canvas):
    """An HTML document or a piece of one; it can reach no file and no network."""

    html: Annotated[Text, BeforeValidator(_composed)] = Field(
        min_length=1,
        description="HTML with inline styles or style elements; scripts do not run.",
    )
    strict: bool = Field(
        False,
        description="Refuse a document of which something would not be drawn.",
    )


def page(
    parameters: Parameters,
    images: EmbeddedImages,
    engine: Engine,
    most_deep: int = MOST_DEEP,
) -> Page:
    """Return the caller's document for an engine, its text as the options say.

    `images` takes the images out, which reads what a stranger chose. The fact
    `ignored` says what is not drawn. Raises LimitExceeded where elements nest deeper
    than `most_deep`, BadParameter for what is not drawn of a `strict` document,
    Undrawable where style sheets make too much of it.
    """
    # Imported by whoever draws: no server reads what strangers wrote.
    from app.renderer.document.translation import translate
    from app.renderer.embedded_fonts import EmbeddedFonts

    fonts = EmbeddedFonts(engine)
    found = translate(parameters.html, parameters.size, images, most_deep, fonts)
    facts = _told(found.ignored, parameters)
    return Page(
        found.body,
        images=images.images,
        lang=parameters.lang,
        emoji=parameters.emoji,
        facts=facts,
        fonts=tuple(fonts.faces),
    )


def printed(
    parameters: Parameters,
    images: EmbeddedImages,
    engine: Engine,
    limits: Settings,
    scale: float,
) -> Iterator[PrintedPage] | None:
    """Return the caller's document as pages; None where it says nothing of them.

    Raises as `page`, and LimitExceeded and BadParameter where pages are too large or
    too many.
    """
    # Imported by whoever draws: no server reads what strangers wrote.
    from app.renderer.document import printing

    found = printing.printed(
        printing.Source(
            *(parameters.html, parameters.size, limits.max_html_depth),
            *(parameters.lang, parameters.emoji),
        ),
        images,
        engine,
        lambda size: _check_page(size, limits, scale),
    )
    if found is None:
        return None
    facts = _told(found.ignored, parameters)
    return (
        each._replace(vector=replace(each.vector, facts={**facts, **each.vector.facts}))
        for each in found.pages
    )


def _check_page(size: tuple[int, int], limits: Settings, scale: float) -> None:
    """Raise LimitExceeded where a page of so many CSS pixels is too large."""
    width, height = scaled(size, scale)
    side, pixels = max(width, height), width * height
    if side > limits.max_side:
        raise LimitExceeded("html", "MIMEO_MAX_SIDE", limits.max_side, side)
    if pixels > limits.max_pixels:
        raise LimitExceeded("html", "MIMEO_MAX_PIXELS", limits.max_pixels, pixels)


def _told(ignored: tuple[str, ...], parameters: Parameters) -> dict[str, Any]:
    """Return the fact of what is not drawn; raise BadParameter where it has to be."""
    if ignored and parameters.strict:
        raise BadParameter(
            *(Fault("html", f"is not drawn in full: {each}") for each in ignored)
        )
    return {"ignored": list(ignored)} if ignored else {}


def check(document: str, limits: Settings) -> None:
    """Raise LimitExceeded where a document is too long."""
    size = len(document.encode("utf-8", "surrogatepass"))
    if size > limits.max_html_bytes:
        raise LimitExceeded("html", "MIMEO_MAX_HTML_BYTES", limits.max_html_bytes, size)


def build(engine: Engine, limits: Settings) -> Renderer:
    """Return the renderer; it must run in a process that can be killed."""

    def read(parameters: Parameters) -> Page:
        images = EmbeddedImages(limits.max_image_pixels)
        return page(parameters, images, engine, limits.max_html_depth)

    def paged(parameters: Parameters, scale: float) -> Iterator[PrintedPage] | None:
        images = EmbeddedImages(limits.max_image_pixels)
        return printed(parameters, images, engine, limits, scale)

    return page_renderer(
        *("html", "Your own HTML and CSS", Parameters, "10"),
        engine=engine,
        read=read,
        printed=paged,
        preflight=lambda parameters: preflight(parameters, engine),
        check=lambda parameters: check(parameters.html, limits),
        example={
            "html": "<h1 style='padding:48px;color:#4338ca'>Hello from HTML</h1>",
            "width": "600",
            "height": "200",
        },
    )


def page_renderer(
    name: str,
    title: str,
    parameters: type[Canvas],
    version: str,
    *,
    engine: Engine,
    read: Callable[[Any], Page],
    printed: Callable[[Any, float], Iterable[PrintedPage] | None] | None = None,
    preflight: Callable[[Any], Mapping[str, Any]],
    check: Callable[[Any], None],
    example: Mapping[str, str],
) -> Renderer:
    """Return the renderer of a caller's document; it must run in another process.

    `read` makes its page, which may be slow and hostile, `printed` its pages on paper;
    `preflight` is neither.
    """

    def draw(asked: Any, scale: float) -> Picture:
        return engine.draw(read(asked), asked.size, scale)

    def draw_svg(asked: Any, scale: float) -> Vector:
        return engine.draw_svg(read(asked), asked.size)

    return Renderer(
        name=name,
        title=title,
        parameters=parameters,
        size=lambda asked: asked.size,
        draw=draw,
        vector=draw_svg,
        printed=printed,
        version=f"{version} {TRANSLATION} {engine.version} {reader_version()}",
        isolated=True,
        preflight=lambda asked, _: preflight(asked),
        check=check,
        example=example,
    )


def preflight(parameters: Parameters, engine: Engine) -> Mapping[str, Any]:
    """Return the facts of a drawing that are known without it.

    Which characters the fonts of a document have is known once they are read.
    """
    body = _UNSEEN.sub(" ", parameters.html)
    facts = engine.preflight(Page(body, lang=parameters.lang, emoji=parameters.emoji))
    if "@font-face" in parameters.html.lower():
        return {name: each for name, each in facts.items() if name != "missing_glyphs"}
    return facts
