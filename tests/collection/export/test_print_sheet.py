"""Where images lie on a print sheet, to a hundredth of a point."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.collection.export.print_sheet import (
    PRESETS,
    Cell,
    PrintOptions,
    PrintSheet,
    plan,
    sheets,
)
from app.renderer.encode.pdf.document import Object, PdfPage
from app.renderer.errors import BadParameter, Undrawable

MM = 72 / 25.4
A4 = (210 * MM, 297 * MM)
BADGE = (288.0, 432.0)
BUSINESS_CARD = (85 * MM, 55 * MM)


def planned(size: tuple[float, float], **said: str) -> PrintSheet:
    return plan(PrintOptions.model_validate(said), size)


def shown(
    sheet: PrintSheet, size: tuple[float, float], count: int, *, back: bool = False
) -> list[Cell]:
    """Return what each image covers of the page."""
    boxes = []
    for placed in sheet.place([size] * count, back=back):
        a, b, c, d, e, f = placed.matrix
        x, y, (width, height) = 0, 0, size
        corners = [(x, y), (x + width, y + height)]
        across = sorted(a * x + c * y + e for x, y in corners)
        up = sorted(b * x + d * y + f for x, y in corners)
        boxes.append(Cell(across[0], up[0], across[1] - across[0], up[1] - up[0]))
    return boxes


def test_as_many_as_fit_in_their_own_size_side_by_side_in_the_middle() -> None:
    sheet = planned(BUSINESS_CARD)

    assert sheet.page == pytest.approx(A4)
    assert (len(sheet.cells), sheet.scale) == (10, 1.0)
    first, second, *_, last = shown(sheet, BUSINESS_CARD, 10)
    assert first == pytest.approx((20 * MM, 231 * MM, 85 * MM, 55 * MM))
    assert second.x == pytest.approx(first.x + first.width)
    assert last == pytest.approx((105 * MM, 11 * MM, 85 * MM, 55 * MM))


def test_a_grid_with_too_little_room_makes_pieces_smaller_and_turns_them() -> None:
    sheet = planned(BADGE, grid="2x4")

    # Cells of 95 x 69.25 mm within margins of 10; a badge lies on its side in them.
    assert len(sheet.cells) == 8
    assert sheet.scale == pytest.approx(95 * MM / 432)
    first = shown(sheet, BADGE, 8)[0]
    assert (first.width, first.height) == pytest.approx((95 * MM, 95 * MM * 288 / 432))
    assert first.x == pytest.approx(10 * MM)


def test_a_grid_with_enough_room_keeps_sizes_and_gaps() -> None:
    sheet = planned(BUSINESS_CARD, grid="2x4", gap="4mm")

    first, second = shown(sheet, BUSINESS_CARD, 2)
    assert second.x - first.x - first.width == pytest.approx(4 * MM)
    assert (first.width, first.height) == pytest.approx(BUSINESS_CARD)


@pytest.mark.parametrize("preset", PRESETS)
def test_labels_lie_on_their_page_apart_from_each_other(preset: str) -> None:
    sheet = planned((300.0, 100.0), preset=preset.upper())

    width, height = sheet.page
    for cell in sheet.cells:
        assert cell.x > 0
        assert cell.y > 0
        assert cell.x + cell.width < width
        assert cell.y + cell.height < height
    boxes = shown(sheet, (300.0, 100.0), len(sheet.cells))
    assert not any(
        overlap(one, other) for one in boxes for other in boxes if one is not other
    )
    # Makers centre their sheets, to two thirds of a millimetre.
    left = min(cell.x for cell in sheet.cells)
    right = width - max(cell.x + cell.width for cell in sheet.cells)
    assert left == pytest.approx(right, abs=0.7 * MM)


def overlap(one: Cell, other: Cell) -> bool:
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    up = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return across > 0.01 and up > 0.01


def test_a_tent_has_its_image_twice_and_one_on_its_head() -> None:
    sheet = planned((85 * MM, 55 * MM), fold="top", grid="1x1")

    front, back = sheet.place([BUSINESS_CARD])
    assert front.matrix[:4] == (1.0, 0.0, 0.0, 1.0)
    assert back.matrix[:4] == (-1.0, 0.0, 0.0, -1.0)
    lower, upper = shown(sheet, BUSINESS_CARD, 1)
    assert upper.y == pytest.approx(lower.y + 55 * MM)
    assert upper.x == pytest.approx(lower.x)


def test_a_card_folded_on_the_left_has_its_image_twice_upright() -> None:
    sheet = planned(BUSINESS_CARD, fold="left", grid="1x1")

    front, back = shown(sheet, BUSINESS_CARD, 1)
    assert back.x + back.width == pytest.approx(front.x)
    assert back.y == pytest.approx(front.y)


@pytest.mark.parametrize(
    ("page", "duplex", "upside_down"),
    [
        ("A4", "long", False),
        ("A4", "short", True),
        ("A4 landscape", "short", False),
        ("A4 landscape", "long", True),
    ],
)
def test_backs_lie_behind_their_fronts(page, duplex, upside_down) -> None:
    sheet = planned(BUSINESS_CARD, page=page, duplex=duplex, gap="2mm")

    count = 3
    fronts = shown(sheet, BUSINESS_CARD, count)
    backs = shown(sheet, BUSINESS_CARD, count, back=True)
    for front, back in zip(fronts, backs, strict=True):
        if upside_down:
            # The printer turns the paper head over: what was above is below.
            assert back.x == pytest.approx(front.x)
            assert back.y + back.height == pytest.approx(sheet.page[1] - front.y)
        else:
            assert back.y == pytest.approx(front.y)
            assert back.x + back.width == pytest.approx(sheet.page[0] - front.x)
    matrix = next(sheet.place([BUSINESS_CARD], back=True)).matrix
    assert (matrix[0] < 0) == upside_down


def test_crop_marks_stand_outside_at_every_cut() -> None:
    sheet = planned(BUSINESS_CARD, gap="4mm", grid="2x2", marks="crop")

    lines = list(sheet.lines(4))
    # Four cuts across and four down, each marked at both ends.
    assert len(lines) == 16
    boxes = shown(sheet, BUSINESS_CARD, 4)
    for (x, y), (to_x, to_y), dashed in lines:
        assert not dashed
        assert x == to_x or y == to_y
        mark = Cell(
            min(x, to_x), min(y, to_y), abs(to_x - x) + 0.1, abs(to_y - y) + 0.1
        )
        assert not any(overlap(box, mark) for box in boxes)


def test_lines_to_cut_along_go_from_edge_to_edge_once() -> None:
    sheet = planned(BUSINESS_CARD, marks="cut", grid="2x2")

    lines = list(sheet.lines(4))
    assert len(lines) == 6
    assert {line.end[1] - line.start[1] for line in lines} == {0.0, sheet.page[1]}


@pytest.mark.parametrize("marks", ["crop", "cut"])
def test_a_bleed_widens_gaps_and_keeps_marks_and_margins_away(marks: str) -> None:
    sheet = planned(BUSINESS_CARD, bleed="3mm", margin="5mm", marks=marks)

    # 85 x 55 mm each with 6 between, and 8 to the edge of the page: two by four.
    assert len(sheet.cells) == 8
    seen = [placed.seen for placed in sheet.place([BUSINESS_CARD] * 8)]
    first, second, *_, last = seen
    assert (first.width, first.height) == pytest.approx((91 * MM, 61 * MM))
    assert second.x == pytest.approx(first.x + 91 * MM)
    around = first.x, last.y, last.x + 91 * MM, first.y + 61 * MM
    assert min(around) >= 5 * MM
    for (x, y), (to_x, to_y), _ in sheet.lines(8):
        mark = Cell(x, y, to_x - x + 0.1, to_y - y + 0.1)
        assert marks == "cut" or not any(overlap(each, mark) for each in seen)


def test_a_tent_has_no_bleed_at_its_fold() -> None:
    sheet = planned(BUSINESS_CARD, fold="top", grid="1x1", bleed="3mm")

    (cell,) = sheet.cells
    lower, upper = (placed.seen for placed in sheet.place([BUSINESS_CARD]))
    fold = cell.y + cell.height / 2
    assert lower.y + lower.height == pytest.approx(fold)
    assert upper.y == pytest.approx(fold)
    assert (lower.y, lower.height) == pytest.approx((cell.y - 3 * MM, 58 * MM))
    assert (lower.x, lower.width) == pytest.approx((cell.x - 3 * MM, 91 * MM))


def test_folds_are_marked_beside_the_pieces_dashed() -> None:
    sheet = planned(BUSINESS_CARD, fold="top", marks="crop", grid="1x1")

    assert sum(line.dashed for line in sheet.lines(1)) == 2


def test_fewer_pieces_than_cells_have_marks_of_their_own_alone() -> None:
    sheet = planned(BUSINESS_CARD, marks="cut", grid="2x2")

    assert len(list(sheet.lines(1))) == 4


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"preset": "avery-1"}, "preset"),
        ({"preset": "avery-5160", "grid": "2x2"}, "grid"),
        ({"margin": "200mm"}, "margin"),
        ({"grid": "150x1", "gap": "5mm"}, "grid"),
        ({"grid": "1x900"}, "grid"),
        ({"grid": "16x16"}, "grid"),
        ({"page": "12mm x 12mm"}, "page"),
        ({"bleed": "2mm", "gap": "3.9mm"}, "bleed"),
        ({"bleed": "2mm", "preset": "avery-5160"}, "bleed"),
        ({"bleed": "150mm"}, "bleed"),
        ({"bleed": "90mm", "margin": "30mm"}, "margin"),
    ],
)
def test_what_leaves_no_room_or_contradicts_is_refused_by_its_name(said, field) -> None:
    with pytest.raises(BadParameter) as caught:
        planned(BADGE, **said)

    assert caught.value.faults[0].field == f"sheet[{field}]"


@pytest.mark.parametrize(
    "said",
    [
        {"page": "B9"},
        {"page": "999in x 1in"},
        {"grid": "0x2"},
        {"grid": "2"},
        {"gap": "3"},
        {"gap": "3 elle"},
    ],
)
def test_what_is_no_length_page_or_grid_is_refused(said) -> None:
    with pytest.raises(ValueError, match="|".join(said)):
        PrintOptions.model_validate(said)


sides = st.floats(5, 3000)


@given(
    size=st.tuples(sides, sides),
    columns=st.integers(1, 6),
    rows=st.integers(1, 9),
    gap=st.integers(0, 9),
    fold=st.sampled_from(["none", "top", "left"]),
    landscape=st.booleans(),
)
@settings(deadline=None)
def test_any_piece_lies_on_the_page_within_its_cell(
    size, columns, rows, gap, fold, landscape
) -> None:
    page = "A4 landscape" if landscape else "A4"
    sheet = planned(
        size, page=page, grid=f"{columns}x{rows}", gap=f"{gap}mm", fold=fold
    )

    boxes = shown(sheet, size, columns * rows)
    assert len(boxes) == columns * rows * (1 if fold == "none" else 2)
    for box in boxes:
        assert min(box.x, box.y) > -0.02
        assert box.x + box.width < sheet.page[0] + 0.02
        assert box.y + box.height < sheet.page[1] + 0.02
    assert not any(
        overlap(one, other) for at, one in enumerate(boxes) for other in boxes[at + 1 :]
    )


@given(
    size=st.tuples(sides, sides),
    columns=st.integers(1, 4),
    rows=st.integers(1, 5),
    bleed=st.integers(1, 5),
    more=st.integers(0, 3),
    fold=st.sampled_from(["none", "top", "left"]),
    back=st.booleans(),
)
def test_no_bleed_lies_on_another_piece_or_beyond_the_page(
    size, columns, rows, bleed, more, fold, back
) -> None:
    said = {"grid": f"{columns}x{rows}", "fold": fold, "bleed": f"{bleed}mm"}
    sheet = planned(size, **said, gap=f"{2 * bleed + more}mm", duplex="short")

    count = columns * rows
    seen = [placed.seen for placed in sheet.place([size] * count, back=back)]
    for box in seen:
        assert min(box.x, box.y) > -0.02
        assert box.x + box.width < sheet.page[0] + 0.02
        assert box.y + box.height < sheet.page[1] + 0.02
    assert not any(
        overlap(one, other) for at, one in enumerate(seen) for other in seen[at + 1 :]
    )
    for box, image in zip(seen, shown(sheet, size, count, back=back), strict=True):
        assert box.x <= image.x + 0.02
        assert box.y + box.height >= image.y + image.height - 0.02


def test_a_page_of_pictures_that_are_too_large_together_is_refused() -> None:
    leaf = Object(b"<</Type/Page/MediaBox[0 0 10 10]/Resources<<>>/Contents[1 0 R]>>")
    page = PdfPage((Object(b"<<", bytes(33 << 20)), leaf))

    made = sheets(iter([page, page]), PrintOptions(grid="2x2"))

    with pytest.raises(Undrawable, match="64 MiB"):
        list(made)
