"""Loading templates: what a folder may hold, and what is said when it is wrong."""

import base64
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import zxingcpp
from PIL import Image, ImageCms
from pydantic import ValidationError

from app.renderer.base import Renderer
from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.fonts import load_fonts
from app.renderer.engine.text_fitting import direction, fitter
from app.renderer.errors import BadParameter, BrokenTemplate, LimitExceeded
from app.renderer.template.template import Template, load_template, load_templates
from app.renderer.template.template_files import read_files

LIMITS = SimpleNamespace(max_image_pixels=1_000_000, render_timeout_s=10.0)
GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "own-template.md"

DECLARATION = """\
title = "Note"
width = 200
height = 100

[parameters.words]
type = "text"
required = true
max_length = 20
example = "Hello"

[parameters.photo]
type = "image"

[parameters.ink]
type = "color"
default = "black"
"""
MARKUP = """\
<style>
.note { width: 200px; height: 100px; background: white; color: {{ ink }}; }
</style>
<div class="note">{{ words }}{% if photo %}<img src="{{ photo }}">{% endif %}</div>
"""

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The engine with the packaged fonts."""
    return Engine(load_fonts(None, system=False))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Makes the folder of a template called note."""

    def make(declaration: str = DECLARATION, markup: str = MARKUP) -> Path:
        folder = tmp_path / "note"
        folder.mkdir(exist_ok=True)
        (folder / "parameters.toml").write_text(declaration, "utf-8")
        (folder / "template.html").write_text(markup, "utf-8")
        return folder

    return make


def picture(format: str = "PNG", size: tuple[int, int] = (8, 8), **kw: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, format, **kw)
    return buffer.getvalue()


def fill(folder: Path, engine: Engine, **values: object) -> Page:
    template = Template(read_files(folder), engine, LIMITS)
    return template.page(template.model(**values), 1)


def test_template_becomes_a_renderer(write: Write, engine: Engine) -> None:
    renderer = load_template(write(), engine, LIMITS)

    picture = renderer.draw(renderer.parameters(words="Hi"), 2)

    assert (renderer.name, renderer.title) == ("note", "Note")
    assert dict(renderer.example) == {"words": "Hello"}
    assert renderer.size == (200, 100)
    assert picture.image.size == (400, 200)


def test_bleed_is_nothing_but_where_it_is_drawn(write: Write, engine: Engine) -> None:
    declared = DECLARATION.replace("[param", 'dpi = 96\nbleed = "10px"\n[param', 1)
    markup = '<b style="position:absolute;left:-{{ bleed }}px">{{ bleed }}</b>'
    template = Template(read_files(write(declared, markup)), engine, LIMITS)
    parameters = template.model(words="Hi")

    assert ">0</b>" in template.page(parameters, 1).body
    assert ">10</b>" in template.page(parameters, 1, bleed=True).body
    assert template.draw(parameters, 2, bleed=True).image.size == (440, 240)


def test_what_changes_with_a_bleed_is_refused(write: Write, engine: Engine) -> None:
    declared = DECLARATION.replace("[param", 'dpi = 96\nbleed = "10px"\n[param', 1)
    wide = MARKUP.replace("width: 200px", "width: 100vw")

    assert load_template(write(DECLARATION, wide), engine, LIMITS).bled is None
    with pytest.raises(BrokenTemplate) as caught:
        load_template(write(declared, wide), engine, LIMITS)
    assert caught.value.line == 2
    assert "use px or %" in caught.value.reason


def test_what_is_drawn_in_the_bleed_alone_is_tried(
    write: Write, engine: Engine
) -> None:
    declared = DECLARATION.replace("[param", 'dpi = 96\nbleed = "10px"\n[param', 1)
    hidden = MARKUP + '{% if bleed %}<img src="ground.png">{% endif %}\n'

    with pytest.raises(BrokenTemplate) as caught:
        load_template(write(declared, hidden), engine, LIMITS)

    assert caught.value.line == 5
    assert "'ground.png' is neither in the folder" in caught.value.reason


def test_template_draws_svg(write: Write, engine: Engine) -> None:
    renderer = load_template(write(), engine, LIMITS)

    assert renderer.vector is not None
    assert renderer.vector(renderer.parameters(words="Hi"), 1).svg.startswith("<svg")


def test_schema_tells_what_a_caller_may_send(write: Write, engine: Engine) -> None:
    schema = load_template(write(), engine, LIMITS).parameters.model_json_schema()

    assert schema["required"] == ["words"]
    assert schema["properties"]["words"]["maxLength"] == 20
    assert schema["properties"]["words"]["examples"] == ["Hello"]
    assert schema["properties"]["ink"]["format"] == "color"
    assert schema["additionalProperties"] is False


def test_a_caller_may_name_the_language(write: Write, engine: Engine) -> None:
    renderer = load_template(write(), engine, LIMITS)

    def drawn(lang: str | None) -> bytes:
        parameters = renderer.parameters(words="\u9aa8\u8fd4", lang=lang)
        return renderer.draw(parameters, 1).image.tobytes()

    assert drawn("ja") != drawn("zh-Hans")
    assert drawn(None) == drawn("zh-Hans")
    assert renderer.parameters(words="x", lang="ZH_hant").lang == "zh-Hant"
    with pytest.raises(ValidationError, match="is not a language tag"):
        renderer.parameters(words="x", lang="Japanese, please")


def test_a_parameter_called_lang_is_the_templates_own(
    write: Write, engine: Engine
) -> None:
    own = '[parameters.lang]\ntype = "text"\nmax_length = 20\n'
    markup = MARKUP.replace("{{ words }}", "{{ words }} in {{ lang }}")
    folder = write(f"{DECLARATION}\n{own}", markup)

    page = fill(folder, engine, words="Written", lang="Japanese, please")

    assert "Written in Japanese, please" in page.body
    assert page.lang is None


def test_canonically_equal_texts_are_one(write: Write, engine: Engine) -> None:
    model = load_template(write(), engine, LIMITS).parameters

    assert model(words="E\u0301mile") == model(words="\u00c9mile")
    assert model(words="e\u0301" * 20).words == "\u00e9" * 20


def test_a_verbatim_text_stays_as_it_was_sent(write: Write, engine: Engine) -> None:
    folder = write(DECLARATION.replace("max_length", "verbatim = true\nmax_length"))
    model = load_template(folder, engine, LIMITS).parameters

    assert model(words="E\u0301").words == "E\u0301"


def test_initial_follows_the_language(write: Write, engine: Engine) -> None:
    folder = write(markup=MARKUP.replace("{{ words }}", "{{ initial(words) }}"))

    assert "\u0130<" in fill(folder, engine, words="irem", lang="tr").body
    assert ">I<" in fill(folder, engine, words="irem").body


FONT = '\n[parameters.face]\ntype = "font"\n'


def test_a_font_is_a_parameter(write: Write, engine: Engine) -> None:
    styled = MARKUP.replace("color: {{ ink }}", "font-family: '{{ face }}'")
    renderer = load_template(write(DECLARATION + FONT, styled), engine, LIMITS)
    model = renderer.parameters

    def drawn(**values: str) -> bytes:
        return renderer.draw(model(words="Ragged", **values), 1).image.tobytes()

    assert model(words="x").face == "Inter"
    assert model(words="x", face="source-serif 4").face == "Source Serif 4"
    assert drawn() == drawn(face="inter") != drawn(face="JetBrains Mono")
    with pytest.raises(ValidationError, match="did you mean 'Heebo'"):
        model(words="x", face="Hebo")


def test_a_default_font_that_is_not_there_breaks_the_template(
    write: Write, engine: Engine
) -> None:
    folder = write(f'{DECLARATION}{FONT}default = "Papyrus"\n')

    with pytest.raises(BrokenTemplate, match="'face': is no font here"):
        load_template(folder, engine, LIMITS)


def test_fit_measures_as_the_options_of_the_text_say(
    write: Write, engine: Engine
) -> None:
    asked = []

    def paragraph(text: str, *options: str) -> object:
        asked.append(options)
        return engine.paragraph(text, *options)

    folder = write(markup="{{ fit(words, 100, 50, 20, 10).size }}")
    ruler = SimpleNamespace(paragraph=paragraph, families=(), covers=engine.covers)

    fill(folder, ruler, words="Hello", lang="ja", emoji="mono")

    assert set(asked) == {("ja", "mono")}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "words"),
        ({"words": ""}, "words"),
        ({"words": " \n "}, "words"),
        ({"words": "\u200b"}, "words"),
        ({"words": "x" * 21}, "words"),
        ({"words": "x", "colour": "red"}, "colour"),
        ({"words": "x", "ink": "no colour"}, "ink"),
    ],
)
def test_bad_parameter_is_named(
    write: Write, engine: Engine, values: dict[str, str], field: str
) -> None:
    renderer = load_template(write(), engine, LIMITS)

    with pytest.raises(ValidationError) as caught:
        renderer.parameters.model_validate_strings(values)

    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


def test_white_space_around_a_text_is_no_part_of_it(
    write: Write, engine: Engine
) -> None:
    declared = DECLARATION + '[parameters.note]\ntype = "text"\nmax_length = 9\n'
    folder = write(declared, "<{{ words }}|{{ note }}>")

    assert fill(folder, engine, words="  a b\n", note=" ").body == "<a b|>"
    assert fill(folder, engine, words="x" * 20 + " ", note="\u200b").body.endswith("|>")


def test_initial_is_a_function_of_templates(write: Write, engine: Engine) -> None:
    folder = write(markup="{{ initial(words) }}")

    assert fill(folder, engine, words="🇩🇪 team").body == "T"


def test_side_of_a_code_is_whole_modules(write: Write, engine: Engine) -> None:
    declared = DECLARATION.replace("max_length = 20", "max_length = 9000")
    folder = write(declared, "{{ qr_side(words, 100, 130) }}")

    assert fill(folder, engine, words="x").body == "84"
    assert fill(folder, engine, words="x" * 200).body == "114"
    with pytest.raises(BadParameter, match="words"):
        fill(folder, engine, words="x" * 300)


def test_markup_in_a_parameter_is_drawn_as_text(write: Write, engine: Engine) -> None:
    page = fill(write(), engine, words="<b>&amp;</b><style>")

    assert "&lt;b&gt;&amp;amp;&lt;/b&gt;&lt;style&gt;" in page.body
    assert len(page.styles) == 1


def test_styles_are_handed_over_apart(write: Write, engine: Engine) -> None:
    page = fill(write(), engine, words="x", ink="#00f")

    assert "<style" not in page.body
    assert "color: #0000ff;" in page.styles[0]


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ('title = "Note"', 'title = "Note', 1, "Illegal character"),
        ("height = 100", "height = 0", 3, "greater than or equal to 1"),
        ('title = "Note"', 'title = "Note"\nheigth = 1', 2, "not known"),
        ('type = "text"', 'type = "words"', 6, "words"),
        ("max_length = 20", "maxlength = 20", 5, "required"),
        ("max_length = 20", "max_length = 20\nmin = 1", 9, "not known"),
        ('example = "Hello"', 'example = "' + "x" * 21 + '"', 9, "20 characters"),
        ('example = "Hello"', "", 5, "needs an example"),
        ('default = "black"', 'default = "blakc"', 16, "is not a colour"),
        ("[parameters.ink]", "[parameters.Ink]", 14, "is no name"),
        ("[parameters.ink]", "[parameters.copy]", 14, "something else"),
        ("[parameters.ink]", "[parameters.fit]", 14, "something else"),
    ],
)
def test_broken_declaration_names_file_and_line(
    write: Write, engine: Engine, old: str, new: str, line: int, reason: str
) -> None:
    folder = write(DECLARATION.replace(old, new, 1))

    with pytest.raises(BrokenTemplate) as caught:
        load_template(folder, engine, LIMITS)

    assert (caught.value.file, caught.value.line) == ("note/parameters.toml", line)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("markup", "line", "reason"),
    [
        ("<p>\n{% if words %}\n</p>", 3, "endif"),
        ("<p>\n\n{{ wrods }}</p>", 3, "'wrods' is not a parameter"),
        ("<p>\n{% if photo %}{{ wrods }}{% endif %}</p>", 2, "'wrods'"),
        ("<style>\n\n.a { color: {{ inkk }}; }\n</style>", 3, "'inkk'"),
        ("<p>\n{{ words.nothing }}</p>", 2, "nothing"),
        ("<p>\n{{ words | shout }}</p>", 2, "shout"),
        ("<p>\n{{ photo | length }}</p>", 2, "TypeError"),
        ("<p>\n{% include 'other.html' %}</p>", 2, "other files"),
        ("<p>\n<img src='logo.png'></p>", 2, "'logo.png'"),
        ("<p>\n{{ words | random }}</p>", 2, "random"),
        ("<p>\n{{ fit(words, 1) }}</p>", 2, "TypeError"),
        ("<p>{{ words }}\n{{ ''.__class__ }}</p>", 2, "unsafe"),
    ],
)
def test_broken_markup_names_file_and_line(
    write: Write, engine: Engine, markup: str, line: int, reason: str
) -> None:
    folder = write(markup=markup)

    with pytest.raises(BrokenTemplate) as caught:
        load_template(folder, engine, LIMITS)

    assert (caught.value.file, caught.value.line) == ("note/template.html", line)
    assert reason in caught.value.reason


@pytest.mark.parametrize("file", ["template.html", "parameters.toml"])
def test_missing_file_is_named(write: Write, engine: Engine, file: str) -> None:
    folder = write()
    (folder / file).unlink()

    with pytest.raises(BrokenTemplate) as caught:
        load_template(folder, engine, LIMITS)

    assert caught.value.file == f"note/{file}"
    assert caught.value.reason.startswith("is missing: ")


def test_file_that_is_not_utf8_names_its_line(write: Write, engine: Engine) -> None:
    folder = write()
    (folder / "template.html").write_bytes(b"<p>\n\xff</p>")

    with pytest.raises(BrokenTemplate) as caught:
        load_template(folder, engine, LIMITS)

    assert (caught.value.line, caught.value.reason) == (2, "is not UTF-8")


def test_files_of_a_template_may_begin_with_a_byte_order_mark(
    write: Write, engine: Engine
) -> None:
    folder = write()
    plain = load_template(folder, engine, LIMITS)
    for file in ("template.html", "parameters.toml"):
        text = (folder / file).read_text("utf-8")
        (folder / file).write_text(text, "utf-8-sig")

    marked = load_template(folder, engine, LIMITS)

    assert marked.parameters.model_json_schema() == plain.parameters.model_json_schema()


def test_markup_that_fails_only_for_some_values_names_its_line(
    write: Write, engine: Engine
) -> None:
    folder = write(markup="<p>\n{{ words[4] }}</p>")
    renderer = load_template(folder, engine, LIMITS)

    with pytest.raises(BrokenTemplate) as caught:
        renderer.draw(renderer.parameters(words="Hi"), 1)

    assert caught.value.line == 2


def test_broken_template_leaves_the_others_alone(
    write: Write, engine: Engine, tmp_path: Path
) -> None:
    good = write()
    shutil.copytree(good, tmp_path / "bad")
    (tmp_path / "bad" / "template.html").write_text("{{")
    shutil.copytree(good, tmp_path / "Upper")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("Notes.")

    renderers, broken = load_templates(tmp_path, engine, LIMITS)

    assert list(renderers) == ["note"]
    assert sorted(broken) == ["Upper", "bad"]


def test_edit_changes_the_version(write: Write, engine: Engine) -> None:
    first = load_template(write(), engine, LIMITS)
    again = load_template(write(), engine, LIMITS)

    edited = load_template(write(markup=MARKUP + "<p>!</p>"), engine, LIMITS)

    assert first.version == again.version
    assert first.version != edited.version


def test_picture_of_the_folder_is_handed_over(write: Write, engine: Engine) -> None:
    folder = write(markup='<img src="logo.png">{{ words }}')
    (folder / "logo.png").write_bytes(picture())

    page = fill(folder, engine, words="x")

    assert page.images == {"logo.png": picture()}


def test_whole_number_reads_without_fraction(write: Write, engine: Engine) -> None:
    declared = DECLARATION + '[parameters.count]\ntype = "number"\nmin = 0\nmax = 9\n'
    folder = write(declared, "{{ words }}{{ count }}")

    assert fill(folder, engine, words="n=", count=3.0).body == "n=3"
    assert fill(folder, engine, words="n=", count=2.5).body == "n=2.5"


def image_renderer(write: Write, engine: Engine) -> Renderer:
    return load_template(write(), engine, LIMITS)


def sent(write: Write, engine: Engine, data: bytes, scale: float = 1) -> Image.Image:
    template = Template(read_files(write()), engine, LIMITS)
    page = template.page(template.model(words="x", photo=data), scale)
    return Image.open(io.BytesIO(page.images["photo"]))


def test_image_is_shrunk_to_what_the_canvas_needs(write: Write, engine: Engine) -> None:
    data = picture(size=(800, 800))

    assert sent(write, engine, data).size == (200, 200)
    assert sent(write, engine, data, scale=2).size == (400, 400)
    assert sent(write, engine, picture(size=(20, 10))).size == (20, 10)


def test_image_is_turned_upright(write: Write, engine: Engine) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = picture("JPEG", (40, 20), exif=exif)

    assert sent(write, engine, data).size == (20, 40)


def test_photograph_with_a_preview_is_a_still_image(
    write: Write, engine: Engine
) -> None:
    preview = Image.new("RGB", (4, 4))
    data = picture("MPO", (40, 20), save_all=True, append_images=[preview])

    assert sent(write, engine, data).size == (40, 20)


def test_colour_profile_is_applied(write: Write, engine: Engine) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = picture("PNG", (4, 4), icc_profile=profile)

    image = sent(write, engine, data)

    assert "icc_profile" not in image.info
    assert image.getpixel((1, 1)) == (255, 0, 0)


def test_broken_colour_profile_is_passed_by(write: Write, engine: Engine) -> None:
    data = picture("PNG", (4, 4), icc_profile=b"nonsense")

    assert sent(write, engine, data).getpixel((1, 1)) == (255, 0, 0)


def test_transparency_survives(write: Write, engine: Engine) -> None:
    buffer = io.BytesIO()
    Image.new("LA", (4, 4), (200, 100)).save(buffer, "PNG")

    image = sent(write, engine, buffer.getvalue())

    assert image.convert("RGBA").getpixel((1, 1)) == (200, 200, 200, 100)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<svg/>", "SVG"),
        (b"\1\2\3\4", "known format"),
        (picture(size=(300, 300))[:300], "damaged"),
        (picture("JPEG", (300, 300))[:400], "damaged"),
        (picture("GIF")[:15], "known format|damaged"),
    ],
)
def test_image_that_cannot_be_used_is_named(
    write: Write, engine: Engine, data: bytes, reason: str
) -> None:
    renderer = image_renderer(write, engine)
    parameters = renderer.parameters(words="x", photo=data)

    with pytest.raises(BadParameter) as caught:
        renderer.draw(parameters, 1)

    assert caught.value.faults[0].field == "photo"
    assert re.search(reason, caught.value.faults[0].reason)


def test_image_with_too_many_pixels_is_refused(write: Write, engine: Engine) -> None:
    renderer = image_renderer(write, engine)
    parameters = renderer.parameters(words="x", photo=picture(size=(1001, 1000)))

    with pytest.raises(LimitExceeded) as caught:
        renderer.draw(parameters, 1)

    assert (caught.value.field, caught.value.value) == ("photo", 1_001_000)
    assert caught.value.limit == "MIMEO_MAX_IMAGE_PIXELS"


@pytest.mark.parametrize("size", [(1, 49_999), (900_000, 1)])
def test_image_too_thin_to_draw_is_named(
    write: Write, engine: Engine, size: tuple[int, int]
) -> None:
    renderer = image_renderer(write, engine)
    parameters = renderer.parameters(words="x", photo=picture(size=size))

    with pytest.raises(BadParameter) as caught:
        renderer.draw(parameters, 1)

    assert caught.value.faults[0].field == "photo"


@pytest.mark.parametrize("size", [(8192, 1), (1, 8192), (20_000, 40)])
def test_long_image_can_be_drawn(
    write: Write, engine: Engine, size: tuple[int, int]
) -> None:
    renderer = image_renderer(write, engine)

    renderer.draw(renderer.parameters(words="x", photo=picture(size=size)), 1)


def test_text_too_long_for_its_qr_code_is_named(write: Write, engine: Engine) -> None:
    declared = DECLARATION.replace("max_length = 20", "max_length = 9000")
    folder = write(declared, '<img src="{{ qr_code(words) }}">{{ ink }}')
    renderer = load_template(folder, engine, LIMITS)

    with pytest.raises(BadParameter) as caught:
        renderer.draw(renderer.parameters(words="x" * 4000), 1)

    assert caught.value.faults[0].field == "words"


CODES = """\
<div style="display:flex;background:white;color:{{ ink }}">
<img src="{{ qr_code(words, dark='navy', light='#fff', margin=4) }}"
 style="width:150px;height:150px"><img src="{{ qr_code(words ~ '2', light='white',
 margin=4) }}" style="width:150px;height:150px">{{ words }}</div>
"""


def test_codes_stand_in_the_svg_as_in_pixels(write: Write, engine: Engine) -> None:
    big = DECLARATION.replace("width = 200", "width = 400").replace(
        "height = 100", "height = 150"
    )
    renderer = load_template(write(big, CODES), engine, LIMITS)
    # The sides of both codes are equal, and a text may look like one of them.
    words = 'src="data:image/svg'
    parameters = renderer.parameters(words=words)

    picture = renderer.draw(parameters, 1)
    vector = renderer.vector(parameters, 1)

    found = zxingcpp.read_barcodes(picture.image.convert("L"))
    assert sorted(code.text for code in found) == [words, f"{words}2"]
    painted = vector.paint(vector.svg, picture.image.size)
    again = zxingcpp.read_barcodes(painted.convert("L"))
    assert sorted(code.text for code in again) == [words, f"{words}2"]
    assert b"#000080" in base64.b64decode(re.findall('base64,([^"]*)', vector.svg)[0])


def test_a_drawing_of_the_templates_own_is_left_as_it_is(
    write: Write, engine: Engine
) -> None:
    drawings = [
        b'<svg id="0" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
        b'<path d="M0 0h9v9z"/></svg>',
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>',
        b'<svg xmlns="http://www.w3.org/2000/svg" class="a>b" viewBox="0 0 9 9">'
        b'<path d="M0 0h9v9z"/></svg>',
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="5"'
        b' height="5"><rect width="5" height="5"/></svg>',
        b'<svg xmlns="http://www.w3.org/2000/svg" width="5" height="5">'
        b'<rect width="5" height="5"/></svg>',
    ]
    sources = [base64.b64encode(drawing).decode() for drawing in drawings]
    images = "".join(
        f'<img src="data:image/svg+xml;base64,{source}">' for source in sources
    )
    renderer = load_template(
        write(DECLARATION, images + "{{ words }}{{ ink }}"), engine, LIMITS
    )

    svg = renderer.vector(renderer.parameters(words="x"), 1).svg

    assert all(source in svg for source in sources)


BARS = """\
{% set bars = bar_code(words, kind, 180, 90) %}
<div style="width:200px;height:100px;background:white"><img src="{{ bars.src }}"
style="width:{{ bars.width }}px;height:{{ bars.height }}px">{{ ink }}</div>
"""


@pytest.fixture
def bars(write: Write, engine: Engine) -> Renderer:
    """A template with a barcode of any kind."""
    kind = '[parameters.kind]\ntype = "text"\nmax_length = 20\ndefault = "code128"\n'
    declared = DECLARATION.replace("max_length = 20", "max_length = 9000")
    return load_template(write(declared + kind, BARS), engine, LIMITS)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "words", "expected"),
    [
        ("code128", "Shelf 7", "Shelf 7"),
        ("EAN-13", "590123412345", "5901234123457"),
        ("datamatrix", "Größe 中", "Größe 中"),
    ],
)
def test_barcode_in_a_template_reads_back(
    bars: Renderer, kind: str, words: str, expected: str, scale: float
) -> None:
    picture = bars.draw(bars.parameters(words=words, kind=kind), scale)

    (found,) = zxingcpp.read_barcodes(picture.image.convert("L"))
    assert found.text == expected
    said = ["words: check digit 7 was added"] if kind == "EAN-13" else None
    assert picture.facts.get("warnings") == said


@pytest.mark.parametrize(
    ("kind", "words", "reason"),
    [
        ("ean13", "5901234123450", "the check digit of EAN-13 is 7"),
        ("code128", "x" * 50, "has no room as a barcode: its width"),
        ("aztec", "x" * 5000, "at most 3832"),
    ],
)
def test_text_that_is_no_barcode_names_its_parameter(
    bars: Renderer, kind: str, words: str, reason: str
) -> None:
    with pytest.raises(BadParameter) as caught:
        bars.draw(bars.parameters(words=words, kind=kind), 1)

    (fault,) = caught.value.faults
    assert fault.field == "words"
    assert reason in fault.reason


def test_a_symbology_that_is_not_known_breaks_the_template(bars: Renderer) -> None:
    with pytest.raises(BrokenTemplate, match="symbology: is not known"):
        bars.draw(bars.parameters(words="7", kind="code 7"), 1)


def test_required_image_has_an_example(write: Write, engine: Engine) -> None:
    declared = DECLARATION.replace('type = "image"', 'type = "image"\nrequired = true')

    renderer = load_template(write(declared), engine, LIMITS)

    encoded = renderer.example["photo"].partition("base64,")[2]
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "ltr"),
        ("Hello שלום", "ltr"),
        ("12 שלום", "rtl"),
        ("«مرحبا» Hello", "rtl"),
        ("123 !", "ltr"),
    ],
)
def test_direction_follows_the_first_strong_character(text: str, expected: str) -> None:
    assert direction(text) == expected


def test_short_text_takes_the_largest_size(engine: Engine) -> None:
    assert fitter(engine)("Hi", 400, 200, 90, 20).size == 90


def test_longer_text_is_never_set_larger(engine: Engine) -> None:
    fit = fitter(engine)

    sizes = [fit("word " * count, 400, 200, 90, 20).size for count in range(1, 40, 3)]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]


def test_long_word_is_shrunk_before_it_is_broken(engine: Engine) -> None:
    found = fitter(engine)("Wolfeschlegelsteinhausen", 400, 200, 90, 20)

    assert 20 < found.size < 40
    assert found.height < 2 * found.size


def test_what_fits_at_no_size_is_cut(engine: Engine) -> None:
    found = fitter(engine)("word " * 400, 400, 100, 90, 20)

    assert (found.size, found.lines) == (20, 4)
    assert "line-clamp:4" in found.css


def test_lines_are_capped(engine: Engine) -> None:
    found = fitter(engine)("some words in a row", 300, 300, 90, 10, lines=1)

    assert found.lines == 1
    assert found.height <= 1.2 * found.size + 1


def test_example_of_the_guide_works(tmp_path: Path, engine: Engine) -> None:
    blocks = dict(
        re.findall(
            r"^```(toml|html)(?:\+jinja)?\n(.*?)^```", GUIDE.read_text(), re.M | re.S
        )
    )
    folder = tmp_path / "ticket"
    folder.mkdir()
    (folder / "parameters.toml").write_text(blocks["toml"])
    (folder / "template.html").write_text(blocks["html"])

    renderer = load_template(folder, engine, LIMITS)

    parameters = renderer.parameters.model_validate_strings(dict(renderer.example))
    assert renderer.draw(parameters, 1).image.size == renderer.size


def test_emoji_are_an_option_of_every_template(write: Write, engine: Engine) -> None:
    renderer = load_template(write(), engine, LIMITS)
    color, mono = (
        renderer.draw(renderer.parameters(words="\U0001f680", emoji=style), 1)
        for style in ("color", "mono")
    )

    assert color.facts.keys() == {"attribution"}
    assert "attribution" not in mono.facts
    assert color.packed != mono.packed


def test_an_own_parameter_called_emoji_is_the_templates(
    write: Write, engine: Engine
) -> None:
    own = '[parameters.emoji]\ntype = "text"\nmax_length = 40\nexample = "mono"\n'
    folder = write(f"{DECLARATION}\n{own}", f"{MARKUP}{{{{ emoji }}}}")

    page = fill(folder, engine, words="Hi", emoji="anything \U0001f680")

    assert "anything \U0001f680" in page.body
    assert page.emoji == "color"


def test_a_fitted_text_makes_room_for_its_emoji(write: Write, engine: Engine) -> None:
    markup = "{% set f = fit(words, 80, 30, 24, 8, lines=1) %}<b>{{ f.size }}</b>"
    folder = write(markup=markup)

    plain, drawn = (
        fill(folder, engine, words=words).body
        for words in ("ab", "ab\U0001f680\U0001f680\U0001f680")
    )

    assert plain == "<b>24</b>"
    assert drawn not in (plain, "<b>8</b>")


def test_a_clipped_text_is_reported_by_its_parameter(
    write: Write, engine: Engine
) -> None:
    markup = (
        "{% set a = fit(words | upper, 90, 20, 20, 9, lines=1) %}"
        "{% set b = fit('of the template itself', 30, 9, 8, 8, lines=1) %}"
    )
    template = Template(read_files(write(markup=markup)), engine, LIMITS)
    parameters = template.model(words="many words in here")

    drawn = template.draw(parameters, 1).facts

    assert drawn == {"text_clipped": {"text": "cut", "words": "cut"}}
    assert template.preflight(parameters, True) == drawn
    assert template.preflight(parameters, False) == {}


PAGES = """\
title = "List"
width = 100
height = 50
pages = true

[parameters.title]
type = "text"
required = true
max_length = 20
example = "Hello"

[parameters.rows]
type = "table"
max_rows = 500
example = [{ name = "Tea", count = 2 }]

[parameters.rows.columns.name]
type = "text"
required = true
max_length = 20
example = "Tea"

[parameters.rows.columns.count]
type = "number"
default = 1
"""
LIST = """\
{% set split = paginate([20] * rows | length, 30, 40) %}
{% set pages = split | length %}
{% for row in rows[split[page - 1][0]:split[page - 1][1]] %}
<p>{{ row.count }} {{ row.name }} {{ lang }}</p>
{% endfor %}
"""


def test_markup_of_several_pages_draws_the_one_that_is_asked_for(
    write: Write, engine: Engine
) -> None:
    made = Template(read_files(write(PAGES, LIST)), engine, LIMITS)
    rows = [{"name": f"Tea {number}"} for number in range(4)]
    given = {"title": "T", "rows": rows, "lang": "de"}

    first, third = (made.page(made.model(**given, page=page), 1) for page in (None, 3))

    assert first.body.split() == ["<p>1", "Tea", "0", "de</p>"]
    assert third.body.split() == ["<p>1", "Tea", "3", "de</p>"]
    assert first.facts == third.facts == {"pages": 3}
    with pytest.raises(BadParameter, match="page: is 4, and the last one is 3"):
        made.page(made.model(**given, page=4), 1)


def test_more_than_a_hundred_pages_name_the_table(write: Write, engine: Engine) -> None:
    made = Template(read_files(write(PAGES, LIST)), engine, LIMITS)
    rows = [{"name": "Tea"} for _ in range(210)]

    with pytest.raises(BadParameter, match="rows: takes 106 pages"):
        made.page(made.model(title="T", rows=rows), 1)


@pytest.mark.parametrize(
    ("declaration", "markup", "reason"),
    [
        (PAGES, LIST.replace("set pages", "set leaves"), "does not set 'pages'"),
        (PAGES.replace("pages = true", ""), LIST, "'page' is not a parameter"),
        (PAGES.replace("max_rows = 500", ""), LIST, "'max_rows' of 'rows'"),
        (PAGES.replace("columns.count", "columns.items"), LIST, "'items' cannot be"),
        (PAGES.replace("parameters.title", "parameters.page"), LIST, "'page' already"),
        (PAGES.replace("count = 2", "amount = 2"), LIST, "row 1, amount: is not known"),
        (PAGES.replace('"number"', '"image"'), LIST, "'type' of 'rows'"),
    ],
)
def test_faults_of_tables_and_pages_are_found(
    write: Write, engine: Engine, declaration: str, markup: str, reason: str
) -> None:
    with pytest.raises(BrokenTemplate, match=reason):
        load_template(write(declaration, markup), engine, LIMITS)
