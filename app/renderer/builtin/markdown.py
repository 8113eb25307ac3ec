"""The `markdown` renderer: CommonMark with tables and coloured code, as a page."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from app.config import Settings
from app.renderer.base import Picture, PrintedPage, Renderer, Vector
from app.renderer.builtin import html
from app.renderer.embedded_images import EmbeddedImages
from app.renderer.engine.engine import Engine, Page
from app.renderer.errors import BadParameter, Fault, LimitExceeded
from app.renderer.paper import CSS_DPI, parse_page, pixels_of
from app.renderer.params import Canvas, Color, Side, Text, Typeset

# Sizes of letters that are tried, largest first; the first counts at which all fits.
_SIZES = (30, 27, 24, 22, 20, 18, 16, 15, 14, 13, 12, 11, 10)
# CSS pixels of letters on paper: eleven points, and fewer where a page is less wide.
_PRINTED, _PRINTED_SMALL = 14.667, 12.667
_LARGE_PAPER = 700.0
_PALETTES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "light": {
            "ground": "#ffffff",
            "text": "#1f2937",
            "faint": "#6b7280",
            "line": "#e5e7eb",
            "panel": "#f6f8fa",
            "accent": "#4f46e5",
        },
        "dark": {
            "ground": "#0f172a",
            "text": "#e2e8f0",
            "faint": "#94a3b8",
            "line": "#334155",
            "panel": "#1e293b",
            "accent": "#a5b4fc",
        },
    }
)


PaperName = Literal[
    "A3",
    "A3 landscape",
    "A4",
    "A4 landscape",
    "A5",
    "A5 landscape",
    "A6",
    "A6 landscape",
    "Letter",
    "Letter landscape",
    "Legal",
    "Legal landscape",
]
_NAMES: Mapping[str, str] = MappingProxyType(
    {name.lower(): name for name in get_args(PaperName)}
)


def _named(value: Any) -> Any:
    """Return the name of a page however it is spelt."""
    if not isinstance(value, str):
        return value
    words = value.lower().split()
    return _NAMES.get(" ".join(word for word in words if word != "portrait"), value)


class Parameters(Typeset, Canvas):
    """A text in Markdown, as large as its page allows, or on pages of paper."""

    width: Side = 1200
    height: Side = 630
    paper: Annotated[PaperName, BeforeValidator(_named)] | None = Field(
        None,
        description="Pages of paper, as many as the text needs, in place of `width` and"
        " `height`; a picture is of the first.",
    )
    markdown: Text = Field(
        min_length=1,
        description="Text in CommonMark, with tables and strikethrough; HTML in it is"
        " shown as it is written.",
    )
    theme: Literal["light", "dark"] = Field("light", description="Light or dark.")
    accent: Color | None = Field(
        None,
        description="Colour of links, rules and quotations; indigo if left out.",
    )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels."""
        if self.paper is None:
            return super().size
        return pixels_of(parse_page(self.paper), CSS_DPI)

    @property
    def text(self) -> str:
        """The text without blank lines at its ends."""
        return self.markdown.strip("\n")


def document(parameters: Parameters, size: float, more: str = "") -> str:
    """Return the page as HTML, its text of `size` CSS pixels, with `more` style."""
    # Imported by whoever draws: a server that draws no Markdown does without.
    from app.renderer.builtin.markdown_parser import STYLES, read

    colors = _PALETTES[parameters.theme]
    body = read(parameters.text)
    css = (
        _css(colors, parameters.accent or colors["accent"], size)
        + STYLES[parameters.theme]
        + more
    )
    return f"<style>{css}</style><main>{body}</main>"


def _as_html(parameters: Parameters, markup: str) -> html.Parameters:
    return html.Parameters.model_construct(
        html=markup,
        width=parameters.width,
        height=parameters.height,
        lang=parameters.lang,
        emoji=parameters.emoji,
        strict=False,
    )


def _on_paper(parameters: Parameters) -> str:
    """Return the text as HTML for pages of paper."""
    assert parameters.paper is not None
    short = min(parse_page(parameters.paper)) * CSS_DPI
    size = _PRINTED if short >= _LARGE_PAPER else _PRINTED_SMALL
    colors = _PALETTES[parameters.theme]
    page = (
        f"@page{{size:{parameters.paper};margin:{short / 10:.4g}px;"
        f"background:{colors['ground']};@bottom-right{{content:counter(page) ' / '"
        f" counter(pages);color:{colors['faint']};font-size:{0.8 * size:.3g}px}}}}"
        "html{background:none}main{padding:0}p,li{orphans:2;widows:2}"
        "h1,h2,h3,h4,h5,h6{break-after:avoid}tr,blockquote,img{break-inside:avoid}"
    )
    return document(parameters, size, page)


def _css(colors: Mapping[str, str], accent: str, size: float) -> str:
    text, faint, line, panel = (
        colors[name] for name in ("text", "faint", "line", "panel")
    )
    return (
        f"html{{background:{colors['ground']}}}"
        f"main{{padding:{2 * size}px {2.4 * size}px;color:{text};font-size:{size}px;"
        "line-height:1.55;overflow-wrap:anywhere}"
        f"h1,h2,h3,h4,h5,h6{{line-height:1.2;margin:{1.1 * size}px 0 {0.5 * size}px;"
        "letter-spacing:-0.015em}"
        f"h1{{font-size:{2.1 * size}px;font-weight:800}}"
        f"h2{{font-size:{1.5 * size}px;font-weight:700}}"
        f"h3{{font-size:{1.2 * size}px;font-weight:700}}"
        f"h4,h5,h6{{font-size:{size}px;font-weight:700}}"
        f"h6{{color:{faint}}}"
        f"p,ul,ol,blockquote,pre,table{{margin:0 0 {0.8 * size}px}}"
        f"main>:first-child{{margin-top:0}}"
        f"ul,ol{{padding-left:{1.6 * size}px}}li{{margin:{0.15 * size}px 0}}"
        f"li p,li ul,li ol{{margin:0}}"
        f"a{{color:{accent};text-decoration:underline}}"
        f"blockquote{{border-left:{max(3, size // 5):g}px solid {accent};"
        f"padding-left:{size}px;color:{faint}}}blockquote p{{margin:0}}"
        f"hr{{border:0;border-top:{max(2, size // 10):g}px solid {line};height:0;"
        f"margin:{1.4 * size}px 0}}"
        f"code{{font-family:'JetBrains Mono';font-size:0.88em;background:{panel}}}"
        f"pre{{background:{panel};border:1px solid {line};"
        f"border-radius:{0.5 * size}px;padding:{0.8 * size}px {size}px;"
        "line-height:1.5;white-space:pre-wrap}"
        f"pre code{{background:transparent;font-size:{0.85 * size}px}}"
        "table{border-collapse:collapse}"
        f"th,td{{padding:{0.35 * size}px {0.8 * size}px;"
        f"border-bottom:1px solid {line};text-align:left}}"
        f"th{{font-weight:700;border-bottom:2px solid {accent}}}"
        f"img{{max-width:100%}}s{{color:{faint}}}"
    )


def build(engine: Engine, limits: Settings) -> Renderer:
    """Return the renderer; it must run in a process that can be killed."""

    def page(parameters: Parameters, size: int) -> Page:
        images = EmbeddedImages(limits.max_image_pixels)
        wanted = _as_html(parameters, document(parameters, size))
        try:
            return html.page(wanted, images, engine, limits.max_html_depth)
        except LimitExceeded as error:
            raise _of_markdown(error) from error

    def fitted(parameters: Parameters) -> Page:
        low, high = 0, len(_SIZES) - 1
        while low < high:
            middle = (low + high) // 2
            made = page(parameters, _SIZES[middle])
            if engine.bottom(made, parameters.size) <= parameters.height:
                high = middle
            else:
                low = middle + 1
        made = page(parameters, _SIZES[low])
        if engine.bottom(made, parameters.size) > parameters.height:
            facts = {**made.facts, "text_clipped": {"markdown": "cut"}}
            made = replace(made, facts=facts)
        return made

    def printed(parameters: Parameters, scale: float) -> Iterator[PrintedPage] | None:
        if parameters.paper is None:
            return None
        wanted = _as_html(parameters, _on_paper(parameters))
        images = EmbeddedImages(limits.max_image_pixels)
        try:
            return html.printed(wanted, images, engine, limits, scale)
        except LimitExceeded as error:
            raise _of_markdown(error) from error
        except BadParameter as error:
            faults = (Fault("markdown", reason) for _, reason in error.faults)
            raise BadParameter(*faults) from error

    def first(parameters: Parameters, scale: float) -> PrintedPage | None:
        pages = printed(parameters, scale)
        return None if pages is None else next(pages)

    def check(parameters: Parameters) -> None:
        try:
            html.check(parameters.text, limits)
        except LimitExceeded as error:
            raise _of_markdown(error) from error

    made = html.page_renderer(
        *("markdown", "Markdown, as large as its page allows", Parameters, "3"),
        engine=engine,
        read=fitted,
        printed=printed,
        preflight=lambda parameters: engine.preflight(_text(parameters)),
        check=check,
        example={
            "markdown": "# Hello\n\nA *page* of **Markdown**.",
            "width": "600",
            "height": "300",
        },
    )
    whole, outlined = made.draw, made.vector
    assert outlined is not None

    def draw(parameters: Parameters, scale: float) -> Picture:
        page = first(parameters, scale)
        if page is None:
            return whole(parameters, scale)
        return replace(page.draw(scale), facts=page.vector.facts)

    def draw_svg(parameters: Parameters, scale: float) -> Vector:
        page = first(parameters, scale)
        return page.vector if page is not None else outlined(parameters, scale)

    return replace(made, draw=draw, vector=draw_svg)


def _of_markdown(error: LimitExceeded) -> LimitExceeded:
    """Return an error about a document as one about the text that it was made of."""
    return LimitExceeded("markdown", error.limit, error.allowed, error.value)


def _text(parameters: Parameters) -> Page:
    """Return the text, which tells the glyphs that it lacks."""
    return Page(escape(parameters.text), lang=parameters.lang, emoji=parameters.emoji)
