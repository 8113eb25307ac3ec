"""Contact sheets, measured and looked at pixel by pixel."""

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, UnidentifiedImageError
from pydantic import ValidationError

from app.renderer import contact_sheet
from app.renderer.base import Output, Picture
from app.renderer.contact_sheet import SheetParameters, draw, fit, measure, plan, shrink
from app.renderer.encode import FORMATS, encode

PAPER = (247, 246, 243)


def stored(image: Image.Image, name: str = "png") -> bytes:
    return encode(Picture(image), Output(format=name))


def red(size: tuple[int, int] = (100, 60)) -> Image.Image:
    return Image.new("RGB", size, "red")


def box_of(image: Image.Image, color: tuple[int, int, int]):
    """Return the box around all pixels of exactly this colour."""
    other = ImageChops.difference(image, Image.new("RGB", image.size, color))
    bands = [band.point(bool, "1") for band in other.split()]
    differs = ImageChops.logical_or(ImageChops.logical_or(*bands[:2]), bands[2])
    return ImageChops.invert(differs.convert("L")).getbbox()


@given(
    st.integers(1, 500),
    st.integers(1, 100),
    st.integers(16, 1024),
)
def test_every_room_is_inside_the_canvas_and_none_overlaps(count, columns, cell):
    layout = plan(count, columns, cell)

    width, height = layout.size
    corners = [layout.corner(index) for index in range(count)]
    assert min(corners) == corners[0] == (layout.margin, layout.margin)
    assert max(x for x, _ in corners) + cell == width - layout.margin
    bottom = max(y for _, y in corners) + cell + layout.line
    assert bottom == height - layout.margin
    assert len(set(corners)) == count
    assert all((x - layout.margin) % (cell + layout.gap) == 0 for x, _ in corners)


def test_the_picture_has_the_size_of_the_plan() -> None:
    layout = plan(7, 3, 50)

    picture = draw(layout, [(red((50, 30)), "a.png")] * 7)

    assert picture.image.size == layout.size
    assert picture.image.mode == "RGB"


def test_fewer_pictures_than_columns_leave_no_empty_columns() -> None:
    assert plan(2, 5, 100).size[0] == plan(2, 2, 100).size[0]


def test_thumbnails_stand_in_the_middle_of_their_rooms_in_order() -> None:
    layout = plan(3, 2, 100)
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]

    thumbnails = [(Image.new("RGB", (60, 40), color), "") for color in colors]
    sheet_image = draw(layout, thumbnails).image

    for index, color in enumerate(colors):
        left, top = layout.corner(index)
        box = left + 20, top + 30, left + 80, top + 70
        assert box_of(sheet_image, color) == box


def test_a_white_picture_has_a_frame_and_differs_from_the_paper() -> None:
    layout = plan(1, 1, 100)

    image = draw(layout, [(Image.new("RGB", (60, 40), "white"), "")]).image

    left, top, right, bottom = box_of(image, (255, 255, 255))
    for pixel in [(left - 1, top), (right, top), (left, top - 1), (left, bottom)]:
        assert max(image.getpixel(pixel)) < min(PAPER) - 20
    assert image.getpixel((left - 2, top)) == PAPER


def test_transparent_pictures_lie_on_a_chequerboard() -> None:
    layout = plan(1, 1, 240)
    half = Image.new("RGBA", (200, 100), (255, 0, 0, 0))
    half.paste((255, 0, 0, 255), (0, 0, 100, 100))

    image = draw(layout, [(half, "")]).image

    left, top = layout.corner(0)
    shown = image.crop((left + 20, top + 70, left + 220, top + 170))
    assert shown.crop((0, 0, 100, 100)).getcolors() == [(10_000, (255, 0, 0))]
    light, dark = sorted(shown.crop((100, 0, 200, 100)).getcolors(), reverse=True)
    assert {light[1], dark[1]} == {(255, 255, 255), (231, 229, 228)}
    assert dark[0] > 4000


def test_a_caption_stands_in_the_line_below_its_room() -> None:
    layout = plan(2, 2, 200)
    blank = draw(layout, [(red((200, 200)), ""), (red((200, 200)), "")]).image

    named = draw(layout, [(red((200, 200)), ""), (red((200, 200)), "ypg.png")]).image

    changed = ImageChops.difference(blank, named).getbbox()
    left, top = layout.corner(1)
    assert top + 200 + 2 <= changed[1] < changed[3] <= top + 200 + layout.line
    assert abs((changed[0] + changed[2]) / 2 - (left + 100)) <= 1


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)), st.integers(0, 900))
@settings(max_examples=60, deadline=None)
def test_a_fitted_name_is_never_too_wide_and_keeps_both_ends(name, width) -> None:
    font = contact_sheet._font(11)

    words = fit(name, width, font)

    assert font.getlength(words) <= width
    if words != name and words:
        start, end = words.split("…")
        assert name.startswith(start) and name.endswith(end)
        assert len(start) - len(end) in (0, 1)
        assert len(words) <= len(name)


@pytest.mark.parametrize("width", range(60, 700, 40))
def test_a_name_is_not_cut_within_a_grapheme(width) -> None:
    graphemes = [
        "e\u0301\u0323",
        "\U0001f468\u200d\U0001f467",
        "\u1112\u1161\u11ab",
    ] * 6
    font = contact_sheet._font(9)

    first, _, last = fit("".join(graphemes), width, font).partition("…")

    assert first in {"".join(graphemes[:n]) for n in range(19)}
    assert last in {"".join(graphemes[n:]) for n in range(19)}


def test_a_name_that_fits_stays_whole() -> None:
    font = contact_sheet._font(11)

    assert fit("card-0001.png", 10_000, font) == "card-0001.png"
    assert fit("card-0001.png", 1, font) == ""


def test_the_face_of_captions_is_found_without_reading_every_font(monkeypatch) -> None:
    def refuse(path: Path) -> bytes:
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr(Path, "read_bytes", refuse)

    assert draw(plan(1, 1, 100), [(red(), "a.png")]).image.size[0] > 100


def test_a_picture_over_pillows_bound_of_pixels_is_shrunk() -> None:
    data = stored(Image.new("1", (20_000, 9_000)))

    assert shrink(data, 50).size == (50, 22)


def test_cells_too_small_for_names_have_no_line_for_them() -> None:
    small, large = plan(1, 1, 55), plan(1, 1, 56)

    assert (small.line, large.line > 0) == (0, True)
    assert draw(small, [(red((55, 55)), "a.png")]).image.size == small.size


def test_wide_cards_are_measured_so_that_no_bands_remain() -> None:
    room = measure([(1200, 630), (600, 200)], 240)

    assert room == (240, 126)
    assert plan(10, 5, 240, room).size[1] < plan(10, 5, 240).size[1] - 200
    assert measure([(10, 1000)], 240) == (120, 240)
    assert measure([(30, 20)], 240) == (120, 20)


def test_empty_places_stay_paper_and_too_many_thumbnails_are_an_error() -> None:
    layout = plan(2, 2, 40)
    left, top = layout.corner(1)

    image = draw(layout, [(red((40, 40)), "")]).image

    assert image.getpixel((left + 20, top + 20)) == PAPER
    with pytest.raises(ValueError, match="more than 2"):
        draw(layout, [(red((40, 40)), "")] * 3)


def test_equal_thumbnails_give_equal_pixels() -> None:
    layout = plan(2, 2, 120)
    thumbnails = [(red(), "one.png"), (red(), "a-very-long-name-of-a-file-0002.png")]

    first, again = (draw(layout, thumbnails).image.tobytes() for _ in range(2))

    assert first == again


@pytest.mark.parametrize(
    "name", [name for name in FORMATS if name not in ("svg", "pdf")]
)
def test_every_raster_format_can_be_shrunk(name: str) -> None:
    size = (200, 200) if name == "ico" else (400, 200)

    thumbnail = shrink(stored(red(size), name), 50)

    assert thumbnail.mode in ("RGB", "RGBA")
    assert thumbnail.size == (50, 50 * size[1] // size[0])
    red_, green, blue = thumbnail.getpixel((20, 20))[:3]
    assert red_ > 245 and max(green, blue) < 10


@pytest.mark.parametrize("size", [(1, 1), (50, 3), (49, 50)])
def test_nothing_is_enlarged(size: tuple[int, int]) -> None:
    assert shrink(stored(red(size)), 50).size == size


def test_a_line_keeps_one_pixel() -> None:
    assert shrink(stored(red((3000, 2))), 50).size == (50, 1)


def test_colours_under_transparency_do_not_bleed() -> None:
    image = Image.new("RGBA", (400, 400), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 203, 400))

    thumbnail = shrink(stored(image), 50)

    seen = [color for _, color in thumbnail.getcolors() if color[3] > 20]
    assert max(green for _, green, _, _ in seen) < 30


def test_a_jpeg_reduced_by_its_decoder_looks_the_same() -> None:
    data = stored(Image.linear_gradient("L").resize((4000, 4000)), "jpg")

    thumbnail = shrink(data, 100)

    assert thumbnail.size == (100, 100)
    with Image.open(io.BytesIO(data)) as whole:
        exact = whole.convert("RGB").resize((100, 100), Image.Resampling.LANCZOS)
    extrema = ImageChops.difference(thumbnail, exact).getextrema()
    assert max(high for _, high in extrema) <= 6


def test_what_is_no_raster_is_an_error() -> None:
    with pytest.raises(UnidentifiedImageError):
        shrink(b"<svg/>", 50)


@pytest.mark.parametrize(
    "field,value",
    [
        *(("columns", 0), ("columns", 101), ("cell", 15), ("cell", 1025)),
        *(("first", 0), ("count", 0)),
    ],
)
def test_parameters_out_of_bounds_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValidationError):
        SheetParameters.model_validate({field: value})


def test_the_defaults_show_everything_five_abreast() -> None:
    parameters = SheetParameters()

    assert (parameters.columns, parameters.cell) == (5, 240)
    assert (parameters.first, parameters.count) == (1, None)
