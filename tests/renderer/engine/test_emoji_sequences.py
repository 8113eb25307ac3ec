"""Every sequence of Unicode's emoji-test file is one picture, and like no neighbour.

The list is that of the `emoji` package, by its qualification in the file.
"""

from itertools import pairwise

import emoji as unicode_list
import pytest
import regex
from PIL import Image, ImageChops

from app.renderer.engine.emoji import artwork, illustrate, pictures_of
from app.renderer.engine.engine import Engine, Page

DATA = unicode_list.EMOJI_DATA
STATUS = unicode_list.STATUS
QUALIFIED = [text for text, row in DATA.items() if row["status"] <= 2]
NEWEST = max(row["E"] for row in DATA.values())
NEIGHBOURS = list(pairwise(QUALIFIED))
# Sequences that Noto Emoji has no letter for; and people in it have no skin tones.
LATEST_MONO = 17
TONES = frozenset("\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
# Families are silhouettes, which show neither man, woman, boy nor girl.
SILHOUETTES = frozenset("\U0001f46a\U0001f466\U0001f467\U0001f9d2")
CELL, COLUMNS, AT_A_TIME = 48, 16, 480


def test_the_list_is_whole_and_new() -> None:
    assert len(QUALIFIED) > 3900
    assert NEWEST >= 18


def test_every_sequence_is_one_picture_that_there_is() -> None:
    for text, row in DATA.items():
        if len(text) == 1 and row["status"] == STATUS["unqualified"]:
            continue
        markup, images = illustrate(text)

        assert markup.count("<img") == 1, ascii(text)
        assert regex.sub("<[^>]*>", "", markup) == "", ascii(text)
        assert len(pictures_of(text)) == 1, ascii(text)
        assert all(svg.startswith(b"<svg") for svg in images.values())


def test_what_is_no_emoji_by_default_stays_text() -> None:
    bare = [t for t, row in DATA.items() if row["status"] == STATUS["unqualified"]]
    single = [text for text in bare if len(text) == 1]

    assert len(single) > 200
    for text in single:
        assert illustrate(f"a{text}b") == (f"a{text}b", {})


def test_every_spelling_of_a_sequence_is_the_same_picture() -> None:
    spellings: dict[str, set[tuple[str, ...]]] = {}
    for text, row in DATA.items():
        if len(text) > 1 or row["status"] <= STATUS["fully_qualified"]:
            plain = text.replace("\ufe0f", "")
            spellings.setdefault(plain, set()).add(pictures_of(text))

    assert all(len(found) == 1 for found in spellings.values())


@pytest.mark.parametrize("tone", sorted(TONES))
def test_skin_tones_differ(tone: str) -> None:
    plain, toned = (artwork(t) for t in ("\U0001faf9", f"\U0001faf9{tone}"))

    assert plain != toned


def sheet(engine: Engine, texts: list[str], style: str) -> list[Image.Image]:
    """Draw texts in the cells of a grid; return the cells."""
    cell = (
        f"width:{CELL}px;height:{CELL}px;font-size:32px;line-height:{CELL}px;"
        "overflow:hidden;text-align:center"
    )
    body = "".join(f'<div style="{cell}">{text}</div>' for text in texts)
    rows = -(-len(texts) // COLUMNS)
    size = COLUMNS * CELL, rows * CELL
    grid = f'<div style="display:flex;flex-wrap:wrap;width:{size[0]}px">{body}</div>'
    drawn = engine.draw(Page(grid, emoji=style), size, 1).image
    corners = [(n % COLUMNS * CELL, n // COLUMNS * CELL) for n in range(len(texts))]
    return [drawn.crop((x, y, x + CELL, y + CELL)) for x, y in corners]


@pytest.fixture(scope="module", params=["color", "mono"])
def drawn(
    request: pytest.FixtureRequest, engine: Engine
) -> tuple[str, dict[str, Image.Image]]:
    """The style, and every sequence as it is drawn in it."""
    cells: dict[str, Image.Image] = {}
    for at in range(0, len(QUALIFIED), AT_A_TIME):
        part = ["\U0010fffd", *QUALIFIED[at : at + AT_A_TIME]]
        cells |= zip(part, sheet(engine, part, request.param), strict=True)
    return request.param, cells


def different(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one, other).getbbox(alpha_only=False) is not None


def test_each_has_ink_and_is_not_the_sign_for_what_no_font_has(drawn) -> None:
    _, cells = drawn
    notdef = cells["\U0010fffd"]

    for text in QUALIFIED:
        assert cells[text].getchannel("A").getbbox(), ascii(text)
        assert different(cells[text], notdef), ascii(text)


def test_each_differs_from_its_neighbours(drawn) -> None:
    style, cells = drawn
    alike = [pair for pair in NEIGHBOURS if not different(*map(cells.get, pair))]

    if style == "color":
        assert len(alike) == 6
        assert all(SILHOUETTES.intersection(one) for pair in alike for one in pair)
        assert all(artwork(a) == artwork(b) for a, b in map(_pictures, alike))
    else:
        assert all(TONES.intersection(one + other) for one, other in alike)


def _pictures(pair: tuple[str, str]) -> tuple[str, ...]:
    return tuple(pictures_of(text)[0] for text in pair)


def test_monochrome_is_drawn_by_the_font(engine: Engine) -> None:
    for cell in sheet(engine, QUALIFIED[::20], "mono"):
        colors = {pixel[:3] for _, pixel in cell.getcolors(9999) if pixel[3] > 9}
        assert colors == {(0, 0, 0)}


@pytest.mark.parametrize("style", ["color", "mono"])
def test_a_sequence_is_one_run_of_one_cluster(engine: Engine, style: str) -> None:
    node = {"type": "text", "style": {"fontSize": "32px"}}
    for text in QUALIFIED:
        if style == "mono" and DATA[text]["E"] >= LATEST_MONO:
            continue
        runs = engine.measure({**node, "text": text}, 900, None, style)["runs"]

        assert len(runs) == 1, ascii(text)
        assert runs[0]["width"] < 60, ascii(text)
