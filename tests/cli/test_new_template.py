"""`mimeo new template` makes a folder that is drawn, and touches nothing there is."""

import json
from pathlib import Path

import pytest
from PIL import Image

from app.cli import new_template
from app.cli.exit_status import ExitStatus
from app.cli.main import main

pytestmark = pytest.mark.usefixtures("alone")


def new(*arguments: str) -> int:
    return main(["new", "template", *arguments])


def everything() -> dict[str, bytes]:
    files = (each for each in Path().rglob("*") if each.is_file())
    return {str(each): each.read_bytes() for each in files}


@pytest.mark.parametrize("origin", ["badge", "card", "certificate", "invoice"])
def test_a_new_template_draws_what_it_is_copied_of(monkeypatch, origin):
    assert new("mine", "--from", origin) == ExitStatus.DONE

    monkeypatch.setenv("MIMEO_TEMPLATES", "templates")
    example = {
        "badge": ("--name", "Ada"),
        "card": ("--title", "Ada"),
        "certificate": ("--name", "Ada", "--course", "Of merit"),
        "invoice": ("--number", "1", "--seller", "A", "--buyer", "B", "--items", "[]"),
    }[origin]
    assert main(["render", "mine", *example, "-o", "mine.png"]) == ExitStatus.DONE
    main(["render", origin, *example, "-o", "origin.png"])
    with Image.open("mine.png") as mine, Image.open("origin.png") as other:
        assert mine.tobytes() == other.tobytes()


def test_a_new_template_has_a_title_of_its_own_and_the_next_step_is_said(capsys):
    new("my-badge")

    said = capsys.readouterr()
    assert (
        'title = "My badge"\n' in Path("templates/my-badge/parameters.toml").read_text()
    )
    assert said.out.splitlines() == [
        "templates/my-badge/parameters.toml",
        "templates/my-badge/template.html",
    ]
    assert "mimeo preview my-badge --templates templates" in said.err


def test_a_new_template_goes_where_mimeo_templates_says(capsys, monkeypatch, tmp_path):
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("MIMEO_TEMPLATES", "own")

    new("mine", "--json")
    new("other", "--from", "mine", "--json")

    made = capsys.readouterr().out.replace("}\n{", "}\0{").split("\0")
    assert [json.loads(each)["name"] for each in made] == ["mine", "other"]
    assert json.loads(made[0])["folder"] == str(tmp_path / "own" / "mine")
    assert (tmp_path / "own" / "other" / "template.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("badge",), "badge: is a renderer already"),
        (("qr",), "qr: is a renderer already"),
        (("there",), "own/there: is there already"),
        (("broken",), "broken: is a renderer already"),
        (("link",), "own/link: is there already"),
        (("dangling",), "own/dangling: is there already"),
        (("file",), "own/file: is there already"),
        (("../mine",), "../mine: a template's name must be a to z"),
        (("/tmp/mine",), "/tmp/mine: a template's name must be a to z"),
        (("Mine",), "Mine: a template's name must be a to z"),
        (("",), ": a template's name must be a to z"),
        (("x" * 41,), "up to 40"),
        (("mine\n",), "a template's name must be a to z"),
        (("mine", "--from", "solid"), "--from solid: is none of the templates address"),
        (("mine", "--from", "../own"), "--from ../own: is none of the templates"),
        (("mine", "--into", ""), "--into : there is no such folder"),
        (("mine", "--into", "nowhere"), "--into nowhere: there is no such folder"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(
    capsys, monkeypatch, tmp_path, catalogue, arguments, said
):
    own = tmp_path / "own"
    (own / "there").mkdir(parents=True)
    (own / "there" / "template.html").write_text("<p></p>")
    (own / "file").write_text("")
    (own / "link").symlink_to(own / "there")
    (own / "dangling").symlink_to(tmp_path / "nowhere")
    into = () if "--into" in arguments else ("--into", "own")
    if arguments[0] == "broken":
        (own / "broken").mkdir()
        monkeypatch.setenv("MIMEO_TEMPLATES", "own")
    else:
        # One that is loaded: a second for each of these cases.
        monkeypatch.setattr(new_template, "open_catalogue", lambda *_: catalogue)
    before = everything()

    status = new(*arguments, *into)

    assert status == ExitStatus.MISUSE
    assert said in capsys.readouterr().err
    assert everything() == before
    assert not (tmp_path / "nowhere").exists()
