"""Drawings in SVG as content streams of PDF: what the engine, and we, write in it.

For what has no exact form in PDF (blur and other filters, repeated gradients) the
engine paints a picture in its place.
"""

import math
from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from itertools import zip_longest
from types import MappingProxyType
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import (
    Element,
    ParseError,
    fromstring,
    register_namespace,
    tostring,
)

from PIL import Image

from app.renderer.encode.pdf.content import FINE, ContentStream, colored
from app.renderer.encode.pdf.document import Object, Objects, renumbered
from app.renderer.encode.pdf.lines import (
    SHADOW,
    Line,
    is_line,
    is_shadow,
    line_of,
    lines_of,
)
from app.renderer.encode.pdf.matrix import (
    IDENTITY,
    NUMBER,
    Matrix,
    cm,
    concatenate,
    inverse,
    spread,
    transform,
)
from app.renderer.encode.pdf.outline import (
    Bounds,
    PathOutline,
    Unsupported,
    ellipse,
    glyph,
    number,
    outline,
    rectangle,
    rounded,
)
from app.renderer.encode.pdf.picture import add_image, add_pixels
from app.renderer.encode.pdf.shading import gradient_of
from app.renderer.encode.pdf.style import (
    EFFECTS,
    KNOWN,
    LINK,
    REFERENCE,
    SVG,
    Effects,
    Style,
    attributes,
    effects_of,
    inherit,
    lengths,
)

# Without prefixes, as a page has SVG.
register_namespace("", SVG[1:-1])
# Paints a document of SVG, in so many pixels.
Paint = Callable[[str, tuple[int, int]], Image.Image]
# Elements that others refer to, and such as say nothing to the eye.
PASSIVE = frozenset(
    {"defs", "clipPath", "linearGradient", "radialGradient", "mask", "filter"}
    | {"pattern", "title", "desc", "metadata"}
)
_IMAGE, _PATH = f"{SVG}image", f"{SVG}path"
# More triangles around one point are a conic gradient.
_WEDGES = 16
_MOST_TILES = 4096
# Bytes in which the namespace of a document is looked for.
_HEAD = 1000
# A picture of a part takes up to a whole page.
_MOST_PAINTED = 12


class TooMuch(Exception):
    """So much has no exact form that the page is better a picture as a whole."""


class Painter:
    """Writes the elements of one document into content streams.

    `paint` makes pictures of what has no form in PDF, with `density` pixels for each
    unit; without it, such a part is Unsupported. `bounds` is what is seen.
    """

    def __init__(
        self,
        root: Element,
        bounds: Bounds,
        *,
        paint: Paint | None = None,
        density: float = 2,
        digits: int = 2,
    ) -> None:
        self._root = root
        self._bounds = bounds
        self._paint = paint
        self._density = density
        self._digits = digits
        self._painted = 0
        self._lines: list[Line] = []
        self._is_line = cache(is_line)
        self._ids = {
            name: each for each in root.iter() if (name := each.get("id")) is not None
        }

    def draw(self, out: ContentStream) -> None:
        """Write the whole document; raise Unsupported, TooMuch or BadPath."""
        style = inherit(Style(), self._root)
        for child, after in zip_longest(self._root, list(self._root)[1:]):
            if child.get("filter", "").startswith(SHADOW) and _is_bare(child, after):
                raise TooMuch
            apart = child.tag == _IMAGE or self._is_line(child)
            if apart:
                out.part()
            self._try(child, style, IDENTITY, out)
            if apart:
                out.part()

    @property
    def painted(self) -> int:
        """How many parts are pictures."""
        return self._painted

    @property
    def lines(self) -> list[Line]:
        """The lines of glyphs in the order of painting, without shadows."""
        return self._lines

    def _children(
        self, element: Element, style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        if _is_fan(element):
            raise TooMuch
        for child, after in zip_longest(element, list(element)[1:]):
            if child.get("filter", "").startswith(SHADOW) and _is_bare(child, after):
                raise TooMuch
            self._try(child, style, matrix, out)

    def _try(
        self, element: Element, style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        written, seen = len(out.parts[-1]), len(self._lines)
        try:
            self._element(element, style, matrix, out)
        except Unsupported as error:
            if self._paint is None:
                raise Unsupported(str(error)) from error
            del out.parts[-1][written:], self._lines[seen:]
            self._lines += lines_of(element, matrix, self._ids)
            self._picture(element, style, matrix, out)

    def _element(
        self, element: Element, style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        tag = str(element.tag).removeprefix(SVG)
        if tag in PASSIVE:
            return
        write = _ELEMENTS.get(tag)
        if write is None or not KNOWN.issuperset(element.keys()):
            raise Unsupported(tag)
        if not len(element) and tag == "g":
            return
        style = inherit(style, element)
        if EFFECTS.isdisjoint(element.keys()):
            write(self, element, style, matrix, out)
            return
        effects = effects_of(element, tag)
        if effects.filter:
            raise Unsupported("filter")
        before = b""
        if effects.transform:
            own = transform(effects.transform)
            matrix = concatenate(own, matrix)
            before = cm(own)
        if effects.clip:
            before += self._clip(effects.clip)
        if not before and not effects.grouped:
            write(self, element, style, matrix, out)
            return
        out.write(b"q\n", before)
        if effects.grouped:
            self._group(write, element, style, matrix, effects, out)
        else:
            write(self, element, style, matrix, out)
        out.write(b"Q\n")

    def _group(
        self,
        write: "_Write",
        element: Element,
        style: Style,
        matrix: Matrix,
        effects: "Effects",
        out: ContentStream,
    ) -> None:
        """Draw an element on its own, and lay it over what is there as a whole."""
        inside = ContentStream(out.objects)
        write(self, element, style, matrix, inside)
        bounds = spread(inverse(matrix), self._bounds)
        state = b""
        if effects.opacity < 1:
            alpha = number(effects.opacity, 3).encode()
            state += b"/ca %b/CA %b" % (alpha, alpha)
        if effects.blend:
            state += b"/BM/%b" % effects.blend.encode()
        if effects.mask:
            mask = self._mask(effects.mask, matrix, bounds, out.objects)
            state += b"/SMask<</S/Alpha/G %d 0 R>>" % mask
        out.blended = True
        out.write(b"/%b gs\n" % out.name(b"ExtGState", b"<<%b>>" % state))
        form = inside.form(bounds, group=True)
        out.write(b"/%b Do\n" % out.use(b"XObject", form))

    def _mask(self, name: str, matrix: Matrix, bounds: Bounds, objects: Objects) -> int:
        mask = self._ids.get(name)
        if mask is None or mask.get("style") != "mask-type:alpha":
            raise Unsupported("mask")
        return self._apart(mask, matrix, objects).form(bounds, group=True)

    def _apart(
        self, element: Element, matrix: Matrix, objects: Objects
    ) -> ContentStream:
        """Return what is in a mask or a pattern, where glyphs are no text."""
        inside, seen = ContentStream(objects), len(self._lines)
        self._children(element, Style(), matrix, inside)
        del self._lines[seen:]
        return inside

    def _clip(self, name: str) -> bytes:
        clip = self._ids.get(name)
        if clip is None or clip.get("clipPathUnits", "userSpaceOnUse") != (
            "userSpaceOnUse"
        ):
            raise Unsupported("clip-path")
        shapes = [each for each in clip if str(each.tag).removeprefix(SVG) in _SHAPES]
        if len(shapes) != 1 or len(clip) != 1 or clip.get("clip-path"):
            raise Unsupported("clip-path")
        (shape,) = shapes
        if shape.get("transform") or shape.get("clip-path"):
            raise Unsupported("clip-path")
        style = inherit(Style(), shape)
        tag = str(shape.tag).removeprefix(SVG)
        found = self._outline(tag, shape)
        return found.operators + (b"W* n\n" if style.clip_even else b"W n\n")

    def _outline(self, tag: str, element: Element) -> PathOutline:
        get = lengths(element, self._bounds)
        digits = self._digits
        if tag == "path":
            return outline(element.get("d", ""), digits)
        if tag == "rect":
            box = get("x"), get("y"), get("width"), get("height")
            if not element.get("rx") and not element.get("ry"):
                return rectangle(*box, digits)
            rx = get("rx") if element.get("rx") else get("ry")
            ry = get("ry") if element.get("ry") else rx
            return outline(
                rounded(*box, min(rx, box[2] / 2), min(ry, box[3] / 2)), digits
            )
        if tag in ("circle", "ellipse"):
            rx, ry = (get("r"),) * 2 if tag == "circle" else (get("rx"), get("ry"))
            return outline(ellipse(get("cx"), get("cy"), rx, ry), digits)
        if tag == "line":
            ends = f"M{get('x1')} {get('y1')}L{get('x2')} {get('y2')}"
            return outline(ends, digits)
        points = element.get("points", "").strip()
        closed = "Z" if tag == "polygon" else ""
        return outline(f"M{points}{closed}" if points else "", digits)

    def _shape(
        self, element: Element, style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        tag = str(element.tag).removeprefix(SVG)
        found = self._outline(tag, element)
        if tag != "line":
            self._fill(found, style, matrix, out)
        self._stroke(found, style, out)

    def _fill(
        self, found: PathOutline, style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        if style.fill == "none" or not style.fill_alpha or not found.operators:
            return
        even = b"*" if style.even else b""
        reference = REFERENCE.match(style.fill)
        if reference is None:
            out.write(
                *colored(style.fill, style.fill_alpha, out, stroke=False),
                found.operators,
                b"f%b\n" % even,
            )
            if style.fill_alpha < 1:
                out.write(b"Q\n")
            return
        server = self._ids.get(reference[1])
        if server is None:
            raise Unsupported("fill")
        tag = str(server.tag).removeprefix(SVG)
        out.write(b"q\n", found.operators, b"W%b n\n" % even)
        if tag == "pattern":
            self._tile(server, found.bounds, style, matrix, out)
        else:
            self._shade(server, tag, found.bounds, style, out)
        out.write(b"Q\n")

    def _stroke(self, found: PathOutline, style: Style, out: ContentStream) -> None:
        if style.stroke == "none" or not style.stroke_alpha or not style.width:
            return
        if REFERENCE.match(style.stroke):
            raise Unsupported("stroke")
        out.write(b"q\n", *colored(style.stroke, style.stroke_alpha, out, stroke=True))
        pen = f"{number(style.width, 4)} w\n"
        if style.cap:
            pen += f"{style.cap} J\n"
        if style.join:
            pen += f"{style.join} j\n"
        if style.miter != 4:
            pen += f"{number(style.miter, 3)} M\n"
        if style.dashes:
            lengths = " ".join(number(each, 4) for each in style.dashes)
            pen += f"[{lengths}] {number(style.dash_offset, 4)} d\n"
        closing = b"Q\n" if style.stroke_alpha < 1 else b""
        out.write(pen.encode(), found.operators, b"S\n", closing, b"Q\n")

    def _g(
        self, element: Element, style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        if self._is_line(element):
            self._line(list(element), style, matrix, out)
            return
        seen = len(self._lines)
        self._children(element, style, matrix, out)
        if is_shadow(element):
            del self._lines[seen:]

    def _use(
        self, element: Element, style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        self._line([element], style, matrix, out)

    def _line(
        self, uses: list[Element], style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        """Draw glyphs, each by a step from the one before."""
        x = y = 0.0
        out.write(b"q\n")
        clear = style.fill_alpha < 1
        plain = not REFERENCE.match(style.fill) and not clear
        plain = plain and style.fill != "none"
        if plain:
            out.write(*colored(style.fill, 1.0, out, stroke=False))
        plain = plain and style.stroke == "none"
        write = out.parts[-1].append
        if plain:
            write(b".01 0 0 .01 0 0 cm\n")
        placed = []
        for use in uses:
            get = use.get
            shape = self._ids.get((get("href") or get(LINK) or "")[1:])
            if shape is None or shape.tag != _PATH:
                raise Unsupported("use")
            left, top = float(get("x", "0")), float(get("y", "0"))
            # Steps are told in hundredths, so that they add up.
            dx, dy = round((left - x) * 100), round((top - y) * 100)
            x, y = x + dx / 100, y + dy / 100
            if plain:
                found = glyph(shape.get("d", ""))
                write(b"1 0 0 1 %d %d cm\n%bf\n" % (dx, dy, found.operators))
            else:
                found = outline(shape.get("d", ""), self._digits)
                write(b"1 0 0 1 %.7g %.7g cm\n" % (dx / 100, dy / 100))
                moved = concatenate((1, 0, 0, 1, x, y), matrix)
                self._fill(found, style, moved, out)
                self._stroke(found, style, out)
            placed.append((left, top, found.bounds))
        self._lines.append(line_of(matrix, placed))
        out.write(b"Q\n")

    def _image(
        self, element: Element, style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        get = lengths(element)
        x, y, width, height = get("x"), get("y"), get("width"), get("height")
        data = _embedded(element.get("href", element.get(LINK, "")))
        fitted = element.get("preserveAspectRatio") == "none"
        if not width or not height:
            return
        if data[:100].lstrip().startswith(b"<"):
            number_, (w, h) = _drawing(data, out.objects)
            if not fitted or abs(w * height - h * width) > 0.01 * w * height:
                raise Unsupported("image")
            placed = (width / w, 0.0, 0.0, height / h, x, y)
        else:
            try:
                number_ = add_image(out.objects, data)
            except (OSError, ValueError, SyntaxError) as error:
                raise Unsupported("image") from error
            placed = (width, 0.0, 0.0, -height, x, y + height)
            out.blended |= b"/SMask" in out.objects.all[number_ - 1].value
        name = out.use(b"XObject", number_)
        out.write(b"q\n", cm(placed), b"/%b Do\nQ\n" % name)

    def _picture(
        self, element: Element, style: Style, matrix: Matrix, out: ContentStream
    ) -> None:
        """Put a picture of an element in its place."""
        assert self._paint is not None
        self._painted += 1
        if self._painted > _MOST_PAINTED:
            raise TooMuch
        left, top, right, bottom = spread(inverse(matrix), self._bounds)
        width, height = right - left, bottom - top
        size = (
            max(1, math.ceil(width * self._density)),
            max(1, math.ceil(height * self._density)),
        )
        box = f"{left:.4f} {top:.4f} {width:.4f} {height:.4f}"
        document = Element(f"{SVG}svg", width=f"{size[0]}", height=f"{size[1]}")
        document.set("viewBox", box)
        document.set("preserveAspectRatio", "none")
        document.extend(each for each in self._ids.values() if _is_passive(each))
        known = Element(f"{SVG}defs")
        known.extend(each for each in self._ids.values() if each.tag == _PATH)
        document.append(known)
        holder = Element(f"{SVG}g", attributes(style))
        holder.append(element)
        document.append(holder)
        image = self._paint(tostring(document, "unicode"), size)
        seen = image.getbbox()
        if seen is None:
            return
        number_ = add_pixels(out.objects, image.crop(seen))
        x, y = left + seen[0] * width / size[0], top + seen[1] * height / size[1]
        w = (seen[2] - seen[0]) * width / size[0]
        h = (seen[3] - seen[1]) * height / size[1]
        out.blended = True
        name = out.use(b"XObject", number_)
        out.write(b"q\n", cm((w, 0, 0, -h, x, y + h)), b"/%b Do\nQ\n" % name)

    def _tile(
        self,
        pattern: Element,
        bounds: Bounds,
        style: Style,
        matrix: Matrix,
        out: ContentStream,
    ) -> None:
        """Lay a pattern out tile by tile, within a clip."""
        get = lengths(pattern)
        width, height = get("width"), get("height")
        known = {"id", "patternUnits", "x", "y", "width", "height"}
        if pattern.get("patternUnits") != "userSpaceOnUse" or style.fill_alpha < 1:
            raise Unsupported("pattern")
        if not known.issuperset(pattern.keys()) or width <= 0 or height <= 0:
            raise Unsupported("pattern")
        first = math.floor((bounds[0] - get("x")) / width)
        last = math.ceil((bounds[2] - get("x")) / width)
        upper = math.floor((bounds[1] - get("y")) / height)
        lower = math.ceil((bounds[3] - get("y")) / height)
        if (last - first) * (lower - upper) > _MOST_TILES:
            raise Unsupported("pattern")
        inside = self._apart(pattern, matrix, out.objects)
        out.blended |= inside.blended
        name = out.use(b"XObject", inside.form((0, 0, width, height), group=False))
        for row in range(upper, lower):
            for column in range(first, last):
                x, y = get("x") + column * width, get("y") + row * height
                out.write(b"q\n", cm((1, 0, 0, 1, x, y)), b"/%b Do\nQ\n" % name)

    def _shade(
        self,
        server: Element,
        tag: str,
        bounds: Bounds,
        style: Style,
        out: ContentStream,
    ) -> None:
        """Fill a clip with a gradient."""
        gradient = gradient_of(server, tag, bounds)
        alphas = {stop.color[3] for stop in gradient.stops}
        out.write(cm(gradient.matrix))
        if style.fill_alpha < 1 or alphas != {1.0}:
            state = f"/ca {number(style.fill_alpha, 3)}".encode()
            if alphas != {1.0}:
                inside = ContentStream(out.objects)
                value = gradient.shading(inside.objects, alpha=True)
                inside.write(b"/%b sh\n" % inside.name(b"Shading", value))
                box = spread(inverse(gradient.matrix), bounds)
                group = inside.form(box, group=True)
                # The group's colours are read as how much is seen.
                state += b"/SMask<</S/Luminosity/G %d 0 R>>" % group
            out.blended = True
            out.write(b"/%b gs\n" % out.name(b"ExtGState", b"<<%b>>" % state))
        value = gradient.shading(out.objects, alpha=False)
        out.write(b"/%b sh\n" % out.name(b"Shading", value))


_Write = Callable[[Painter, Element, Style, Matrix, ContentStream], None]
_SHAPES = frozenset(
    {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon"}
)
_ELEMENTS: Mapping[str, _Write] = MappingProxyType(
    {
        **dict.fromkeys(_SHAPES, Painter._shape),
        "g": Painter._g,
        "use": Painter._use,
        "image": Painter._image,
    }
)


def _is_fan(element: Element) -> bool:
    """Tell whether an element is a conic gradient: wedges, between which readers see.

    The engine writes it so.
    """
    if len(element) < _WEDGES:
        return False
    starts = {tuple(NUMBER.findall(each.get("d", ""))[:2]) for each in element}
    return len(starts) == 1 and starts != {()}


def _is_bare(shadow: Element, after: Element | None) -> bool:
    """Tell whether a shadow is seen through its box, as it is not in pixels."""
    if any(is_line(each) for each in shadow):
        return False
    return after is None or (
        after.tag not in (f"{SVG}rect", f"{SVG}path")
        or after.get("fill-opacity") is not None
        or after.get("fill-rule") is not None
    )


def _is_passive(element: Element) -> bool:
    tag = str(element.tag).removeprefix(SVG)
    return tag in PASSIVE and tag != "defs"


def _embedded(href: str) -> bytes:
    """Return the bytes of a data URI (RFC 2397)."""
    head, comma, data = href.partition(",")
    if not comma or not head.startswith("data:"):
        raise Unsupported("image")
    if head.endswith(";base64"):
        return b64decode(data)
    return unquote_to_bytes(data)


def _drawing(data: bytes, objects: Objects) -> tuple[int, tuple[float, float]]:
    """Add a document within a document as a form; return its number and size.

    Raises Unsupported where not all of it has a form in PDF.
    """
    parts, size = _converted(data)
    numbers: dict[int, int] = {}
    for at, (value, stream, _) in enumerate(parts, 1):
        numbers[at] = objects.add(renumbered(value, numbers), stream)
    return numbers[len(parts)], size


# A template's decoration is converted once: of a certificate that is 130 KB.
@lru_cache(64)
def _converted(
    data: bytes,
) -> tuple[tuple[Object, ...], tuple[float, float]]:
    # Entities make much of little.
    if b"<!" in data:
        raise Unsupported("a document type")
    # The engine writes what stands in a page without its namespace.
    if b"xmlns=" not in data[:_HEAD]:
        data = data.replace(b"<svg", b'<svg xmlns="%b"' % SVG[1:-1].encode(), 1)
    try:
        root = fromstring(data)
    except ParseError as error:
        raise Unsupported(str(error)) from error
    if root.tag != f"{SVG}svg" or not KNOWN.issuperset(root.keys()):
        raise Unsupported("svg")
    get = lengths(root)
    view = [float(each) for each in NUMBER.findall(root.get("viewBox", ""))]
    left, top, width, height = (
        view if len(view) == 4 else (0.0, 0.0, get("width"), get("height"))
    )
    if width <= 0 or height <= 0:
        raise Unsupported("svg")
    objects = Objects()
    out = ContentStream(objects)
    if left or top:
        out.write(cm((1, 0, 0, 1, -left, -top)))
    bounds = (left, top, left + width, top + height)
    Painter(root, bounds, digits=FINE).draw(out)
    # What is blended in it is blended with what lies under it.
    out.form((0, 0, width, height), group=False)
    return tuple(objects.all), (width, height)
