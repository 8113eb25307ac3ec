"""Every sequence of Unicode's emoji-test file is one picture; a sample is looked at.

The list is that of the `emoji` package, by its qualification in the file.
"""

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
# One of twenty in the order of the file, and all of the last year.
SAMPLE = [
    text
    for place, text in enumerate(QUALIFIED)
    if place % 20 == 0 or DATA[text]["E"] == NEWEST
]
CELL, COLUMNS = 48, 16


def test_the_list_is_whole_and_new() -> None:
    assert len(QUALIFIED) > 3900
    assert NEWEST >= 18
    assert len(SAMPLE) > 200


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


@pytest.mark.parametrize("tone", "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
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


def different(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one, other).getbbox(alpha_only=False) is not None


def test_a_sample_has_ink_and_looks_like_no_neighbour(engine: Engine) -> None:
    notdef, *cells = sheet(engine, ["\U0010fffd", *SAMPLE], "color")

    for text, cell in zip(SAMPLE, cells, strict=True):
        assert cell.getchannel("A").getbbox(), ascii(text)
        assert different(cell, notdef), ascii(text)
    for place in range(1, len(SAMPLE)):
        one, other = (pictures_of(SAMPLE[n])[0] for n in (place - 1, place))
        assert artwork(one) != artwork(other)
        assert different(cells[place - 1], cells[place]), ascii(SAMPLE[place])


def test_a_sample_in_monochrome_is_drawn_by_the_font(engine: Engine) -> None:
    known = [t for t in SAMPLE if DATA[t]["E"] < 15]
    notdef, *cells = sheet(engine, ["\U0010fffd", *known], "mono")

    for text, cell in zip(known, cells, strict=True):
        assert different(cell, notdef), ascii(text)
        colors = {pixel[:3] for _, pixel in cell.getcolors(9999) if pixel[3] > 9}
        assert colors == {(0, 0, 0)}, ascii(text)


@pytest.mark.parametrize("style", ["color", "mono"])
def test_a_sequence_is_one_run_of_one_cluster(engine: Engine, style: str) -> None:
    node = {"type": "text", "style": {"fontSize": "32px"}}
    for text in SAMPLE[::4]:
        if style == "mono" and DATA[text]["E"] >= 15:
            continue
        runs = engine.measure({**node, "text": text}, 900, None, style)["runs"]

        assert len(runs) == 1, ascii(text)
        assert runs[0]["width"] < 60, ascii(text)
