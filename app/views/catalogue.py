"""What can be drawn: `/renderers`, with what: `/fonts`, what can fail: `/problems`."""

from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.config import Settings
from app.delivery.answer import send_page
from app.parsing.accept import JSON
from app.problems import PROBLEMS, ProblemType
from app.renderer.base import Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.engine import emoji
from app.renderer.engine.families import Family
from app.renderer.errors import BrokenTemplate
from app.renderer.paper import POINTS, Paper
from app.renderer.produce import formats
from app.views.body import refuse_words


def blueprint(catalogue: Catalogue, settings: Settings) -> Blueprint:
    """Return the routes of the catalogue."""
    bp = Blueprint("catalogue", __name__)
    tracking = settings.tracking_names

    @bp.get("/renderers")
    def index() -> Response:
        """List all renderers, and the templates that cannot be used."""
        renderers, broken = catalogue.listed()
        return _json(
            {
                "renderers": list(map(summary, renderers)),
                "broken": list(map(fault, broken)),
            },
            tracking,
        )

    @bp.get("/renderers/<path:name>")
    def show(name: str) -> Response:
        """Describe one renderer: JSON Schema of its parameters, output, example."""
        # A saved template draws by the name of its version.
        named = replace(catalogue.get(name), name=name)
        return _json(describe(named, settings), tracking)

    @bp.get("/fonts")
    def fonts() -> Response:
        """List the families of fonts with specimens, and whose the emoji are."""
        families = [font(family) for family in catalogue.fonts()]
        artwork = [dict(emoji.ARTWORK)]
        return _json({"fonts": families, "artwork": artwork}, tracking)

    @bp.get("/problems")
    def problems() -> Response:
        """List the types of problem that an error answer may carry."""
        rows = sorted(PROBLEMS.values(), key=lambda row: (row.status, row.type))
        return _json({"problems": [_problem(row) for row in rows]}, tracking)

    @bp.get("/problems/<slug>")
    def problem_type(slug: str) -> Response:
        """Describe one type of problem."""
        found = [row for row in PROBLEMS.values() if row.slug == slug]
        if not found:
            raise NotFound(f"No type of problem is named {slug!r}; see /problems.")
        return _json(_problem(found[0]), tracking)

    return bp


def summary(renderer: Renderer) -> dict[str, Any]:
    """Return what a list of renderers says of one."""
    return {
        "name": renderer.name,
        "title": renderer.title,
        "service": renderer.remote is not None,
        "saved": renderer.files is not None,
        "formats": formats(renderer),
        "paper": _paper(renderer.paper),
        "example": example_url(renderer),
        "url": f"/renderers/{renderer.name}",
    }


def describe(renderer: Renderer, settings: Settings) -> dict[str, Any]:
    """Return everything a caller needs to use a renderer."""
    return summary(renderer) | {
        "parameters": renderer.parameters.model_json_schema(),
        "output": Output.model_json_schema(),
        "limits": {
            "max_side": settings.max_side,
            "max_pixels": settings.max_pixels,
            "max_text_chars": settings.max_text_chars,
        },
    }


def _paper(paper: Paper | None) -> dict[str, float | None] | None:
    """Return a declared size on paper, in millimetres, as JSON."""
    if paper is None:
        return None
    width, height, bleed = (
        round(side / POINTS * 25.4, 3)
        for side in (paper.width, paper.height, paper.bleed)
    )
    sides = {"width_mm": width, "height_mm": height, "bleed_mm": bleed}
    return {**sides, "dpi": paper.dpi}


def example_url(renderer: Renderer) -> str:
    """Return a URL that draws the renderer's example."""
    return f"/images/{renderer.name}.png?{urlencode(renderer.example)}"


def fault(error: BrokenTemplate) -> dict[str, Any]:
    """Return a broken template as JSON."""
    return {
        "name": error.name,
        "file": error.file,
        "line": error.line,
        "reason": error.reason,
    }


def font(family: Family) -> dict[str, Any]:
    """Return a family of fonts as JSON."""
    specimen = f"/images/placeholder.png?{urlencode(family.specimen)}"
    return asdict(family) | {"specimen": specimen}


def _problem(row: ProblemType) -> dict[str, Any]:
    return {"type": row.type, "status": row.status, "title": row.title}


def _json(value: Any, tracking: tuple[str, ...]) -> Response:
    told = refuse_words(tracking)
    # Indented: these pages are read by people, in browsers and by curl.
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    answer = send_page(request.environ, data, JSON)
    answer.headers.extend(told)
    return answer
