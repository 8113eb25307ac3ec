"""A page of a drawing: its outlines, and over them its text."""

from xml.etree.ElementTree import Element, fromstring

from app.renderer.base import Output, Vector
from app.renderer.encode.pdf.content import ContentStream, packed
from app.renderer.encode.pdf.document import Objects, PdfPage, box, page_objects
from app.renderer.encode.pdf.drawing import Painter, TooMuch
from app.renderer.encode.pdf.lines import Line, lines_of
from app.renderer.encode.pdf.matrix import IDENTITY
from app.renderer.encode.pdf.outline import Unsupported, number
from app.renderer.encode.pdf.picture import add_image
from app.renderer.encode.pdf.text_layer import write_text
from app.renderer.paper import Paper
from app.renderer.params import rgba


def pictured_page(
    vector: Vector, png: bytes, size: tuple[float, float], paper: Paper, title: str
) -> PdfPage:
    """Return a picture of a drawing of `size` CSS pixels as a page, with its text.

    The size is that with the paper's bleed.
    """
    out, page = _begun(size, paper)
    width, height = size
    name = out.use(b"XObject", add_image(out.objects, png))
    out.write(
        f"q\n{width:.8g} 0 0 -{height:.8g} 0 {height:.8g} cm\n/".encode(),
        name,
        b" Do\nQ\n",
    )
    root = fromstring(vector.svg)
    shapes = {each.get("id", ""): each for each in root.iter()}
    lines = [line for each in root for line in lines_of(each, IDENTITY, shapes)]
    return _ended(out, page, root, lines, vector, title)


def vector_page(
    vector: Vector, size: tuple[float, float], paper: Paper, output: Output, title: str
) -> tuple[PdfPage, int] | None:
    """Return a drawing of `size` CSS pixels as a page, and how many parts are pictures.

    The size is that with the paper's bleed. Those parts have `output.scale` device
    pixels for each CSS pixel, or 2 if that is less. None where the page is better a
    picture as a whole.
    """
    if not vector.exact:
        return None
    root = fromstring(vector.svg)
    out, page = _begun(size, paper)
    if output.background is not None:
        red, green, blue, alpha = rgba(output.background)
        state = b"<</ca %b>>" % number(alpha / 255, 3).encode()
        faint = b"/%b gs\n" % out.name(b"ExtGState", state) if alpha < 255 else b""
        color = " ".join(number(each / 255, 3) for each in (red, green, blue))
        area = f"{color} rg\n0 0 {size[0]:.8g} {size[1]:.8g} re f\n".encode()
        out.write(b"q\n", faint, area, b"Q\n")
    painter = Painter(
        root,
        (0, 0, *size),
        paint=vector.paint,
        density=max(2, output.scale),
    )
    try:
        painter.draw(out)
    except (TooMuch, Unsupported):
        return None
    return _ended(out, page, root, painter.lines, vector, title), painter.painted


def _begun(size: tuple[float, float], paper: Paper) -> tuple[ContentStream, bytes]:
    """Return a stream in which CSS pixels run down the page, and the page's boxes."""
    out = ContentStream(Objects())
    page, (width, height), bleed = box((paper.width, paper.height), paper.bleed)
    over = paper.overhang
    across = (width - 2 * bleed) / (size[0] - 2 * over)
    down = (height - 2 * bleed) / (size[1] - 2 * over)
    # The bleed need not be whole pixels: what is too much lies beyond the page.
    left, top = bleed - over * across, height - bleed + over * down
    begin = (number(each, 5) for each in (across, down, left, top))
    # Section 8.4.3.5 begins with another limit of mitres than SVG.
    out.write("{} 0 0 -{} {} {} cm\n4 M\n".format(*begin).encode())
    return out, page


def _ended(
    out: ContentStream,
    page: bytes,
    root: Element,
    lines: list[Line],
    vector: Vector,
    title: str,
) -> PdfPage:
    if vector.texts is not None:
        write_text(root, lines, vector.texts(), out)
    objects = out.objects
    contents = [
        objects.add(*packed(b"<<", b"".join(part))) for part in out.parts if part
    ]
    group = out.blended or any(b"/SMask" in each.value for each in objects.all)
    built = page_objects(objects, page, contents, out.resources(), group=group)
    attribution = tuple(vector.facts.get("attribution", ()))
    return PdfPage(built, attribution, title, vector.lang)
