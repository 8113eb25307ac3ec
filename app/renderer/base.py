"""The words of the renderer package: picture, output, encoded, renderer."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from PIL import Image
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
)

from app.renderer.paper import CSS_DPI, Paper, Sides
from app.renderer.params import Color, Parameters
from app.renderer.template.template_files import TemplateFiles

Compression = Literal["fast", "small"]
_SIDE = re.compile(r"[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels before encoding, sRGB, straight (not premultiplied) alpha.

    `image` has mode 1, L, P, RGB or RGBA. `packed` is the same pixels as one
    buffer of rows without padding in the image's mode, where whoever drew it
    has one at hand; it saves the encoder a copy. `facts` are JSON values about
    the drawing, such as `missing_glyphs`. `fonts_s` are the seconds in which fonts
    were chosen.
    """

    image: Image.Image
    packed: bytes | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    fonts_s: float = 0.0


class TextRun(NamedTuple):
    """A piece of text in one line, as it is laid out in a box of the page.

    `x`, `y`, `width` and `height` are CSS pixels within the content of the box, which
    its number tells from others; `matrix` places the box on the page.
    """

    text: str
    box: int
    matrix: tuple[float, float, float, float, float, float]
    x: float
    y: float
    width: float
    height: float


class BrowserDocument(NamedTuple):
    """HTML for a browser, with what is known of it before it is drawn.

    It is refused if it is `strict` and something of it is not drawn.
    """

    html: str
    lang: str | None
    facts: Mapping[str, Any]
    strict: bool


class Lettering(NamedTuple):
    """The runs of a drawing, in the order of reading, and what pictures stand for."""

    runs: tuple[TextRun, ...]
    pictures: Mapping[bytes, str]


@dataclass(frozen=True, slots=True)
class Vector:
    """A drawing as an SVG document, with facts and time as a `Picture` has them.

    `lang` is the language of its text, where it is known. `texts` tells where its
    texts stand, which takes as long as the drawing. `paint` paints a document of a
    part of it, in so many pixels, with alpha. It is not `exact` where pixels would have
    more.
    """

    svg: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    fonts_s: float = 0.0
    lang: str = ""
    texts: Callable[[], Lettering] | None = None
    paint: Callable[[str, tuple[int, int]], Image.Image] | None = None
    exact: bool = True


class PrintedPage(NamedTuple):
    """One of the pages of a drawing for paper, of `size` CSS pixels.

    `paper` are its sides in inches, where the drawing decides them; `draw` paints it in
    so many device pixels for each, where its outlines will not do.
    """

    vector: Vector
    size: tuple[int, int]
    paper: Sides | None
    draw: Callable[[float], Picture]

    @property
    def pixels(self) -> tuple[float, float]:
        """What of the drawing is on the paper: perhaps less than a whole pixel less."""
        if self.paper is None:
            return self.size
        return self.paper[0] * CSS_DPI, self.paper[1] * CSS_DPI


def _sides(text: str) -> str:
    """Return sides in the one spelling of theirs; raise ValueError."""
    found = [each.strip() for each in text.split(",")]
    if not all(map(_SIDE.fullmatch, found)) or any(int(each) > 256 for each in found):
        raise ValueError("must be sides from 1 to 256, such as 16,32,48")
    return ",".join(map(str, sorted(set(map(int, found)))))


class Output(BaseModel):
    """How a picture is encoded; an option the format cannot honour is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: str = Field("png", description="Name of the file format.")
    quality: int | None = Field(
        None, ge=1, le=100, description="1 to 100, for lossy formats."
    )
    scale: float = Field(
        1.0, ge=1, le=3, description="Device pixels per CSS pixel, 1 to 3."
    )
    compression: Compression | None = Field(
        None, description="PNG only: `fast` for time, `small` for size."
    )
    background: Color | None = Field(
        None,
        description="Colour under the picture; white where a format has no alpha.",
    )
    dpi: float | None = Field(
        None,
        ge=1,
        le=2400,
        description="CSS pixels per inch on paper, 1 to 2400; a file has `scale` times"
        " as many. Left out, it is what a template declares.",
    )
    bleed: bool = Field(
        False,
        description="PDF only: with what lies beyond the edge, and a TrimBox where to"
        " cut; for templates that declare a bleed.",
    )
    sizes: Annotated[str, AfterValidator(_sides)] | None = Field(
        None,
        description="ICO only: sides in pixels, 1 to 256, such as 16,32,48; the picture"
        " is drawn once and reduced to each.",
    )


@dataclass(frozen=True, slots=True)
class Encoded:
    """Bytes in a known format, with the size of the picture in device pixels.

    `draw_s` and `encode_s` are the seconds that the two steps took, and `fonts_s` is
    the part of the first in which fonts were chosen; `cpu_s` is what both took of a
    processor. Large data that a service sent are a view of a mapped file.
    """

    data: bytes | memoryview
    media_type: str
    width: int
    height: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    draw_s: float = 0.0
    encode_s: float = 0.0
    fonts_s: float = 0.0
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Absent:
    """An image that a service was asked for and did not make, and why.

    `filtered` says that its content filter kept the image back.
    """

    reason: str
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a service is asked for: `count` images until `deadline` (monotonic).

    `format` names the one in which the bytes could be handed on as they come, or is
    None. The `patient` wait for their turn until the deadline. `key` tells a service
    that knows such keys what is the same purchase, whenever it is asked for again.
    """

    count: int
    format: str | None
    deadline: float
    patient: bool = False
    key: str = ""


class Remote(Protocol):
    """A service elsewhere that makes the images of a renderer, for money perhaps."""

    @property
    def most(self) -> int:
        """How many images one request can be for."""

    @property
    def total_s(self) -> float:
        """Seconds from the acceptance of a request to the last byte of its answer."""

    @property
    def price(self) -> float | None:
        """What an image costs, in the operator's money; None where it is not said."""

    def check(self, parameters: Any, wanted: Wanted) -> None:
        """Raise BadParameter for what the service cannot be told; nothing is sent.

        Raises an error of the service where only the patient wait for it at present.
        """

    def make(
        self, parameters: Any, wanted: Wanted
    ) -> tuple[tuple[Encoded, ...], tuple[Absent, ...]]:
        """Return at least one image as the service sent it, and what is missing.

        Raises an error of the service: its class says what may be tried again.
        """


class ImageSource(Protocol):
    """Where images come from that a caller names by URL."""

    def read(self, url: str, field: str) -> bytes:
        """Return the bytes at a URL, for a field.

        Raises BadParameter where it may not be fetched, and an error of its own where
        that fails.
        """

    def knows(self, url: str, field: str) -> bool:
        """Tell whether `read` would fetch nothing."""


# Equal by identity, so that caches can have it as a key in spite of its mappings.
@dataclass(frozen=True, slots=True, eq=False)
class Renderer:
    """A named recipe: typed parameters and a pure function from them to a picture.

    `size` is width and height in CSS pixels, or gives them before any work, so that
    limits can be checked; `paper` is the size on paper that was declared for it.
    `check` raises where other bounds of the renderer's own are exceeded. `draw` takes
    the parameters and the scale. `vector` gives the same drawing as an SVG document,
    where the renderer can; the scale is that of the images in it. `printed` gives pages
    for paper, and None where the parameters want no more than the one. `version`
    changes when equal parameters give other pixels.
    A `cheap` renderer draws in less time than a hand-over to another thread takes. An
    `isolated` renderer handles untrusted input: it runs in a process that is killed
    at the deadline. The images of a `remote` one are made elsewhere, and `draw` is
    never called. One that is only `prompted` lays no text out: what it takes is
    long without taking time.
    `preflight` tells facts of a drawing without it: characters that no font has, and
    what is clipped only if it may lay texts out, which takes some milliseconds.
    `document` makes what a browser shows, whose picture is drawn; `draw` is never
    called then.
    `images` reads what callers name by URL, where that is allowed. `bled` draws the
    same on a canvas that is larger by the bleed on each side, where one is declared.
    `files` reads the template of an isolated renderer, if it is one that was saved.
    `example` holds parameters as query strings.
    """

    name: str
    title: str
    parameters: type[Parameters]
    size: tuple[int, int] | Callable[[Any], tuple[int, int]]
    draw: Callable[[Any, float], Picture]
    vector: Callable[[Any, float], Vector] | None = None
    printed: Callable[[Any, float], Iterable[PrintedPage] | None] | None = None
    version: str = "1"
    cheap: bool = False
    isolated: bool = False
    remote: Remote | None = None
    document: Callable[[Any], BrowserDocument] | None = None
    images: ImageSource | None = None
    prompted: bool = False
    check: Callable[[Any], None] | None = None
    paper: Paper | None = None
    bled: "Renderer | None" = None
    preflight: Callable[[Any, bool], Mapping[str, Any]] | None = None
    files: Callable[[], TemplateFiles] | None = None
    example: Mapping[str, str] = field(default_factory=dict)
