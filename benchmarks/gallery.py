"""Pictures on which the encoders are measured: what Mimeo typically draws.

Everything is made in code from fixed seeds, so that sizes in bytes are equal
on every run. HTML pictures keep the engine's packed RGBA buffer, as in service.
"""

import hashlib
import io
import random
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.resources import files
from types import MappingProxyType

import pytakumi
import segno
from PIL import Image, ImageChops, ImageFilter

from app.config import Settings
from app.renderer.base import Picture
from app.renderer.catalogue import Catalogue

CARD = (1200, 630)
TITLE = "Ten thousand personalised badges from one spreadsheet, overnight"
LINE = "A field guide for organisers, shops and other people in a hurry"
STYLE = """
* { font-family: "Inter Variable", Inter; }
.card { width: 100%; height: 100%; display: flex; flex-direction: column;
        justify-content: center; padding: 72px; gap: 28px; color: #f8fafc; }
h1 { font-size: 68px; font-weight: 800; line-height: 1.1; margin: 0;
     letter-spacing: -0.02em; }
p { font-size: 32px; margin: 0; opacity: 0.8; }
.tag { font-size: 26px; font-weight: 600; }
.box { border-radius: 28px; padding: 48px; display: flex;
       flex-direction: column; gap: 20px; }
"""
TEXT = f'<span class="tag">Engineering</span><h1>{TITLE}</h1><p>{LINE}</p>'
DARK, GLOW = "#0f172a", "linear-gradient(135deg, #0f172a, #3730a3)"


@cache
def _engine() -> pytakumi.Renderer:
    engine = pytakumi.Renderer()
    for file in (files("fontpkg_inter") / "files").iterdir():
        if file.name.endswith(".ttf"):
            engine.register_font(file.read_bytes())
    return engine


def _html(body: str, size: tuple[int, int] = CARD, **images: bytes) -> Picture:
    width, height = size
    packed = _engine().render_html(
        body,
        width=width,
        height=height,
        format="raw",
        stylesheets=[STYLE],
        images=images,
    )
    image = Image.frombuffer("RGBA", size, packed, "raw", "RGBA", 0, 1)
    return Picture(image, packed)


def _card(background: str, body: str = TEXT) -> Picture:
    return _html(f'<div class="card" style="background: {background}">{body}</div>')


def flat() -> Picture:
    """White text on one dark colour."""
    return _card(DARK)


def diagonal() -> Picture:
    """Text on a diagonal linear gradient."""
    return _card(GLOW)


def tilted() -> Picture:
    """Text on a linear gradient at an angle that no row repeats."""
    return _card("linear-gradient(112deg, #0f766e, #1e3a8a)")


def steep() -> Picture:
    """Text on a bright linear gradient, nearly vertical."""
    return _card("linear-gradient(160deg, #fde68a, #f472b6)")


def vertical() -> Picture:
    """Text on a vertical three-colour gradient."""
    return _card("linear-gradient(180deg, #f97316, #db2777 55%, #4c1d95)")


def radial() -> Picture:
    """Text on two radial gradients over a colour."""
    return _card(
        "radial-gradient(circle at 15% 20%, #f43f5e, transparent 60%),"
        " radial-gradient(circle at 85% 80%, #0ea5e9, transparent 55%), #1e1b4b"
    )


def shadow() -> Picture:
    """A white box with wide blurred shadows on a light colour."""
    style = (
        "background: #ffffff; color: #0f172a;"
        " box-shadow: 0 30px 80px rgba(15, 23, 42, 0.35), 0 4px 12px #94a3b8"
    )
    return _card("#e2e8f0", f'<div class="box" style="{style}">{TEXT}</div>')


def glass() -> Picture:
    """A translucent box with a shadow on a diagonal gradient."""
    style = (
        "background: rgba(255, 255, 255, 0.12);"
        " border: 2px solid rgba(255, 255, 255, 0.35);"
        " box-shadow: 0 24px 64px rgba(0, 0, 0, 0.5)"
    )
    return _card(
        "linear-gradient(120deg, #0ea5e9, #7c3aed 60%, #f43f5e)",
        f'<div class="box" style="{style}">{TEXT}</div>',
    )


def cover() -> Picture:
    """A photograph filling half of a flat card."""
    body = (
        '<div style="display: flex; width: 100%; height: 100%;'
        f' background: {DARK}"><div class="card" style="width: 600px">'
        f"<h1 style='font-size: 48px'>{TITLE}</h1><p>{LINE}</p></div>"
        '<img src="photo" style="width: 600px; height: 630px;'
        ' object-fit: cover" /></div>'
    )
    return _html(body, photo=_jpeg(landscape().image))


def badge() -> Picture:
    """A white name badge, portrait, with a QR code and a coloured band."""
    code = _png(qr().image.convert("RGB"))
    body = (
        '<div style="display: flex; flex-direction: column; align-items: center;'
        ' width: 100%; height: 100%; background: #fff; color: #0f172a; gap: 36px">'
        f'<div style="width: 100%; height: 200px; background: {GLOW}"></div>'
        '<h1 style="font-size: 96px">Grace Hopper</h1>'
        '<p style="font-size: 44px">Rear Admiral, United States Navy</p>'
        '<img src="code" style="width: 300px; height: 300px;'
        ' image-rendering: pixelated" /></div>'
    )
    return _html(body, (800, 1120), code=code)


def clear() -> Picture:
    """Coloured text with a soft shadow on nothing."""
    style = "color: #dc2626; text-shadow: 0 6px 18px rgba(0, 0, 0, 0.6)"
    return _card("transparent", f'<h1 style="{style}">{TITLE}</h1>')


def large() -> Picture:
    """The diagonal gradient card at two device pixels per CSS pixel."""
    body = TEXT.replace("<h1>", '<h1 style="font-size: 136px">')
    return _html(
        f'<div class="card" style="background: {GLOW}">{body}</div>', (2400, 1260)
    )


def qr() -> Picture:
    """A QR code in black on white, one bit a pixel."""
    code = segno.make("https://example.org/tickets/0042?name=Grace", error="m")
    rows = [bytes(row) for row in code.matrix_iter(border=4)]
    dark = Image.frombytes("L", (len(rows), len(rows)), b"".join(rows))
    image = dark.point([255] + [0] * 255, "1")
    return Picture(image.resize((image.width * 10, image.height * 10)))


def identicon() -> Picture:
    """A mirrored grid of one colour on another, in a palette."""
    bits = int.from_bytes(hashlib.sha256(b"mimeo").digest())
    image = Image.new("P", (5, 5))
    image.putpalette(bytes.fromhex("f1f5f9 7c3aed"))
    image.putdata(
        [
            bits >> (5 * row + min(col, 4 - col)) & 1
            for row in range(5)
            for col in range(5)
        ]
    )
    return Picture(image.resize((480, 480), Image.Resampling.NEAREST))


def solid() -> Picture:
    """One colour."""
    return Picture(Image.new("RGB", (512, 512), "#ff6464"))


def gradient() -> Picture:
    """A horizontal gradient drawn by Pillow."""
    ramp = Image.linear_gradient("L").rotate(90).resize(CARD, Image.Resampling.BICUBIC)
    flipped = ImageChops.invert(ramp)
    return Picture(Image.merge("RGB", (ramp, Image.new("L", CARD, 90), flipped)))


def landscape() -> Picture:
    """A procedural photograph: clouds of many sizes, grain, soft light."""
    size = (1200, 800)
    bands = [_clouds(size, seed) for seed in (1, 2, 3)]
    light = Image.radial_gradient("L").resize(size, Image.Resampling.BICUBIC)
    image = Image.merge("RGB", bands)
    return Picture(Image.blend(image, Image.merge("RGB", [light] * 3), 0.25))


def blurred() -> Picture:
    """Blurred noise, as in the design's table of facts."""
    noise = random.Random(7).randbytes(1200 * 800 * 3)
    image = Image.frombytes("RGB", (1200, 800), noise)
    soft = image.filter(ImageFilter.GaussianBlur(6))
    return Picture(
        ImageChops.multiply(soft, soft).point([min(255, 3 * v) for v in range(256)] * 3)
    )


def grey() -> Picture:
    """The photograph in grey."""
    return Picture(landscape().image.convert("L"))


def _clouds(size: tuple[int, int], seed: int) -> Image.Image:
    """Sum octaves of noise: each twice as fine and about half as strong."""
    source = random.Random(seed)
    total = Image.new("L", size, 128)
    for octave, weight in enumerate((0.9, 0.5, 0.3, 0.16, 0.09, 0.05, 0.03, 0.02)):
        cells = (3 << octave, 2 << octave)
        noise = Image.frombytes("L", cells, source.randbytes(cells[0] * cells[1]))
        layer = noise.resize(size, Image.Resampling.BICUBIC)
        total = Image.blend(total, layer, weight)
    return total


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@cache
def _catalogue() -> Catalogue:
    return Catalogue(Settings(store="none", system_fonts=False))


def example(name: str) -> Picture:
    """What a renderer draws for its own example."""
    renderer = _catalogue().get(name)
    values = renderer.parameters.model_validate_strings(dict(renderer.example))
    return renderer.draw(values, 1.0)


TEMPLATES = ("card", "badge", "certificate", "label", "quote")
PICTURES: Mapping[str, Callable[[], Picture]] = MappingProxyType(
    {
        draw.__name__: draw
        for draw in (
            flat,
            diagonal,
            tilted,
            steep,
            vertical,
            radial,
            shadow,
            glass,
            cover,
            badge,
            clear,
            large,
            gradient,
            landscape,
            blurred,
            grey,
            solid,
            qr,
            identicon,
        )
    }
    | {f"template {name}": partial(example, name) for name in TEMPLATES}
)
