import re
import subprocess
import sys
import threading
from xml.etree import ElementTree

import pytest

from app.renderer.base import Picture
from app.renderer.engine import emoji, line_breaking
from app.renderer.engine.engine import Engine, Page, visible_text
from app.renderer.errors import Undrawable

RED = Page('<div class="a"></div>', (".a{width:100%;height:100%;background:red}",))


def test_a_page_fills_its_canvas_at_any_scale(engine: Engine) -> None:
    picture = engine.draw(RED, (10, 7), 1.5)

    assert picture.image.size == (15, 10)
    assert picture.image.getcolors() == [(150, (255, 0, 0, 255))]


def test_packed_holds_the_same_pixels_as_the_image(engine: Engine) -> None:
    picture = engine.draw(Page("Text"), (40, 20), 1)

    assert picture.packed == picture.image.tobytes()


def test_the_ground_is_transparent(engine: Engine) -> None:
    assert engine.draw(Page(""), (3, 3), 1).image.getcolors() == [(9, (0, 0, 0, 0))]


def test_missing_glyphs_are_reported_with_references_resolved(engine: Engine) -> None:
    picture = engine.draw(
        Page('<b title="\U00012001">\U00012000 &#x13000; é 中</b>'), (9, 9), 1
    )

    assert picture.facts == {"missing_glyphs": ["U+12000", "U+13000"]}


def test_no_fact_is_reported_where_all_can_be_drawn(engine: Engine) -> None:
    assert engine.draw(Page("Ω &amp; &#937;"), (9, 9), 1).facts == {}


def test_visible_text_of_many_open_tags_takes_linear_time() -> None:
    assert visible_text("é" + "<" * 200_000).startswith("é")


@pytest.mark.parametrize(
    ("page", "size"),
    [
        (Page("<div>" * 600), (9, 9)),
        (Page('<img src="a">', images={"a": b"no image"}), (9, 9)),
        (Page("x"), (20_000, 20_000)),
    ],
)
def test_what_the_engine_refuses_is_undrawable(
    engine: Engine, page: Page, size: tuple[int, int]
) -> None:
    with pytest.raises(Undrawable):
        engine.draw(page, size, 1)


def test_a_panic_is_undrawable_and_does_not_harm_the_engine(engine: Engine) -> None:
    class PanicException(BaseException):
        pass

    class Panicking:
        def render_html(self, *args: object, **options: object) -> bytes:
            raise PanicException("min > max")

    broken = object.__new__(Engine)
    broken.__dict__.update(engine.__dict__, _renderer=Panicking())

    with pytest.raises(Undrawable):
        broken.draw(Page("x"), (9, 9), 1)


def test_an_interrupt_is_not_taken_for_a_panic(engine: Engine) -> None:
    class Interrupted:
        def render_html(self, *args: object, **options: object) -> bytes:
            raise KeyboardInterrupt

    broken = object.__new__(Engine)
    broken.__dict__.update(engine.__dict__, _renderer=Interrupted())

    with pytest.raises(KeyboardInterrupt):
        broken.draw(Page("x"), (9, 9), 1)


def test_threads_may_share_an_engine(engine: Engine) -> None:
    page, drawn = Page("<h1>Threads</h1>"), []

    def work() -> None:
        drawn.extend(engine.draw(page, (90, 40), 1).packed for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(drawn) == 80
    assert len(set(drawn)) == 1


def test_svg_has_the_size_and_no_text_elements(engine: Engine) -> None:
    root = ElementTree.fromstring(engine.draw_svg(Page("Hi שלום"), (60, 40)).svg)

    assert (root.get("width"), root.get("height")) == ("60", "40")
    assert {element.tag.rpartition("}")[2] for element in root.iter()} >= {"path"}
    assert "text" not in {element.tag.rpartition("}")[2] for element in root.iter()}


def test_measure_tells_height_and_runs(engine: Engine) -> None:
    style = {"fontSize": "20px", "lineHeight": 1.5, "width": "100%"}
    node = {"type": "text", "text": "two words", "style": style}

    wide, narrow = engine.measure(node, 500), engine.measure(node, 60)

    assert wide["height"] == 30
    assert narrow["height"] == 60
    assert [run["text"].strip() for run in narrow["runs"]] == ["two", "words"]


def test_devanagari_leaves_no_scrap_at_the_end_of_a_line(engine: Engine) -> None:
    """A word broken off a line left a fragment of its last glyph behind."""
    words = "नमस्ते दुनिया यह एक लंबा वाक्य"

    def ink(body: str, height: int) -> int:
        page = Page(f'<div style="font-size:28px;line-height:40px">{body}</div>')
        pixels: Picture = engine.draw(page, (300, height), 1)
        return sum(pixels.image.getchannel("A").histogram()[128:])

    broken = ink(words, 80)
    lines = ink("नमस्ते दुनिया यह एक लंबा", 40) + ink("वाक्य", 40)

    assert abs(broken - lines) < 12


def picture_of(engine: Engine, text: str, lang: str | None = None) -> bytes:
    body = f'<div style="font-size:60px">{text}</div>'
    return engine.draw(Page(body, lang=lang), (160, 90), 1).image.tobytes()


def test_a_language_has_its_own_forms_of_characters(engine: Engine) -> None:
    tags = ("ja", "ko", "zh-Hans", "zh-Hant", "zh-HK")

    drawn = {picture_of(engine, "\u8fd4\u9aa8", tag) for tag in tags}

    assert len(drawn) >= 3


def test_kana_beside_a_character_make_it_japanese(engine: Engine) -> None:
    def last(text: str, lang: str | None = None) -> bytes:
        body = f'<div style="font-size:60px;width:120px">{text}</div>'
        picture = engine.draw(Page(body, lang=lang), (120, 90), 1)
        return picture.image.crop((60, 0, 120, 90)).tobytes()

    assert last("\u306e\u9aa8") == last("\u306e\u9aa8", "ja")
    assert last("\u306e\u9aa8") != last("\u306e\u9aa8", "zh-Hans")


def test_an_element_may_be_in_a_language_of_its_own(engine: Engine) -> None:
    ours = picture_of(engine, '<span lang="ja">\u9aa8</span>', "zh-Hans")

    assert ours != picture_of(engine, "\u9aa8", "zh-Hans")


def test_a_process_has_one_engine_and_its_children_inherit_it() -> None:
    program = """
import hashlib, os
from app.renderer.engine.engine import Page, load_engine

def digest():
    page = Page("Noto \u65e5\u672c \u0e44\u0e17\u0e22")
    picture = load_engine(None, False).draw(page, (200, 40), 1)
    return hashlib.sha256(picture.packed).hexdigest()

def private_kib():
    rows = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(row.split()[1]) for row in rows if row.startswith("Private_"))

engine = load_engine(None, False)
reader, writer = os.pipe()
if os.fork() == 0:
    same = load_engine(None, False) is engine
    os.write(writer, f"{same} {digest()} {private_kib() < 30_000}".encode())
    os._exit(0)
os.wait()
print(os.read(reader, 999).decode() == f"True {digest()} True")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)

    assert (done.stdout, done.stderr) == (b"True\n", b"")


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "\u017di\u017ekov",
        "a\u0330\u1ab0",
        "\u65e5\u672c caf\u00e9 \u0e44\u0e17\u0e22",
        "\u2603 \u0928\u092e\u0938\u094d\u0924\u0947",
    ],
)
def test_families_left_out_make_no_difference(engine: Engine, text: str) -> None:
    """A text is offered the families that hold its characters, not all of them."""
    whole = object.__new__(Engine)
    whole.__dict__.update(engine.__dict__)
    whole._order = lambda text, region: engine._orders[region]  # type: ignore[method-assign]

    assert picture_of(engine, text) == picture_of(whole, text)


def test_version_names_engine_fonts_and_artwork(engine: Engine) -> None:
    assert engine.version.startswith("pytakumi ")
    assert re.search(" fonts [0-9a-f]{16} ", engine.version)
    assert engine.version.endswith(f"{emoji.VERSION} {line_breaking.VERSION}")
