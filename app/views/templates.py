"""Templates that somebody edits: read, drawn as they are typed, and taken away."""

import base64
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response, request

from app.access.caller import CALLER
from app.delivery.answer import Answer, send_json, send_page, send_whole
from app.delivery.conditional import (
    NOT_MODIFIED,
    Conditions,
    Decision,
    Representation,
    precondition,
)
from app.delivery.errors import PreconditionFailed, PreconditionRequired
from app.observability import audit
from app.parsing.accept import JSON
from app.parsing.template_body import read_preview, read_template, spell_files
from app.pipeline.pipeline import Pipeline
from app.problems import describe
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, Fault, UnknownRenderer
from app.renderer.template.saved_templates import (
    SavedTemplates,
    TemplatesNotSaved,
    pinned,
    split_version,
)
from app.renderer.template.template_files import TemplateFiles
from app.renderer.template.template_preview import LengthDrawing, TemplatePreview
from app.views.body import read_document, refuse_query, refuse_words
from app.views.deletion import send_deleted

# The earliest that a ZIP can say: equal templates are equal archives.
_MOMENT = (1980, 1, 1, 0, 0, 0)


def blueprint(
    catalogue: Catalogue, pipeline: Pipeline, tracking: tuple[str, ...]
) -> Blueprint:
    """Return the routes of templates."""
    bp = Blueprint("templates", __name__)

    @bp.get("/templates")
    def index() -> Response:
        """List all templates."""
        rows = [_listed(name, own=own) for name, own in catalogue.templates().items()]
        rows += [
            _listed(name, own=True, version=version)
            for name, version in catalogue.saved_versions().items()
        ]
        document = {"editing": catalogue.saved is not None, "templates": rows}
        return _send_page(document, tracking)

    @bp.get("/templates/<name>")
    def show(name: str) -> Response:
        """Send the files of a template: packaged, the operator's own, or saved."""
        saved = catalogue.saved
        bare, version = split_version(name)
        if saved is not None and version is None and not catalogue.has(bare):
            version = saved.state(bare).newest
        files = saved.files(bare, version) if saved and version else None
        if files is None:
            files = catalogue.files_of(name)
            document = {"name": name, "files": spell_files(files)}
            return _send_page(document, tracking)
        document = _described(files, version)
        tag = _tag(files, version)
        told = refuse_words(tracking)
        pairs = (("ETag", tag), ("Cache-Control", "no-cache"), *told)
        decision = _decide(tag)
        if decision is NOT_MODIFIED:
            return Answer("304 NOT MODIFIED", pairs, ())
        if decision is not None:
            raise PreconditionFailed
        return send_json(document, pairs=pairs)

    @bp.put("/templates/<name>")
    def save(name: str) -> Response:
        """Keep a template as the next version; the ones before stay as they are."""
        saved = catalogue.saved
        if saved is None:
            raise TemplatesNotSaved
        files = read_template(read_document(), name)
        catalogue.check_free(files.name)
        state = saved.state(files.name)
        before, version = state.newest, state.last + 1
        _check_conditions(saved, files.name, before)
        saved.check_room(files)
        # It has to load and be drawn, in time, before anybody can ask for it.
        for drawing in pipeline.preview(files, ("example",), outlines=False).drawings:
            if drawing.error is not None:
                raise drawing.error
        if not saved.add(files, version):
            # Somebody else has saved at the same moment.
            raise PreconditionFailed
        caller = CALLER.get()
        audit.saved(
            what="template",
            id=pinned(files.name, version),
            caller=caller.label,
            address=request.environ.get("REMOTE_ADDR", ""),
            request_id=caller.request_id,
        )
        pairs = (("ETag", _tag(files, version)), ("Location", f"/templates/{name}"))
        status = "200 OK" if before else "201 CREATED"
        return send_json(_described(files, version), status, pairs)

    @bp.delete("/templates/<name>")
    def delete(name: str) -> Response:
        """Delete a saved template: what is made of a version is drawn by it still."""
        refuse_query()
        saved = catalogue.saved
        if saved is None:
            raise TemplatesNotSaved
        bare, version = split_version(name)
        if version is not None:
            reason = f"is one version: DELETE /templates/{bare} deletes all that can go"
            raise BadParameter(Fault("name", reason))
        before = saved.state(name).newest
        if not before:
            catalogue.check_free(name)
            raise UnknownRenderer(name, saved.names())
        _check_conditions(saved, name, before)
        if not saved.delete(name, before):
            raise PreconditionFailed
        return send_deleted("template", name)

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


def _send_page(document: Mapping[str, Any], tracking: tuple[str, ...]) -> Response:
    told = refuse_words(tracking)
    answer = send_page(request.environ, orjson.dumps(document), JSON)
    answer.headers.extend(told)
    return answer


def _listed(name: str, *, own: bool, version: int | None = None) -> dict[str, Any]:
    return {"name": name, "own": own, "version": version, "url": f"/templates/{name}"}


def _described(files: TemplateFiles, version: int | None) -> dict[str, Any]:
    number = version or 0
    renderer = pinned(files.name, number)
    texts = spell_files(files)
    return {
        "name": files.name,
        "version": version,
        "renderer": renderer,
        "files": texts,
    }


def _tag(files: TemplateFiles, version: int | None) -> str:
    """Return the entity tag of a version: equal files of two are not one state."""
    return f'"{version}-{files.digest()[:32]}"'


def _decide(tag: str) -> Decision | None:
    asked = Conditions.from_environ(request.environ)
    return precondition(asked, Representation(tag))


def _check_conditions(saved: SavedTemplates, name: str, version: int) -> None:
    """Raise where the request does not say what it replaces, or not what is there."""
    asked = Conditions.from_environ(request.environ)
    unseen = asked.if_none_match is None or asked.if_none_match.strip() != "*"
    if asked.if_match is None and unseen:
        # A tag that something has not says nothing of what is replaced.
        raise PreconditionRequired
    if not version:
        # RFC 9110, 13.1.1: no tag is that of what does not exist, nor is *.
        if asked.if_match is not None:
            raise PreconditionFailed
        return
    files = saved.files(name, version)
    if files is None or _decide(_tag(files, version)) is not None:
        raise PreconditionFailed


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
        "outside": drawing.outside,
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
