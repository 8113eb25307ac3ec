"""The `html` renderer: a caller's own HTML and CSS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any
from unicodedata import normalize

from pydantic import BeforeValidator, Field

from app.config import Settings
from app.renderer.base import Picture, Renderer, Vector
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.engine.engine import Engine, Page
from app.renderer.errors import LimitExceeded
from app.renderer.image_file import reader_version
from app.renderer.params import Canvas, Text, Typeset

# As in a browser's screenshot the ground is white unless the page says otherwise:
# `html { background: transparent }` keeps the alpha. Unlike there, the body has
# no margin, and both fill the picture, so that percentages work.
BASE = (
    "html{width:100%;height:100%;background:#ffffff}"
    "body{width:100%;height:100%;margin:0}"
)

# Not html.parser: that of Python 3.11.7 takes quadratic time, 42 s for 64 KiB of
# `<a "`, where this takes 2 ms; and the check runs in a thread of the server.
# Every branch ends with "or the end of the text", and quantifiers that cannot give
# back, so that scanning takes linear time whatever is left open.
_ATTRIBUTES = r"""(?:[^"'>]++|"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))*+(?:>|\Z)"""
_TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<[!?][^>]*+(?:>|\Z)"
    r"|<(?P<raw>style|script|title|textarea|xmp|iframe|noembed|noframes)(?=[\s/>])"
    rf"(?P<rawattributes>{_ATTRIBUTES})"
    r"(?P<content>.*?)(?:</(?P=raw)(?=[\s/>])[^>]*+(?:>|\Z)|\Z)"
    rf"|<(?P<end>/?)(?P<name>[a-z][^\s/>]*+)(?P<attributes>{_ATTRIBUTES})",
    re.IGNORECASE | re.DOTALL,
)
# U+0338 makes other characters of these.
_BETWEEN = re.compile("[^<>=]+")
_MEDIA = re.compile(r"""\bmedia\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)

# Elements that have no content and no end tag (HTML, 13.1.2).
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta"}
    | {"param", "source", "track", "wbr"}
)
_BLOCKS = (
    *("address", "article", "aside", "blockquote", "div", "dl", "fieldset", "footer"),
    *("form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "nav", "ol"),
    *("p", "pre", "section", "table", "ul"),
)
# Elements whose end tag may be left out, by what ends them (HTML, 13.1.2.4).
_ENDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{name: frozenset({"p"}) for name in _BLOCKS},
        "li": frozenset({"li", "p"}),
        "dt": frozenset({"dt", "dd", "p"}),
        "dd": frozenset({"dt", "dd", "p"}),
        "td": frozenset({"td", "th", "p"}),
        "th": frozenset({"td", "th", "p"}),
        "tr": frozenset({"td", "th", "tr", "p"}),
        "tbody": frozenset({"td", "th", "tr", "tbody", "thead", "p"}),
        "option": frozenset({"option"}),
    }
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


@dataclass(slots=True)
class _Parts:
    """What a scan has found so far."""

    images: EmbeddedImages | None
    styles: list[str] = field(default_factory=list)
    html: str = ""
    body: str = ""

    def take(self, token: re.Match[str]) -> str:
        """Keep what is wanted of a token; return what stays in its place."""
        raw = (token["raw"] or "").lower()
        if raw == "style":
            style = _style(token)
            self.styles.append(self.images.in_css(style) if self.images else style)
        if token["name"] is None:
            return token[0] if raw not in ("", "style", "script", "title") else ""
        name = token["name"].lower()
        if name not in ("html", "head", "body"):
            return self._named(name, token[0])
        # Of several tags the first one counts.
        if name == "html" and not token["end"]:
            self.html = self.html or self._inside(token)
        if name == "body" and not token["end"]:
            self.body = self.body or self._inside(token)
        return ""

    def _named(self, name: str, tag: str) -> str:
        return tag if self.images is None else self.images.in_tag(name, tag)

    def _inside(self, token: re.Match[str]) -> str:
        """Return the attributes of a tag without what closes it."""
        attributes = self._named("", token["attributes"])
        return attributes.rstrip("/>") if attributes.strip("/> \n\t") else ""


def parse(document: str, images: EmbeddedImages | None = None) -> Page:
    """Turn a document, or a piece of one, into a page: styles apart, one body.

    Comments, scripts and the document type are left out. `images` takes the images
    out. Takes linear time.
    """
    parts = _Parts(images)
    rest = _TOKEN.sub(parts.take, document)
    body = f"<html{parts.html}><body{parts.body}>{rest}</body></html>"
    if images is None:
        return Page(body, (BASE, *parts.styles))
    facts = {"warnings": list(images.warnings)} if images.warnings else {}
    return Page(body, (BASE, *parts.styles), images.images, facts=facts)


def page(parameters: Parameters, images: EmbeddedImages | None = None) -> Page:
    """Return the caller's document, its text as the caller's options say.

    `images` takes the images out, which reads what a stranger chose.
    """
    parsed = parse(parameters.html, images)
    return replace(parsed, lang=parameters.lang, emoji=parameters.emoji)


def depth(document: str, most: int) -> int:
    """Return how deep elements nest; stop counting when deeper than `most`."""
    open_elements: list[str] = []
    deepest = 0
    for token in _TOKEN.finditer(document):
        if token["name"] is not None:
            _step(open_elements, token["name"].lower(), bool(token["end"]), token[0])
            deepest = max(deepest, len(open_elements))
        if deepest > most:
            break
    return deepest


def check(document: str, limits: Settings) -> None:
    """Raise LimitExceeded where a document is too long or nests too deep."""
    size = len(document.encode("utf-8", "surrogatepass"))
    if size > limits.max_html_bytes:
        raise LimitExceeded("html", "MIMEO_MAX_HTML_BYTES", limits.max_html_bytes, size)
    levels = depth(document, limits.max_html_depth)
    if levels > limits.max_html_depth:
        raise LimitExceeded(
            "html", "MIMEO_MAX_HTML_DEPTH", limits.max_html_depth, levels
        )


def build(engine: Engine, limits: Settings) -> Renderer:
    """Return the renderer; it must run in a process that can be killed."""

    def draw(parameters: Parameters, scale: float) -> Picture:
        images = EmbeddedImages(limits.max_image_pixels)
        return engine.draw(page(parameters, images), parameters.size, scale)

    def draw_svg(parameters: Parameters, scale: float) -> Vector:
        images = EmbeddedImages(limits.max_image_pixels)
        return engine.draw_svg(page(parameters, images), parameters.size)

    return Renderer(
        name="html",
        title="Your own HTML and CSS",
        parameters=Parameters,
        size=lambda parameters: parameters.size,
        draw=draw,
        vector=draw_svg,
        version=f"2 {engine.version} {reader_version()}",
        isolated=True,
        preflight=lambda parameters, _: engine.preflight(page(parameters)),
        check=lambda parameters: check(parameters.html, limits),
        example={
            "html": "<h1 style='padding:48px;color:#4338ca'>Hello from HTML</h1>",
            "width": "600",
            "height": "200",
        },
    )


def _style(token: re.Match[str]) -> str:
    media = _MEDIA.search(token["rawattributes"])
    if media is None:
        return token["content"]
    return f"@media {media[1] or media[2] or media[3]} {{{token['content']}}}"


def _step(open_elements: list[str], name: str, end: bool, tag: str) -> None:
    """Open or close one element; an end tag that matches nothing is passed over."""
    if end:
        if name in open_elements:
            while open_elements.pop() != name:
                pass
        return
    ends = _ENDS.get(name, frozenset())
    while open_elements and open_elements[-1] in ends:
        open_elements.pop()
    # Only in foreign elements does `/>` close what it opens (HTML, 13.1.2.1).
    foreign = "svg" in open_elements and tag.endswith("/>")
    if name not in _VOID and not foreign:
        open_elements.append(name)
