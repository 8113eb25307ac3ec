"""SVG of any kind becomes one spelling of it, or is damaged."""

import gzip
import random
from contextlib import suppress

import pytest

from app.renderer.probe.byte_range import whole
from app.renderer.probe.raster import Damaged
from app.renderer.probe.sniff import sniff
from app.renderer.probe.svg import Outside, as_utf8, complete, examine, measure_svg
from app.renderer.probe.svg_css import undrawn
from tests.growth import assert_linear
from tests.ugly_pictures import NS, SVG, SVGS


def read(data: bytes) -> tuple[int, int]:
    document = complete(as_utf8(data))
    examine(document)
    return measure_svg(whole(document))


@pytest.mark.parametrize("kind", SVGS)
def test_a_damaged_svg_is_never_another_error(kind):
    chance = random.Random(kind)
    for _ in range(300):
        data = bytearray(SVGS[kind])
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 3)] = chance.choice(
                (b"", b"<", b'"', b"&", chance.randbytes(1), chance.randbytes(4))
            )
        with suppress(Damaged, Outside):
            read(bytes(data))


@pytest.mark.parametrize(
    ("root", "size"),
    [
        ('width="80" height="40"', (80, 40)),
        ('width="80px" height="40PX"', (80, 40)),
        ('width="1in" height="2.54cm"', (96, 96)),
        ('width="25.4mm" height="72pt"', (96, 96)),
        ('width="6pc" height="101.6q"', (96, 96)),
        ('width="2em" height="2em" viewBox="0 0 30 20"', (30, 20)),
        ('width="80" viewBox="0 0 30 20"', (30, 20)),
        ('viewBox="-5,-5,30,20"', (30, 20)),
        ('viewBox="+5 1e1 30.4 20"', (30, 20)),
        ("", (300, 150)),
    ],
)
def test_the_size_is_that_of_the_root(root, size):
    assert read(f"<svg {NS} {root}><g/></svg>".encode()) == size


@pytest.mark.parametrize(
    ("inner", "reference"),
    [
        ('<image href="a.png"/>', "a.png"),
        ('<image xlink:href="file:///etc/passwd"/>', "file:///etc/passwd"),
        ('<use href="b.svg#c"/>', "b.svg#c"),
        ('<filter><feImage href="//a.example/b"/></filter>', "//a.example/b"),
        ('<g fill="url(d.svg#e)"/>', "d.svg#e"),
        ('<g style="mask:url( &quot;d.svg#e&quot; )"/>', "d.svg#e"),
        ("<style>.a{fill:url('https://a.example/f')}</style>", "https://a.example/f"),
    ],
)
def test_what_is_outside_is_named(inner, reference):
    with pytest.raises(Outside) as caught:
        read(f"<svg {NS}>{inner}</svg>".encode())

    assert str(caught.value) == reference


@pytest.mark.parametrize(
    "inner",
    [
        '<use href="#a"/>',
        '<image href="data:image/png;base64,AAAA"/>',
        '<a href="https://a.example"><g/></a>',
        '<g fill="url(#a)" style="mask:url(\'#b\')"/>',
        "<script>location = 'https://a.example'</script>",
        "<text>url(https://a.example)</text>",
    ],
)
def test_what_is_inside_or_only_linked_is_no_matter(inner):
    assert read(f"<svg {NS}>{inner}</svg>".encode()) == (300, 150)


def test_a_bomb_of_gzip_is_refused():
    packed = gzip.compress(b"<svg>" + b" " * (40 << 20))

    with pytest.raises(Damaged, match="unpacks to more"):
        as_utf8(packed)


@pytest.mark.parametrize("encoding", ["nonsense", "hex", "utf-7", "undefined"])
def test_an_encoding_that_is_none_is_damaged(encoding):
    with suppress(Damaged):
        as_utf8(f'<?xml version="1.0" encoding="{encoding}"?>{SVG}'.encode())


@pytest.mark.parametrize(
    "piece", ["<svg ", "<svg a='", "<?xml ", "<style>@import ", "<"]
)
def test_reading_takes_linear_time_whatever_is_left_open(piece):
    def attempt(text: str) -> None:
        with suppress(Damaged, Outside):
            read(text.encode())

    assert_linear(attempt, piece, 200_000)


@pytest.mark.parametrize(
    "piece", ["@media ", "@media (", "@media print", ":nth-", "var(", ":not"]
)
def test_looking_for_what_is_not_drawn_takes_linear_time(piece: str) -> None:
    assert_linear(lambda sheet: list(undrawn(sheet)), piece, 50_000)


def spelt(inner: str) -> bytes:
    document = complete(f"<svg {NS} viewBox='0 0 9 9'>{inner}</svg>".encode())
    return document[document.index(b"'0 0 9 9'") + 10 : -len("</svg>")]


@pytest.mark.parametrize(
    ("inner", "same"),
    [
        ('<g fill="hsl(24 100% 50% / 1)"/>', '<g fill="#ff6600"/>'),
        ('<g style="fill:rgb(255 102 0 / 50%)"/>', '<g style="fill:#ff660080"/>'),
        (
            "<style>g>a{fill:RGBA(255,102,0,50%)}</style>",
            "<style>g>a{fill:#ff660080}</style>",
        ),
        (
            "<style>:root{--c:hsl(24deg,100%,50%)}g{fill:var(--c, red)}</style>",
            "<style>:root{--c:#ff6600}g{fill:#ff6600}</style>",
        ),
        ('<g fill="var(--c, rgb(255 102 0))"/>', '<g fill="#ff6600"/>'),
        ("<text>rgb(255 102 0)</text>",) * 2,
        ('<g fill="rgb(300 0 0)"/>',) * 2,
        ("<style>a{--c:red}b{--c:blue}c{fill:var(--c)}</style>",) * 2,
    ],
)
def test_colours_and_variables_are_in_words_of_the_engine(inner, same):
    assert spelt(inner).decode() == same


@pytest.mark.parametrize(
    ("inner", "note"),
    [
        ('<g fill="oklch(0.7 0.2 30)"/>', "the colour oklch() is not drawn"),
        (
            "<g style='fill:color(display-p3 0 1 0)'/>",
            "the colour color() is not drawn",
        ),
        ('<g fill="var(--c)"/>', "the colour var() is not drawn"),
        (
            "<style>g:nth-child(2){fill:red}</style>",
            "style rules with :nth-child are not drawn",
        ),
        (
            "<style>@supports (fill:red){g{fill:red}}</style>",
            "style rules with @supports are not drawn",
        ),
        (
            "<style>@media (min-width:9px){g{fill:red}}</style>",
            "style rules with @media are not drawn",
        ),
    ],
)
def test_what_the_engine_does_not_know_is_named(inner, note):
    assert examine(complete(f"<svg {NS}>{inner}</svg>".encode())) == (note,)


def test_rules_for_dark_mode_and_print_are_left_out_as_in_a_still_picture():
    sheet = "@media (prefers-color-scheme: dark){g{fill:red}}@media print{g{fill:red}}"

    assert examine(complete(f"<svg {NS}><style>{sheet}</style></svg>".encode())) == ()


def test_variables_do_not_multiply_without_bound():
    lines = "".join(f"--v{n}:{f'var(--v{n + 1}) ' * 15};" for n in range(5))
    document = f"<svg {NS}><style>g{{{lines}fill:var(--v0)}}</style></svg>".encode()

    assert len(complete(document)) < len(document) + (2 << 20)


def test_a_root_may_have_a_prefix():
    document = b"<ns0:svg xmlns:ns0='http://www.w3.org/2000/svg' viewBox='0 0 30 20'/>"

    assert sniff(document) == "image/svg+xml"
    assert read(document) == (30, 20)
