"""The command line makes the pictures that the server makes, or names the option."""

import io
import json

import pytest
from PIL import Image

from app.cli.main import main
from app.image_request import from_strings
from app.renderer.produce import produce

SOLID = ("render", "solid", "--width", "20", "--height=10", "--color", "f00")


pytestmark = pytest.mark.usefixtures("alone")


def complaint(capsys, *arguments: str) -> str:
    """Run a command that must be refused; return what it says."""
    status = main(arguments)
    captured = capsys.readouterr()

    assert status == 2
    assert captured.out == ""
    assert captured.err.startswith("mimeo: ")
    return captured.err


def test_render_writes_the_format_of_the_ending(tmp_path):
    status = main([*SOLID, "-o", "red.webp"])

    with Image.open(tmp_path / "red.webp") as image:
        assert (status, image.format, image.size) == (0, "WEBP", (20, 10))


def test_render_and_the_server_make_the_same_bytes(tmp_path, catalogue, settings):
    main([*SOLID, "--output", "red.png"])

    pairs = (("width", "20"), ("height", "10"), ("color", "f00"))
    request = from_strings(catalogue.get("solid"), pairs, "png", settings)
    served = produce(request.renderer, request.parameters, request.output)
    assert (tmp_path / "red.png").read_bytes() == served.data


def test_output_options_are_taken_beside_parameters(tmp_path):
    main([*SOLID, "--scale", "2", "--quality=50", "-o", "red.jpeg"])

    with Image.open(tmp_path / "red.jpeg") as image:
        assert (image.format, image.size) == ("JPEG", (40, 20))


def test_format_goes_before_the_ending(tmp_path):
    main([*SOLID, "--format", "gif", "-o", "red.data"])

    with Image.open(tmp_path / "red.data") as image:
        assert image.format == "GIF"


def test_a_minus_writes_png_to_standard_output(capfdbinary):
    main([*SOLID, "-o", "-"])

    with Image.open(io.BytesIO(capfdbinary.readouterr().out)) as image:
        assert image.format == "PNG"


def test_a_name_with_at_reads_text_from_a_file(tmp_path):
    (tmp_path / "page.html").write_text("<p style='color: red'>Grüße</p>")
    sizes = ("--width", "60", "--height", "20")

    main(["render", "html", "--html@", "page.html", *sizes, "-o", "file.png"])
    text = "<p style='color: red'>Grüße</p>"
    main(["render", "html", "--html", text, *sizes, "-o", "text.png"])

    file = (tmp_path / "file.png").read_bytes()
    assert file == (tmp_path / "text.png").read_bytes()


def test_a_name_with_at_reads_an_image_from_a_file(tmp_path):
    Image.new("RGB", (8, 8), "lime").save(tmp_path / "photo.png")

    main(["render", "card", "--title", "A", "--image@", "photo.png", "-o", "with.png"])
    main(["render", "card", "--title", "A", "-o", "without.png"])

    file = (tmp_path / "with.png").read_bytes()
    assert file != (tmp_path / "without.png").read_bytes()


def test_a_value_may_begin_with_an_at_or_a_minus(tmp_path):
    main(["render", "card", "--title", "@mimeo", "--subtitle=--", "-o", "card.png"])

    with Image.open(tmp_path / "card.png") as image:
        assert image.size == (1200, 630)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--width", "wide"), "--width: "),
        (
            ("--widht", "20"),
            "--widht: is not known (did you mean width?); known are width",
        ),
        (("--scale", "9"), "--scale: "),
        (("--quality", "5"), "--quality: "),
        (("--width",), "--width: needs a value"),
        (("--width", "9000"), "MIMEO_MAX_SIDE"),
        (("wide",), "wide: is not an option"),
        (("--color@", "none.txt"), "--color@: none.txt: No such file"),
        (("-o", "second.png"), "-o FILE: give one file"),
    ],
)
def test_a_wrong_option_is_named(capsys, tmp_path, arguments, said):
    text = complaint(capsys, "render", "solid", "-o", "red.png", *arguments)

    assert said in text
    assert not (tmp_path / "red.png").exists()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("red.bmp", "the ending must be one of avif, "),
        ("red", "the ending must be one of "),
        ("nowhere/red.png", "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(capsys, file, said):
    text = complaint(capsys, *SOLID, "-o", file)

    assert text.startswith(f"mimeo: -o {file}: ")
    assert said in text


def test_an_unknown_renderer_is_named(capsys):
    assert "'carde'" in complaint(capsys, "render", "carde", "-o", "a.png")


def test_a_bad_setting_is_named(capsys, monkeypatch):
    monkeypatch.setenv("MIMEO_MAX_SIDE", "big")

    assert "MIMEO_MAX_SIDE='big'" in complaint(capsys, *SOLID, "-o", "red.png")


def test_characters_without_a_glyph_are_reported(capsys):
    status = main(["render", "card", "--title", "\U00012000", "-o", "card.png"])

    assert status == 0
    assert "U+12000" in capsys.readouterr().err


def test_fonts_are_listed(capsys):
    status = main(["fonts"])

    assert status == 0
    weights = "100 to 900 normal and italic"
    inter = f"Inter: Latin, Greek, Cyrillic; {weights}; OFL-1.1; packaged"
    lines = capsys.readouterr().out.splitlines()
    assert inter in lines
    assert lines[-1].startswith("Twemoji: ")
    assert "CC-BY 4.0" in lines[-1]


def test_fonts_are_listed_for_programs(capsys):
    main(["fonts", "--json"])

    rows = json.loads(capsys.readouterr().out)
    assert next(row for row in rows if row["name"] == "Inter")["weights"] == [100, 900]


def test_help_of_a_renderer_lists_its_parameters(capsys):
    status = main(["render", "solid", "--help"])

    out = capsys.readouterr().out
    assert status == 0
    assert "--color" in out and "--width" in out


def test_renderers_are_listed_with_their_parameters(capsys, catalogue):
    status = main(["renderers"])

    out = capsys.readouterr().out
    assert status == 0
    assert all(f"{name}: " in out for name in catalogue.names())


def test_renderers_as_json_hold_the_schema(capsys, catalogue):
    main(["renderers", "--json"])

    rows = json.loads(capsys.readouterr().out)
    assert tuple(row["name"] for row in rows) == catalogue.names()
    assert all(row["parameters"]["type"] == "object" for row in rows)


def test_a_broken_template_is_reported_beside_the_list(capsys, monkeypatch, tmp_path):
    folder = tmp_path / "templates" / "mine"
    folder.mkdir(parents=True)
    (folder / "parameters.toml").write_text("title = \n")
    (folder / "template.html").write_text("<p></p>")
    monkeypatch.setenv("MIMEO_TEMPLATES", str(tmp_path / "templates"))

    status = main(["renderers"])

    assert status == 0
    assert "mine/parameters.toml, line 1" in capsys.readouterr().err
