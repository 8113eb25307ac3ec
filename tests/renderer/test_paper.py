"""Lengths, pages, and what a template may say of its size on paper."""

from pathlib import Path

import pytest

from app.renderer.errors import BrokenTemplate
from app.renderer.paper import Paper, parse_length, parse_page, parse_sides, resolve
from app.renderer.template import declaration
from app.renderer.template.template_files import read_files

A4 = (297 / 25.4 * 72, 210 / 25.4 * 72)


def declared(folder: Path, text: str) -> declaration.Declaration:
    (folder / "parameters.toml").write_text(f'title = "Note"\n{text}\n', "utf-8")
    return declaration.read(read_files(folder), frozenset())


@pytest.mark.parametrize(
    ("text", "inches"),
    [
        ("85mm", 85 / 25.4),
        ("8.5 cm", 8.5 / 2.54),
        ("1.5in", 1.5),
        (".5IN", 0.5),
        ("36pt", 0.5),
        ("75px", 0.5),
    ],
)
def test_a_length_has_a_unit(text: str, inches: float) -> None:
    assert parse_length(text, 150) == pytest.approx(inches)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("85", "is no length"),
        ("mm", "is no length"),
        ("-1mm", "is no length"),
        ("1e9mm", "is no length"),
        ("9999999999mm", "is no length"),
        ("1mm 2mm", "is no length"),
        ("0.0mm", "more than 0"),
        ("3furlong", "has the unit 'furlong'; known are mm, cm, in, pt or px"),
    ],
)
def test_what_is_no_length_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_length(text, 96)


def test_sides_stand_on_either_side_of_a_cross() -> None:
    assert parse_sides("4in x 6in", 96) == (4, 6)
    assert parse_sides("25.4mm\u00d71IN", 96) == (1, 1)
    assert parse_sides("96pxx48px", 96) == (1, 0.5)
    for text in ("4in", "4in x 6in x 8in", "4 x 6"):
        with pytest.raises(ValueError):
            parse_sides(text, 96)


@pytest.mark.parametrize(
    ("text", "inches"),
    [
        ("Letter landscape", (11, 8.5)),
        ("legal", (8.5, 14)),
        ("A3 portrait", (297 / 25.4, 420 / 25.4)),
        ("a6  Landscape", (148 / 25.4, 105 / 25.4)),
    ],
)
def test_a_page_stands_upright_unless_turned(
    text: str, inches: tuple[float, float]
) -> None:
    assert parse_page(text) == pytest.approx(inches)


@pytest.mark.parametrize("text", ["", "A9", "A4 sideways", "landscape A4", "A4 A4"])
def test_an_unknown_page_hears_which_are_known(text: str) -> None:
    with pytest.raises(ValueError, match="A3, A4, A5, A6, Letter, Legal"):
        parse_page(text)


@pytest.mark.parametrize(
    ("text", "pixels", "paper"),
    [
        ("width = 600\nheight = 900", (600, 900), None),
        ("width = 600\nheight = 900\ndpi = 150", (600, 900), (288, 432, 150)),
        ('size = "4in x 6in"\ndpi = 150', (600, 900), (288, 432, 150)),
        ('size = "4in x 6in"\nwidth = 600\nheight = 900', (600, 900), (288, 432, 150)),
        ('size = "600px x 900px"\ndpi = 150', (600, 900), (288, 432, 150)),
        ('size = "48px x 96px"', (48, 96), (36, 72, 96)),
        ('page = "A4 landscape"', (1123, 794), (*A4, 96)),
        # 1122.5 pixels wide: either is meant.
        ('page = "A4 landscape"\nwidth = 1122\nheight = 793', (1122, 793), (*A4, 96)),
        ('page = "Letter landscape"\ndpi = 100', (1100, 850), (792, 612, 100)),
        ('page = "letter"\nwidth = 1275\nheight = 1650', (1275, 1650), (612, 792, 150)),
    ],
)
def test_a_template_knows_its_pixels_and_its_paper(
    tmp_path: Path, text: str, pixels: tuple[int, int], paper: tuple[float, ...] | None
) -> None:
    found = declared(tmp_path, text)

    assert found.pixels == pixels
    assert found.paper == (paper and pytest.approx((*paper, 0)))


def test_a_resolution_that_is_no_whole_number_is_kept(tmp_path: Path) -> None:
    found = declared(tmp_path, 'size = "3in x 3in"\nwidth = 1000\nheight = 1000')

    paper = found.canvas[1]
    assert paper is not None
    assert paper.dpi == pytest.approx(333, abs=0.4)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("height = 9", None, "'width': is required"),
        ('size = "4in x 6in"\nheight = 900', None, "'width': is required"),
        (
            'dpi = 150\nsize = "4in x 6in"\nwidth = 600\nheight = 400',
            3,
            "'size': is 600x900 pixels at 150 dpi, not 600x400",
        ),
        (
            'width = 600\nheight = 400\nsize = "4in x 6in"',
            4,
            "'size': has another shape than 600x400 pixels",
        ),
        (
            'page = "A4"\nwidth = 1123\nheight = 794',
            2,
            "'page': has another shape than 1123x794 pixels",
        ),
        ('page = "A4"\nsize = "4in x 6in"', 3, "'size': cannot stand beside a page"),
        ('page = "A9"', 2, "'page': is not one of A3"),
        ('size = "4in x 6furlong"', 2, "'size': has the unit 'furlong'"),
        ('size = "4in x 6000in"', 2, "'size': is 384x576,000 pixels; a side has 1"),
        ('size = "0.001mm x 6in"', 2, "'size': is 0x576 pixels"),
        ('dpi = "150"\nwidth = 6\nheight = 9', 2, "'dpi'"),
        ("dpi = 0\nwidth = 6\nheight = 9", 2, "'dpi'"),
        (
            'width = 6\nheight = 9\nbleed = "3mm"',
            4,
            "'bleed': is for paper, and needs a size, page or dpi",
        ),
        ('page = "A4"\nbleed = "3"', 3, "'bleed': is no length"),
        ('page = "A4"\nbleed = "0mm"', 3, "'bleed': must be more than 0"),
        ('page = "A4"\nbleed = "3cm"', 3, "'bleed': is over 1in"),
        ('page = "A4"\nbleed = 3', 3, "'bleed': must be a text"),
    ],
)
def test_a_size_that_cannot_be_is_refused_by_name(
    tmp_path: Path, text: str, line: int | None, reason: str
) -> None:
    with pytest.raises(BrokenTemplate) as caught:
        declared(tmp_path, text)

    assert caught.value.line == line
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize(
    ("bleed", "points", "pixels"),
    [("3mm", 3 / 25.4 * 72, 18), ("20px", 9.6, 20), ("0.12in", 8.64, 18)],
)
def test_a_bleed_has_room_in_whole_pixels(
    tmp_path: Path, bleed: str, points: float, pixels: int
) -> None:
    found = declared(tmp_path, f'size = "4in x 6in"\ndpi = 150\nbleed = "{bleed}"')

    assert found.pixels == (600, 900)
    assert found.paper is not None
    assert found.paper.bleed == pytest.approx(points)
    assert found.paper.overhang == pixels
    # As many pixels are less of another paper.
    finer = resolve(found.paper, (600, 900), 1, 300)
    assert (finer.width, finer.bleed) == pytest.approx((144, points / 2))
    assert finer.overhang == pixels


def test_a_callers_resolution_goes_before_the_declared_one() -> None:
    paper = Paper(*A4, 96)

    assert resolve(paper, (1123, 794), 1, None) == paper
    assert resolve(paper, (1123, 794), 1, 96) == paper
    assert resolve(paper, (3369, 2382), 3, 1123) == (72, 794 / 1123 * 72, 1123, 0)


@pytest.mark.parametrize("scale", [1, 1.25, 1.337, 2, 2.9, 3])
def test_a_scale_moves_no_edge(scale: float) -> None:
    size = round(301 * scale), round(77 * scale)

    assert resolve(None, size, scale, 96)[:2] == (301 * 0.75, 77 * 0.75)
    assert resolve(None, size, scale, None) == (301 * 0.75, 77 * 0.75, 96, 0)
