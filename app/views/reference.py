"""`/openapi.json`: what this server answers, for programs; `/docs/api`: for people."""

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.delivery.answer import send_page
from app.openapi.openapi_document import Documents
from app.parsing.accept import JSON
from app.renderer.errors import shorten
from app.views.static_files import read_files, send_file


def blueprint(documents: Documents) -> Blueprint:
    """Return the routes of the document, and of the page that shows it."""
    bp = Blueprint("reference", __name__)
    files = read_files("docs")
    start = files["index.html"]

    @bp.get("/openapi.json")
    def document() -> Response:
        """Send the OpenAPI document of this server."""
        return send_page(request.environ, documents.read(), JSON)

    @bp.get("/docs/api")
    def page() -> Response:
        """Send the page, which reads the document."""
        return send_file(request.environ, start)

    @bp.get("/docs/api/<path:name>")
    def file(name: str) -> Response:
        """Send one of its scripts or styles."""
        if name not in files:
            raise NotFound(f"The reference has no file {shorten(name)!r}.")
        return send_file(request.environ, files[name])

    return bp
