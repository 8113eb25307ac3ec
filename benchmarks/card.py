"""The cards that every contender draws, and their parts for the other engines."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlencode

import uharfbuzz as hb  # type: ignore[import-untyped]

from app.config import Settings
from app.renderer.base import Encoded, Output, Renderer
from app.renderer.catalogue import PACKAGED, Catalogue
from app.renderer.engine.engine import Engine
from app.renderer.engine.fonts import Fonts, load_fonts
from app.renderer.produce import produce as draw_and_encode
from app.renderer.template.template import Template

INTER = "Inter[opsz,wght].ttf"
OUTPUT = Output.model_validate({"format": "png"})
# The optical size that Mimeo's engine draws; newer ones follow the font size.
OPSZ = 14
WEIGHTS = (400, 500, 600, 700, 800)
SIZE = (1200, 630)
# Flat shapes beside text, as Mimeo's own card; and text in a box on a gradient, as the
# cards of most sites, which is harder to compress.
FOLDERS: Mapping[str, Path] = MappingProxyType(
    {
        "card": PACKAGED / "card",
        "poster": Path(__file__).parent / "templates" / "poster",
    }
)
# The number makes each card a new one.
TITLE = "Issue {n}: many pictures leave one stencil"
PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "title": TITLE.format(n=12345678),
        "subtitle": "A self-hosted server for generated images, by URL or as JSON",
        "tag": "Release",
        "author": "Ada Lovelace",
    }
)


def path(base: str) -> str:
    """Return the path of the card with `{n}` for the number in its title."""
    query = urlencode(dict(PARAMETERS) | {"title": TITLE}, quote_via=quote)
    return f"{base}?{query}".replace(quote("{n}"), "{n}")


@cache
def renderer() -> Renderer:
    """Return Mimeo's card renderer."""
    return Catalogue(Settings(store="none")).get("card")


def produce(number: int) -> Encoded:
    """Draw and encode the card of this number, as the server does."""
    values = dict(PARAMETERS) | {"title": TITLE.format(n=number)}
    parameters = renderer().parameters.model_validate_strings(values)
    return draw_and_encode(renderer(), parameters, OUTPUT)


def export(folder: Path, name: str = "card") -> None:
    """Write a card's page, parameters and fonts for the node servers."""
    fonts = load_fonts(None, system=False)
    [inter] = [face for face in fonts.faces if face.path.name == INTER]
    _export_page(folder, FOLDERS[name], fonts, inter.path)
    _export_faces(folder, inter.path)
    (folder / "card.json").write_text(
        json.dumps({**PARAMETERS, "size": SIZE, "card": name})
    )


def _export_page(folder: Path, source: Path, fonts: Fonts, font: Path) -> None:
    """Takumi draws the very markup that Mimeo draws, with the title as a mark."""
    template = Template(source, Engine(fonts), Settings())
    parameters = template.model.model_validate_strings(dict(PARAMETERS))
    page = template.page(parameters, 1)
    _instance(font, {"opsz": OPSZ}, folder / "inter.ttf")
    parts = {
        "size": SIZE,
        "mark": PARAMETERS["title"],
        "html": page.body,
        "styles": page.styles,
        "fonts": ["inter.ttf"],
    }
    (folder / "page.json").write_text(json.dumps(parts))


def _export_faces(folder: Path, font: Path) -> None:
    """satori draws a variable font at its default weight: give it static ones."""
    faces = []
    for weight in WEIGHTS:
        file = f"inter-{weight}.ttf"
        _instance(font, {"opsz": OPSZ, "wght": weight}, folder / file)
        face = {"name": "Inter", "weight": weight, "style": "normal", "file": file}
        faces.append(face)
    (folder / "fonts.json").write_text(json.dumps(faces))


def _instance(font: Path, axes: Mapping[str, float], target: Path) -> None:
    """Write the font with these axes fixed, all else kept."""
    face = hb.Face(hb.Blob.from_file_path(str(font)))
    plan = hb.SubsetInput()
    plan.keep_everything()
    for tag, value in axes.items():
        plan.pin_axis_location(face, tag, value)
    target.write_bytes(hb.subset(face, plan).blob.data)
