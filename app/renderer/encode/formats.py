"""The table of file formats: what each can do, and how it is written."""

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from PIL import Image

from app.renderer.base import Output, Picture
from app.renderer.encode import quantize
from app.renderer.encode.pdf.document import pages
from app.renderer.encode.pdf.picture import picture_page
from app.renderer.encode.png import encode_png, encode_rgba
from app.renderer.errors import BadParameter, Fault, UnknownFormat
from app.renderer.paper import Paper, resolve
from app.renderer.params import rgba

Save = Callable[[Picture, Output, Paper | None], bytes]

# What a caller may set beside the format.
_OPTIONS = ("quality", "scale", "compression", "background", "dpi", "bleed", "sizes")
# Pydantic takes longer to find one than all the checks here.
_DEFAULTS = {name: Output.model_fields[name].default for name in _OPTIONS}
# From this quality up a caller asks for detail, so colour keeps its full resolution.
# Below, halving it saves a fifth of the bytes, at the price of fringes on coloured
# text: 39.7 against 41.4 dB for a card at quality 85 (docs/decisions/png-encoder.md
# has this and the next two under "The other formats").
_FULL_COLOR_QUALITY = 90
# Method 2 takes 14 ms for a card, 4 ms more than method 0, for a fifth fewer bytes;
# methods 3 to 6 take 35 ms and more for another 2 %.
_WEBP_METHOD = 2
# Speed 8 takes 70 ms for a card. 9 and 10 take 25 ms, but 1.7 times the bytes at
# 3 dB less; 6 takes 290 ms for a tenth fewer bytes.
_AVIF_SPEED = 8


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    `extensions` are without dot, the canonical one first. `options` are the fields
    of Output that it honours beside `format`. `quality` is the default, `side` the
    longest side in device pixels that the format or its readers allow, both None
    where there is none. An `alpha` format keeps transparency.
    """

    name: str
    media_type: str
    extensions: tuple[str, ...]
    save: Save
    options: frozenset[str]
    alpha: bool = True
    quality: int | None = None
    side: int | None = None
    square: bool = False


def flatten(picture: Picture, background: str | None) -> Picture:
    """Lay a colour under a picture; without one, or on opaque modes, do nothing."""
    if background is None or not picture.image.has_transparency_data:
        return picture
    image = picture.image.convert("RGBA")
    under = Image.new("RGBA", image.size, rgba(background))
    return Picture(Image.alpha_composite(under, image), facts=picture.facts)


def _save_png(picture: Picture, output: Output, paper: Paper | None) -> bytes:
    return encode_png(picture, output.compression, _dpi(output, paper))


def _save_jpg(picture: Picture, output: Output, paper: Paper | None) -> bytes:
    image = flatten(picture, "#ffffff").image
    direct = image.convert("L" if image.mode in ("1", "L") else "RGB")
    quality = _quality(output)
    sampling = "4:4:4" if quality >= _FULL_COLOR_QUALITY else "4:2:0"
    # JFIF has whole dots; without a density Pillow writes that only the ratio is known.
    dpi = _dpi(output, paper)
    density = {} if dpi is None else {"dpi": (round(dpi), round(dpi))}
    return _write(direct, "JPEG", quality=quality, subsampling=sampling, **density)


def _save_pdf(picture: Picture, output: Output, paper: Paper | None) -> bytes:
    """One page of the size on paper, so that `scale` sharpens it."""
    attribution = tuple(picture.facts.get("attribution", ()))
    known = resolve(paper, picture.image.size, output.scale, output.dpi)
    page = picture_page(encode_png(picture), (known.width, known.height), attribution)
    return b"".join(pages(iter([page])))


def _save_webp(picture: Picture, output: Output, paper: Paper | None) -> bytes:
    image = _direct(picture.image)
    return _write(image, "WEBP", quality=_quality(output), method=_WEBP_METHOD)


def _save_avif(picture: Picture, output: Output, paper: Paper | None) -> bytes:
    """One thread: pictures are encoded side by side already."""
    return _write(
        _direct(picture.image),
        "AVIF",
        quality=_quality(output),
        speed=_AVIF_SPEED,
        subsampling="4:4:4",
        max_threads=1,
    )


def _save_gif(picture: Picture, output: Output, paper: Paper | None) -> bytes:
    image = quantize.reduce(_direct(picture.image))
    return _write(image, "GIF", optimize=False)


def _save_tiff(picture: Picture, output: Output, paper: Paper | None) -> bytes:
    """Lossless; horizontal differencing (TIFF 6.0, section 14) where bytes allow."""
    image = picture.image
    if image.mode == "P":
        image = _direct(image)
    # Tag 317. Libtiff has no differences of samples of one bit, and refuses.
    predictor = {} if image.mode == "1" else {317: 2}
    dpi = _dpi(output, paper)
    density = {} if dpi is None else {"dpi": (dpi, dpi)}
    return _write(
        image, "TIFF", compression="tiff_adobe_deflate", tiffinfo=predictor, **density
    )


def _save_ico(picture: Picture, output: Output, paper: Paper | None) -> bytes:
    """An icon directory with a PNG of 32 bits a size; a side of 256 is written as 0.

    Readers of icons expect RGBA and overlook a palette's transparency.
    """
    sides = _sides(output) or [picture.image.width]
    images = [encode_rgba(_reduced(picture, side)) for side in sides]
    head = struct.pack("<HHH", 0, 1, len(images))
    at = len(head) + 16 * len(images)
    for side, data in zip(sides, images, strict=True):
        width = side % 256
        head += struct.pack("<BBBBHHII", width, width, 0, 0, 1, 32, len(data), at)
        at += len(data)
    return b"".join((head, *images))


def _sides(output: Output) -> list[int]:
    return [] if output.sizes is None else [int(s) for s in output.sizes.split(",")]


def _reduced(picture: Picture, side: int) -> Picture:
    if picture.image.size == (side, side):
        return picture
    image = picture.image.convert("RGBA")
    # Pillow multiplies alpha in before it mixes pixels, and takes it out after.
    return Picture(image.resize((side, side), Image.Resampling.LANCZOS))


def _save_svg(picture: Picture, output: Output, paper: Paper | None) -> bytes:
    """Pixels cannot become a drawing; renderers give SVG as text."""
    raise UnknownFormat(output.format, tuple(name for name in FORMATS if name != "svg"))


def _direct(image: Image.Image) -> Image.Image:
    """Return mode RGBA where something is transparent, else RGB."""
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("RGB")


def _dpi(output: Output, paper: Paper | None) -> float | None:
    """Return device pixels an inch, or None where nobody said any."""
    dpi = output.dpi or (paper and paper.dpi)
    return dpi and dpi * output.scale


def _quality(output: Output) -> int:
    return output.quality or FORMATS[output.format].quality or 0


def _write(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


_RASTER = frozenset({"scale", "background"})
_LOSSY = _RASTER | {"quality"}
_PRINTED = frozenset({"dpi"})
_ROWS = (
    Format(
        "png", "image/png", ("png",), _save_png, _RASTER | _PRINTED | {"compression"}
    ),
    # libjpeg's JPEG_MAX_DIMENSION, a little under the format's 65535.
    Format(
        "jpg",
        "image/jpeg",
        ("jpg", "jpeg"),
        _save_jpg,
        _LOSSY | _PRINTED,
        alpha=False,
        quality=90,
        side=65500,
    ),
    # RFC 6386, section 9.1: 14 bits.
    Format("webp", "image/webp", ("webp",), _save_webp, _LOSSY, quality=80, side=16383),
    # What libavif, and with it the browsers, decode unless told otherwise.
    Format("avif", "image/avif", ("avif",), _save_avif, _LOSSY, quality=65, side=32768),
    Format("gif", "image/gif", ("gif",), _save_gif, _RASTER, side=65535),
    Format("tiff", "image/tiff", ("tiff", "tif"), _save_tiff, _RASTER | _PRINTED),
    Format(
        "pdf", "application/pdf", ("pdf",), _save_pdf, _RASTER | _PRINTED | {"bleed"}
    ),
    Format(
        "ico",
        "image/vnd.microsoft.icon",
        ("ico",),
        _save_ico,
        _RASTER | {"sizes"},
        side=256,
        square=True,
    ),
    Format("svg", "image/svg+xml", ("svg",), _save_svg, frozenset()),
)
FORMATS: Mapping[str, Format] = MappingProxyType({row.name: row for row in _ROWS})
EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {extension: row.name for row in _ROWS for extension in row.extensions}
)


def format_of(ending: str) -> str:
    """Return the name of the format that an ending in any case means, if it is known.

    `jpeg`, `JPG` and `jpg` are one format, so they make one fingerprint.
    """
    return EXTENSIONS.get(ending.lower(), ending)


def check(output: Output, width: int, height: int) -> None:
    """Refuse an output that its format cannot honour, before any work.

    Width and height are device pixels. Raises BadParameter naming each field that
    is at fault, UnknownFormat for a format that is not in the table.
    """
    row = _row(output)
    faults = []
    for option, default in _DEFAULTS.items():
        given = getattr(output, option) != default
        if given and option not in row.options:
            able = ", ".join(each.name for each in _ROWS if option in each.options)
            reason = f"is not an option of {row.name}; it is one of {able}"
            faults.append(Fault(option, reason))
    if row.square and width != height:
        reason = f"must equal the height: {row.name} is square, not {width}x{height}"
        faults.append(Fault("width", reason))
    sides = _sides(output) if "sizes" in row.options else []
    if sides and sides[-1] > width:
        reason = f"has {sides[-1]}, and the picture has {width} pixels a side"
        faults.append(Fault("sizes", reason))
    for field, side in (("width", width), ("height", height)):
        if row.side is not None and side > row.side and not sides:
            bound = f"{row.name} takes at most {row.side:,} device pixels a side"
            faults.append(Fault(field, f"is {side:,}; {bound}"))
    if faults:
        raise BadParameter(*faults)


def encode(picture: Picture, output: Output, paper: Paper | None = None) -> bytes:
    """Return the file; equal pictures, outputs and paper give equal bytes.

    `paper` is what the picture's renderer declares. `output.background` is laid under
    the picture; without it, formats that have no alpha lay white under. Safe in
    threads. Raises UnknownFormat for `svg`, which is no encoding of pixels.
    """
    return _row(output).save(flatten(picture, output.background), output, paper)


def _row(output: Output) -> Format:
    row = FORMATS.get(output.format)
    if row is None:
        raise UnknownFormat(output.format, tuple(FORMATS))
    return row
