"""Pictures by hand: Flask, ImageDraw, and `save` at its fastest compression.

Everything that never changes is drawn once; a request copies it, breaks the text into
lines by its widths, draws them, and saves.
"""

import io
from functools import cache

import segno
from PIL import Image, ImageDraw, ImageFont, features

from benchmarks.contenders.answer import app_of, assets, read
from benchmarks.pictures import PICTURES

_PICTURE = read("picture.json")
_NAME = _PICTURE["picture"]
_SIZE = tuple(_PICTURE["size"])
_TEXTS = _PICTURE["parameters"]
_BOX = PICTURES[_NAME].box
_WEIGHT = 600 if _NAME == "certificate" else 800
_LATIN = "source-serif-4" if _NAME == "certificate" else "inter"
# Left, middle, anchor and colour of the text that changes.
_PLACES = {
    "card": (72, 270, "lm", "#1d2433"),
    "poster": (136, 270, "lm", "#ffffff"),
    "badge": (48, 360, "lm", "#1d2433"),
    "certificate": (561, 330, "mm", "#1b2a3d"),
}


@cache
def _font(family: str, weight: int, size: int) -> ImageFont.FreeTypeFont:
    [file] = assets().glob(f"static/{family}-{weight}.*")
    # Only Arabic needs shaping; without it a line is drawn faster.
    shaped = "arabic" in family and features.check("raqm")
    layout = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
    return ImageFont.truetype(str(file), size, layout_engine=layout)


def _family(text: str) -> str:
    if any("\u0600" <= letter <= "\u06ff" for letter in text):
        return "noto-sans-arabic"
    wide = any(letter >= "\u1100" for letter in text)
    return "noto-sans-cjk-sc" if wide else _LATIN


def _wrapped(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Break a text at its spaces, or anywhere where it has none."""
    space = " " if " " in text else ""
    lines = [""]
    for word in text.split(" ") if space else text:
        longer = f"{lines[-1]}{space}{word}" if lines[-1] else word
        if font.getlength(longer) <= _BOX.width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


@cache
def _layer() -> Image.Image:
    """Draw what never changes."""
    image = Image.new("RGB", _SIZE, "#fbf7ef")
    draw = ImageDraw.Draw(image, "RGBA")
    {"card": _card, "poster": _poster, "badge": _badge, "certificate": _certificate}[
        _NAME
    ](image, draw)
    return image


def _card(image: Image.Image, draw: ImageDraw.ImageDraw) -> None:
    tiles = ("#1f4e79", "#f3b53f", "#8cc7c0", "#1f4e79", "#f3b53f", "#e4572e")
    for number, colour in enumerate(tiles):
        x, y = 780 + number % 2 * 210, number // 2 * 210
        draw.rectangle((x, y, x + 209, y + 209), colour)
        draw.ellipse((x + 55, y + 55, x + 155, y + 155), tiles[number - 3])
    draw.text((126, 72), _TEXTS["tag"], "#e4572e", _font("inter", 700, 22))
    draw.rounded_rectangle((72, 83, 108, 89), 3, "#e4572e")
    half = _TEXTS["subtitle"].rfind(" ", 0, 40)
    lines = f"{_TEXTS['subtitle'][:half]}\n{_TEXTS['subtitle'][half + 1 :]}"
    draw.text((72, 410), lines, "#646b7a", _font("inter", 400, 32))
    draw.ellipse((72, 510, 128, 566), "#e4572e")
    draw.text((146, 522), _TEXTS["author"], "#1d2433", _font("inter", 600, 26))


def _poster(image: Image.Image, draw: ImageDraw.ImageDraw) -> None:
    down = Image.linear_gradient("L")
    fade = Image.blend(down, down.transpose(Image.Transpose.ROTATE_90), 0.5)
    fade = fade.resize(_SIZE)
    image.paste(Image.composite(_plain("#4338ca"), _plain("#0f172a"), fade))
    draw.rounded_rectangle((72, 72, 1128, 558), 32, (255, 255, 255, 31))
    draw.text((136, 140), _TEXTS["tag"], "#ffffff", _font("inter", 600, 24))
    draw.text((136, 390), _TEXTS["subtitle"], "#c7d2fe", _font("inter", 400, 32))
    draw.text((136, 470), _TEXTS["author"], "#ffffff", _font("inter", 600, 24))


def _plain(colour: str) -> Image.Image:
    return Image.new("RGB", _SIZE, colour)


def _badge(image: Image.Image, draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, 599, 899), "#ffffff")
    draw.rectangle((0, 0, 599, 167), "#1f4e79")
    draw.rounded_rectangle((250, 18, 350, 34), 8, "#163a5b")
    draw.text((48, 70), _TEXTS["event"], "#ffffff", _font("inter", 700, 40))
    draw.text((48, 480), _TEXTS["role"], "#d1471f", _font("inter", 600, 34))
    draw.text((48, 525), _TEXTS["company"], "#5a6272", _font("inter", 400, 30))
    for y, row in enumerate(segno.make(_TEXTS["qr"], micro=False).matrix):
        for x, dark in enumerate(row):
            if dark:
                draw.rectangle(
                    (48 + 6 * x, 570 + 6 * y, 53 + 6 * x, 575 + 6 * y), "#1d2433"
                )
    for number, colour in enumerate(("#8cc7c0", "#f3b53f", "#1f4e79", "#e4572e")):
        draw.rectangle((150 * number, 750, 150 * number + 149, 899), colour)


def _certificate(image: Image.Image, draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((30, 30, 1092, 763), outline="#b08d3c", width=3)
    serif, middle = "source-serif-4", {"anchor": "mm"}
    draw.text((561, 130), "CERTIFICATE", "#24405f", _font(serif, 500, 64), **middle)
    draw.line((281, 420, 841, 420), "#b08d3c")
    draw.text((561, 480), _TEXTS["course"], "#24405f", _font(serif, 600, 34), **middle)
    for x, name in ((252, "date"), (871, "issuer")):
        draw.text((x, 690), _TEXTS[name], "#1b2a3d", _font(serif, 500, 22), **middle)
        draw.line((x - 140, 716, x + 140, 716), "#1b2a3d")
    draw.ellipse((500, 580, 622, 702), "#c39b45")


def draw(title: str, size: int) -> bytes:
    """Draw the picture with this text and return it as PNG."""
    image = _layer().copy()
    font = _font(_family(title), _WEIGHT, size)
    x, y, anchor, colour = _PLACES[_NAME]
    align = "center" if anchor == "mm" else "left"
    ImageDraw.Draw(image).multiline_text(
        (x, y), _wrapped(title, font), colour, font, anchor, size * 0.1, align
    )
    target = io.BytesIO()
    image.save(target, "PNG", compress_level=1)
    return target.getvalue()


app = app_of(draw)
