"""`@font-face`: fonts that a page brings along (CSS Fonts 4, 4)."""

import io
import random
import resource
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import brotli
import pytest
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables._g_l_y_f import Glyph, GlyphComponent
from fontTools.ttLib.tables.DefaultTable import DefaultTable
from PIL import Image

from app.config import Settings
from app.renderer.base import Output, Renderer
from app.renderer.builtin import html as builtin_html
from app.renderer.engine.engine import Engine
from app.renderer.errors import RendererError
from app.renderer.sandbox.sandbox import Sandbox
from tests.web_fonts import EM, block_font, repacked, source

SETTINGS = replace(
    Settings(),
    system_fonts=False,
    render_timeout_s=20.0,
    html_memory_bytes=2**29,
    max_html_bytes=1 << 24,
)
BLOCK = block_font({"A": 1.0, " ": 0})
HALF = block_font({"A": 0.5, " ": 0})
LINE = "margin:0;font-size:100px;line-height:100px"
BLACK = (0, 0, 0)


@pytest.fixture(scope="module")
def html(engine: Engine) -> Renderer:
    return builtin_html.build(engine, SETTINGS)


@pytest.fixture(scope="module")
def isolation() -> Iterator[Sandbox]:
    made = Sandbox(SETTINGS)
    yield made
    made.close()


def face(src: str, more: str = "", family: str = "Brand") -> str:
    return f"@font-face{{font-family:{family};src:{src};{more}}}"


def page(css: str, text: str = "A", style: str = "") -> str:
    fonts = "font-family:Brand,serif"
    return f"<style>{css}</style><p style='{LINE};{fonts};{style}'>{text}</p>"


def picture(
    html: Renderer, document: str, **options: object
) -> tuple[Image.Image, dict]:
    asked = html.parameters(html=document, width=400, height=120, **options)
    drawn = html.draw(asked, 1)
    return drawn.image.convert("RGB"), dict(drawn.facts)


def ink(image: Image.Image) -> float:
    """Return how much of a picture is black, in blocks of 100 pixels square."""
    return (
        sum(image.convert("L").point(lambda value: 255 - value).tobytes()) / 2_550_000
    )


@pytest.mark.parametrize("flavor", [None, "woff", "woff2"])
def test_a_font_in_the_page_draws_its_letters(html: Renderer, flavor) -> None:
    image, facts = picture(html, page(face(source(repacked(BLOCK, flavor)))))

    assert image.getpixel((50, 50)) == BLACK
    assert ink(image) == pytest.approx(1, abs=0.02)
    assert facts == {}


@pytest.mark.parametrize("family", ["'My Brand'", "my brand", "'MY \\42 rand'"])
def test_a_family_is_found_however_its_name_is_spelt(html: Renderer, family) -> None:
    css = face(source(BLOCK), family='"My Brand"') + f"p{{font-family:{family}}}"

    image, _ = picture(html, f"<style>{css}</style><p style='{LINE}'>A")

    assert ink(image) == pytest.approx(1, abs=0.02)


def test_a_family_called_as_one_of_ours_is_of_its_page_alone(html: Renderer) -> None:
    plain = f"<p style='{LINE};font-family:Inter'>A</p>"
    before, _ = picture(html, plain)

    shadowed, _ = picture(
        html, f"<style>{face(source(BLOCK), family='Inter')}</style>{plain}"
    )
    after, _ = picture(html, plain)

    assert ink(shadowed) == pytest.approx(1, abs=0.02)
    assert ink(before) < 0.5
    assert after.tobytes() == before.tobytes()


def test_what_is_set_in_our_fonts_is_drawn_as_without_a_font_of_its_own(
    html: Renderer,
) -> None:
    texts = "Inter <b>fett</b> <i>x</i> <code>mono</code> <q lang=ar>مرحبا</q> 漢字 Ωжक"
    rest = f"<p style='font-family:serif'>{texts}</p><p>{texts}"
    css = face(source(BLOCK)) + "u{font-family:Brand}"

    without, _ = picture(html, f"<u></u>{rest}")
    beside, _ = picture(html, f"<style>{css}</style><u></u>{rest}")

    assert beside.tobytes() == without.tobytes()


def test_the_first_source_that_can_be_had_is_taken(html: Renderer) -> None:
    sources = (
        "url(https://a.example/a.woff2) format('woff2')",
        "url(data:font/x;base64,AAAA)",
        source(b"<svg/>", "format('svg')"),
        "local('No Such Font')",
        source(HALF, "format('truetype')"),
        source(BLOCK),
    )

    image, facts = picture(html, page(face(",".join(sources))))

    assert ink(image) == pytest.approx(0.5, abs=0.02)
    assert facts == {}


@pytest.mark.parametrize(
    ("src", "reason"),
    [
        ("url(https://a.example/a.woff2)", "https://a.example/a.woff2 is not fetched"),
        ("url(a.ttf)", "a.ttf is not fetched"),
        ("local(No Such Font)", "local(No Such Font) is not here"),
        (source(BLOCK, "format('svg')"), "format(svg) is not read"),
        (source(b"no font at all"), "the font is none of TTF, OTF, WOFF and WOFF2"),
        (source(BLOCK[:200]), "the font is damaged"),
        (source(repacked(BLOCK, "woff2")[:-9]), "the font is damaged"),
        ("12px", "12px is no source"),
    ],
)
def test_a_font_that_cannot_be_had_is_told(html: Renderer, src, reason) -> None:
    serif, _ = picture(html, f"<p style='{LINE};font-family:serif'>A")

    image, facts = picture(html, page(face(src)))

    assert facts["ignored"][0].startswith(f"@font-face Brand: {reason}")
    assert len(facts["ignored"]) == 1
    assert image.tobytes() == serif.tobytes()


@pytest.mark.parametrize(
    "css",
    [
        face("url(https://a.example/a.woff2)", family="Elsewhere"),
        face("url(https://a.example/a.woff2)", "unicode-range:U+0400-04FF"),
        "@font-face{font-family:Brand}",
        f"@font-face{{src:{source(BLOCK)}}}",
        f"@media print{{{face('url(a.ttf)')}}}",
    ],
    ids=["no text", "no letter", "no source", "no family", "no medium"],
)
def test_a_font_that_nothing_is_set_in_is_not_missed(html: Renderer, css) -> None:
    assert picture(html, page(css))[1] == {}


def test_a_local_font_is_ours(html: Renderer) -> None:
    ours, _ = picture(html, f"<p style='{LINE};font-family:JetBrains Mono'>A")

    image, facts = picture(html, page(face("local(jetbrains-mono)")))

    assert image.tobytes() == ours.tobytes()
    assert facts == {}


@pytest.mark.parametrize(
    ("style", "blocks"),
    [
        ("font-weight:400", 0.2),
        ("font-weight:700", 0.4),
        ("font-style:italic", 0.6),
        ("font-style:italic;font-weight:900", 0.8),
        ("font-weight:300", 0.2),
    ],
)
def test_faces_of_a_family_are_chosen_by_weight_and_style(
    html: Renderer, style, blocks
) -> None:
    kinds = (
        (0.2, ""),
        (0.4, "font-weight:bold"),
        (0.6, "font-style:italic"),
        (0.8, "font-style:italic;font-weight:600 900"),
    )
    css = "".join(
        face(source(block_font({"A": share, " ": 0})), more) for share, more in kinds
    )

    image, _ = picture(html, page(css, style=style))

    assert ink(image) == pytest.approx(blocks, abs=0.08)


def test_of_a_face_that_is_declared_twice_the_later_one_holds(html: Renderer) -> None:
    image, _ = picture(html, page(face(source(HALF)) + face(source(BLOCK))))

    assert ink(image) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("flavor", [None, "woff", "woff2"])
def test_a_range_of_characters_is_all_that_a_face_draws(html: Renderer, flavor) -> None:
    both = block_font({"A": 1.0, "B": 1.0, "C": 1.0, " ": 0}, flavor)
    halves = block_font({"A": 0.5, "B": 0.5, "C": 0.5, " ": 0}, flavor)
    css = face(source(halves), "unicode-range:U+20, U+42") + face(
        source(both), "unicode-range: u+4?"
    )

    one, _ = picture(html, page(face(source(both), "unicode-range:U+41-42"), "AB"))
    each, _ = picture(html, page(css, "AB"))
    other, _ = picture(html, page(face(source(halves), "unicode-range:U+42"), "AB"))

    assert ink(one) == pytest.approx(2, abs=0.02)
    # Where both are for a letter, the later one has it.
    assert ink(each) == pytest.approx(2, abs=0.02)
    serif = ink(picture(html, f"<p style='{LINE};font-family:serif'>A")[0])
    assert ink(other) == pytest.approx(0.5 + serif, abs=0.05)


def test_a_range_that_is_none_is_as_if_it_were_not_there(html: Renderer) -> None:
    image, _ = picture(html, page(face(source(BLOCK), "unicode-range:U+42-41")))

    assert ink(image) == pytest.approx(1, abs=0.02)


def test_weights_of_a_variable_font_are_drawn(html: Renderer, engine: Engine) -> None:
    mono = next(file for file in engine.files if "JetBrainsMono" in file.path.name)
    css = face(source(mono.path.read_bytes()), "font-weight:100 800")

    for weight in (100, 400, 800):
        style = f"font-weight:{weight}"
        own, _ = picture(html, page(css, "Agx", style))
        ours, _ = picture(
            html, f"<p style='{LINE};font-family:JetBrains Mono;{style}'>Agx"
        )
        assert own.tobytes() == ours.tobytes()


def test_what_of_a_face_is_not_drawn_is_told(html: Renderer) -> None:
    css = face(source(BLOCK), "size-adjust:50%;font-display:swap;font-stretch:normal")

    assert picture(html, page(css))[1] == {"ignored": ["@font-face Brand: size-adjust"]}


def test_a_font_that_is_not_had_is_refused_if_strict(
    isolation: Sandbox, html: Renderer
) -> None:
    document = page(face("url(a.ttf)"))
    asked = html.parameters(html=document, width=9, height=9, strict=True)

    with pytest.raises(RendererError, match=r"@font-face Brand: a\.ttf is not"):
        isolation.produce(html, asked, Output())


@pytest.mark.parametrize("flavor", [None, "woff2"])
def test_characters_of_a_font_of_the_page_are_not_missing(
    html: Renderer, flavor
) -> None:
    icons = block_font({"\ue000": 1.0, " ": 0}, flavor)
    document = page(face(source(icons)), "\ue000\ue001")

    image, facts = picture(html, document)
    asked = html.parameters(html=document, width=400, height=120)
    before = html.preflight(asked, True)

    assert facts == {"missing_glyphs": ["U+E001"]}
    assert image.getpixel((50, 50)) == BLACK
    # It is known once the font is read.
    assert "missing_glyphs" not in before


def test_widths_of_a_font_of_the_page_lay_tables_out(html: Renderer) -> None:
    css = face(source(block_font({"0": 1.0, " ": 0}, "woff2")))
    table = "<table cellspacing=0 cellpadding=0><tr><td style='background:#00f'>000"

    image, _ = picture(
        html, f"<style>{css}table{{font:20px/20px Brand}}</style>{table}"
    )
    wide, _ = picture(
        html,
        page(css, "<b style='display:block;height:9px;width:3ch;background:red'></b>"),
    )

    assert image.getpixel((59, 10)) == BLACK
    assert image.getpixel((61, 10)) == (255, 255, 255)
    assert wide.getpixel((299, 5)) == (255, 0, 0)
    assert wide.getpixel((301, 5)) == (255, 255, 255)


def test_text_of_a_drawing_is_set_in_a_font_of_the_page(html: Renderer) -> None:
    css = face(source(BLOCK))
    text = "<svg width=400 height=100><text y=100 font-size=100 {}>A</text></svg>"

    for given in ("font-family=Brand", "style='font-family:Brand'"):
        image, _ = picture(html, f"<style>{css}</style>{text.format(given)}")
        assert ink(image) == pytest.approx(1, abs=0.02)


def test_pictures_are_equal_bytes_whatever_was_drawn_before(html: Renderer) -> None:
    documents = [page(face(source(font))) for font in (BLOCK, HALF)]
    documents.append(f"<p style='{LINE};font-family:Brand,serif'>A")
    fresh = []
    for document in documents:
        cell = Sandbox(SETTINGS)
        asked = html.parameters(html=document, width=400, height=120)
        fresh.append(cell.produce(html, asked, Output()).data)
        cell.close()

    cell = Sandbox(SETTINGS)
    again = [
        cell.produce(
            html, html.parameters(html=documents[at], width=400, height=120), Output()
        ).data
        for at in (0, 1, 2, 0, 2, 1)
    ]
    pid = cell.pid
    cell.close()

    assert again == [fresh[at] for at in (0, 1, 2, 0, 2, 1)]
    assert len(set(fresh)) == 3
    assert pid


@pytest.mark.parametrize("format", ["svg", "pdf", "png", "webp"])
def test_every_format_has_the_letters_of_a_font_of_the_page(
    isolation: Sandbox, html: Renderer, format: str
) -> None:
    def made(css: str) -> bytes:
        asked = html.parameters(html=page(css), width=400, height=120)
        output = Output.model_validate({"format": format})
        return isolation.produce(html, asked, output).data

    assert len({made(face(source(BLOCK))), made(face(source(HALF))), made("")}) == 3


def zlib_bomb() -> bytes:
    """A WOFF whose table of 60 KB unpacks to 60 MB."""
    size = 60_000_000
    packed = zlib.compress(bytes(size), 9)
    row = struct.pack(">4sLLLL", b"glyf", 64, len(packed), size, 0)
    head = struct.pack(
        ">4s4sLHHLHHLLLLL", b"wOFF", b"\0\1\0\0", 0, 1, 0, size, *[0] * 7
    )
    return head + row + packed


def brotli_bomb(told: int) -> bytes:
    """A WOFF2 of a few hundred bytes that unpacks to 60 MB, and says `told`."""
    packed = brotli.compress(bytes(60_000_000), quality=5)
    row = bytes((0x3F | 0xC0,)) + b"glyf"
    number = b""
    while told or not number:
        number = bytes(((told & 0x7F) | (0x80 if number else 0),)) + number
        told >>= 7
    row += number
    size = 48 + len(row) + len(packed)
    head = (b"wOF2", b"\0\1\0\0", size, 1, 0, 0, len(packed), *[0] * 7)
    return struct.pack(">4s4sLHHLLHHLLLLL", *head) + row + packed


def overlapping() -> bytes:
    """A TTF of 64 KB of which each of 4,096 tables is nearly the whole file."""
    count = 4_096
    size = 12 + 16 * count
    rows = (
        struct.pack(">4sLLL", f"{number:04x}".encode(), 0, 1, size)
        for number in range(count)
    )
    return struct.pack(">4sHHHH", b"\0\1\0\0", count, 0, 0, 0) + b"".join(rows)


@pytest.mark.parametrize(
    "data",
    [zlib_bomb(), brotli_bomb(60_000_000), brotli_bomb(1_000), overlapping()],
    ids=["WOFF", "WOFF2", "WOFF2 that says less", "TTF of tables that overlap"],
)
def test_a_font_that_unpacks_to_too_much_is_told(html: Renderer, data: bytes) -> None:
    assert len(data) < 100_000

    _, facts = picture(html, page(face(source(data))))

    assert facts["ignored"][0].startswith("@font-face Brand: the font is ")


def test_tables_that_overlap_are_counted_each(html: Renderer) -> None:
    _, facts = picture(html, page(face(source(overlapping()))))

    assert facts["ignored"] == ["@font-face Brand: the font is too large"]


def looped() -> bytes:
    """A font of which each letter is made of twice the one before, 60 deep."""
    font = TTFont(io.BytesIO(block_font({chr(0x41 + n): 0.5 for n in range(60)})))
    glyf, order = font["glyf"], font.getGlyphOrder()
    for number, name in enumerate(order[2:], 2):
        glyph = Glyph()
        glyph.numberOfContours = -1
        glyph.xMin, glyph.yMin, glyph.xMax, glyph.yMax = 0, 0, EM, EM
        parts = [GlyphComponent(), GlyphComponent()]
        for part in parts:
            part.glyphName, part.x, part.y, part.flags = order[number - 1], 0, 0, 0
        glyph.components = parts
        glyf[name] = glyph
    file = io.BytesIO()
    for name in ("recalcBBoxes", "recalcTimestamp"):
        setattr(font, name, False)
    font.save(file)
    return file.getvalue()


def patched(data: bytes, tag: str, at: int, value: bytes) -> bytes:
    """Return a font file with bytes of a table changed."""
    for row in range(12, 12 + 16 * int.from_bytes(data[4:6]), 16):
        if data[row : row + 4] == tag.encode():
            start = int.from_bytes(data[row + 8 : row + 12]) + at
            return data[:start] + value + data[start + len(value) :]
    raise KeyError(tag)


def all_characters() -> bytes:
    """A font of a kilobyte that has each character there is."""
    font = TTFont(io.BytesIO(BLOCK), recalcTimestamp=False)
    groups = [
        struct.pack(">LLL", first, min(first + 0xFFF0, 0x10FFFF), 1)
        for first in range(0, 0x110000, 0xFFF1)
    ]
    cmap = font["cmap"] = DefaultTable("cmap")
    cmap.data = struct.pack(">HHHHL", 0, 1, 3, 10, 12)
    size = 16 + 12 * len(groups)
    cmap.data += struct.pack(">HHLLL", 13, 0, size, 0, len(groups))
    cmap.data += b"".join(groups)
    file = io.BytesIO()
    font.save(file)
    return patched(file.getvalue(), "maxp", 4, b"\xff\xff")


def test_characters_that_ranges_keep_are_of_the_pages_bound(html: Renderer) -> None:
    font = all_characters()
    few = "".join(face(source(font), f"unicode-range:U+{n:x}") for n in range(32, 99))
    all_but = "".join(
        face(source(font), f"unicode-range:U+{n:x}-10FFFF") for n in range(1, 20)
    )
    assert len(font) < 2_000

    assert picture(html, page(few))[1] == {}
    with pytest.raises(RendererError, match="The page's fonts are too large"):
        picture(html, page(all_but))


def itself() -> bytes:
    """A font whose letter is made of itself."""
    composite = struct.pack(">h4h HHbb", -1, 0, 0, 999, 999, 2, 1, 0, 0)
    return patched(BLOCK, "glyf", 0, composite)


HOSTILE = {
    "deep": looped(),
    "itself": itself(),
    "glyphs": patched(BLOCK, "maxp", 4, b"\xff\xff"),
    "widths": patched(BLOCK, "hhea", 34, b"\xff\xff"),
    "no em": patched(BLOCK, "head", 18, b"\0\0"),
    "offsets": patched(BLOCK, "loca", 0, b"\xff" * 6),
    "heights": patched(BLOCK, "hhea", 4, b"\x7f\xff\x80\x00"),
    "characters": patched(BLOCK, "cmap", 2, b"\xff\xff"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_font_is_drawn_or_refused(
    isolation: Sandbox, html: Renderer, kind: str
) -> None:
    text = "".join(map(chr, range(0x41, 0x41 + 60)))
    document = page(face(source(HOSTILE[kind])), f"A {text}")
    asked = html.parameters(html=document, width=100, height=100)

    try:
        made = isolation.produce(html, asked, Output())
    except RendererError as error:
        assert str(error)
    else:
        assert made.data

    asked = html.parameters(html="<p>after", width=100, height=100)
    assert isolation.produce(html, asked, Output()).data


@pytest.mark.parametrize("flavor", [None, "woff", "woff2"])
def test_damaged_fonts_are_told_drawn_or_refused(
    isolation: Sandbox, html: Renderer, flavor
) -> None:
    pick = random.Random(7)
    whole = repacked(BLOCK, flavor)
    outcomes = set()
    for _ in range(150):
        data = bytearray(whole[: pick.choice((len(whole), pick.randrange(len(whole))))])
        for _ in range(pick.choice((0, 1, 4, 30))):
            if data:
                data[pick.randrange(len(data))] = pick.choice(
                    (0, 0xFF, pick.randrange(256))
                )
        asked = html.parameters(
            html=page(face(source(bytes(data)))), width=50, height=50
        )
        try:
            made = isolation.produce(html, asked, Output())
            outcomes.add("told" if "ignored" in made.facts else "drawn")
        except RendererError:
            outcomes.add("refused")

    assert {"told", "drawn"} <= outcomes


def test_memory_stays_where_it_is_after_many_fonts(html: Renderer) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    rows = [
        html.parameters(
            html=page(face(source(block_font({"A": n / 400, " ": 0})))),
            width=100,
            height=100,
        )
        for n in range(1, 400)
    ]
    for asked in rows[:100]:
        html.draw(asked, 1)
    before = resident()
    for asked in rows[100:]:
        html.draw(asked, 1)

    # Of 300 pages, with a megabyte of our own fonts each.
    assert (resident() - before) * resource.getpagesize() < 60 << 20


def test_pages_on_paper_and_their_margins_are_set_in_a_font_of_the_page(
    html: Renderer,
) -> None:
    css = face(source(BLOCK)) + face(source(HALF), family="Margin")
    css += "@page{size:300px 200px;margin:0 0 100px;"
    css += "@bottom-left{content:'A';font:100px/1 Margin}}"
    asked = html.parameters(html=page(css), width=300, height=200)
    assert html.printed is not None

    pages = html.printed(asked, 1)

    assert pages is not None
    (only,) = pages
    ground = Image.new("RGBA", (300, 200), "white")
    drawn = Image.alpha_composite(ground, only.draw(1).image).convert("RGB")
    assert only.vector.facts == {"pages": 1}
    assert ink(drawn) == pytest.approx(1.5, abs=0.02)
