"""Templates that somebody edits: read, drawn as they are typed, and taken away."""

import base64
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response, request

from app.delivery.answer import send_json, send_page, send_whole
from app.parsing.accept import JSON
from app.parsing.template_body import read_preview, read_template, spell_files
from app.pipeline.pipeline import Pipeline
from app.problems import describe
from app.renderer.catalogue import Catalogue
from app.renderer.template.template_files import TemplateFiles
from app.renderer.template.template_preview import LengthDrawing, TemplatePreview
from app.views.body import read_document

# The earliest that a ZIP can say: equal templates are equal archives.
_MOMENT = (1980, 1, 1, 0, 0, 0)


def blueprint(catalogue: Catalogue, pipeline: Pipeline) -> Blueprint:
    """Return the routes of templates."""
    bp = Blueprint("templates", __name__)

    @bp.get("/templates")
    def index() -> Response:
        """List all templates."""
        rows = [
            {"name": name, "own": own, "url": f"/templates/{name}"}
            for name, own in catalogue.templates().items()
        ]
        return send_page(request.environ, orjson.dumps({"templates": rows}), JSON)

    @bp.get("/templates/<name>")
    def show(name: str) -> Response:
        """Send the files of a template, packaged or the operator's own."""
        files = catalogue.files_of(name)
        document = {"name": name, "files": spell_files(files)}
        return send_page(request.environ, orjson.dumps(document), JSON)

    @bp.post("/templates/preview")
    def preview() -> Response:
        """Draw a template that is not kept, with texts of several lengths."""
        asked = read_preview(read_document())
        made = pipeline.preview(asked.files, asked.lengths, outlines=asked.outlines)
        return send_json(_said(made))

    @bp.post("/templates/export")
    def export() -> Response:
        """Send a template as the ZIP of its folder, as MIMEO_TEMPLATES has it."""
        files = read_template(read_document())
        pairs = (
            ("Content-Type", "application/zip"),
            ("Content-Disposition", f'attachment; filename="{files.name}.zip"'),
            ("Cache-Control", "no-store"),
        )
        return send_whole(_zipped(files), pairs)

    return bp


def _zipped(files: TemplateFiles) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.files.items()):
            member = zipfile.ZipInfo(f"{files.name}/{name}", _MOMENT)
            member.external_attr = 0o644 << 16
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _said(preview: TemplatePreview) -> dict[str, Any]:
    width, height = preview.size
    return {
        "title": preview.title,
        "width": width,
        "height": height,
        "parameters": preview.schema,
        "previews": [_drawing(each) for each in preview.drawings],
    }


def _drawing(drawing: LengthDrawing) -> Mapping[str, Any]:
    told = {
        "length": drawing.length,
        "values": drawing.values,
        "fits": [fit._asdict() for fit in drawing.fits],
    }
    if drawing.error is not None:
        return {**told, "problem": describe(drawing.error)}
    encoded = drawing.encoded
    assert encoded is not None
    return {
        **told,
        "media_type": encoded.media_type,
        "width": encoded.width,
        "height": encoded.height,
        "facts": encoded.facts,
        "data": base64.b64encode(encoded.data).decode(),
    }
